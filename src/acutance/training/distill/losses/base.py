"""What every loss term is given."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Prediction"]


@dataclass
class Prediction:
    """One batch after the student ran.

    output, truth, degraded, teacher: N x C x H x W float, pictures in [0, 1]; degraded is the input at the truth's
    size; the teacher's output is neither rounded nor clipped.
    student_features, teacher_features: N x C' x h x w, only where a feature loss asks for them.
    """

    output: Tensor
    truth: Tensor
    teacher: Tensor | None = None
    student_features: Tensor | None = None
    teacher_features: Tensor | None = None
    degraded: Tensor | None = None
