"""Resizing before sharpening: Pillow's bicubic, the filter the students' inputs were scaled up with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from acutance._util.arguments import finite_number
from acutance.io import Image, check_dimensions

__all__ = ["scale_image", "scaled_size"]

LARGEST_SCALE = 8.0
_BICUBIC = PillowImage.Resampling.BICUBIC

Samples = NDArray[np.uint8] | NDArray[np.uint16]


def scaled_size(width: int, height: int, scale: float, *, multiple: int = 1) -> tuple[int, int]:
    """Width and height times ``scale``, rounded to ``multiple``, at least that. Raises UsageError out of (0, 8]."""
    scale = finite_number(scale, "scale", low=0.0, high=LARGEST_SCALE, above=True)

    def scaled(side: int) -> int:
        return max(multiple, round(side * scale / multiple) * multiple)

    return scaled(width), scaled(height)


def scale_image(image: Image, scale: float, *, name: str | Path, size: tuple[int, int] | None = None) -> Image:
    """The picture and its alpha, resized; itself where ``scale`` is 1.

    name: what messages call it. size: width and height of the result; None for what ``scale`` makes.
    Raises UsageError for the scale, UnsupportedMediaError for an absurd size.
    """
    if finite_number(scale, "scale", low=0.0, high=LARGEST_SCALE, above=True) == 1.0:
        return image
    size = scaled_size(image.width, image.height, scale) if size is None else size
    check_dimensions(name, *size)
    pixels = image.pixels
    channels = [pixels] if pixels.ndim == 2 else [pixels[..., c] for c in range(pixels.shape[2])]
    planes = [_scale(channel, size) for channel in channels]
    scaled: Any = planes[0] if pixels.ndim == 2 else np.stack(planes, axis=-1)
    alpha = None if image.alpha is None else _scale(image.alpha, size)
    return replace(image, pixels=scaled, alpha=alpha)


def _scale(plane: Samples, size: tuple[int, int]) -> Samples:
    if plane.dtype == np.uint8:
        return np.array(PillowImage.fromarray(np.ascontiguousarray(plane)).resize(size, _BICUBIC), np.uint8)
    # Pillow resizes 16 bits only as float.
    resized = np.array(PillowImage.fromarray(plane.astype(np.float32)).resize(size, _BICUBIC), np.float32)
    return np.clip(np.rint(resized), 0, 65535).astype(np.uint16)
