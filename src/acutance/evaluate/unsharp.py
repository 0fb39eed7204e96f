"""The unsharp mask at its best setting: the common sharpener that a student must beat."""

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
    """Setting of an unsharp mask.

    Attributes:
        radius: Standard deviation of the Gaussian in pixels.
        amount: How often the detail that the blur removes is added.
        psnr_y: Mean PSNR on luma over the pictures it was chosen on, in dB, before rounding.
        psnr_y_input: The same without the mask.
    """

    radius: float
    amount: float
    psnr_y: float = math.nan
    psnr_y_input: float = math.nan


class UnsharpRestorer(Restorer):
    """Unsharp mask on luma, in float, rounded once.

    Args:
        setting: Radius and amount.
        chosen_on: The pictures that the setting was chosen on, in words.

    Raises:
        UsageError: The radius is not above 0 and at most 50, or the amount is not finite.
    """

    name = "unsharp"
    kind = "filter"

    def __init__(self, setting: UnsharpSetting, *, chosen_on: str = "") -> None:
        if not 0 < setting.radius <= 50 or not math.isfinite(setting.amount):
            raise UsageError(f"the radius of an unsharp mask must be above 0 and at most 50, not {setting.radius}")
        self.setting = setting
        self.detail = f"radius {setting.radius:g}, amount {setting.amount:g}"
        if chosen_on:
            self.detail += f", chosen on {chosen_on}"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:  # noqa: ARG002
        detail = _detail(luma_from_rgb(degraded), self.setting.radius)
        out: Rgb = np.asarray(add_luma_residual(degraded, detail * np.float32(self.setting.amount)), np.uint8)
        return out


def choose_unsharp(pairs: Iterable[tuple[Rgb, Rgb]], *, factor: float) -> UnsharpSetting:
    """Return the setting with the best mean PSNR on luma.

    The squared error is quadratic in the amount. Three sums for each picture and radius give the PSNR of every amount
    at once. Rounding and clipping come later and are left out.

    Args:
        pairs: Degraded pictures with their truth, H x W x 3, uint8.
        factor: By which they were scaled; decides the border that is left out.

    Raises:
        UsageError: There are no pictures.
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
        raise UsageError("there is no picture to choose the unsharp mask on")
    mean = np.mean(scores, axis=0)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(mean)), mean.shape))
    return UnsharpSetting(
        _RADII[row], round(float(_AMOUNTS[column]), 2), float(mean[row, column]), float(np.mean(inputs))
    )


def _detail(luma: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return the detail that a Gaussian blur removes; the edge is replicated."""
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
