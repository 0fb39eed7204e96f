"""Differences of gradients, as the report weighs them."""

from torch import Tensor

from acutance.training.distill.losses.base import Prediction

__all__ = ["edge"]


def edge(p: Prediction) -> Tensor:
    """Mean absolute difference of horizontal plus that of vertical first differences, output against truth."""
    error = p.output - p.truth  # differences are linear: of the error, they are the error of the differences
    dx = error[..., :, 1:] - error[..., :, :-1]
    dy = error[..., 1:, :] - error[..., :-1, :]
    return dx.abs().mean() + dy.abs().mean()
