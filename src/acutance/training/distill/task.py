"""A distillation task: owns the student, the terms of the loss and, where features are compared, the teacher."""

import dataclasses
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from acutance.errors import ConfigError
from acutance.luma import luma_from_rgb
from acutance.training.data.pairs import Batch
from acutance.training.distill.losses import LOSSES, Prediction
from acutance.training.distill.options import LossOptions
from acutance.training.models.students import StudentNet
from acutance.training.models.teachers import LKDN, SRResNet, Teacher

__all__ = ["DistillationTask", "low_luma"]


class DistillationTask(nn.Module):
    """Takes a batch and returns ``loss``, which is minimised, and the unweighted value of each term.

    Args:
        student: a StudentNet, which reads the degraded luma, or a network with a ``scale``, which reads the
            low-resolution RGB picture.
        losses: weights of the terms.
        teacher: needed by feature losses only, because its outputs come with the batch.
        precision: ``float32``, or ``bfloat16`` for the features of a network with ``features`` and ``reconstruct``.
        rounded: round the teacher's output to whole code values.

    Raises:
        ConfigError: a loss does not fit the student or the teacher.
    """

    def __init__(
        self,
        student: nn.Module,
        losses: LossOptions,
        *,
        teacher: Teacher | None = None,
        precision: str = "float32",
        rounded: bool = False,
    ) -> None:
        super().__init__()
        self.student = student
        self.rounded = rounded
        self.precision = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.weights = {name: w for name, w in dataclasses.asdict(losses).items() if w > 0}
        # Kept out of the module tree: the teacher is neither trained nor saved.
        self._teacher = [teacher] if teacher is not None and self.needs_teacher_features else []
        if self.needs_teacher_features and not self._teacher:
            raise ConfigError("the affinity loss needs a teacher")
        if self._teacher and not hasattr(self._teacher[0].module, "features"):
            raise ConfigError(f"the affinity loss needs features, which {self._teacher[0].architecture} does not give")
        if self.needs_teacher_features and not isinstance(student, StudentNet):
            raise ConfigError("the affinity loss compares features of the student family only")

    @property
    def needs_teacher_features(self) -> bool:
        """True if a loss compares features with the teacher's."""
        return "affinity" in self.weights

    @property
    def needs_teacher_outputs(self) -> bool:
        """True if a loss compares the output with the teacher's."""
        return any(name.startswith("teacher_") for name in self.weights)

    def predict(self, batch: Batch) -> Prediction:
        """Run the student, and the teacher where its features are asked for."""
        truth = torch.from_numpy(batch.sharp)
        teacher = None if batch.teacher is None else torch.from_numpy(batch.teacher)
        if teacher is not None and self.rounded:
            teacher = teacher.mul(255).round().div(255)
        degraded = torch.from_numpy(batch.degraded)
        if not isinstance(self.student, StudentNet):
            return Prediction(self._restore(_low(batch)), truth, teacher, degraded=degraded)
        source = low_luma(_low(batch)) if self.student.shape.upscales else degraded
        features = self.student.features(source)
        if not self.needs_teacher_features:
            return Prediction(degraded + self.student.residual(features), truth, teacher, degraded=degraded)
        with torch.no_grad():
            target = self._teacher[0].module.features(_low(batch))  # type: ignore[operator]
        out = degraded + self.student.residual(features)
        return Prediction(out, truth, teacher, features[-2], target, degraded)

    def _restore(self, low: Tensor) -> Tensor:
        if self.precision == torch.float32:
            out: Tensor = self.student(low)
            return out
        student = cast("LKDN | SRResNet", self.student)
        low = low.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", self.precision):
            features = student.features(low)
        # The picture itself in full: eight bits of mantissa would round it to whole code values.
        return student.reconstruct(features.float())

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the loss of a batch and its terms."""
        prediction = self.predict(batch)
        terms = {name: LOSSES[name](prediction) for name in self.weights}
        loss = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return {"loss": loss, **terms}


def low_luma(low: Tensor) -> Tensor:
    """Return the luma of RGB pictures, as an upscaler reads it.

    Args:
        low: N x 3 x H x W, code values over 255.

    Returns:
        N x 1 x H x W, 8-bit limited-range code values over 255, not rounded.
    """
    luma = luma_from_rgb(low.mul(255).permute(0, 2, 3, 1).numpy())
    return torch.from_numpy(luma)[:, None].div(255)


def _low(batch: Batch) -> Tensor:
    if batch.low is None:
        raise ConfigError("this student, or the affinity loss, reads low-resolution pictures: of one factor only")
    return torch.from_numpy(batch.low)
