"""Mean squared error and peak signal-to-noise ratio."""

import math

import numpy as np

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair

__all__ = ["mse", "psnr"]


def mse(picture: Picture, reference: Picture, *, border: int = 0) -> float:
    """Return the mean squared error over all channels, computed in float without rounding.

    Args:
        picture: H x W or H x W x 3, any number type.
        reference: the same shape and unit.
        border: pixels to ignore on every side.

    Returns:
        The error in the squared unit of the pictures.

    Raises:
        UsageError: the pictures do not fit each other, or the border leaves nothing.
    """
    a, b = check_pair(picture, reference, border=border)
    difference = a.astype(np.float64) - b.astype(np.float64)
    return float(np.mean(difference * difference))


def psnr(picture: Picture, reference: Picture, *, peak: float = 255.0, border: int = 0) -> float:
    """Return the peak signal-to-noise ratio, ``10 log10(peak^2 / mse)``.

    Args:
        picture: as for :func:`mse`.
        reference: as for :func:`mse`.
        peak: 255 for 8-bit code values, and by convention also for luma in 16 to 235.
        border: pixels to ignore on every side.

    Returns:
        Decibels; infinity for equal pictures.

    Raises:
        UsageError: as :func:`mse`, or ``peak`` is not positive.
    """
    if not peak > 0:
        raise UsageError(f"peak must be positive, not {peak!r}")
    error = mse(picture, reference, border=border)
    return math.inf if error == 0 else 10.0 * math.log10(peak * peak / error)
