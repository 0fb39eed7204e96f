"""Antialiased resizing of 8-bit pictures, and the down-and-up that blurs a picture as a scaled stream does."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.errors import UsageError

__all__ = ["FACTORS", "DownUp", "ResizeMethod", "check_picture", "crop_to_multiple", "down_up", "low_size", "resize"]

ResizeMethod = Literal["bicubic", "bilinear", "lanczos"]
"""Filters, all antialiased when they make a picture smaller: bicubic is Keys' with a = -0.5, as MATLAB's imresize."""

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Scaling factors of the degradations. A side that is a multiple of 12 is divided exactly by each of them."""

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


class DownUp(NamedTuple):
    """What :func:`down_up` made: the small picture, and the same brought back to the size of the source."""

    low: NDArray[np.uint8]
    same_size: NDArray[np.uint8]


def check_picture(picture: NDArray[np.uint8]) -> None:
    """Raise UsageError unless ``picture`` is uint8, H x W or H x W x 3, and not empty."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
        given = getattr(picture, "dtype", type(picture).__name__)
        raise UsageError(f"a picture must be an array of uint8, not {given}")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3) or picture.size == 0:
        raise UsageError(f"a picture must be H x W or H x W x 3 and not empty, not of shape {picture.shape}")


def resize(picture: NDArray[np.uint8], width: int, height: int, method: ResizeMethod = "bicubic") -> NDArray[np.uint8]:
    """Resize with Pillow, antialiased, rounded to 8 bit.

    picture: uint8, H x W (luma, grey) or H x W x 3 (RGB), 0..255. Returns the same with ``height`` x ``width``.
    Raises UsageError for another type or shape, a size below 1, or an unknown method.
    """
    check_picture(picture)
    if method not in _FILTERS:
        raise UsageError(f"resize method must be one of {', '.join(get_args(ResizeMethod))}, not {method!r}")
    if width < 1 or height < 1:
        raise UsageError(f"cannot resize to {width}x{height}")
    if picture.shape[:2] == (height, width):
        return picture.copy()
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), _FILTERS[method]))


def crop_to_multiple(picture: NDArray[np.uint8], multiple: int = 12) -> NDArray[np.uint8]:
    """The largest top-left part of a picture whose sides are multiples of ``multiple``; a view, not a copy.

    picture: uint8, H x W or H x W x 3. Raises UsageError where a side is shorter than ``multiple``.
    """
    check_picture(picture)
    if multiple < 1:
        raise UsageError(f"multiple must be at least 1, not {multiple}")
    height, width = (side - side % multiple for side in picture.shape[:2])
    if not height or not width:
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise UsageError(f"a picture of {size} is smaller than {multiple}x{multiple}")
    return picture[:height, :width]


def low_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Width and height after division by ``factor``. Raises UsageError where that is not exact."""
    if factor not in FACTORS:
        raise UsageError(f"factor must be one of {', '.join(f'{f:g}' for f in FACTORS)}, not {factor!r}")
    low = width / factor, height / factor
    if not (low[0].is_integer() and low[1].is_integer()):
        raise UsageError(f"{width}x{height} does not divide by {factor:g}: crop to a multiple of 12 first")
    return int(low[0]), int(low[1])


def down_up(
    picture: NDArray[np.uint8],
    factor: float,
    *,
    down: ResizeMethod = "bicubic",
    up: ResizeMethod = "bicubic",
) -> DownUp:
    """Scale a picture down by ``factor`` and back up, rounding to 8 bit each time.

    picture: uint8, H x W or H x W x 3, sides divisible by ``factor`` (see :func:`crop_to_multiple`).
    factor: 1, 1.5, 2, 3 or 4. Returns ``(low, same_size)``. Raises UsageError.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    low = resize(picture, *low_size(width, height, factor), down)
    return DownUp(low, resize(low, width, height, up))
