"""Halos: how far a sharpened picture goes past what its source had nearby.

A pixel overshoots by as much as it lies above the largest, or below the smallest, source value in the 5 x 5 pixels
around it. Honest sharpening steepens an edge between its two sides; past them it draws a halo.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics._check import check_pair

__all__ = ["Overshoot", "OvershootMeter", "overshoot", "overshoot_map"]

_Plane = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Overshoot:
    """Overshoot in code values: percentiles over all pixels, the largest, and the share of pixels with any."""

    p50: float
    p99: float
    p99_9: float
    largest: float
    share: float


def _extreme(plane: _Plane, radius: int, ufunc: np.ufunc) -> _Plane:
    """Largest or smallest value of a window around each pixel; at the edge, of the part inside."""
    for axis in (0, 1):
        length = plane.shape[axis]
        padding = [(0, 0), (0, 0)]
        padding[axis] = (radius, radius)
        padded = np.pad(plane, padding, mode="edge")
        out = plane
        for k in range(2 * radius + 1):
            out = ufunc(out, padded[k : k + length] if axis == 0 else padded[:, k : k + length])
        plane = out
    return plane


def overshoot_map(output: _Plane, source: _Plane, *, radius: int = 2) -> _Plane:
    """Overshoot of each pixel, in code values.

    output, source: H x W, uint8 or uint16, both alike. radius: 2 for the 5 x 5 pixels around.
    Returns H x W of the same type. Raises UsageError.
    """
    check_pair(output, source, planes=(2,))
    if output.dtype != source.dtype or output.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UsageError(f"overshoot compares planes of uint8 or uint16, not {output.dtype} and {source.dtype}")
    if radius < 0:
        raise UsageError(f"radius must not be negative, not {radius!r}")
    highest, lowest = _extreme(source, radius, np.maximum), _extreme(source, radius, np.minimum)
    # Differences stay unsigned: each is taken from the larger of the two.
    above = np.maximum(output, highest) - highest
    below = lowest - np.minimum(output, lowest)
    return np.maximum(above, below)


class OvershootMeter:
    """Overshoot over the frames of a video, fed one by one; keeps a histogram, never the frames."""

    def __init__(self, *, radius: int = 2) -> None:
        self._radius = radius
        self._counts = np.zeros(0, np.int64)

    def add(self, output: _Plane, source: _Plane) -> None:
        """Take in a frame and its source; see :func:`overshoot_map`."""
        counts = np.bincount(overshoot_map(output, source, radius=self._radius).ravel())
        total = np.zeros(max(counts.size, self._counts.size), np.int64)
        total[: self._counts.size] += self._counts
        total[: counts.size] += counts
        self._counts = total

    def percentile(self, percent: float) -> float:
        """The smallest overshoot that ``percent`` of all pixels do not exceed. Raises UsageError with no frames."""
        if not self._counts.size:
            raise UsageError("no frames were measured")
        if not 0 <= percent <= 100:
            raise UsageError(f"a percentile lies between 0 and 100, not {percent!r}")
        cumulative = np.cumsum(self._counts)
        wanted = max(1, math.ceil(percent / 100 * int(cumulative[-1])))
        return float(np.searchsorted(cumulative, wanted))

    def result(self) -> Overshoot:
        """The figures so far. Raises UsageError with no frames."""
        p50, p99, p99_9, largest = (self.percentile(p) for p in (50, 99, 99.9, 100))
        return Overshoot(p50, p99, p99_9, largest, float(1 - self._counts[0] / self._counts.sum()))


def overshoot(output: _Plane, source: _Plane, *, radius: int = 2) -> Overshoot:
    """Overshoot of one picture; see :func:`overshoot_map`."""
    meter = OvershootMeter(radius=radius)
    meter.add(output, source)
    return meter.result()
