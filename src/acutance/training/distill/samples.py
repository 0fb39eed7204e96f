"""Cut crops of validation pictures for the report: before, after, teacher, truth."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from acutance.luma import RGB_PER_LUMA
from acutance.training.data.pairs import ALIGN, Pair, PairSet
from acutance.training.distill.validation import Picture, codes, psnr_y, restore_pair, teacher_picture

__all__ = ["Sample", "take_samples"]

_MARGIN = 4 * ALIGN  # around a crop, so that what a network does at its edge stays outside


@dataclass(frozen=True)
class Sample:
    """A crop.

    Attributes:
        name: of the picture.
        pictures: content of PNG files, by what they show.
        psnr_y: PSNR on luma on this crop, in dB, by what they show, without the truth.
    """

    name: str
    pictures: dict[str, bytes]
    psnr_y: dict[str, float]


@torch.no_grad()
def take_samples(student: nn.Module, validation: PairSet, *, count: int = 4, side: int = 96) -> list[Sample]:
    """Return the most detailed crop of several pictures, spread evenly over the validation set.

    Args:
        student: the trained network.
        validation: the pictures.
        count: number of crops.
        side: of a crop, in pixels, rounded down to a multiple of 12.
    """
    chosen = np.unique(np.linspace(0, len(validation) - 1, min(count, len(validation))).round().astype(int))
    training = student.training
    student.eval()
    try:
        return [_sample(student, validation.pairs[i], max(1, side // ALIGN) * ALIGN) for i in chosen]
    finally:
        student.train(training)


def _sample(student: nn.Module, pair: Pair, side: int) -> Sample:
    height, width = pair.sharp.shape[1:]
    rows, columns = min(side, height), min(side, width)
    y, x = _most_detailed(pair.sharp, rows, columns)
    y0, x0 = max(0, y - _MARGIN), max(0, x - _MARGIN)
    y1, x1 = min(height, y + rows + _MARGIN), min(width, x + columns + _MARGIN)
    around = _window(pair, y0, x0, y1 - y0, x1 - x0)
    inside = _window(pair, y, x, rows, columns)
    top, left = y - y0, x - x0
    shown: dict[str, Picture] = {
        "before": codes(inside.degraded),
        "after": restore_pair(student, around)[:, top : top + rows, left : left + columns],
    }
    if inside.teacher is not None:
        shown["teacher"] = teacher_picture(inside)
    figures = {name: psnr_y(picture, inside, border=0) for name, picture in shown.items()}
    shown["truth"] = codes(inside.sharp)
    return Sample(
        str(pair.record.get("picture", "")), {name: _png(picture) for name, picture in shown.items()}, figures
    )


def _most_detailed(sharp: NDArray[np.uint16], rows: int, columns: int) -> tuple[int, int]:
    """Top left corner, on a coarse grid of multiples of 12, of the crop whose neighbouring pixels differ most."""
    plane = sharp.mean(axis=0, dtype=np.float32)
    detail = np.abs(np.diff(plane, axis=0))[:, :-1] + np.abs(np.diff(plane, axis=1))[:-1]
    corners = [
        (y, x)
        for y in range(0, sharp.shape[1] - rows + 1, 4 * ALIGN)
        for x in range(0, sharp.shape[2] - columns + 1, 4 * ALIGN)
    ]
    return max(corners, key=lambda c: float(detail[c[0] : c[0] + rows - 1, c[1] : c[1] + columns - 1].sum()))


def _window(pair: Pair, y: int, x: int, rows: int, columns: int) -> Pair:
    scale = pair.low.shape[1] / pair.sharp.shape[1]
    low = pair.low[:, round(y * scale) : round((y + rows) * scale), round(x * scale) : round((x + columns) * scale)]
    part = (slice(None), slice(y, y + rows), slice(x, x + columns))
    teacher = None if pair.teacher is None else pair.teacher[part]
    return Pair(low, pair.degraded[part], pair.sharp[part], teacher, pair.record)


def _png(picture: Picture) -> bytes:
    """Luma is shown as grey, its 16..235 stretched to 0..255."""
    grey = picture.shape[0] == 1
    shown = (picture[0] - 16) * np.float32(RGB_PER_LUMA) if grey else picture.transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(np.clip(np.rint(shown), 0, 255).astype(np.uint8)).save(out, "PNG", optimize=True)
    return out.getvalue()
