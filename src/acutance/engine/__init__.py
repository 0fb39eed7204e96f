"""Engines: back ends that run a student on a luma plane, behind one interface."""

import functools
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from acutance._util.arguments import shown, whole_number
from acutance.engine.base import TILE_ENGINES, Engine, Session, TileCounts, TileOptions
from acutance.engine.trial import NATIVE_COUNTS, Trial, remembered, trial_for
from acutance.errors import EngineError, MissingExtraError, UsageError
from acutance.students.spec import Student

__all__ = [
    "ENGINES",
    "NATIVE_COUNTS",
    "NO_NATIVE_ENGINE",
    "TILE_ENGINES",
    "Engine",
    "Session",
    "TileCounts",
    "TileOptions",
    "Trial",
    "available_engines",
    "default_engine",
    "default_trial",
    "open_engine",
    "variants",
]


def _native(student: Student, threads: int | None, variant: str | None) -> Engine:
    from acutance.engine.native_engine import NativeEngine

    return NativeEngine(student, threads=threads, instruction_set=variant)


def _onnxruntime(student: Student, threads: int | None, variant: str | None) -> Engine:
    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(student, threads=threads, provider=variant or "cpu")


def _openvino(student: Student, threads: int | None, variant: str | None) -> Engine:
    from acutance.engine.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(student, threads=threads, device=variant or "cpu")


def _numpy(student: Student, threads: int | None, variant: str | None) -> Engine:  # noqa: ARG001 - threads are BLAS's
    from acutance.engine.numpy_engine import NumpyEngine

    if variant is not None:
        raise UsageError(f"the engine 'numpy' has no variants, and {variant!r} was asked for")
    return NumpyEngine(student)


ENGINES: dict[str, Callable[[Student, int | None, str | None], Engine]] = {
    "native": _native,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "numpy": _numpy,
}
"""Back ends by name, the preferred first."""

NO_NATIVE_ENGINE = (
    "not in this installation: it was made where no C++17 compiler could build it. "
    "Install one, then: pip install --force-reinstall --no-deps acutance"
)
"""What to say of the native engine where it is missing."""

_NEEDS = {
    "native": ("acutance._native",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "numpy": ("numpy",),
}


def available_engines() -> list[str]:
    """The back ends that are installed, the preferred first."""
    return [name for name in ENGINES if all(find_spec(module) for module in _NEEDS[name])]


def default_engine(student: Student) -> str:
    """The engine that ``auto`` means for students of this shape: the only one, or what a trial chose."""
    trial = default_trial(student)
    return _candidates(student)[0] if trial is None else trial.chosen


def default_trial(student: Student, *, measure: bool = True) -> Trial | None:
    """The trial behind :func:`default_engine`; None where there is no choice.

    measure: make it now where none is remembered, else return None. Raises AcutanceError where no engine runs.
    """
    candidates = _candidates(student)
    if len(candidates) == 1:
        return None
    return _trial(student) if measure else remembered(student.spec.shape, candidates)


def open_engine(student: Student, name: str = "auto", *, threads: int | None = None) -> Engine:
    """The engine of that name, or the default one (:func:`default_engine`); its ``name`` says which it is.

    name: ``auto``, one of :data:`ENGINES`, or one of its variants: ``native:<instruction set>`` such as
    ``native:portable``, ``onnxruntime:<provider>`` such as ``onnxruntime:cuda``, ``openvino:<device>`` such as
    ``openvino:gpu``.
    Raises UsageError for a name that is unknown, EngineError where it cannot run here, MissingExtraError where a
    library is missing.
    """
    if not isinstance(name, str):
        raise UsageError(f"engine must be a name, not {shown(name)}")
    if threads is not None:
        threads = whole_number(threads, "threads", low=1, high=1 << 16)
    if name == "auto":
        return _open_default(student, threads)
    base, _, variant = name.partition(":")
    if base not in ENGINES:
        raise UsageError(f"engine {name!r} is unknown; known: auto, {', '.join(ENGINES)}")
    if base == "native" and not find_spec(_NEEDS["native"][0]):
        raise MissingExtraError(f"the native engine is {NO_NATIVE_ENGINE}")
    return ENGINES[base](student, threads, variant or None)


def _open_default(student: Student, threads: int | None) -> Engine:
    name = default_engine(student)
    if "native" not in available_engines():
        _warn_of_slowness(name)
    try:
        return open_engine(student, name, threads=threads)
    except (EngineError, MissingExtraError):
        if len(_candidates(student)) == 1:
            raise
        # What a trial chose on another day may have gone since: a card, a driver, a provider.
        return open_engine(student, _trial(student, again=True).chosen, threads=threads)


def _trial(student: Student, *, again: bool = False) -> Trial:
    return trial_for(
        student, _candidates(student), lambda name: open_engine(student, name), _with_graphics_cards, again=again
    )


def _candidates(student: Student) -> list[str]:
    """Return the engines to choose from. The plain twin is hundreds of times slower: it is only for lack of others."""
    fast = [name for name in available_engines() if name != "numpy"]
    if student.spec.shape.upscales:
        fast = [name for name in fast if name in TILE_ENGINES]  # the others run a graph of the same-size student
    return fast or ["numpy"]


def _with_graphics_cards(engines: Sequence[str]) -> list[str]:
    names = list(engines)
    for name in engines:
        names += [f"{name}:{which}" for which in variants(name) if which.startswith(("cuda", "directml", "gpu"))]
    return names


def variants(engine: str) -> list[str]:
    """What may stand behind ``engine:`` here: instruction sets, ONNX Runtime's providers, OpenVINO's devices.

    None where it has none, or where its library cannot be asked.
    """
    try:
        if engine == "native":
            from acutance.engine.native_engine import instruction_sets

            return instruction_sets()
        if engine == "onnxruntime":
            from acutance.engine.onnxruntime_engine import providers

            return providers()
        if engine == "openvino":
            from acutance.engine.openvino_engine import devices

            return devices()
    except Exception:  # of libraries of others; what is wrong with one is said when it is opened
        return []
    return []


@functools.cache
def _warn_of_slowness(instead: str) -> None:
    warnings.warn(
        f"acutance was installed without its native engine; {instead} runs the models, many times slower "
        "(acutance doctor says more)",
        RuntimeWarning,
        stacklevel=4,
    )
