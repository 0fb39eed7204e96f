"""Measure a student during training, and a teacher before it, on whole validation pictures."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from acutance.errors import TeacherError, UsageError
from acutance.luma import luma_from_rgb
from acutance.metrics import psnr, ssim
from acutance.training.data.pairs import Pair, PairSet
from acutance.training.distill.processes import ALONE, Processes
from acutance.training.distill.task import low_luma
from acutance.training.models.students import StudentNet

__all__ = [
    "Picture",
    "TeacherFigures",
    "check_teacher",
    "codes",
    "psnr_y",
    "restore_pair",
    "teacher_picture",
    "validate",
]

Picture = NDArray[np.float32]
"""C x H x W, code values 0..255."""


@dataclass(frozen=True)
class TeacherFigures:
    """Quality of a teacher on a run's own degradation: PSNR on luma in dB, mean over the validation pictures.

    Attributes:
        teacher: its name.
        psnr_y: of its output.
        psnr_y_input: of its input.
        margin_db: how much better the output must be.
    """

    teacher: str
    psnr_y: float
    psnr_y_input: float
    margin_db: float

    def __str__(self) -> str:
        return (
            f"teacher {self.teacher}: {self.psnr_y:.2f} dB where its input has {self.psnr_y_input:.2f} dB "
            f"({self.psnr_y - self.psnr_y_input:+.2f} dB, demanded {self.margin_db:+.2f} dB)"
        )


def check_teacher(name: str, pairs: PairSet, *, margin_db: float, processes: Processes = ALONE) -> TeacherFigures:
    """Measure the teacher whose outputs ``pairs`` hold.

    Args:
        name: of the teacher, for messages.
        pairs: validation pictures with the teacher's outputs.
        margin_db: how much better than its input the output must be, in dB.
        processes: that share the work.

    Raises:
        TeacherError: the teacher does not reach the margin. The message has the figures.
    """

    def measure(pair: Pair) -> list[float]:
        return [psnr_y(teacher_picture(pair), pair), psnr_y(codes(pair.degraded), pair)]

    psnr, psnr_of_input = _means(pairs, measure, processes)
    figures = TeacherFigures(name, psnr, psnr_of_input, margin_db)
    if figures.psnr_y - figures.psnr_y_input < margin_db:
        raise TeacherError(f"{figures}: refused")
    return figures


@torch.no_grad()
def restore_pair(student: nn.Module, pair: Pair) -> Picture:
    """Return a student's output on a whole picture: C x H x W float32 code values 0..255, not rounded."""
    degraded, low = (torch.from_numpy(codes(picture)[None] / np.float32(255)) for picture in (pair.degraded, pair.low))
    if not isinstance(student, StudentNet):
        restored = student(low)
    elif student.shape.upscales:
        restored = student(low_luma(low), degraded)
    else:
        restored = student(degraded)
    out: Picture = restored[0].mul(255).clamp(0, 255).numpy()
    return out


def validate(student: nn.Module, pairs: PairSet, processes: Processes = ALONE) -> dict[str, float]:
    """Return PSNR (dB) and SSIM on luma of a student's output and PSNR of its input, means over whole pictures.

    The figures are the same in every process, and with every number of processes.
    """

    def measure(pair: Pair) -> list[float]:
        output = restore_pair(student, pair)
        similar = ssim(_luma(output), _luma(codes(pair.sharp)), border=_border(pair))
        return [psnr_y(output, pair), float(similar), psnr_y(codes(pair.degraded), pair)]

    was_training = student.training
    student.eval()
    means = _means(pairs, measure, processes)
    student.train(was_training)
    return dict(zip(("psnr_y", "ssim_y", "psnr_y_input"), means, strict=True))


_ENOUGH = 50.0  # dB: outputs nearer to the truth than this look the same


def _means(pairs: PairSet, measure: Callable[[Pair], list[float]], processes: Processes) -> list[float]:
    """Return the mean of each figure over all pairs, added in their order. Each process measures its share of pairs."""
    rank, size = processes.place.rank, processes.place.size
    parts = processes.gather([measure(pair) for pair in pairs.pairs[rank::size]])
    rows = [parts[i % size][i // size] for i in range(len(pairs))]
    return [sum(column) / len(pairs) for column in zip(*rows, strict=True)]


def psnr_y(picture: Picture, pair: Pair, *, border: int | None = None) -> float:
    """Return the PSNR on luma of a picture against the truth of a pair, in dB, at most 50.

    Without the limit, an input that equals the truth would outweigh all others.

    Args:
        picture: C x H x W, code values 0..255.
        pair: whose truth is compared.
        border: pixels that are left out at each side; the factor by default.
    """
    border = _border(pair) if border is None else border
    return min(_ENOUGH, float(psnr(_luma(picture), _luma(codes(pair.sharp)), border=border)))


def _border(pair: Pair) -> int:
    return math.ceil(float(pair.record["factor"]))


def codes(fixed: NDArray[np.uint16]) -> Picture:
    """Convert pictures from the form that pairs keep to code values 0..255."""
    return fixed.astype(np.float32) / np.float32(256)


def teacher_picture(pair: Pair) -> Picture:
    """Return the teacher's output, C x H x W float32 code values in 0..255. Raises UsageError if the pair has none."""
    if pair.teacher is None:
        raise UsageError("these pairs were prepared without a teacher")
    return np.clip(codes(pair.degraded) + pair.teacher.astype(np.float32), 0, 255)


def _luma(picture: Picture) -> Picture:
    return picture[0] if picture.shape[0] == 1 else luma_from_rgb(picture.transpose(1, 2, 0))
