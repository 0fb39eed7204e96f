"""Inspect a model file before a runtime opens it. Nothing is executed here.

A runtime follows paths to weights, and folds constants of any size that a file asks for. So it only gets files that
are exports of students. ONNX and ncnn files must have, node by node, the graph of the student that they name.
OpenVINO's own converter writes its graphs. They must be small, use known operators, and have no tensor larger than the
student's.
"""

from dataclasses import dataclass
from pathlib import Path

from acutance.errors import InputNotFoundError, ModelError
from acutance.export.companion import companion
from acutance.export.inspect_ncnn import inspect_ncnn
from acutance.export.inspect_onnx import inspect_onnx
from acutance.export.inspect_openvino import inspect_openvino

__all__ = ["Inspected", "inspect_export"]

_LARGEST = 64 << 20  # bytes; an export has kilobytes
_LARGEST_TEXT = 4 << 20


@dataclass(frozen=True, slots=True)
class Inspected:
    """An accepted file with its content, so that the inspected bytes are the ones that are opened.

    Attributes:
        path: the file.
        data: content of the file.
        weights: content of the companion; empty for ONNX.
        precision: ``fp32``, ``fp16`` or ``int8``.
        multiple: number that height and width must be multiples of; 1 for any size.
    """

    path: Path
    data: bytes
    weights: bytes
    precision: str
    multiple: int


def inspect_export(path: str | Path) -> Inspected:
    """Check that a file is an export of a student. :func:`check_export` says whether it computes the right result.

    Args:
        path: a file in ``.onnx``, ``.xml`` (OpenVINO) or ``.param`` (ncnn).

    Returns:
        The file with its content.

    Raises:
        InputNotFoundError: there is no such file.
        MissingExtraError: the library that reads it is missing.
        ModelError: another format or graph, weights in other files, or values that are not finite.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        data = _read(path, _LARGEST)
        return Inspected(path, data, b"", *inspect_onnx(data, name=str(path)))
    if path.suffix in (".xml", ".param"):
        data, weights = _read(path, _LARGEST_TEXT), _read(companion(path), _LARGEST)
        inspect = inspect_openvino if path.suffix == ".xml" else inspect_ncnn
        return Inspected(path, data, weights, *inspect(data, weights, name=str(path)))
    raise ModelError(f"{path}: not an exported model; known are .onnx, .xml, .param")


def _read(path: Path, largest: int) -> bytes:
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ModelError(f"{path}: {path.stat().st_size} bytes is too large for a student")
    return data
