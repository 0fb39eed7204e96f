"""Feature distillation by spatial affinity (He et al., "FAKD", ICIP 2020)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from acutance.errors import ConfigError
from acutance.training.distill.losses.base import Prediction

__all__ = ["affinity"]

_SIDE = 24  # an affinity matrix has (side * side) squared entries; 24 keeps it at a third of a million


def _affinity(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """N x C x h x w to N x p x p: cosine similarity between every two of the p places of a grid."""
    flat = F.adaptive_avg_pool2d(features, grid).flatten(2)
    unit = F.normalize(flat, dim=1)
    return unit.transpose(1, 2) @ unit


def affinity(p: Prediction) -> Tensor:
    """Mean absolute difference between the student's and the teacher's affinity matrices.

    Channel counts and sizes may differ: only how places of the picture resemble each other is compared.
    """
    if p.student_features is None or p.teacher_features is None:
        raise ConfigError("the affinity loss needs the features of a student and a teacher")
    (height, width), (teacher_height, teacher_width) = p.student_features.shape[-2:], p.teacher_features.shape[-2:]
    grid = min(_SIDE, height, teacher_height), min(_SIDE, width, teacher_width)
    with torch.no_grad():
        target = _affinity(p.teacher_features, grid)
    return F.l1_loss(_affinity(p.student_features, grid), target)
