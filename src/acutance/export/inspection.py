"""Looking at a model file before anything runs it. Nothing is executed here.

A runtime follows paths to weights, folds constants into whatever size a file asks for, and trusts the rest. So a file
is only given to one when it is what an export of a student is: for ONNX and ncnn, the very graph of the student that
the file says it holds, with other weights; for OpenVINO, whose own converter writes the graph, a small graph of the
operators that it uses, none of whose tensors is larger than a student's.
"""

from dataclasses import dataclass
from pathlib import Path

from acutance.errors import InputNotFoundError, ModelError
from acutance.export.companion import companion
from acutance.export.inspect_ncnn import inspect_ncnn
from acutance.export.inspect_onnx import inspect_onnx
from acutance.export.inspect_openvino import inspect_openvino

__all__ = ["Inspected", "inspect_export"]

_LARGEST = 64 << 20  # an export is kilobytes
_LARGEST_TEXT = 4 << 20


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that was accepted, as it was read: what is opened is what was looked at.

    precision: ``fp32``, ``fp16`` or ``int8``. multiple: what height and width must be multiples of; 1 for any size.
    """

    path: Path
    data: bytes
    weights: bytes
    precision: str
    multiple: int


def inspect_export(path: str | Path) -> Inspected:
    """Refuse a file that is not an export of ours: ``.onnx``, ``.xml`` (OpenVINO) or ``.param`` (ncnn).

    Raises InputNotFoundError, MissingExtraError, and ModelError for other kinds, other graphs, weights in other files
    and values that are not finite. Whether it computes the right thing is for the parity report.
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
