"""How far the output is from the truth."""

import torch
from torch import Tensor
from torch.nn import functional as F

from acutance.errors import ConfigError
from acutance.training.distill.losses.base import Prediction

__all__ = ["charbonnier", "l1", "mse", "relative", "relative_l1", "relative_mse"]

_FLOOR = 0.5 / 255  # half a code value: an input nearer to the truth than this counts as if it were this far


def l1(p: Prediction) -> Tensor:
    """Mean absolute error."""
    return F.l1_loss(p.output, p.truth)


def mse(p: Prediction) -> Tensor:
    """Mean squared error."""
    return F.mse_loss(p.output, p.truth)


def charbonnier(p: Prediction, epsilon: float = 1e-3) -> Tensor:
    """A smooth L1: mean of sqrt(d^2 + epsilon^2) (Charbonnier et al., ICIP 1994)."""
    return torch.sqrt((p.output - p.truth) ** 2 + epsilon**2).mean()


def relative_l1(p: Prediction) -> Tensor:
    """Mean over the crops of each one's absolute error as a share of its input's; see :func:`relative`."""
    return relative(p, p.truth)


def relative(p: Prediction, target: Tensor) -> Tensor:
    """Mean absolute difference from ``target``, crop by crop in units of the input's mean absolute error.

    Decibels are ratios, and so is this: a code value too far from the truth weighs little where the input is ten away,
    and much where it is one away. A plain L1 over inputs of every quality learns from the worst of them alone, and
    pays with the good ones, which it makes worse.
    """
    if p.degraded is None:
        raise ConfigError("a relative loss needs the input at the truth's size")
    unit = (p.degraded - p.truth).abs().mean(dim=(1, 2, 3)).clamp_min(_FLOOR)
    return ((p.output - target).abs().mean(dim=(1, 2, 3)) / unit).mean()


def relative_mse(p: Prediction) -> Tensor:
    """Mean over the crops of each one's squared error as a share of its input's.

    Where most pixels are right already, as in compressed video of full size, the best answer in the sense of L1 is to
    leave all as it is; this still learns what is right on average.
    """
    if p.degraded is None:
        raise ConfigError("a relative loss needs the input at the truth's size")
    unit = (p.degraded - p.truth).square().mean(dim=(1, 2, 3)).clamp_min(_FLOOR**2)
    return ((p.output - p.truth).square().mean(dim=(1, 2, 3)) / unit).mean()
