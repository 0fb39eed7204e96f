"""Figures over whole validation pictures: of a student while it learns, and of a teacher before it teaches."""

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
    """What a teacher is worth on a run's own degradation: PSNR on luma in dB, mean over the validation pictures."""

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
    """Measure the teacher whose outputs ``pairs`` hold. Raises TeacherError, with the figures, below the margin: a
    network that restores nothing has nothing to teach."""

    def measure(pair: Pair) -> list[float]:
        return [psnr_y(teacher_picture(pair), pair), psnr_y(codes(pair.degraded), pair)]

    psnr, psnr_of_input = _means(pairs, measure, processes)
    figures = TeacherFigures(name, psnr, psnr_of_input, margin_db)
    if figures.psnr_y - figures.psnr_y_input < margin_db:
        raise TeacherError(f"{figures}: refused")
    return figures


@torch.no_grad()
def restore_pair(student: nn.Module, pair: Pair) -> Picture:
    """What the student makes of a whole picture: C x H x W float32 code values 0..255, not rounded."""
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
    """PSNR (dB) and SSIM on luma of the student's output, and PSNR of its input, mean over whole pictures: the same
    numbers in every process, and however many there are."""

    def measure(pair: Pair) -> list[float]:
        output = restore_pair(student, pair)
        similar = ssim(_luma(output), _luma(codes(pair.sharp)), border=_border(pair))
        return [psnr_y(output, pair), float(similar), psnr_y(codes(pair.degraded), pair)]

    was_training = student.training
    student.eval()
    means = _means(pairs, measure, processes)
    student.train(was_training)
    return dict(zip(("psnr_y", "ssim_y", "psnr_y_input"), means, strict=True))


_ENOUGH = 50.0  # dB: what lies nearer to the truth than this looks the same


def _means(pairs: PairSet, measure: Callable[[Pair], list[float]], processes: Processes) -> list[float]:
    """The mean of each figure over all pairs, of which each process measures its share: summed in the pairs' order."""
    rank, size = processes.place.rank, processes.place.size
    parts = processes.gather([measure(pair) for pair in pairs.pairs[rank::size]])
    rows = [parts[i % size][i // size] for i in range(len(pairs))]
    return [sum(column) / len(pairs) for column in zip(*rows, strict=True)]


def psnr_y(picture: Picture, pair: Pair, *, border: int | None = None) -> float:
    """PSNR on luma, in dB, of a picture against the truth of a pair, 50 at most: what an input that was the truth
    already becomes must not outweigh all others. border: pixels left out; None: the factor's."""
    border = _border(pair) if border is None else border
    return min(_ENOUGH, float(psnr(_luma(picture), _luma(codes(pair.sharp)), border=border)))


def _border(pair: Pair) -> int:
    return math.ceil(float(pair.record["factor"]))


def codes(fixed: NDArray[np.uint16]) -> Picture:
    """Pictures as pairs keep them, in code values 0..255."""
    return fixed.astype(np.float32) / np.float32(256)


def teacher_picture(pair: Pair) -> Picture:
    """The teacher's output, C x H x W float32 code values clipped to 0..255. Raises UsageError where there is none."""
    if pair.teacher is None:
        raise UsageError("these pairs were prepared without a teacher")
    return np.clip(codes(pair.degraded) + pair.teacher.astype(np.float32), 0, 255)


def _luma(picture: Picture) -> Picture:
    return picture[0] if picture.shape[0] == 1 else luma_from_rgb(picture.transpose(1, 2, 0))
