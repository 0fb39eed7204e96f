"""Looking at a model file of others before anything runs it: size, operators, weights. Nothing is executed here.

What is accepted is what :func:`acutance.export.export_student` writes, and no more: another program's runtime follows
paths to weights, loads plug-ins and allocates what a file says, so a file that is not one of ours is not given to it.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from acutance._extras import require
from acutance.engine.onnx_graph import METADATA_KEY, OPSET
from acutance.errors import InputNotFoundError, ModelError

__all__ = ["companion", "inspect_export", "inspect_openvino_model"]

_LARGEST = 64 << 20  # an export is kilobytes
_LARGEST_TEXT = 4 << 20

_ONNX_OPERATORS = frozenset({
    "Add", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "DequantizeLinear", "Identity", "Mod", "Mul", "Neg",
    "PRelu", "Pad", "QuantizeLinear", "Round", "Shape", "Slice", "SpaceToDepth",
})  # fmt: skip
_OPENVINO_OPERATORS = frozenset({
    "Add", "Broadcast", "Clamp", "Concat", "Const", "Convert", "Convolution", "DepthToSpace", "FakeQuantize",
    "FloorMod", "Gather", "Maximum", "Minimum", "Mod", "Multiply", "Negative", "PReLU", "Pad", "Parameter", "Power",
    "Range", "Reshape", "Result", "Round", "ScatterElementsUpdate", "ShapeOf", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "StridedSlice", "Subtract", "Unsqueeze", "VariadicSplit",
})  # fmt: skip
_NCNN_LAYERS = frozenset({
    "BinaryOp", "Clip", "Convolution", "Input", "PReLU", "PixelShuffle", "Reorg", "Split", "UnaryOp",
})  # fmt: skip
_NCNN_MAGIC = "7767517"
_NCNN_HALF = 0x01306B47  # what ncnn writes before weights in float16


def companion(path: Path) -> Path:
    """The file of weights that belongs to an OpenVINO or ncnn description."""
    return path.with_suffix(".bin")


def inspect_export(path: str | Path) -> None:
    """Refuse a file that is not an export of ours: ``.onnx``, ``.xml`` (OpenVINO) or ``.param`` (ncnn).

    Raises InputNotFoundError, and ModelError for other kinds, foreign operators, weights in other files, values that
    are not finite, and sizes no student has. Whether it computes the right thing is for the parity report.
    """
    path = Path(path)
    kinds = {".onnx": _inspect_onnx, ".xml": _inspect_openvino, ".param": _inspect_ncnn}
    if path.suffix not in kinds:
        raise ModelError(f"{path}: not an exported model; known are {', '.join(kinds)}")
    _check_size(path, _LARGEST)
    kinds[path.suffix](path)


def _check_size(path: Path, largest: int) -> None:
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such file")
    if path.stat().st_size > largest:
        raise ModelError(f"{path}: {path.stat().st_size} bytes is too large for a student")


def _check_operators(path: Path, found: Iterable[str], known: frozenset[str]) -> None:
    foreign = sorted(set(found) - known)
    if foreign:
        raise ModelError(f"{path}: refused: it has operators that no student has: {', '.join(foreign[:5])}")


def _check_finite(path: Path, name: str, values: Any) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values.astype(np.float32)).all():
        raise ModelError(f"{path}: refused: {name} holds values that are not finite")


# -- ONNX -----------------------------------------------------------------------------------------------------------


def _inspect_onnx(path: Path) -> None:
    onnx = require("onnx", extra="onnx", purpose="reading ONNX files")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own
        raise ModelError(f"{path}: not an ONNX file: {_first_line(error)}") from error
    domains = {entry.domain or "": entry.version for entry in model.opset_import}
    if set(domains) != {""}:
        foreign = sorted(set(domains) - {""})
        raise ModelError(
            f"{path}: refused: it needs operators beside ONNX's own: {', '.join(foreign)}"
            if foreign
            else f"{path}: says no version of ONNX's operators"
        )
    if domains[""] != OPSET:
        raise ModelError(f"{path}: uses version {domains['']} of ONNX's operators; exports of acutance use {OPSET}")
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise ModelError(f"{path}: refused: it has functions, training steps or sparse weights, which no student has")
    _check_operators(path, (node.op_type if not node.domain else f"{node.domain}.{node.op_type}"
                            for node in model.graph.node), _ONNX_OPERATORS)  # fmt: skip
    tensors = [*model.graph.initializer]
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.g.node or attribute.graphs or attribute.sparse_tensors:
                raise ModelError(f"{path}: refused: operator {node.name} holds a graph of its own")
            tensors += [attribute.t] if attribute.HasField("t") else []
            tensors += attribute.tensors
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(f"{path}: refused: the weights {tensor.name} lie in another file")
        if np.prod(tensor.dims, dtype=np.float64) * 4 > _LARGEST:
            raise ModelError(f"{path}: refused: the weights {tensor.name} are of {list(tensor.dims)}")
        try:
            values = onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise ModelError(f"{path}: the weights {tensor.name} cannot be read: {_first_line(error)}") from error
        _check_finite(path, tensor.name, values)
    ends = [_signature(onnx, end) for end in (*model.graph.input, *model.graph.output)]
    if ends != [("luma", "uint8", 4), ("sharp", "uint8", 4)]:
        raise ModelError(f"{path}: takes and returns {ends}, not luma and sharp, uint8 of N x 1 x H x W")
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ModelError(f"{path}: not valid ONNX: {_first_line(error)}") from error
    if METADATA_KEY not in {entry.key for entry in model.metadata_props}:
        raise ModelError(f"{path}: says nothing of the student it was made from: not an export of acutance")


def _signature(onnx: Any, end: Any) -> tuple[str, str, int]:
    kind = end.type.tensor_type
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, ValueError):
        dtype = "no tensor"
    return end.name, dtype, len(kind.shape.dim)


# -- OpenVINO -------------------------------------------------------------------------------------------------------


def _inspect_openvino(path: Path) -> None:
    _check_size(path, _LARGEST_TEXT)
    _check_size(companion(path), _LARGEST)
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ModelError(f"{path}: refused: a model's description declares no entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ModelError(f"{path}: not an OpenVINO model: {error}") from error
    layers = root.findall("./layers/layer")
    if root.tag != "net" or not layers:
        raise ModelError(f"{path}: not an OpenVINO model: it has no layers")
    versions = {layer.get("version", "") for layer in layers}
    foreign = sorted(v for v in versions if not v.startswith("opset"))
    if foreign:
        raise ModelError(f"{path}: refused: it needs operators beside OpenVINO's own: {', '.join(foreign)}")
    _check_operators(path, (layer.get("type", "none") for layer in layers), _OPENVINO_OPERATORS)
    size = companion(path).stat().st_size
    for layer in layers:
        if layer.get("type") == "Const":
            data = layer.find("data")
            values = {} if data is None else data.attrib
            try:
                offset, length = int(values.get("offset", 0)), int(values.get("size", -1))
            except ValueError:
                offset, length = -1, -1
            if offset < 0 or length < 0 or offset + length > size:
                raise ModelError(f"{path}: the weights {layer.get('name')} do not lie within {companion(path).name}")


def inspect_openvino_model(path: Path, model: Any) -> None:
    """Of a model that has been read, not compiled: its ends, and that its weights are finite."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant":
            _check_finite(path, node.get_friendly_name(), np.asarray(node.get_data()))
    ends = [(end.any_name, end.element_type.get_type_name(), end.partial_shape.rank.get_length())
            for end in (*model.inputs, *model.outputs)]  # fmt: skip
    if ends != [("luma", "u8", 4), ("sharp", "u8", 4)]:
        raise ModelError(f"{path}: takes and returns {ends}, not luma and sharp, u8 of N x 1 x H x W")


