"""How far the output is from the truth."""

import torch
from torch import Tensor
from torch.nn import functional as F

from acutance.distill.losses.base import Prediction

__all__ = ["charbonnier", "l1", "mse"]


def l1(p: Prediction) -> Tensor:
    """Mean absolute error."""
    return F.l1_loss(p.output, p.truth)


def mse(p: Prediction) -> Tensor:
    """Mean squared error."""
    return F.mse_loss(p.output, p.truth)


def charbonnier(p: Prediction, epsilon: float = 1e-3) -> Tensor:
    """A smooth L1: mean of sqrt(d^2 + epsilon^2) (Charbonnier et al., ICIP 1994)."""
    return torch.sqrt((p.output - p.truth) ** 2 + epsilon**2).mean()
