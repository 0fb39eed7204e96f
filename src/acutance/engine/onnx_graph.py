"""A student as an ONNX graph: what the engines of others run, and what is exported."""

from typing import Any, Literal

import numpy as np

from acutance._util.extras import require
from acutance.engine.arithmetic import code_per_unit
from acutance.errors import ModelError
from acutance.students.spec import ConvLayer, Student

__all__ = ["METADATA_KEY", "OPSET", "Kind", "frozen_graph", "running_graph"]

OPSET = 17
"""The version of ONNX's operators that graphs use: runtimes from 2022 on read it."""
IR_VERSION = 8
METADATA_KEY = "acutance"
"""Under it a graph's metadata hold the student's description, as its own file does."""

Kind = Literal["uint8", "uint16", "residual"]
_PLANE: list[str | int | None] = ["n", 1, "h", "w"]
_SMALLEST_SCALE = 1e-12


class _Graph:
    """Nodes and constants as they are added; names are made here."""

    def __init__(self) -> None:
        self._onnx = require("onnx", extra="onnx", purpose="making an ONNX graph", minimum="1.17")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, out: str, **attributes: Any) -> str:
        self.nodes.append(self._onnx.helper.make_node(operator, list(inputs), [out], name=out, **attributes))
        return out

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def value(self, name: str, dtype: Any, shape: list[Any]) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, shape)

    def kind(self, dtype: Any) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def model(self, student: Student, inputs: list[Any], outputs: list[Any]) -> Any:
        helper = self._onnx.helper
        graph = helper.make_graph(self.nodes, student.spec.name, inputs, outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="acutance"
        )
        helper.set_model_props(model, {METADATA_KEY: student.spec.to_json()})
        self._onnx.checker.check_model(model)
        return model


def running_graph(student: Student, kind: Kind) -> Any:
    """For engines, which pad and know the samples: ``uint8`` or ``uint16`` planes, or (``residual``) from unit luma to
    unit residual.

    Height and width are multiples of the unshuffle factor. Planes come with four scalars: ``scale`` and ``offset``
    make units of code values, ``gain`` code values of the residual, ``top`` is the largest sample.
    Returns a ModelProto.
    """
    graph = _Graph()
    if kind == "residual":
        out = _network(graph, student, "unit", np.float32, "residual")
        return graph.model(student, [graph.value("unit", np.float32, _PLANE)], [graph.value(out, np.float32, _PLANE)])
    scalars = [graph.value(name, np.float32, []) for name in ("scale", "offset", "gain", "top")]
    code = graph.add("Cast", "luma", out="code", to=graph.kind(np.float32))
    out = _plane_to_plane(graph, student, code, "out", np.dtype(kind), np.float32)
    inputs = [graph.value("luma", np.dtype(kind), _PLANE), *scalars]
    return graph.model(student, inputs, [graph.value(out, np.dtype(kind), _PLANE)])


def frozen_graph(
    student: Student,
    *,
    strength: float = 1.0,
    full_range: bool = False,
    half: bool = False,
    eight_bits: bool = False,
    any_size: bool = True,
) -> Any:
    """For other programs: ``luma`` (N x 1 x H x W uint8) to ``sharp`` (the same), everything else inside.

    strength: 0 to 2, fixed. full_range: black is 0 and white 255, rather than 16 and 235. half: the network in float16.
    eight_bits: in int8, between QuantizeLinear and DequantizeLinear; of a student that was trained for it.
    any_size: the plane is padded to whole blocks, and cropped, inside; else height and width must be multiples of the
    unshuffle factor. Returns a ModelProto.
    Raises ModelError for eight_bits of a student that was not trained for it.
    """
    if eight_bits and not student.quantized:
        raise ModelError(f"{student.spec.name} was not trained for int8")
    graph = _Graph()
    scale, offset = code_per_unit(8, full_range)
    for name, value in (("scale", scale), ("offset", offset), ("gain", strength / scale), ("top", 255.0)):
        graph.constant(name, value)
    r = student.spec.shape.unshuffle
    pads = any_size and r > 1
    code = graph.add("Cast", "luma", out="code", to=graph.kind(np.float32))
    if pads:
        code = _pad(graph, code, r)
    out = "sharp_padded" if pads else "sharp"
    _plane_to_plane(graph, student, code, out, np.dtype(np.uint8), np.float16 if half else np.float32, eight_bits)
    if pads:
        graph.add("Slice", out, graph.constant("origin", [0, 0], np.int64), "size", "sides", out="sharp")
    return graph.model(student, [graph.value("luma", np.uint8, _PLANE)], [graph.value("sharp", np.uint8, _PLANE)])


