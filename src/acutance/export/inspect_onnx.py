"""ONNX files: accept exactly the graph of the student that the file names, with any weights."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from acutance._util.extras import first_line, require
from acutance.engine.onnx_graph import METADATA_KEY, OPSET, frozen_graph
from acutance.errors import ModelError
from acutance.students.spec import ConvLayer, Student, StudentShape, StudentSpec

__all__ = ["inspect_onnx"]

_QUANTIZE = ("QuantizeLinear", "DequantizeLinear")
_SMALLEST = StudentSpec("smallest", "fast", "clean", (2.0,), StudentShape(2, 1, 0))


def inspect_onnx(data: bytes, *, name: str) -> tuple[str, int]:
    """Check a serialised ONNX model.

    Args:
        data: content of the file.
        name: name of the file, for messages.

    Returns:
        Precision (``fp32``, ``fp16`` or ``int8``) and the number that sides must be multiples of.

    Raises:
        ModelError: the file is refused.
    """
    onnx = require("onnx", extra="onnx", purpose="reading ONNX files")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own
        raise ModelError(f"{name}: not an ONNX file: {first_line(error)}") from error
    _check_version(model, name)
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise ModelError(f"{name}: refused: it has functions, training steps or sparse weights, which no student has")
    _check_nodes(model, name)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        _check_tensor(onnx, tensor, name)
    said = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_KEY not in said:
        raise ModelError(f"{name}: says nothing of the student it was made from: not an export of acutance")
    spec = StudentSpec.from_json(said[METADATA_KEY], source=name)
    if spec.shape.parameters > len(data):  # a byte for each, at least
        raise ModelError(f"{name}: is too small for the student that it says it holds")
    found = _normal(onnx, model, tensors)
    for half, any_size in product((False, True), (True, False)):
        expected = frozen_graph(_blank(spec), half=half, any_size=any_size)
        if found == _normal(onnx, expected, {t.name: t for t in expected.graph.initializer}):
            quantized = any(node.op_type in _QUANTIZE for node in model.graph.node)
            multiple = 1 if any_size else spec.shape.unshuffle
            return "int8" if quantized else "fp16" if half else "fp32", multiple
    raise ModelError(f"{name}: refused: its graph is not that of {spec.name}, which it says it holds")


def _check_version(model: Any, name: str) -> None:
    versions = {entry.domain or "": entry.version for entry in model.opset_import}
    if set(versions) != {""}:
        foreign = sorted(set(versions) - {""})
        raise ModelError(
            f"{name}: refused: it needs operators beside ONNX's own: {', '.join(foreign)}"
            if foreign
            else f"{name}: not an ONNX file: it says no version of ONNX's operators"
        )
    if versions[""] != OPSET:
        raise ModelError(f"{name}: uses version {versions['']} of ONNX's operators; exports of acutance use {OPSET}")


def _check_nodes(model: Any, name: str) -> None:
    known = {node.op_type for node in frozen_graph(_blank(_SMALLEST)).graph.node} | set(_QUANTIZE)
    foreign = sorted({f"{node.domain}.{node.op_type}".strip(".") for node in model.graph.node} - known)
    if foreign:
        raise ModelError(f"{name}: refused: it has operators that no student has: {', '.join(foreign[:5])}")
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs or attribute.HasField("t") or attribute.tensors:
                raise ModelError(f"{name}: refused: operator {node.name} holds a graph or weights of its own")


def _check_tensor(onnx: Any, tensor: Any, name: str) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ModelError(f"{name}: refused: the weights {tensor.name} lie in another file")
    try:
        values = onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise ModelError(f"{name}: the weights {tensor.name} cannot be read: {first_line(error)}") from error
    if values.dtype.kind == "f" and not np.isfinite(values.astype(np.float32)).all():
        raise ModelError(f"{name}: refused: {tensor.name} holds values that are not finite")


def _normal(onnx: Any, model: Any, tensors: dict[str, Any]) -> list[Any]:
    """Return a comparable form of the graph without the nodes of quantisation.

    It has the nodes with the sources of their inputs, weights by shape, integers by value, and the ends of the graph.
    """
    behind: dict[str, str] = {}  # a quantised value stands for the value

    def source(value: str) -> str:
        for _ in range(len(model.graph.node)):
            if value not in behind:
                break
            value = behind[value]
        return value

    def described(value: str) -> Any:
        tensor = tensors.get(value)
        if tensor is None:
            return value
        whole = tensor.data_type == onnx.TensorProto.INT64
        return tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tolist() if whole else "weights"

    nodes = []
    used: set[str] = set()
    for node in model.graph.node:
        if node.op_type in _QUANTIZE and len(node.input) in (2, 3) and len(node.output) == 1:
            behind[node.output[0]] = node.input[0]
            used |= set(node.input)
            continue
        inputs = [source(value) for value in node.input]
        used |= {*node.input, *inputs}
        attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
        nodes.append((node.op_type, [described(value) for value in inputs], list(node.output), attributes))
    ends = [_end(end) for end in (*model.graph.input, *model.graph.output)]
    return [nodes, ends, sorted(name for name in tensors if name not in used)]


def _end(end: Any) -> Any:
    shape = end.type.tensor_type.shape.dim
    return end.name, end.type.tensor_type.elem_type, [dim.dim_value for dim in shape]


def _blank(spec: StudentSpec) -> Student:
    """Return a student of a shape with weights of zero."""

    def layers() -> Iterator[ConvLayer]:
        channels = spec.shape.layer_channels
        for i, (inputs, outputs) in enumerate(channels):
            zeros = np.zeros(outputs, np.float32)
            weight = np.zeros((outputs, inputs, 3, 3), np.float32)
            yield ConvLayer(weight, zeros, zeros if i + 1 < len(channels) else None)

    return Student(spec, tuple(layers()))
