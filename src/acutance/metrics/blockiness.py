"""Blockiness: how much steps stand out along the lines of a coder's grid, after Wang, Sheikh, Bovik (ICIP 2002).

A coder that transforms blocks of 8 x 8 pixels leaves steps between them. Scaled up by a factor f, they lie 8 f apart.
"""

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

__all__ = ["blockiness"]

_HARMONICS = (1, 2, 3)  # the fourth would meet the pattern that scaling by 1.5 itself leaves
_NEAR = (-8, -6, -4, 4, 6, 8)  # bins beside a harmonic, outside the window's main lobe
_FEWEST = 16  # blocks
_LARGEST = 12.0  # code values: an edge of the picture is not to outweigh all the steps of a grid


def blockiness(luma: NDArray[np.uint8] | NDArray[np.uint16], period: float, *, bit_depth: int = 8) -> float:
    """How many times as strong the steps between neighbours vary with ``period`` as they do beside it; 1 where there is
    no grid.

    luma: H x W; the mean of its rows' and its columns' value. period: pixels between the lines of the grid, 8 or more.
    Returns 1 for planes that hold fewer than sixteen blocks a side: in so few, chance looks like a grid. Raises
    UsageError.
    """
    if luma.ndim != 2:
        raise UsageError(f"blockiness is of an H x W plane, not of one of shape {luma.shape}")
    if not period >= 8:
        raise UsageError(f"a grid has a period of 8 pixels or more, not {period!r}")
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