def _pad(graph: _Graph, code: str, r: int) -> str:
    """Replicate the last row and column up to a multiple of ``r``; leaves ``size`` and ``sides`` for the way back."""
    graph.constant("r", r, np.int64)
    graph.constant("sides", [2, 3], np.int64)
    graph.add("Shape", code, out="size", start=2, end=4)
    # -size mod r: ONNX's Mod has the divisor's sign.
    graph.add("Neg", "size", out="minus_size")
    graph.add("Mod", "minus_size", "r", out="missing")
    graph.add("Concat", graph.constant("none", [0] * 6, np.int64), "missing", out="padding", axis=0)
    return graph.add("Pad", code, "padding", out="code_padded", mode="edge")


def _plane_to_plane(
    graph: _Graph, student: Student, code: str, out: str, samples: Any, precision: Any, eight_bits: bool = False
) -> str:
    """From code values in float to samples: to units, through the network, and back."""
    graph.add("Mul", code, "scale", out="scaled")
    unit = graph.add("Add", "scaled", "offset", out="unit")
    residual = _network(graph, student, unit, precision, "residual", eight_bits)
    graph.add("Mul", residual, "gain", out="change")
    graph.add("Add", code, "change", out="sum")
    graph.add("Round", "sum", out="rounded")  # half to even, as numpy's rint
    graph.add("Clip", "rounded", graph.constant("zero", 0.0), "top", out="clipped")
    return graph.add("Cast", "clipped", out=out, to=graph.kind(samples))


def _network(graph: _Graph, student: Student, unit: str, precision: Any, out: str, eight_bits: bool = False) -> str:
    """From unit luma to unit residual, both float32."""
    r = student.spec.shape.unshuffle
    half = np.dtype(precision) == np.float16
    last = graph.add("Cast", unit, out="unit_half", to=graph.kind(np.float16)) if half else unit
    # ONNX orders unshuffled channels as (y, x, c), torch as (c, y, x): the same for one channel.
    last = graph.add("SpaceToDepth", last, out="x0", blocksize=r)
    for i, layer in enumerate(student.layers):
        if eight_bits:
            last, weight = _eight_bits(graph, layer, i, last)
        else:
            weight = graph.constant(f"conv{i}.weight", layer.weight, precision)
        bias = graph.constant(f"conv{i}.bias", layer.bias, precision)
        last = graph.add("Conv", last, weight, bias, out=f"conv{i}", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        if layer.slope is not None:
            slope = graph.constant(f"conv{i}.slope", layer.slope.reshape(-1, 1, 1), precision)
            last = graph.add("PRelu", last, slope, out=f"act{i}")
    if not half:
        return graph.add("DepthToSpace", last, out=out, blocksize=r, mode="DCR")
    last = graph.add("DepthToSpace", last, out="residual_half", blocksize=r, mode="DCR")
    return graph.add("Cast", last, out=out, to=graph.kind(np.float32))


def _eight_bits(graph: _Graph, layer: ConvLayer, i: int, x: str) -> tuple[str, str]:
    """(what the convolution reads, its weight), each through the eight bits it is kept in."""
    assert layer.reads is not None
    scale = graph.constant(f"conv{i}.read_scale", layer.reads[0])
    zero = graph.constant(f"conv{i}.read_zero", layer.reads[1], np.uint8)
    graph.add("QuantizeLinear", x, scale, zero, out=f"read{i}_codes")
    graph.add("DequantizeLinear", f"read{i}_codes", scale, zero, out=f"read{i}")
    steps = np.maximum(np.abs(layer.weight).max(axis=(1, 2, 3)) / np.float32(127), np.float32(_SMALLEST_SCALE))
    codes = np.rint(layer.weight / steps[:, None, None, None])
    graph.constant(f"conv{i}.weight", codes, np.int8)
    graph.constant(f"conv{i}.weight_scale", steps)
    graph.constant(f"conv{i}.weight_zero", np.zeros(len(steps)), np.int8)
    graph.add(
        "DequantizeLinear", f"conv{i}.weight", f"conv{i}.weight_scale", f"conv{i}.weight_zero",
        out=f"weight{i}", axis=0,
    )  # fmt: skip
    return f"read{i}", f"weight{i}"
