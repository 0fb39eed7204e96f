"""A student in ONNX Runtime: on the processor, or with another of its execution providers."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from acutance._util.extras import first_line, require
from acutance.engine.base import usable_cores
from acutance.engine.graph_engine import GraphEngine, RunGraph
from acutance.errors import EngineError
from acutance.students.spec import Student

__all__ = ["PROVIDERS", "OnnxRuntimeEngine", "open_onnx", "providers"]

PROVIDERS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "cpu": [],
    "cuda": [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": 0})],
    "tensorrt": [
        ("TensorrtExecutionProvider", {"trt_fp16_enable": False}),
        ("CUDAExecutionProvider", {}),
    ],
    "directml": [("DmlExecutionProvider", {})],
    "coreml": [("CoreMLExecutionProvider", {})],
    "openvino": [("OpenVINOExecutionProvider", {})],
}
"""Execution providers by our names for them, each with what stands in for operators it lacks; the processor is last."""


def providers() -> list[str]:
    """Those of :data:`PROVIDERS` that the ONNX Runtime installed here was built with; raises MissingExtraError."""
    runtime = _runtime()
    built = {"CPUExecutionProvider", *runtime.get_available_providers()}
    return [name for name, chain in PROVIDERS.items() if not chain or chain[0][0] in built]


def open_onnx(model: bytes | str, *, provider: str = "cpu", threads: int | None = None) -> Any:
    """An InferenceSession on exactly that provider, whose idle threads sleep.

    model: serialised, or the path of a file. threads: of the processor's provider; None for one per usable core.
    Raises EngineError where the provider is unknown, not in this build, or does not start.
    """
    runtime = _runtime()
    if provider not in PROVIDERS:
        raise EngineError(f"ONNX Runtime's provider {provider!r} is unknown; known: {', '.join(PROVIDERS)}")
    if provider not in providers():
        raise EngineError(
            f"this ONNX Runtime was built without {provider}; it has {', '.join(providers())}"
            + (" (pip install onnxruntime-gpu instead of onnxruntime)" if provider in ("cuda", "tensorrt") else "")
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # warnings of graphs optimised away are not for users
    # Idle threads sleep rather than spin: the call application needs the processor too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chain = PROVIDERS[provider]
    try:
        session = runtime.InferenceSession(model, options, providers=[*chain, ("CPUExecutionProvider", {})])
    except Exception as error:  # each provider raises kinds of its own
        raise EngineError(f"ONNX Runtime cannot start on {provider}: {first_line(error)}") from error
    if chain and session.get_providers()[0] != chain[0][0]:  # it falls back to the processor with a warning
        raise EngineError(f"ONNX Runtime did not start {provider}: it offers {', '.join(session.get_providers())}")
    return session


class OnnxRuntimeEngine(GraphEngine):
    """Runs a student in float32 in ONNX Runtime.

    provider: one of :data:`PROVIDERS`. threads: on the processor; None for one per usable core.
    Raises MissingExtraError; EngineError where the provider is not in this build or does not start.
    """

    extra = "onnx"

    def __init__(self, student: Student, *, threads: int | None = None, provider: str = "cpu") -> None:
        self.name = "onnxruntime" if provider == "cpu" else f"onnxruntime:{provider}"
        super().__init__(student)
        self._threads, self._provider = threads, provider
        self._graph("uint8")  # a provider that cannot start says so now

    def _open(self, model: bytes) -> RunGraph:
        session = open_onnx(model, provider=self._provider, threads=self._threads)

        def run(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            try:
                result: NDArray[Any] = session.run(None, dict(inputs))[0]
            except Exception as error:  # each provider raises kinds of its own
                raise EngineError(f"ONNX Runtime failed on {self._provider}: {first_line(error)}") from error
            return result

        return run


def _runtime() -> Any:
    return require("onnxruntime", extra="onnx", purpose="the engine 'onnxruntime'", minimum="1.20")
