"""Blockiness: strength of the steps along a coder's grid, after Wang, Sheikh, Bovik (ICIP 2002).

A coder that transforms blocks of 8 x 8 pixels leaves steps between them. After scaling up by f they are 8 f apart.
"""

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

__all__ = ["blockiness"]

_HARMONICS = (1, 2, 3)  # the fourth would coincide with the pattern of scaling by 1.5
_NEAR = (-8, -6, -4, 4, 6, 8)  # bins beside a harmonic, outside the window's main lobe
_FEWEST = 16  # blocks
_LARGEST = 12.0  # code values; a limit, so that an edge of the picture does not outweigh the grid


def blockiness(luma: NDArray[np.uint8] | NDArray[np.uint16], period: float, *, bit_depth: int = 8) -> float:
    """Return the strength of a grid relative to frequencies beside it.

    Args:
        luma: H x W, uint8 or uint16.
        period: pixels between the lines of the grid, at least 8.
        bit_depth: bits of a sample.

    Returns:
        The mean of the values along rows and along columns; 1 without a grid. Planes with fewer than sixteen blocks a
        side give 1, because chance looks like a grid there.

    Raises:
        UsageError: ``luma`` is not a plane, or the period is below 8.
    """
    if luma.ndim != 2:
        raise UsageError(f"blockiness needs an H x W plane, not shape {luma.shape}")
    if not period >= 8:
        raise UsageError(f"the period of a grid must be at least 8 pixels, not {period!r}")
    if min(luma.shape) < _FEWEST * period:
        return 1.0
    plane = luma.astype(np.float32) / np.float32(2 ** (bit_depth - 8))
    return float(np.mean([_prominence(p, period) for p in (plane, plane.T)]))


def _prominence(plane: NDArray[np.float32], period: float) -> float:
    steps = np.minimum(np.abs(np.diff(plane, axis=1)), _LARGEST).mean(axis=0, dtype=np.float64)
    count = len(steps)
    steps = (steps - steps.mean()) * np.hanning(count)
    places = np.arange(count)

    def amplitude(frequency: float) -> float:
        return float(np.abs((steps * np.exp(-2j * np.pi * frequency * places)).sum()))

    peak = sum(amplitude(k / period) for k in _HARMONICS)
    beside = sum(amplitude(k / period + bins / count) for k in _HARMONICS for bins in _NEAR) / len(_NEAR)
    return peak / beside if beside else 1.0
