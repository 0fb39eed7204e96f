"""Methods that restore a call: the program as a user runs it, the best fixed student, a function of one's own."""

import hashlib
import importlib.util
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import acutance
from _calls.clips import Luma
from _calls.send import Call
from acutance.choosing.automatic import open_sharpener
from acutance.choosing.condition import KnownFacts
from acutance.choosing.stated import at_condition
from acutance.errors import UsageError
from acutance.frame import Frame
from acutance.metrics import psnr
from acutance.sharpening.base import LOOKS, check_look
from acutance.students.bundled import bundled_models, conditioned_file
from acutance.students.conditioned import load_conditioned
from acutance.students.spec import Student

__all__ = ["DEFAULT", "Input", "Oracle", "Program", "Restorer", "open_restorers"]

DEFAULT = ("input", "auto", "best fast", "best balanced")
"""``auto`` is the tier ``fast``."""

_CONDITION_FACTORS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
_CONDITION_RATES = (None, 0.04, 0.1, 0.3)  # bits per pixel of the coded size

_TRIED_EVERY = 6  # frames of a call that its best student is told from

Outcome = tuple[list[Luma], dict[str, Any]]


class Restorer(ABC):
    """One method.

    Attributes:
        name: Its name in the tables.
        identity: Hash of what decides its output: weights and code.
    """

    name: str
    identity: str

    @abstractmethod
    def restore(self, call: Call) -> Outcome:
        """Return the luma planes of the output, and facts for the result."""


class Input(Restorer):
    """Nothing: what the viewer receives."""

    name, identity = "input", "input"

    def restore(self, call: Call) -> Outcome:
        return call.lumas[0], {}


class Program(Restorer):
    """The program, with a model and options, in a session that begins with the call.

    Args:
        name: Name in the tables.
        model: ``auto``, a tier, a student's name or file.
        options: Keyword arguments of the sharpener.
    """

    def __init__(self, name: str, model: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.identity = _digest(_package_digest(), model, _file_digest(model), sorted(options.items()))
        self._sharpener = open_sharpener(model, threads=1, **options)

    def restore(self, call: Call) -> Outcome:
        with self._sharpener.session() as session:
            output = [session.frame(Frame(plane)).luma.astype(np.uint8) for plane in call.lumas[0]]
        choices = getattr(session, "choices", [])
        students = [choice.student or "none" for choice in choices]
        return output, {"students": students} if students else {}


class Oracle(Restorer):
    """The best fixed student of a kind, or none, named by hand for each call: an upper bound of choosing.

    Every student restores each sixth frame; the one of the highest PSNR restores the call.

    Args:
        name: Name in the tables.
        students: Name to student or file.
        identity: Hash of what decides the output; that of the files where it is empty.
    """

    def __init__(self, name: str, students: Mapping[str, Path | Student], identity: str = "") -> None:
        if not students:
            raise UsageError(f"{name}: there is no such student")
        self.name = name
        self.identity = identity or _digest("oracle", *(_file_digest(str(path)) for path in students.values()))
        self._sharpeners = {n: open_sharpener(path, threads=1) for n, path in students.items()}

    def restore(self, call: Call) -> Outcome:
        shown, truth = call.lumas
        pairs = list(zip(shown, truth, strict=True))[_TRIED_EVERY // 2 :: _TRIED_EVERY]
        found = {"none": float(np.mean([min(psnr(*pair), 100.0) for pair in pairs]))}
        for name, sharpener in self._sharpeners.items():
            outputs = [(sharpener.frame(Frame(plane)).luma, wanted) for plane, wanted in pairs]
            found[name] = float(np.mean([min(psnr(*pair), 100.0) for pair in outputs]))
        best = max(found, key=lambda name: found[name])
        facts = {"students": [best], "tried": {name: round(value, 3) for name, value in found.items()}}
        if best == "none":
            return shown, facts
        with self._sharpeners[best].session() as session:
            return [session.frame(Frame(plane)).luma.astype(np.uint8) for plane in shown], facts


class Function(Restorer):
    """A function of one's own: planes as shown in, planes out.

    Args:
        name: Name in the tables.
        function: Gets the shown luma planes and the call, and returns as many planes, uint8.
        identity: Hash of what decides its output.
    """

    def __init__(self, name: str, function: Callable[[Sequence[Luma], Call], list[Luma]], identity: str) -> None:
        self.name, self.identity, self._function = name, identity, function

    def restore(self, call: Call) -> Outcome:
        return self._function(call.lumas[0], call), {}


def open_restorers(texts: Sequence[str], students: Path | None = None) -> list[Restorer]:
    """Return the methods that texts name.

    Args:
        texts: Each one of ``input``; ``best`` or ``best TIER``; ``conditions TIER`` or ``conditions TIER LOOK``: the
            tier's conditioned student under the best of many stated conditions; ``MODEL`` or ``NAME=MODEL``, with
            ``,option=value`` behind it; ``NAME=FILE.py:FUNCTION``.
        students: Folder of the fixed students for ``best``; the bundled ones where it is None.

    Raises:
        UsageError: A text names nothing.
    """
    found = [_open(text.strip(), students) for text in texts]
    names = [restorer.name for restorer in found]
    if len(set(names)) < len(names):
        raise UsageError(f"two methods have one name: {', '.join(names)}")
    return found


def _open(text: str, students: Path | None) -> Restorer:
    if text == "input":
        return Input()
    if text == "best" or text.startswith("best "):
        tier = text.removeprefix("best").strip()
        known = bundled_models() if students is None else {p.stem: p for p in sorted(students.glob("*.safetensors"))}
        return Oracle(text, {n: p for n, p in known.items() if not tier or n.startswith(f"{tier}-")})
    if text.startswith("conditions "):
        return _conditions(text)
    model, *options = text.split(",")
    name, _, named = model.partition("=")
    model = named or name
    file, _, function = model.rpartition(":")
    if file.endswith(".py"):
        return Function(name, _load(Path(file), function), _digest(_package_digest(), _file_digest(file), function))
    return Program(name if named else text, model, dict(_option(option) for option in options))


def _conditions(text: str) -> Oracle:
    _, tier, *rest = text.split()
    path = conditioned_file(tier)
    if path is None:
        raise UsageError(f"the tier {tier!r} has no conditioned student")
    student, look = load_conditioned(path), check_look(rest[0] if rest else "faithful", LOOKS, tier)
    facts = [KnownFacts(factor, rate) for factor in _CONDITION_FACTORS for rate in _CONDITION_RATES]
    made = {
        f"x{known.factor:g}, {known.bits_per_pixel or 'any'} bpp": at_condition(student, known, look=look)
        for known in facts
    }
    return Oracle(text, made, _digest("conditions", _file_digest(str(path)), look, _package_digest()))


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"an option of a method is name=value, not {text!r}")
    try:
        return key, float(value)
    except ValueError:
        return key, value


def _load(file: Path, name: str) -> Callable[[Sequence[Luma], Call], list[Luma]]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise UsageError(f"{file}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not inspect.isfunction(function):
        raise UsageError(f"{file}: holds no function {name!r}")
    return function


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _file_digest(name: str) -> str:
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@cache
def _package_digest() -> str:
    """Return a hash of everything that decides what the program does to a frame."""
    root = Path(acutance.__file__).parent
    parts = [root / name for name in ("choosing", "students", "engine", "sharpening")]
    files = sorted(f for part in parts for f in ([part] if part.is_file() else part.rglob("*")) if f.is_file())
    return _digest(*(f.read_bytes() for f in files if f.suffix in (".py", ".json", ".safetensors")))
