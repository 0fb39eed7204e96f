"""Feature distillation by spatial affinity (He et al., "FAKD", ICIP 2020)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from acutance.distill.losses.base import Prediction
from acutance.errors import ConfigError

__all__ = ["affinity"]

_SIDE = 24  # an affinity matrix has (side * side) squared entries; 24 keeps it at a third of a million


def _affinity(features: Tensor) -> Tensor:
    """N x C x h x w to N x hw x hw: cosine similarity between every two positions."""
    side_y, side_x = min(_SIDE, features.shape[-2]), min(_SIDE, features.shape[-1])
    flat = F.adaptive_avg_pool2d(features, (side_y, side_x)).flatten(2)
    unit = F.normalize(flat, dim=1)
    return unit.transpose(1, 2) @ unit


def affinity(p: Prediction) -> Tensor:
    """Mean absolute difference between the student's and the teacher's affinity matrices.

    Channel counts may differ: only how positions resemble each other is compared.
    """
    if p.student_features is None or p.teacher_features is None:
        raise ConfigError("the affinity loss needs the features of a student and a teacher")
    with torch.no_grad():
        target = _affinity(p.teacher_features)
    return F.l1_loss(_affinity(p.student_features), target)
