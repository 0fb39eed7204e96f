"""Checks of the pictures that metrics compare."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

Picture = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating[Any]]


def check_picture(picture: Picture, *, planes: tuple[int, ...] = (2, 3)) -> None:
    """Raise UsageError unless ``picture`` is a non-empty array of numbers, H x W or H x W x 3."""
    if not isinstance(picture, np.ndarray) or picture.dtype.kind not in "uif":
        given = getattr(picture, "dtype", type(picture).__name__)
        raise UsageError(f"a picture must be an array of integers or floats, not {given}")
    shapes = {2: "H x W", 3: "H x W x 3"}
    if picture.ndim not in planes or (picture.ndim == 3 and picture.shape[2] != 3) or picture.size == 0:
        accepted = " or ".join(shapes[p] for p in planes)
        raise UsageError(f"a picture must be {accepted} and not empty, not of shape {picture.shape}")


def check_pair(
    picture: Picture, reference: Picture, *, border: int = 0, planes: tuple[int, ...] = (2, 3)
) -> tuple[Picture, Picture]:
    """Return both pictures without their border. Raise UsageError unless shapes are equal and pixels are left."""
    check_picture(picture, planes=planes)
    check_picture(reference, planes=planes)
    if picture.shape != reference.shape:
        raise UsageError(f"pictures to compare must have one shape, not {picture.shape} and {reference.shape}")
    if border < 0 or 2 * border >= min(picture.shape[:2]):
        raise UsageError(f"a border of {border} leaves nothing of {picture.shape[1]}x{picture.shape[0]}")
    if not border:
        return picture, reference
    inner = slice(border, -border)
    return picture[inner, inner], reference[inner, inner]
