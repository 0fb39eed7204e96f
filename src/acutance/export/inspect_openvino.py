"""OpenVINO files: accept only small layers of the operators that an exported student has."""

from typing import Any
from xml.parsers import expat

import numpy as np

from acutance.engine.onnx_graph import METADATA_KEY
from acutance.engine.openvino_engine import read_openvino
from acutance.errors import ModelError
from acutance.students.spec import StudentSpec

__all__ = ["inspect_openvino"]

_OPERATORS = frozenset({
    "Add", "Broadcast", "Clamp", "Concat", "Const", "Convert", "Convolution", "DepthToSpace", "FakeQuantize",
    "FloorMod", "Gather", "Maximum", "Minimum", "Mod", "Multiply", "Negative", "PReLU", "Pad", "Parameter", "Reshape",
    "Result", "Round", "ShapeOf", "Slice", "SpaceToDepth", "Split", "Squeeze", "StridedSlice", "Subtract", "Unsqueeze",
    "VariadicSplit",
})  # fmt: skip
_LAYERS_EACH, _LAYERS_BESIDE = 40, 120  # of a convolution, with what quantisation and constants add; and of the rest
_DEEPEST = 12


def inspect_openvino(data: bytes, weights: bytes, *, name: str) -> tuple[str, int]:
    """Check an OpenVINO description and its weights.

    Args:
        data: content of the description.
        weights: content of the weights.
        name: name of the file, for messages.

    Returns:
        Precision (``fp32``, ``fp16`` or ``int8``) and the number that sides must be multiples of.

    Raises:
        ModelError: the file is refused.
    """
    types = _layers(data, name)
    foreign = sorted(set(types) - _OPERATORS)
    if foreign:
        raise ModelError(f"{name}: refused: it has operators that no student has: {', '.join(foreign[:5])}")
    convolutions = types.count("Convolution")
    if len(types) > _LAYERS_BESIDE + _LAYERS_EACH * convolutions:
        raise ModelError(f"{name}: refused: {len(types)} layers for {convolutions} convolutions")
    model = read_openvino(data, weights, name=name)
    spec = _spec(model, name)
    if convolutions != len(spec.shape.layer_channels):
        raise ModelError(f"{name}: refused: its graph is not that of {spec.name}, which it says it holds")
    largest = max(9 * i * o for i, o in spec.shape.layer_channels)
    half = False
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if _size(output.partial_shape) > max(largest, 64):
                raise ModelError(f"{name}: refused: {node.get_friendly_name()} is larger than any part of its student")
        if node.get_type_name() == "Constant":
            values = np.asarray(node.get_data())
            if values.dtype.kind == "f" and not np.isfinite(values.astype(np.float32)).all():
                raise ModelError(f"{name}: refused: {node.get_friendly_name()} holds values that are not finite")
            half = half or (values.dtype == np.float16 and values.size > 9)
    _check_ends(model, name)
    return "int8" if "FakeQuantize" in types else "fp16" if half else "fp32", 1


def _layers(data: bytes, name: str) -> list[str]:
    """Return the types of the layers. Refuse a document type, because it can declare entities."""
    parser = expat.ParserCreate("UTF-8")
    types: list[str] = []
    depth = 0

    def refuse(*_: Any) -> None:
        raise ModelError(f"{name}: refused: a model's description declares no document type and no entities")

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth == 1 and tag != "net":
            raise ModelError(f"{name}: not an OpenVINO model: it has no layers")
        if depth > _DEEPEST:
            raise ModelError(f"{name}: refused: its description is nested {depth} deep")
        if tag == "layer":
            version = attributes.get("version", "")
            if not version.startswith("opset"):
                raise ModelError(f"{name}: refused: it needs operators beside OpenVINO's own: {version or 'unnamed'}")
            types.append(attributes.get("type", "none"))

    def end(_tag: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ModelError(f"{name}: not an OpenVINO model: {error}") from error
    if not types:
        raise ModelError(f"{name}: not an OpenVINO model: it has no layers")
    return types


def _spec(model: Any, name: str) -> StudentSpec:
    if not model.has_rt_info([METADATA_KEY]):
        raise ModelError(f"{name}: says nothing of the student it was made from: not an export of acutance")
    said = model.get_rt_info([METADATA_KEY])
    return StudentSpec.from_json(str(getattr(said, "value", said)), source=name)


def _size(shape: Any) -> int:
    """Return the number of elements of a tensor. Sides that are only known at run time count as 1."""
    if shape.rank.is_dynamic:
        return 1
    return int(np.prod([d.get_length() for d in shape if d.is_static], dtype=np.float64))


def _check_ends(model: Any, name: str) -> None:
    ends = [(end.any_name, end.element_type.get_type_name(), str(end.partial_shape)) for end in
            (*model.inputs, *model.outputs)]  # fmt: skip
    if [end[:2] for end in ends] != [("luma", "u8"), ("sharp", "u8")] or ends[0][2] != "[?,1,?,?]":
        raise ModelError(f"{name}: takes and returns {ends}, not luma and sharp, u8 of N x 1 x H x W")
