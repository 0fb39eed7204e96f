"""ncnn files: accept exactly the description that the export writes for a student, with its number of weights."""

import re
import struct

import numpy as np

from acutance.errors import ModelError
from acutance.export.ncnn_file import HALF, MAGIC, describe
from acutance.students.spec import StudentShape

__all__ = ["inspect_ncnn"]

_NUMBER = r"(-?\d\.\d{9}e[+-]\d\d)"


def inspect_ncnn(data: bytes, weights: bytes, *, name: str) -> tuple[str, int]:
    """Check an ncnn description and its weights.

    Args:
        data: content of the description.
        weights: content of the weights.
        name: name of the file, for messages.

    Returns:
        Precision (``fp32``, ``fp16`` or ``int8``) and the number that sides must be multiples of.

    Raises:
        ModelError: the file is refused.
    """
    text = data.decode("utf-8", errors="replace")
    if not text.startswith(f"{MAGIC}\n"):
        raise ModelError(f"{name}: not an ncnn model")
    shape, scale, offset = _shape(text, name)
    if describe(shape, scale=scale, offset=offset) != text:
        raise ModelError(f"{name}: refused: it is not the description of a student")
    half = weights[:4] == struct.pack("<I", HALF)
    place = 0
    for i, (inputs, outputs) in enumerate(shape.layer_channels):
        place += 4  # what type the weights are of
        place = _check(weights, place, 9 * inputs * outputs, half, f"{name}: conv{i}")
        place = _check(weights, place, outputs, False, f"{name}: conv{i}")
        if i + 1 < len(shape.layer_channels):
            place = _check(weights, place, outputs, False, f"{name}: act{i}")
    if place != len(weights):
        raise ModelError(f"{name}: its weights have {len(weights)} bytes, it describes {place}")
    return "fp16" if half else "fp32", shape.unshuffle


def _shape(text: str, name: str) -> tuple[StudentShape, float, float]:
    """Return the free parts of a description: the student's shape, and the mapping of code values to units."""
    unshuffle = re.search(r"^Reorg unshuffle 1 1 \w+ x0 0=(\d{1,2})$", text, re.M)
    convolutions = re.findall(r"^Convolution conv\d+ 1 1 \w+ c\d+ 0=(\d{1,4}) ", text, re.M)
    scale = re.search(rf"^BinaryOp units 1 1 below unit 0=2 1=1 2={_NUMBER}$", text, re.M)
    offset = re.search(rf"^BinaryOp black 1 1 unit unit0 0=0 1=1 2={_NUMBER}$", text, re.M)
    if unshuffle is None or scale is None or len(convolutions) < 2:
        raise ModelError(f"{name}: refused: it is not the description of a student")
    try:
        shape = StudentShape(int(unshuffle[1]), int(convolutions[0]), len(convolutions) - 2)
    except ModelError as error:
        raise ModelError(f"{name}: refused: {error}") from error
    return shape, float(scale[1]), float(offset[1]) if offset else 0.0


def _check(data: bytes, place: int, count: int, half: bool, name: str) -> int:
    """Check that a number of finite values follows. Return the offset after them."""
    length = -(-count * 2 // 4) * 4 if half else count * 4  # ncnn keeps to four bytes
    if place + length > len(data):
        raise ModelError(f"{name}: the weights end before its own do")
    values = np.frombuffer(data[place : place + length], np.float16 if half else np.float32)[:count]
    if not np.isfinite(values.astype(np.float32)).all():
        raise ModelError(f"{name} holds values that are not finite")
    return place + length
