"""Loss terms by name; each is a function of a :class:`Prediction`, each in its own file."""

from collections.abc import Callable

from torch import Tensor

from acutance.training.distill.losses.affinity import affinity
from acutance.training.distill.losses.base import Prediction
from acutance.training.distill.losses.edge import edge
from acutance.training.distill.losses.output import teacher_l1, teacher_mse, teacher_relative_l1
from acutance.training.distill.losses.reconstruction import charbonnier, l1, mse, relative_l1, relative_mse
from acutance.training.distill.losses.ssim import ssim

__all__ = ["LOSSES", "Prediction"]

LOSSES: dict[str, Callable[[Prediction], Tensor]] = {
    "l1": l1,
    "mse": mse,
    "charbonnier": charbonnier,
    "relative_l1": relative_l1,
    "relative_mse": relative_mse,
    "teacher_l1": teacher_l1,
    "teacher_mse": teacher_mse,
    "teacher_relative_l1": teacher_relative_l1,
    "affinity": affinity,
    "edge": edge,
    "ssim": ssim,
}
"""The names are those of :class:`acutance.training.distill.options.LossOptions`."""
