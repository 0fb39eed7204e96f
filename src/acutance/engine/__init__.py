"""Engines: back ends that run a student on a luma plane, behind one interface."""

from collections.abc import Callable
from importlib.util import find_spec

from acutance.engine.base import Engine
from acutance.errors import EngineError
from acutance.spec import Student

__all__ = ["ENGINES", "Engine", "available_engines", "open_engine"]


def _onnxruntime(student: Student, threads: int | None) -> Engine:
    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(student, threads=threads)


def _numpy(student: Student, threads: int | None) -> Engine:  # noqa: ARG001 - numpy's threads are not ours to set
    from acutance.engine.numpy_engine import NumpyEngine

    return NumpyEngine(student)


ENGINES: dict[str, Callable[[Student, int | None], Engine]] = {"onnxruntime": _onnxruntime, "numpy": _numpy}
"""Back ends by name, the fastest first."""

_NEEDS = {"onnxruntime": ("onnxruntime", "onnx"), "numpy": ("numpy",)}


def available_engines() -> list[str]:
    """The back ends whose libraries are installed, the fastest first."""
    return [name for name in ENGINES if all(find_spec(module) for module in _NEEDS[name])]


def open_engine(student: Student, name: str = "auto", *, threads: int | None = None) -> Engine:
    """The engine of that name, or the fastest one available; its ``name`` says which it is.

    Raises EngineError for an unknown name, MissingExtraError where its library is not installed.
    """
    if name == "auto":
        name = available_engines()[0]
    if name not in ENGINES:
        raise EngineError(f"engine {name!r} is unknown; known: auto, {', '.join(ENGINES)}")
    return ENGINES[name](student, threads)
