"""Overshoot: how far a sharpened picture leaves the range of its source nearby, which is visible as halos.

The overshoot of a pixel is its distance above the largest, or below the smallest, source value in the 5 x 5 pixels
around it. Sharpening may steepen an edge between its two sides. Beyond them it draws a halo.
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
    """Overshoot of a picture or video in code values.

    Attributes:
        p50: median over all pixels.
        p99: 99th percentile.
        p99_9: 99.9th percentile.
        largest: maximum.
        share: share of pixels with any overshoot, 0 to 1.
    """

    p50: float
    p99: float
    p99_9: float
    largest: float
    share: float


def _extreme(plane: _Plane, radius: int, ufunc: np.ufunc) -> _Plane:
    """Return the maximum or minimum of the window around each pixel, as far as it lies in the plane."""
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
    """Return the overshoot of each pixel, in code values.

    Args:
        output: H x W, uint8 or uint16.
        source: the same shape and type.
        radius: 2 for a window of 5 x 5 pixels.

    Returns:
        H x W of the same type.

    Raises:
        UsageError: the planes do not fit each other, or the radius is negative.
    """
    check_pair(output, source, planes=(2,))
    if output.dtype != source.dtype or output.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UsageError(f"overshoot compares planes of uint8 or uint16, not {output.dtype} and {source.dtype}")
    if radius < 0:
        raise UsageError(f"radius must not be negative, not {radius!r}")
    highest, lowest = _extreme(source, radius, np.maximum), _extreme(source, radius, np.minimum)
    # Unsigned differences cannot wrap, because each is taken from the larger value.
    above = np.maximum(output, highest) - highest
    below = lowest - np.minimum(output, lowest)
    return np.maximum(above, below)


class OvershootMeter:
    """Measure the overshoot of a video frame by frame. It keeps a histogram, not the frames.

    Args:
        radius: as for :func:`overshoot_map`.
    """

    def __init__(self, *, radius: int = 2) -> None:
        self._radius = radius
        self._counts = np.zeros(0, np.int64)

    def add(self, output: _Plane, source: _Plane) -> None:
        """Add a frame.

        Args:
            output: H x W, uint8 or uint16.
            source: the same shape and type.

        Raises:
            UsageError: the planes do not fit each other.
        """
        counts = np.bincount(overshoot_map(output, source, radius=self._radius).ravel())
        total = np.zeros(max(counts.size, self._counts.size), np.int64)
        total[: self._counts.size] += self._counts
        total[: counts.size] += counts
        self._counts = total

    def percentile(self, percent: float) -> float:
        """Return a percentile over all pixels so far, in code values.

        Args:
            percent: 0 to 100.

        Raises:
            UsageError: no frame was added, or ``percent`` is out of range.
        """
        if not self._counts.size:
            raise UsageError("no frames were measured")
        if not 0 <= percent <= 100:
            raise UsageError(f"a percentile lies between 0 and 100, not {percent!r}")
        cumulative = np.cumsum(self._counts)
        wanted = max(1, math.ceil(percent / 100 * int(cumulative[-1])))
        return float(np.searchsorted(cumulative, wanted))

    def result(self) -> Overshoot:
        """Return the overshoot so far. Raises UsageError without frames."""
        p50, p99, p99_9, largest = (self.percentile(p) for p in (50, 99, 99.9, 100))
        return Overshoot(p50, p99, p99_9, largest, float(1 - self._counts[0] / self._counts.sum()))


def overshoot(output: _Plane, source: _Plane, *, radius: int = 2) -> Overshoot:
    """Return the overshoot of one picture.

    Args:
        output: H x W, uint8 or uint16.
        source: the same shape and type.
        radius: 2 for a window of 5 x 5 pixels.

    Returns:
        Percentiles, maximum and share.

    Raises:
        UsageError: the planes do not fit each other, or the radius is negative.
    """
    meter = OvershootMeter(radius=radius)
    meter.add(output, source)
    return meter.result()
