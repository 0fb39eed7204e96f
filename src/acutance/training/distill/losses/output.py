"""Losses that compare the output with the teacher's (Hinton et al., arXiv 1503.02531, for regression)."""

from torch import Tensor
from torch.nn import functional as F

from acutance.errors import ConfigError
from acutance.training.distill.losses.base import Prediction
from acutance.training.distill.losses.reconstruction import relative

__all__ = ["teacher_l1", "teacher_mse", "teacher_relative_l1"]


def _teacher(p: Prediction) -> Tensor:
    if p.teacher is None:
        raise ConfigError("a loss to the teacher's output needs a teacher")
    return p.teacher


def teacher_l1(p: Prediction) -> Tensor:
    """Return the mean absolute difference from the teacher's unrounded output."""
    return F.l1_loss(p.output, _teacher(p))


def teacher_mse(p: Prediction) -> Tensor:
    """Return the mean squared difference from the teacher's unrounded output."""
    return F.mse_loss(p.output, _teacher(p))


def teacher_relative_l1(p: Prediction) -> Tensor:
    """Return the mean absolute difference from the teacher's output, for each crop in units of the input's error.

    See :func:`acutance.training.distill.losses.reconstruction.relative`.
    """
    return relative(p, _teacher(p))
