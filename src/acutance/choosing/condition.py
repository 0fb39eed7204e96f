"""Describe what a frame went through: features of its pixels and the facts that are known of it.

Three things in a frame tell how it was made. Its spectrum says up to which frequency it has detail. The period of
its local differences says whether it was enlarged: an enlargement by f repeats its own pattern every f pixels
(Gallagher, "Detection of linear and cubic interpolation in JPEG compressed images", CRV 2005), and it is the last
step before a frame is shown, so that no encoder hides it. Its quiet places say how noisy it is, and whether it is
drawn. What the job knows for certain (the factor, bits per pixel) joins them, each with a flag.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

__all__ = ["FEATURES", "KNOWN_FEATURES", "KnownFacts", "condition_features", "with_known"]

_SIDE = 120  # divisible by 2, 3, 4, 5, 6 and 8: the usual periods fall on whole frequencies
_MARGIN = 2  # two differences shorten a tile by two pixels
_TILES = 16  # the busiest ones: more of them cost time and change little
_SMALLEST = 64  # pixels; below that there is nothing to measure
_EVERY = 4  # rows that are read to find the busiest tiles
_QUIET = 0.35  # code values between neighbours, on average: below that a tile has nothing to see
_FLOOR = 1e-2  # power below that of rounding to whole code values

_BANDS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 36, 40, 44, 48, 52, 56, 61)
"""Edges of the bands in periods per 120 pixels; 60 is the highest frequency there is."""

_PERIODS = (10, 15, 20, 24, 30, 36, 40, 45, 48, 53, 56, 60)
"""Frequencies, per 120 pixels, at which enlargements by usual factors repeat: 60 for 2, 40 for 3 and 1.5, 30 for 4."""

_PIXEL_FEATURES = 1 + (len(_BANDS) - 1) + 2 * len(_PERIODS) + 4
KNOWN_FEATURES = 4
"""The last entries of the features: factor, whether it is known, bits per pixel, whether they are known."""

FEATURES = _PIXEL_FEATURES + KNOWN_FEATURES
"""Length of the vector that :func:`condition_features` returns."""


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """What a job knows of a frame beside its pixels; None where it does not.

    Attributes:
        factor: By how much the frame was enlarged, 1 or more.
        bits_per_pixel: Bits that the stream spends on one pixel of the coded size, above 0.
    """

    factor: float | None = None
    bits_per_pixel: float | None = None

    def __post_init__(self) -> None:
        if self.factor is not None and not (math.isfinite(self.factor) and self.factor >= 1):
            raise UsageError(f"factor must be 1 or more, not {self.factor!r}")
        if self.bits_per_pixel is not None and not (math.isfinite(self.bits_per_pixel) and self.bits_per_pixel > 0):
            raise UsageError(f"bits_per_pixel must be above 0, not {self.bits_per_pixel!r}")


def condition_features(
    luma: NDArray[np.uint8] | NDArray[np.uint16],
    *,
    bit_depth: int = 8,
    full_range: bool = False,
    known: KnownFacts | None = None,
) -> NDArray[np.float32] | None:
    """Measure the features of a frame.

    Args:
        luma: H x W, uint8, or uint16 above 8 bits.
        bit_depth: Bits of a sample, 8 to 16.
        full_range: Whether black is 0 rather than 16 (at 8 bits).
        known: Facts about the frame; nothing is known without it.

    Returns:
        float32 of length :data:`FEATURES`, or None where the frame is smaller than 64 x 64 or has nothing to see.

    Raises:
        UsageError: If the plane does not have two dimensions.
    """
    if luma.ndim != 2:
        raise UsageError(f"expected an H x W plane, not shape {luma.shape}")
    if min(luma.shape) < _SMALLEST:
        return None
    full = _SIDE + _MARGIN
    if min(luma.shape) < full:
        below, right = (max(0, full - side) for side in luma.shape)
        padded: NDArray[Any] = np.pad(luma, ((0, below), (0, right)), mode="symmetric")
        luma = padded
    scale = np.float32((219 / 255 if full_range else 1.0) / 2 ** (bit_depth - 8))
    corners, activity = _busiest(luma, scale)
    if not corners:
        return None
    tiles = np.stack([luma[y : y + full, x : x + full] for y, x in corners]).astype(np.float32) * scale
    both = np.concatenate([tiles, tiles.transpose(0, 2, 1)])  # rows and columns are measured alike
    first = np.diff(both, axis=2)
    second = np.abs(np.diff(first, axis=2))
    first = np.abs(first)
    pixels = np.concatenate(
        [
            _spectrum(both[:, :_SIDE, :_SIDE]),
            _periods(first[:, :, :_SIDE]),
            _periods(second[:, :, :_SIDE]),
            _texture(first, activity),
        ]
    )
    return with_known(np.concatenate([pixels, np.zeros(KNOWN_FEATURES)]).astype(np.float32), known)


def with_known(features: NDArray[np.float32], known: KnownFacts | None) -> NDArray[np.float32]:
    """Return a copy of the features in which the known facts are those given.

    Args:
        features: float32 of length :data:`FEATURES`.
        known: Facts about the frame; None: nothing is known.
    """
    out = features.copy()
    factor = None if known is None else known.factor
    rate = None if known is None else known.bits_per_pixel
    out[_PIXEL_FEATURES:] = (
        0.0 if factor is None else math.log2(factor) - 1.0,
        float(factor is not None),
        0.0 if rate is None else math.log10(rate) + 1.0,
        float(rate is not None),
    )
    return out


def _busiest(luma: NDArray[np.uint8] | NDArray[np.uint16], scale: np.float32) -> tuple[list[tuple[int, int]], float]:
    """Return the corners of the busiest tiles, and the activity of the quiet ones in code values."""
    full = _SIDE + _MARGIN
    rows, columns = (_starts(side, full) for side in luma.shape)
    sampled = luma[_EVERY // 2 :: _EVERY].astype(np.float32)
    steps = np.abs(np.diff(sampled, axis=1)) * scale

    def mean(y: int, x: int) -> float:
        return float(steps[y // _EVERY : (y + full) // _EVERY, x : x + full].mean(dtype=np.float64))

    busy = sorted(((mean(y, x), y, x) for y in rows for x in columns), key=lambda tile: (-tile[0], tile[1], tile[2]))
    quiet = busy[min(len(busy) - 1, round(0.9 * len(busy)))][0]
    return [(y, x) for value, y, x in busy[:_TILES] if value >= _QUIET], quiet


def _starts(length: int, side: int) -> list[int]:
    """Spread tiles evenly, at multiples of 12 pixels, so that factors from 1.5 to 4 start alike in each."""
    count = max(1, length // side)
    return sorted({round(i * (length - side) / max(1, count - 1)) // 12 * 12 for i in range(count)})


def _spectrum(tiles: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the level, then the power of each band relative to the lowest four, as logarithms to the base 10."""
    taper = np.hanning(_SIDE + 2)[1:-1].astype(np.float32)
    centred = (tiles - tiles.mean(axis=2, keepdims=True)) * taper
    power = (np.abs(np.fft.rfft(centred, axis=2)) ** 2).mean(axis=(0, 1), dtype=np.float64) / _SIDE
    bands = np.log10(np.array([power[low:high].mean() for low, high in pairwise(_BANDS)]) + _FLOOR)
    level = bands[:4].mean()
    return np.concatenate([[level], bands - level])


def _periods(differences: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far each period of an enlargement stands out of its surroundings, as logarithms to the base 10."""
    profile = differences.mean(axis=1)
    profile = profile / (profile.mean(axis=1, keepdims=True) + 0.05) - 1.0
    taper = np.hanning(_SIDE + 2)[1:-1].astype(np.float32)
    power = (np.abs(np.fft.rfft(profile * taper, axis=1)) ** 2).mean(axis=0, dtype=np.float64)
    power += 1e-6
    out = []
    for k in _PERIODS:
        peak = power[max(1, k - 1) : k + 2].max()
        around = np.concatenate([power[max(3, k - 8) : k - 2], power[k + 3 : k + 9]])
        out.append(math.log10(peak / float(np.median(around))))
    return np.array(out)


def _texture(first: NDArray[np.float32], quiet: float) -> NDArray[np.float64]:
    """Return noise of the quiet tiles, shares of equal neighbours and of steps, and how uneven the differences are."""
    mean = float(first.mean())
    square = float(np.square(first).mean())
    return np.array(
        [
            math.log10(quiet + 0.05),
            float((first < 0.25).mean()),
            float((first > 24.0).mean()),
            math.log10((square + 0.01) / (mean * mean + 0.01)),
        ]
    )
