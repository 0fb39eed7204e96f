"""A student in OpenVINO: on the processor, or on another of its devices."""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import require
from acutance.engine.base import usable_cores
from acutance.engine.graph_engine import GraphEngine, RunGraph
from acutance.errors import EngineError, ModelError
from acutance.students.spec import Student

__all__ = ["OpenVinoEngine", "compile_openvino", "devices", "last_line", "read_openvino"]


def devices() -> list[str]:
    """What OpenVINO finds here, in our spelling: ``cpu``, ``gpu``, ``npu``. Raises MissingExtraError."""
    return [name.lower() for name in _core().available_devices]


def read_openvino(source: bytes, weights: bytes = b"", *, name: str = "the graph") -> Any:
    """An openvino.Model from a serialised ONNX model, or from an IR's description and weights; not compiled.

    Raises ModelError, naming ``name``.
    """
    try:
        return _core().read_model(source, weights) if weights else _core().read_model(source)
    except RuntimeError as error:
        raise ModelError(f"{name}: OpenVINO cannot read it: {last_line(error)}") from error


def compile_openvino(model: Any, *, device: str = "cpu", threads: int | None = None) -> Any:
    """A CompiledModel that keeps to float32 where the model is float, for one request at a time.

    model: an openvino.Model. Raises EngineError where the device is not here or refuses.
    """
    core = _core()
    here = devices()
    if device not in here:
        raise EngineError(f"OpenVINO finds no device {device!r} here; it has {', '.join(here)}")
    # Left to itself it takes bfloat16 or float16 where it finds them: three digits, and visible steps in flat areas.
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if device == "cpu":
        settings["INFERENCE_NUM_THREADS"] = threads or usable_cores()
    try:
        return core.compile_model(model, device.upper(), settings)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot run this on {device}: {last_line(error)}") from error


class OpenVinoEngine(GraphEngine):
    """Runs a student in float32 in OpenVINO.

    device: one of :func:`devices`. threads: on the processor; None for one per usable core.
    Raises MissingExtraError, EngineError.
    """

    extra = "openvino"

    def __init__(self, student: Student, *, threads: int | None = None, device: str = "cpu") -> None:
        self.name = "openvino" if device == "cpu" else f"openvino:{device}"
        super().__init__(student)
        self._threads, self._device = threads, device
        self._graph("uint8")  # a device that cannot run it says so now

    def _open(self, model: bytes) -> RunGraph:
        compiled = compile_openvino(read_openvino(model), device=self._device, threads=self._threads)
        requests = threading.local()  # one is for one thread

        def run(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            if not hasattr(requests, "one"):
                requests.one = compiled.create_infer_request()
            try:
                outputs = requests.one.infer(dict(inputs), share_inputs=True, share_outputs=True)
            except RuntimeError as error:
                raise EngineError(f"OpenVINO failed on {self._device}: {last_line(error)}") from error
            return np.asarray(outputs[0])

        return run


def last_line(error: Exception) -> str:
    """Where OpenVINO puts the reason; the lines before name its own source files."""
    return (str(error).strip().splitlines() or ["no reason given"])[-1]


def _core() -> Any:
    return require("openvino", extra="openvino", purpose="the engine 'openvino'", minimum="2024.4").Core()
