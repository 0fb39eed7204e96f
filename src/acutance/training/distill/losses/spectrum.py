"""Losses on the spectrum of a group of crops: as much power as the truth has, at the best coherence.

A network that minimises an error returns each frequency with a gain equal to its coherence C with the truth (Wiener):
it is soft where it is unsure. A picture whose power equals the truth's has the gain sqrt(C), and looks natural (the
perception-distortion trade-off, Blau and Michaeli, arXiv 1711.06077). The sums are those of
:mod:`acutance.metrics.acutance`, over the crops that share a frame.
"""

import functools

import torch
from torch import Tensor

from acutance.metrics.acutance import PIXELS_PER_DEGREE, RINGS, WINDOW

__all__ = ["ring_sums", "spectrum_loss"]

_LEAST_DEVIATION = 2.0 / 255
_COHERENT = (0.25, 0.35)  # below the first nothing is asked to have power, above the second all of it
_COHERENCE_WEIGHT = 2.0


@functools.cache
def _constants() -> tuple[Tensor, Tensor, Tensor]:
    """Return (taper, 64 x 64; membership of coefficients, rings x 64 * 33; weight of each ring)."""
    offsets = torch.arange(1, WINDOW + 1, dtype=torch.float32) / (WINDOW + 1)
    hann = torch.sin(torch.pi * offsets).square()
    radius = torch.hypot(torch.fft.fftfreq(WINDOW)[:, None], torch.fft.rfftfreq(WINDOW)[None]).flatten() * WINDOW
    rings = torch.stack([((radius >= ring - 0.5) & (radius < ring + 0.5)).float() for ring in RINGS])
    frequency = torch.tensor(RINGS) * (PIXELS_PER_DEGREE / WINDOW)
    sensitivity = frequency**0.9 * torch.exp(-0.2 * frequency)
    # Half by what the eye sees, half even: fine detail is little of what is seen from afar, and all from close up.
    weight = 0.5 * sensitivity / sensitivity.sum() + 0.5 / len(RINGS)
    return torch.outer(hann, hann), rings, weight


def ring_sums(output: Tensor, truth: Tensor, *, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sums of Re(O T*), |O|^2 and |T|^2 by ring, groups x 31 each.

    Args:
        output, truth: N x 1 x H x W in [0, 1], sides of at least 64, the crops of a group in a row.
        groups: How many groups there are.
    """
    taper, rings, _ = _constants()

    def windows(x: Tensor) -> Tensor:
        return x.unfold(2, WINDOW, WINDOW // 2).unfold(3, WINDOW, WINDOW // 2).reshape(len(x), -1, WINDOW, WINDOW)

    t, o = windows(truth), windows(output)
    kept = (t.std((2, 3)) > _LEAST_DEVIATION).float()[:, :, None]
    t = torch.fft.rfft2((t - t.mean((2, 3), keepdim=True)) * taper)
    o = torch.fft.rfft2((o - o.mean((2, 3), keepdim=True)) * taper)

    def summed(power: Tensor) -> Tensor:
        by_crop = (power.flatten(2) * kept).sum(1) @ rings.T
        return by_crop.reshape(groups, -1, len(RINGS)).sum(1)

    return (
        summed((o * t.conj()).real),
        summed(o.real.square() + o.imag.square()),
        summed(t.real.square() + t.imag.square()),
    )


def spectrum_loss(output: Tensor, truth: Tensor, *, groups: int) -> tuple[Tensor, Tensor]:
    """Return how far the power is from the truth's, and how much coherence is missing.

    Power: the mean over groups of sum_f w(f) (log P(f))^2 where C(f) is above 0.3; below that only too much power
    counts. Coherence: the mean of sum_f w(f) (1 - sqrt(C(f))). Groups without detail do not count.

    Args:
        output, truth, groups: As for :func:`ring_sums`.
    """
    _, _, weight = _constants()
    cross, power, wanted = ring_sums(output, truth, groups=groups)
    seen = wanted.sum(1) > 1e-3
    if not bool(seen.any()):
        nothing = output.sum() * 0.0
        return nothing, nothing
    wanted = wanted + 1e-4 * wanted.mean(1, keepdim=True) + 1e-6
    ratio = (power + 1e-6) / wanted
    coherence = (cross.clamp_min(0).square() / ((power + 1e-6) * wanted)).clamp(0, 1)
    low, high = _COHERENT
    with torch.no_grad():
        sure = ((coherence - low) / (high - low)).clamp(0, 1)
    log_ratio = ratio.log()
    uneven = weight * (sure * log_ratio.square() + (1 - sure) * log_ratio.clamp_min(0).square())
    missing = weight * (1 - coherence.clamp_min(1e-6).sqrt())
    return uneven.sum(1)[seen].mean(), missing.sum(1)[seen].mean()


def spectrum_term(output: Tensor, truth: Tensor, *, groups: int) -> Tensor:
    """Return the one term that a run minimises: power plus twice the missing coherence."""
    power, coherence = spectrum_loss(output, truth, groups=groups)
    return power + _COHERENCE_WEIGHT * coherence
