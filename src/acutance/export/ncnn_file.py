"""Write a student as an ncnn model: a description (``.param``) and its weights (``.bin``) in ncnn's plain formats.

ncnn's converters start from PyTorch or from older frameworks. A student is nine layers of two kinds, so it is simpler
to write them here. ncnn itself runs the result before it is kept (:mod:`acutance.export.parity`).

ncnn's tensors are floats. The file takes and returns code values as floats, 0 to 255. The output is rounded and
clipped.
"""

import struct
from pathlib import Path

import numpy as np

from acutance.engine.arithmetic import code_per_unit
from acutance.export.companion import companion
from acutance.students.spec import Student, StudentShape

__all__ = ["HALF", "MAGIC", "describe", "write_ncnn"]

MAGIC = 7767517
HALF, _SINGLE = 0x01306B47, 0  # tags before weights
_ADD, _MULTIPLY, _ROUND = 0, 2, 18  # of BinaryOp and UnaryOp


def write_ncnn(student: Student, path: Path, *, strength: float, full_range: bool, half: bool) -> None:
    """Write a description and its weights. Input ``luma`` and output ``sharp`` are 1 x H x W floats.

    Args:
        student: the student. H and W must be multiples of its unshuffle factor.
        path: the description, ``.param``; the weights get the suffix ``.bin``.
        strength: strength of sharpening, 0 to 2.
        full_range: True for luma in 0 to 255.
        half: True for weights in float16; biases and slopes are float32.
    """
    scale, offset = code_per_unit(8, full_range)
    # The way back to code values is part of the last convolution.
    gain = np.float32(strength / scale)
    data = bytearray()
    for layer in student.layers:
        final = layer.slope is None
        weight, bias = (layer.weight * gain, layer.bias * gain) if final else (layer.weight, layer.bias)
        data += struct.pack("<I", HALF if half else _SINGLE)
        values = np.ascontiguousarray(weight, "<f2" if half else "<f4").tobytes()
        data += values + b"\0" * (-len(values) % 4)
        data += np.ascontiguousarray(bias, "<f4").tobytes()
        if layer.slope is not None:
            data += np.ascontiguousarray(layer.slope, "<f4").tobytes()
    path.write_bytes(describe(student.spec.shape, scale=scale, offset=offset).encode())
    companion(path).write_bytes(data)


def describe(shape: StudentShape, *, scale: float, offset: float) -> str:
    """Return the description of a student.

    Args:
        shape: shape of the student.
        scale: units of the network per code value.
        offset: what is added to the scaled code value.

    Returns:
        The text of a ``.param`` file.
    """
    lines = [
        "Input luma 0 1 luma",
        "Split split 1 2 luma code below",
        f"BinaryOp units 1 1 below unit 0={_MULTIPLY} 1=1 2={_number(scale)}",
    ]
    last = "unit"
    if _number(offset) != _number(0.0):
        lines.append(f"BinaryOp black 1 1 unit unit0 0={_ADD} 1=1 2={_number(offset)}")
        last = "unit0"
    lines.append(f"Reorg unshuffle 1 1 {last} x0 0={shape.unshuffle}")
    last = "x0"
    for i, (inputs, outputs) in enumerate(shape.layer_channels):
        lines.append(f"Convolution conv{i} 1 1 {last} c{i} 0={outputs} 1=3 4=1 5=1 6={9 * inputs * outputs}")
        last = f"c{i}"
        if i + 1 < len(shape.layer_channels):
            lines.append(f"PReLU act{i} 1 1 {last} a{i} 0={outputs}")
            last = f"a{i}"
    lines += [
        f"PixelShuffle shuffle 1 1 {last} change 0={shape.unshuffle}",
        f"BinaryOp add 2 1 code change sum 0={_ADD}",
        f"UnaryOp round 1 1 sum rounded 0={_ROUND}",
        "Clip clip 1 1 rounded sharp 0=0.0 1=255.0",
    ]
    blobs = sum(int(line.split()[3]) for line in lines)
    return "\n".join([str(MAGIC), f"{len(lines)} {blobs}", *lines, ""])


def _number(value: float) -> str:
    return f"{np.float32(value):.9e}"
