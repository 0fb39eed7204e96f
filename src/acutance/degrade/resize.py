"""Antialiased resizing of 8-bit pictures, and the down-and-up scaling that blurs a picture as a call does."""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.errors import UsageError

__all__ = ["FACTORS", "DownUp", "ResizeMethod", "check_picture", "crop_to_multiple", "down_up", "low_size", "resize"]

ResizeMethod = Literal["bicubic", "bilinear", "lanczos"]
"""Filters. All are antialiased when they shrink. Bicubic is Keys' kernel with a = -0.5, as in MATLAB's imresize."""

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Scaling factors of the degradations. Each divides a multiple of 12 exactly."""

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


class DownUp(NamedTuple):
    """The result of :func:`down_up`.

    Attributes:
        low: the small picture, H/factor x W/factor.
        same_size: ``low`` scaled up to the size of the source.
    """

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

    Args:
        picture: uint8, H x W (luma, grey) or H x W x 3 (RGB), 0 to 255.
        width: width of the result, in pixels.
        height: height of the result, in pixels.
        method: the filter.

    Returns:
        uint8, ``height`` x ``width`` or ``height`` x ``width`` x 3. Always a copy.

    Raises:
        UsageError: another type or shape, a size below 1, or an unknown method.
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
    """Crop a picture to sides that are multiples of a number.

    Args:
        picture: uint8, H x W or H x W x 3.
        multiple: the number, at least 1.

    Returns:
        The largest such part from the top left corner, as a view.

    Raises:
        UsageError: a side is shorter than ``multiple``.
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
    """Return width and height divided by a factor.

    Args:
        width: width in pixels.
        height: height in pixels.
        factor: one of :data:`FACTORS`.

    Returns:
        Width and height.

    Raises:
        UsageError: the division is not exact, or the factor is unknown.
    """
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
    """Scale a picture down and up again. Each step rounds to 8 bit.

    Args:
        picture: uint8, H x W or H x W x 3, sides divisible by ``factor`` (see :func:`crop_to_multiple`).
        factor: one of :data:`FACTORS`.
        down: filter of the first step.
        up: filter of the second step.

    Returns:
        The small picture and the one of the original size.

    Raises:
        UsageError: another type or shape, or the factor does not divide the sides.
    """
    check_picture(picture)
    height, width = picture.shape[:2]
    low = resize(picture, *low_size(width, height, factor), down)
    return DownUp(low, resize(low, width, height, up))
