"""The students that ship inside the package, and how a name finds one."""

import math
import re
from functools import cache
from pathlib import Path
from typing import TypeGuard

from acutance.errors import ModelError
from acutance.students.spec import Student, load_student

__all__ = ["TIERS", "bundled_models", "conditioned_file", "factors_of", "find_student", "is_model_path", "student_for"]

_FOLDER = Path(__file__).parent / "weights"
_TIERS = {"fast": "fast-clean-x2", "balanced": "balanced-clean-x2", "quality": "quality-clean-x2"}
"""What a tier's name alone means where one student is asked for."""

TIERS = tuple(_TIERS)
"""Cheapest first."""


@cache
def bundled_models() -> dict[str, Path]:
    """Name to file of every bundled student: cheapest tier first, in it what its name alone means, then others."""

    def order(path: Path) -> tuple[int, bool, str]:
        tier = path.stem.split("-")[0]
        return ([*_TIERS, tier].index(tier), path.stem != _TIERS.get(tier), path.stem)

    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"), key=order)}


def conditioned_file(tier: str) -> Path | None:
    """Return the file of a tier's conditioned student, or None if the tier has none."""
    path = _FOLDER / "conditioned" / f"{tier}.safetensors"
    return path if path.is_file() else None


def is_model_path(model: object) -> TypeGuard[str | Path]:
    """Return True for the path of a model's file, False for a model's name and anything else."""
    text = model if isinstance(model, str) else ""
    return isinstance(model, Path) or text.endswith(".safetensors") or "/" in text or "\\" in text


def find_student(model: str | Path) -> Student:
    """A bundled student by name (``fast-clean-x2``), tier (``fast``), tier and task (``fast-call``) where that is one
    student, or any student by the path of its file.

    Raises ModelError for a name that is neither, naming those that are; InputNotFoundError for a missing path.
    """
    if is_model_path(model):
        return load_student(model)
    model = str(model)
    models = bundled_models()
    name = _TIERS.get(model, model)
    if name in models:
        return load_student(models[name])
    of_task = [path for known, path in models.items() if known.startswith(f"{name}-x")]
    if len(of_task) == 1:
        return load_student(of_task[0])
    tiers = ", ".join(("auto", *_TIERS))
    names = ", ".join(models) or "none"
    raise ModelError(f"unknown model {model!r}; accepted are {tiers}, one of {names}, or a .safetensors file")


def factors_of(name: str) -> tuple[float, ...]:
    """The factors that a model's name says it is for: 3 and 4 of ``fast-call-x3-4``. Empty where it says none."""
    found = re.search(r"-x([\d.]+(?:-[\d.]+)*)$", name)
    return tuple(float(f) for f in found[1].split("-")) if found else ()


def student_for(tier: str, task: str, factor: float) -> str | None:
    """The bundled student, of a tier or a cheaper one, for what was scaled up by ``factor``.

    For that very factor where there is one, else, above 1, for the nearest above 1; then of that task rather than of
    another; then of that tier rather than of a cheaper one. None where there is none: what was not scaled up is only
    given to a student of its task that was trained for it.
    """
    allowed = TIERS[: TIERS.index(tier) + 1]

    def rank(name: str) -> tuple[float, bool, int, int]:
        its_tier, its_task = name.split("-")[:2]
        distance = min(abs(math.log(f / factor)) for f in factors_of(name) if f > 1 or factor == 1)
        return round(distance, 6), its_task != task, -TIERS.index(its_tier), len(factors_of(name))

    names = [name for name in bundled_models() if name.split("-")[0] in allowed]
    if factor == 1:
        fits = [name for name in names if 1.0 in factors_of(name) and name.split("-")[1] == task]
    else:
        fits = [name for name in names if any(f > 1 for f in factors_of(name))]
    return min(fits, key=rank, default=None)
