"""A student in ONNX Runtime: the whole path from integer plane to integer plane inside one graph."""

import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._extras import require
from acutance.engine.arithmetic import code_per_unit
from acutance.engine.base import Engine, pad_to_multiple
from acutance.frame import Plane
from acutance.spec import Student

__all__ = ["OnnxRuntimeEngine"]

_OPSET = 17
_LARGEST_BAND = 1 << 22  # pixels run at once: activations of a whole large photograph would take gigabytes


class OnnxRuntimeEngine(Engine):
    """Runs a student in float32 in ONNX Runtime on the processor.

    threads: of ONNX Runtime; None for one per core.
    """

    name = "onnxruntime"

    def __init__(self, student: Student, *, threads: int | None = None) -> None:
        self._runtime = require("onnxruntime", extra="onnx", purpose="the engine 'onnxruntime'")
        require("onnx", extra="onnx", purpose="the engine 'onnxruntime'")
        self._student = student
        self._threads = threads or os.cpu_count() or 1
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        scale, offset = code_per_unit(bit_depth, full_range)
        constants = {
            "scale": np.array(scale, np.float32),
            "offset": np.array(offset, np.float32),
            "gain": np.array(strength / scale, np.float32),
            "top": np.array((1 << bit_depth) - 1, np.float32),
        }
        self._run_in_bands(str(luma.dtype), "luma", luma, constants, out)

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty(luma.shape, np.float32)
        self._run_in_bands("residual", "unit", luma.astype(np.float32) / np.float32(255), {}, out)
        return out * np.float32(255)

    def _run_in_bands(
        self, kind: str, name: str, plane: NDArray[Any], constants: dict[str, Any], out: NDArray[Any]
    ) -> None:
        """Run bands of rows, each with as many rows around it as the network sees: equal to running all at once."""
        shape = self._student.spec.shape
        session = self._session(kind)
        height, width = plane.shape
        rows = max(1, _LARGEST_BAND // width // shape.unshuffle) * shape.unshuffle
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            first, last = max(0, top - shape.radius), min(height, bottom + shape.radius)
            padded = pad_to_multiple(plane[first:last], shape.unshuffle)
            result = session.run(None, {name: padded[None, None], **constants})[0]
            out[top:bottom] = result[0, 0, top - first : bottom - first, :width]

    def _session(self, kind: str) -> Any:
        with self._lock:  # building twice would be waste; running concurrently is fine
            if kind not in self._sessions:
                options = self._runtime.SessionOptions()
                options.intra_op_num_threads = self._threads
                options.inter_op_num_threads = 1
                # Idle threads sleep rather than spin: the call application needs the processor too.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                model = _build_model(self._student, kind).SerializeToString()
                self._sessions[kind] = self._runtime.InferenceSession(
                    model, options, providers=["CPUExecutionProvider"]
                )
            return self._sessions[kind]


def _build_model(student: Student, kind: str) -> Any:
    """The graph for ``uint8`` or ``uint16`` planes, or (``residual``) from unit luma to unit residual."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    r = student.spec.shape.unshuffle
    plane: list[str | int | None] = ["n", 1, "h", "w"]
    nodes, constants = [], []
    if kind == "residual":
        inputs = [helper.make_tensor_value_info("unit", TensorProto.FLOAT, plane)]
        outputs = [helper.make_tensor_value_info("residual", TensorProto.FLOAT, plane)]
    else:
        integer = TensorProto.UINT8 if kind == "uint8" else TensorProto.UINT16
        inputs = [helper.make_tensor_value_info("luma", integer, plane)]
        inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, []) for n in ("scale", "offset", "gain", "top")]
        outputs = [helper.make_tensor_value_info("out", integer, plane)]
        nodes += [
            helper.make_node("Cast", ["luma"], ["code"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["code", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["unit"]),
        ]
    # ONNX orders unshuffled channels as (y, x, c), torch as (c, y, x): the same for one channel.
    nodes.append(helper.make_node("SpaceToDepth", ["unit"], ["x0"], blocksize=r))
    last = "x0"
    for i, layer in enumerate(student.layers):
        constants += [numpy_helper.from_array(layer.weight, f"w{i}"), numpy_helper.from_array(layer.bias, f"b{i}")]
        nodes.append(
            helper.make_node("Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        )
        last = f"c{i}"
        if layer.slope is not None:
            constants.append(numpy_helper.from_array(layer.slope.reshape(-1, 1, 1), f"s{i}"))
            nodes.append(helper.make_node("PRelu", [last, f"s{i}"], [f"a{i}"]))
            last = f"a{i}"
    nodes.append(helper.make_node("DepthToSpace", [last], ["residual"], blocksize=r, mode="DCR"))
    if kind != "residual":
        constants.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
        nodes += [
            helper.make_node("Mul", ["residual", "gain"], ["change"]),
            helper.make_node("Add", ["code", "change"], ["sum"]),
            helper.make_node("Round", ["sum"], ["rounded"]),  # half to even, as numpy's rint
            helper.make_node("Clip", ["rounded", "zero", "top"], ["clipped"]),
            helper.make_node("Cast", ["clipped"], ["out"], to=integer),
        ]
    graph = helper.make_graph(nodes, student.spec.name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model