# -- ncnn -----------------------------------------------------------------------------------------------------------


def _inspect_ncnn(path: Path) -> None:
    _check_size(path, _LARGEST_TEXT)
    weights = companion(path)
    _check_size(weights, _LARGEST)
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    layers = [line.split() for line in lines[2:] if line.strip()]
    if lines[0].strip() != _NCNN_MAGIC or not layers or any(len(layer) < 4 for layer in layers):
        raise ModelError(f"{path}: not an ncnn model")
    _check_operators(path, (layer[0] for layer in layers), _NCNN_LAYERS)
    data, place = weights.read_bytes(), 0
    for layer in layers:
        for count, tagged in _ncnn_weights(path, layer):
            half = False
            if tagged:
                half = data[place : place + 4] == struct.pack("<I", _NCNN_HALF)
                place += 4
            length = -(-count * 2 // 4) * 4 if half else count * 4  # ncnn keeps to four bytes
            values = np.frombuffer(data[place : place + length], np.float16 if half else np.float32)
            if len(values) < count:
                raise ModelError(f"{weights}: ends before the weights of {layer[1]} do")
            _check_finite(weights, layer[1], values[:count])
            place += length
    if place != len(data):
        raise ModelError(f"{weights}: has {len(data)} bytes, {path.name} describes {place}")


def _ncnn_weights(path: Path, layer: list[str]) -> list[tuple[int, bool]]:
    """(how many, whether a tag says their type) of each run of weights that a layer has."""
    values = dict(pair.split("=", 1) for pair in layer if "=" in pair)
    try:
        if layer[0] == "Convolution":
            return [(int(values["6"]), True), *([(int(values["0"]), False)] if values.get("5") == "1" else [])]
        return [(int(values["0"]), False)] if layer[0] == "PReLU" else []
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: layer {layer[1]} does not say how many weights it has") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
