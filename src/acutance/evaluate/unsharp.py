"""The unsharp mask, the sharpener everyone has, at its best setting: what a student must beat."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.evaluate.restorers import Restorer, Rgb
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.metrics import border_of, psnr

__all__ = ["UnsharpRestorer", "UnsharpSetting", "choose_unsharp"]

_RADII = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0)
_AMOUNTS = np.arange(0.0, 6.01, 0.05)


class UnsharpSetting(NamedTuple):
    """radius: sigma of the Gaussian, in pixels. amount: 1 adds once what the blur takes away.

    psnr_y, psnr_y_input: mean with and without it over the pictures it was chosen on, in dB, before rounding.
    """

    radius: float
    amount: float
    psnr_y: float = math.nan
    psnr_y_input: float = math.nan


class UnsharpRestorer(Restorer):
    """Unsharp mask on luma, in float, rounded once.

    chosen_on: the pictures that radius and amount were chosen on, in words.
    """

    name = "unsharp"
    kind = "filter"

    def __init__(self, setting: UnsharpSetting, *, chosen_on: str = "") -> None:
        if not 0 < setting.radius <= 50 or not math.isfinite(setting.amount):
            raise UsageError(f"unsharp radius must lie above 0 and up to 50, not {setting.radius}")
        self.setting = setting
        self.detail = f"radius {setting.radius:g}, amount {setting.amount:g}"
        if chosen_on:
            self.detail += f", chosen on {chosen_on}"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:  # noqa: ARG002
        detail = _detail(luma_from_rgb(degraded), self.setting.radius)
        out: Rgb = np.asarray(add_luma_residual(degraded, detail * np.float32(self.setting.amount)), np.uint8)
        return out


def choose_unsharp(pairs: Iterable[tuple[Rgb, Rgb]], *, factor: float) -> UnsharpSetting:
    """The radius and amount with the best mean PSNR on luma over (degraded, truth) pairs.

    The squared error is quadratic in the amount, so that three sums for each picture and radius tell the PSNR of every
    amount at once; rounding and clipping, which come after, are left out. Raises UsageError without pictures.
    """
    border = border_of(factor)
    scores: list[NDArray[np.float64]] = []
    inputs: list[float] = []
    for degraded, truth in pairs:
        source, target = luma_from_rgb(degraded), luma_from_rgb(truth)
        inner = np.s_[border : source.shape[0] - border, border : source.shape[1] - border]
        error = (target - source)[inner].astype(np.float64)
        inputs.append(min(psnr(source[inner], target[inner]), 100.0))
        table = np.empty((len(_RADII), _AMOUNTS.size))
        for row, radius in enumerate(_RADII):
            detail = _detail(source, radius)[inner].astype(np.float64)
            a, b, c = np.mean(detail * detail), np.mean(detail * error), np.mean(error * error)
            squared = np.maximum((a * _AMOUNTS - 2 * b) * _AMOUNTS + c, 255.0**2 * 1e-10)
            table[row] = 10 * np.log10(255.0**2 / squared)
        scores.append(table)
    if not scores:
        raise UsageError("no pictures to choose the unsharp mask on")
    mean = np.mean(scores, axis=0)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(mean)), mean.shape))
    return UnsharpSetting(
        _RADII[row], round(float(_AMOUNTS[column]), 2), float(mean[row, column]), float(np.mean(inputs))
    )


def _detail(luma: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """What a Gaussian blur takes away; the edge is replicated."""
    radius = max(1, math.ceil(3 * sigma))
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    blurred = luma
    for axis in (0, 1):
        length = luma.shape[axis]
        padding = [(0, 0), (0, 0)]
        padding[axis] = (radius, radius)
        padded = np.pad(blurred, padding, mode="edge")
        blurred = np.zeros_like(luma)
        for k, weight in enumerate(weights):
            blurred += weight * (padded[k : k + length] if axis == 0 else padded[:, k : k + length])
    return luma - blurred
