"""Networks as ONNX graphs for other runtimes, from 8-bit planes to 8-bit planes.

There are the students, in two forms that compute the same with as many multiplications, because runtimes differ in
which form is faster; and the peers ESPCN, FSRCNN, ECBSR and ETDS.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper
from safetensors.numpy import load_file

from acutance.students.spec import Student

__all__ = ["FORMS", "PEERS", "Form", "peer_macs_per_pixel", "peer_model", "strided_weight", "student_model"]

Form = Literal["unshuffled", "strided"]
FORMS: tuple[Form, ...] = ("unshuffled", "strided")

PEERS = ("ESPCN", "FSRCNN", "ECBSR_M4C16", "ETDS_M4C32")

_OPSET = 17
_Array = NDArray[np.float32]
_Size = tuple[int | str, int | str]  # rows, columns; words where they are left open


class _Graph:
    """Builds a graph node by node; every method returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Any) -> str:
        name = f"k{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, weight: _Array, bias: _Array, *, stride: int = 1, pad: int | None = None) -> str:
        side = weight.shape[-1]
        pad = side // 2 if pad is None else pad
        return self.add(
            "Conv", x, self.constant(weight), self.constant(bias),
            kernel_shape=[side, side], pads=[pad] * 4, strides=[stride, stride],
        )  # fmt: skip

    def prelu(self, x: str, slope: _Array) -> str:
        return self.add("PRelu", x, self.constant(slope.reshape(-1, 1, 1)))

    def to_codes(self, x: str) -> str:
        """Round float code values to 8 bits and clip them."""
        rounded = self.add("Round", x)
        return self.add("Cast", self.add("Clip", rounded, self.constant(0), self.constant(255)), to=TensorProto.UINT8)

    def finish(self, channels: int, source: _Size, target: _Size) -> bytes:
        """Return the model whose output is the last node."""
        plane = helper.make_tensor_value_info("in", TensorProto.UINT8, [1, channels, *source])
        result = helper.make_tensor_value_info("out", TensorProto.UINT8, [1, channels, *target])
        self._nodes[-1].output[0] = "out"
        graph = helper.make_graph(self._nodes, "network", [plane], [result], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        checker.check_model(model)
        return bytes(model.SerializeToString())


def student_model(student: Student, height: int, width: int, *, form: Form) -> bytes:
    """Return a student at strength 1 on 8-bit limited-range luma.

    ``in`` and ``out`` are uint8, 1 x 1 x height x width.

    Args:
        height: A multiple of the unshuffle factor.
        width: A multiple of the unshuffle factor.
        form: ``unshuffled`` as the network is drawn; ``strided``, where unshuffling and the first convolution are one
            convolution with as many weights, twice the side and stride 2.
    """
    r = student.spec.shape.unshuffle
    g = _Graph()
    code = g.add("Cast", "in", to=TensorProto.FLOAT)
    last = len(student.layers) - 1
    x = code
    for i, layer in enumerate(student.layers):
        weight, bias = layer.weight, layer.bias
        if i == 0:  # the division by 255 on the way in and the product on the way out cost nothing inside the weights
            weight = weight / np.float32(255)
        if i == last:
            weight, bias = weight * np.float32(255), bias * np.float32(255)
        if i == 0 and form == "strided":
            x = g.conv(x, strided_weight(weight, r), bias, stride=r, pad=r)
        elif i == 0:
            x = g.conv(g.add("SpaceToDepth", x, blocksize=r), weight, bias)
        else:
            x = g.conv(x, weight, bias)
        if layer.slope is not None:
            x = g.prelu(x, layer.slope)
    residual = g.add("DepthToSpace", x, blocksize=r, mode="DCR")
    g.to_codes(g.add("Add", code, residual))
    return g.finish(1, (height, width), (height, width))


def strided_weight(weight: _Array, r: int) -> _Array:
    """Return weights of O x r*r x 3 x 3 on unshuffled channels as O x 1 x 3r x 3r on the plane itself, for stride r."""
    outputs = weight.shape[0]
    split = weight.reshape(outputs, r, r, 3, 3)  # output, dy, dx, tap row, tap column
    return np.ascontiguousarray(split.transpose(0, 3, 1, 4, 2).reshape(outputs, 1, 3 * r, 3 * r))


def peer_model(folder: Path, name: str, height: int | None = None, width: int | None = None) -> bytes:
    """Return a peer at x2: ``in`` is uint8, 1 x 3 x height x width, planes R, G, B; ``out`` has twice the size.

    Args:
        folder: Holds the weights, ``<name>_x2.safetensors``.
        height: Of the input; left open where it is None.
        width: Of the input; left open where it is None.
    """
    tensors = load_file(folder / f"{name}_x2.safetensors")
    g = _Graph()
    unit = g.add("Mul", g.add("Cast", "in", to=TensorProto.FLOAT), g.constant(1 / 255))
    x = _BODIES[name](g, unit, tensors)
    g.to_codes(g.add("Mul", x, g.constant(255)))
    source: _Size = ("h", "w") if height is None or width is None else (height, width)
    target: _Size = ("2h", "2w") if height is None or width is None else (2 * height, 2 * width)
    return g.finish(3, source, target)


def _shuffle(g: _Graph, x: str) -> str:
    return g.add("DepthToSpace", x, blocksize=2, mode="CRD")  # torch's pixel_shuffle


def _espcn(g: _Graph, x: str, t: Mapping[str, _Array]) -> str:
    x = g.add("Tanh", g.conv(x, t["conv1.weight"], t["conv1.bias"]))
    x = g.add("Tanh", g.conv(x, t["conv2.weight"], t["conv2.bias"]))
    return g.add("Sigmoid", _shuffle(g, g.conv(x, t["conv3.weight"], t["conv3.bias"])))


def _fsrcnn(g: _Graph, x: str, t: Mapping[str, _Array]) -> str:
    x = g.prelu(g.conv(x, t["first_part.0.weight"], t["first_part.0.bias"]), t["first_part.1.weight"])
    for i in range(0, 12, 2):
        x = g.conv(x, t[f"mid_part.{i}.weight"], t[f"mid_part.{i}.bias"])
        x = g.prelu(x, t[f"mid_part.{i + 1}.weight"])
    weight, bias = g.constant(t["last_part.weight"]), g.constant(t["last_part.bias"])
    return g.add(
        "ConvTranspose", x, weight, bias, kernel_shape=[9, 9], pads=[4] * 4, strides=[2, 2], output_padding=[1, 1]
    )


def _ecbsr(g: _Graph, x: str, t: Mapping[str, _Array]) -> str:
    first = x
    for i in range(5):
        x = g.conv(x, t[f"backbone.{i}.0.weight"], t[f"backbone.{i}.0.bias"])
        x = g.prelu(x, t[f"backbone.{i}.1.weight"])
    x = g.conv(x, t["backbone.5.0.weight"], t["backbone.5.0.bias"])
    repeat = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0).reshape(12, 3, 1, 1)
    return _shuffle(g, g.add("Add", x, g.conv(first, repeat, np.zeros(12, np.float32))))


def _etds(g: _Graph, x: str, t: Mapping[str, _Array]) -> str:
    for layer in ("conv_first", *(f"backbone_convs.{i}" for i in range(4)), "conv_last", "conv_clip"):
        x = g.add("Relu", g.conv(x, t[f"{layer}.weight"], t[f"{layer}.bias"]))
    return _shuffle(g, x)


_BODIES = {"ESPCN": _espcn, "FSRCNN": _fsrcnn, "ECBSR_M4C16": _ecbsr, "ETDS_M4C32": _etds}


def peer_macs_per_pixel(folder: Path, name: str) -> float:
    """Return multiply-accumulates per output pixel at x2: each weight of a convolution is used once per input pixel."""
    tensors = load_file(folder / f"{name}_x2.safetensors")
    return sum(t.size for key, t in tensors.items() if key.endswith("weight") and t.ndim == 4) / 4
