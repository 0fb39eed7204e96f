"""How far a picture's detail reaches: by which factor it was scaled up, as its spectrum tells.

What was scaled up by f has next to nothing above 1/f of its highest frequency. How steeply the spectrum of the busiest
places falls is told from how a picture's own does, soft ones among them, by a network of one hidden layer over the
logarithms of fifteen bands, fitted by ``tools/fit_factor_classifier.py`` on training pictures and clips, sharp, out of
focus, sharpened, noisy and drawn, scaled and compressed.
"""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

__all__ = ["BANDS", "REACH_FACTORS", "ReachModel", "detail_reach", "reach_features", "reach_model", "told_factor"]

REACH_FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""What is told apart; 1: detail up to the last pixel."""

BANDS = (2.0, 4.0, 6.0, 8.0, 9.5, 32 / 3, 12.0, 14.0, 16.0, 18.5, 64 / 3, 24.0, 26.0, 28.0, 30.0, 32.0)
"""Edges of the bands, in periods per window; 32 is the highest frequency there is."""

_SIDE = 64
_WINDOWS = 32  # the busiest
_EVERY = 4  # rows that are looked at to find them
_QUIET = 1.0  # code values between neighbours, on average: windows below that show noise rather than detail
_FLOOR = 1e-3  # below the power of rounding
_DOUBT = 0.3  # the probability with which the factor is no larger than the one that is told


class ReachModel(NamedTuple):
    """mean, deviation: 15, of the bands. inner: 15 x 32, of the bands in standard units, and inner_bias: 32; weights:
    32 x 5, of the hyperbolic tangents of those, and bias: 5."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    inner: NDArray[np.float64]
    inner_bias: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]


@cache
def reach_model() -> ReachModel:
    """The network as it was fitted."""
    table = json.loads(Path(__file__).with_name("factor_classifier.json").read_text(encoding="utf-8"))
    return ReachModel(*(np.array(table[name]) for name in ReachModel._fields))


def reach_features(
    luma: NDArray[np.uint8] | NDArray[np.uint16], *, bit_depth: int = 8, full_range: bool = False
) -> NDArray[np.float64] | None:
    """Logarithm (base 10) of the power in each band, rows and columns together, over the busiest windows.

    luma: H x W. None where no window has detail, or the plane is smaller than one. Raises UsageError.
    """
    if luma.ndim != 2:
        raise UsageError(f"detail reaches somewhere in an H x W plane, not in one of shape {luma.shape}")
    rows, columns = luma.shape[0] // _SIDE, luma.shape[1] // _SIDE
    if not rows or not columns:
        return None
    scale = np.float32((219 / 255 if full_range else 1.0) / 2 ** (bit_depth - 8))
    inside = luma[: rows * _SIDE, : columns * _SIDE]
    sampled = inside[_EVERY // 2 :: _EVERY].astype(np.float32)
    steps = np.abs(np.diff(sampled, axis=1, append=sampled[:, -1:]))
    busy = steps.reshape(rows, _SIDE // _EVERY, columns, _SIDE).mean(axis=(1, 3)) * scale
    order = np.argsort(-busy, axis=None, kind="stable")[:_WINDOWS]
    order = order[busy.ravel()[order] >= _QUIET]
    if not len(order):
        return None
    tiles = inside.reshape(rows, _SIDE, columns, _SIDE)
    windows = np.stack([tiles[i // columns, :, i % columns] for i in order]).astype(np.float32) * scale
    windows -= windows.mean(axis=(1, 2), keepdims=True)
    taper = np.hanning(_SIDE + 2)[1:-1].astype(np.float32)
    power = (np.abs(np.fft.rfft(windows * taper, axis=2)) ** 2).mean(axis=(0, 1), dtype=np.float64)
    power += (np.abs(np.fft.rfft(windows * taper[:, None], axis=1)) ** 2).mean(axis=(0, 2), dtype=np.float64)
    frequency = np.arange(len(power))
    bands = [power[(frequency >= low) & (frequency < high)].mean() for low, high in pairwise(BANDS)]
    return np.asarray(np.log10(np.array(bands) + _FLOOR))


def detail_reach(features: NDArray[np.float64], model: ReachModel | None = None) -> NDArray[np.float64]:
    """The probability of each of REACH_FACTORS, given :func:`reach_features`; they add up to 1."""
    m = model or reach_model()
    scores = np.tanh((features - m.mean) / m.deviation @ m.inner + m.inner_bias) @ m.weights + m.bias
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


def told_factor(shares: NDArray[np.float64]) -> float:
    """The factor that the probabilities of :func:`detail_reach` speak for.

    The smallest that reaches, with those below it, a probability of 0.3: a student for too large a factor spoils more
    than one for too small a factor leaves undone.
    """
    return REACH_FACTORS[min(int(np.searchsorted(shares.cumsum(), _DOUBT)), len(REACH_FACTORS) - 1)]
