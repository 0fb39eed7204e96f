"""Mean squared error and peak signal-to-noise ratio."""

import math

import numpy as np

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair

__all__ = ["mse", "psnr"]


def mse(picture: Picture, reference: Picture, *, border: int = 0) -> float:
    """Mean squared error, over all channels.

    picture, reference: H x W or H x W x 3, any number type, in one unit; compared in float, without rounding.
    border: pixels left out on every side. Returns the square of that unit. Raises UsageError.
    """
    a, b = check_pair(picture, reference, border=border)
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(np.mean(difference * difference))


def psnr(picture: Picture, reference: Picture, *, peak: float = 255.0, border: int = 0) -> float:
    """Peak signal-to-noise ratio in decibels: ``10 log10(peak^2 / mse)``; infinity for equal pictures.

    peak: 255 for 8-bit code values, also for luma in 16..235, as the super-resolution field has it.
    Otherwise as :func:`mse`. Raises UsageError.
    """
    if not peak > 0:
        raise UsageError(f"peak must be positive, not {peak!r}")
    error = mse(picture, reference, border=border)
    return math.inf if error == 0 else 10.0 * math.log10(peak * peak / error)
