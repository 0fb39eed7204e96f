"""Engines: back ends that run a student on a luma plane, behind one interface."""

import functools
import warnings
from collections.abc import Callable
from importlib.util import find_spec

from acutance.engine.base import TILE_ENGINES, Engine, Session, TileCounts, TileOptions
from acutance.errors import EngineError, MissingExtraError
from acutance.spec import Student

__all__ = [
    "ENGINES",
    "NO_NATIVE_ENGINE",
    "TILE_ENGINES",
    "Engine",
    "Session",
    "TileCounts",
    "TileOptions",
    "available_engines",
    "open_engine",
]


def _native(student: Student, threads: int | None, variant: str | None) -> Engine:
    from acutance.engine.native_engine import NativeEngine

    return NativeEngine(student, threads=threads, instruction_set=variant)


def _onnxruntime(student: Student, threads: int | None, variant: str | None) -> Engine:
    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    _no_variants("onnxruntime", variant)
    return OnnxRuntimeEngine(student, threads=threads)


def _numpy(student: Student, threads: int | None, variant: str | None) -> Engine:  # noqa: ARG001 - threads are BLAS's
    from acutance.engine.numpy_engine import NumpyEngine

    _no_variants("numpy", variant)
    return NumpyEngine(student)


ENGINES: dict[str, Callable[[Student, int | None, str | None], Engine]] = {
    "native": _native,
    "onnxruntime": _onnxruntime,
    "numpy": _numpy,
}
"""Back ends by name, the fastest first."""

NO_NATIVE_ENGINE = (
    "not in this installation: it was made where no C++17 compiler could build it. "
    "Install one, then: pip install --force-reinstall --no-deps acutance"
)
"""What to say of the native engine where it is missing."""

_NEEDS = {"native": ("acutance._native",), "onnxruntime": ("onnxruntime", "onnx"), "numpy": ("numpy",)}


def available_engines() -> list[str]:
    """The back ends that are installed, the fastest first."""
    return [name for name in ENGINES if all(find_spec(module) for module in _NEEDS[name])]


def open_engine(student: Student, name: str = "auto", *, threads: int | None = None) -> Engine:
    """The engine of that name, or the fastest one available; its ``name`` says which it is.

    name: ``auto``, one of :data:`ENGINES`, or ``native:<instruction set>``, such as ``native:portable``.
    Raises EngineError for a name that is unknown or cannot run here, MissingExtraError where a library is missing.
    """
    if name == "auto":
        available = available_engines()
        if "native" not in available:
            _warn_of_slowness(available[0])
        name = available[0]
    base, _, variant = name.partition(":")
    if base not in ENGINES:
        raise EngineError(f"engine {name!r} is unknown; known: auto, {', '.join(ENGINES)}")
    if base == "native" and not find_spec(_NEEDS["native"][0]):
        raise MissingExtraError(f"the native engine is {NO_NATIVE_ENGINE}")
    return ENGINES[base](student, threads, variant or None)


@functools.cache
def _warn_of_slowness(instead: str) -> None:
    warnings.warn(
        f"acutance was installed without its native engine; {instead} runs the models, many times slower "
        "(acutance doctor says more)",
        RuntimeWarning,
        stacklevel=4,
    )


def _no_variants(engine: str, variant: str | None) -> None:
    if variant is not None:
        raise EngineError(f"engine {engine!r} has no instruction sets to choose from, and {variant!r} was asked for")
