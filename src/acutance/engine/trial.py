"""Which engine is the default here: timed for a moment, remembered for this machine."""

import contextlib
import functools
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from acutance._util.machine import cache_folder, processor_name
from acutance.engine.base import Engine, usable_cores
from acutance.errors import AcutanceError, EngineError
from acutance.frame import Plane
from acutance.students.spec import Student, StudentShape

__all__ = ["NATIVE_COUNTS", "Trial", "kept_in", "remembered", "run_trial", "trial_for"]

NATIVE_COUNTS = 1.5
"""The native engine is taken unless another is this many times as fast on a whole frame: it alone leaves tiles out."""

_SIZE = (360, 640)
_ROUNDS, _SECONDS = 3, 0.15  # of each engine in each round
_FILE = "engines.json"
_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured, and what follows.

    fps: frames of 640x360 a second, by engine. failed: engines that could not run, and why. chosen: the default.
    """

    fps: dict[str, float]
    failed: dict[str, str]
    chosen: str

    def explain(self) -> str:
        """One line: the engines with their frames a second, the fastest first, and what could not run."""
        figures = [f"{name} {fps:.0f}" for name, fps in sorted(self.fps.items(), key=lambda item: -item[1])]
        broken = [f"{name} cannot run ({why})" for name, why in self.failed.items()]
        return f"{', '.join(figures)} frames of 640x360 a second" + "".join(f"; {line}" for line in broken)


Open = Callable[[str], Engine]
"""Opens an engine by name."""
Expand = Callable[[Sequence[str]], list[str]]
"""Adds the variants that are worth a trial, such as providers on a graphics card; only asked when there is one."""


def trial_for(
    student: Student, engines: Sequence[str], open_one: Open, expand: Expand, *, again: bool = False
) -> Trial:
    """What is remembered of this machine for a student of this shape, or else a trial, made now and remembered.

    again: forget what is remembered. Raises the last error where no engine runs.
    """
    with _one_at_a_time:
        found = None if again else remembered(student.spec.shape, engines)
        if found is None:
            found = run_trial(expand(engines), open_one)
            _write(_key(student.spec.shape, tuple(engines)), found)
        return found


def remembered(shape: StudentShape, engines: Sequence[str]) -> Trial | None:
    """What an earlier trial found, or None."""
    key = _key(shape, tuple(engines))
    return _of_this_process.get(key) or _read().get(key)


_one_at_a_time = threading.RLock()  # two at once would measure each other


def run_trial(engines: Sequence[str], open_one: Open) -> Trial:
    """Time each engine on one plane, in turns, and choose; takes about half a second for each, and its start.

    engines: names, the preferred first. Whatever goes wrong with one of them is noted, and costs that one alone.
    Raises the last error where none can run.
    """
    plane = np.random.default_rng(0).integers(16, 236, _SIZE, dtype=np.uint8)
    opened: dict[str, Engine] = {}
    failed: dict[str, str] = {}
    last_error: Exception | None = None
    for name in engines:
        try:
            opened[name] = open_one(name)
            opened[name].process(plane)  # what is built at the first call is not what a frame costs
        except Exception as error:  # of libraries of others, who raise what they like
            opened.pop(name, None)
            failed[name], last_error = " ".join(str(error).split()) or type(error).__name__, error
    if not opened:
        if isinstance(last_error, AcutanceError):
            raise last_error
        raise EngineError(f"no engine runs here: {'; '.join(f'{name}: {why}' for name, why in failed.items())}")
    times: dict[str, list[float]] = {name: [] for name in opened}
    for _ in range(_ROUNDS):
        for name, engine in opened.items():
            times[name] += _time(engine, plane)
    fps = {name: round(1 / float(np.median(taken)), 2) for name, taken in times.items()}
    return Trial(fps, failed, _choose(fps))


def _time(engine: Engine, plane: Plane) -> list[float]:
    out = np.empty_like(plane)
    taken: list[float] = []
    while sum(taken) < _SECONDS:
        started = time.perf_counter()
        engine.process(plane, out=out)
        taken.append(time.perf_counter() - started)
    return taken


def _choose(fps: dict[str, float]) -> str:
    best = max(fps, key=lambda name: fps[name])
    return "native" if fps[best] < NATIVE_COUNTS * fps.get("native", 0.0) else best


# -- what is remembered ---------------------------------------------------------------------------------------------


def kept_in() -> Path:
    """The file that trials are remembered in. Raises OSError where this user has no cache."""
    return cache_folder() / _FILE


def _key(shape: StudentShape, engines: tuple[str, ...]) -> str:
    """Everything that a trial depends on."""
    facts = [processor_name(), usable_cores(), asdict(shape), engines, [_version(name) for name in _DISTRIBUTIONS]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


_DISTRIBUTIONS = (
    "acutance", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino",
    "openvino",
)  # fmt: skip


@functools.cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


_of_this_process: dict[str, Trial] = {}


def _read() -> dict[str, Trial]:
    """What the file holds; what cannot be read of it is as if it were not there."""
    try:
        raw: Any = json.loads(kept_in().read_text(encoding="utf-8"))
        return {key: _trial(value) for key, value in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}


def _trial(raw: Any) -> Trial:
    trial = Trial(
        {str(name): float(fps) for name, fps in raw["fps"].items()},
        {str(name): str(why) for name, why in raw["failed"].items()},
        str(raw["chosen"]),
    )
    if trial.chosen not in trial.fps:
        raise ValueError(trial.chosen)
    return trial


def _write(key: str, trial: Trial) -> None:
    """Where it cannot be kept, the next run measures again."""
    _of_this_process[key] = trial
    kept = dict([*_read().items(), (key, trial)][-_MOST_KEPT:])
    with contextlib.suppress(OSError):
        path = kept_in()
        temporary = path.with_name(f".{_FILE}.{secrets.token_hex(4)}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({k: asdict(t) for k, t in kept.items()}, indent=1), encoding="utf-8")
        temporary.replace(path)
