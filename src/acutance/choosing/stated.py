"""Plain students for a stated condition: what exports and the C library take."""

import math
import re
from dataclasses import replace
from pathlib import Path

from acutance.choosing.condition import KnownFacts
from acutance.choosing.condition_tracker import mixture_for
from acutance.errors import UsageError
from acutance.sharpening.base import check_look
from acutance.students.bundled import conditioned_file, find_student, is_model_path
from acutance.students.conditioned import LOOKS, ConditionedStudent, Look, is_conditioned_file, load_conditioned
from acutance.students.spec import Student

__all__ = ["at_condition", "is_condition", "parse_condition", "stated_student"]

_FACTOR = re.compile(r"x(\d+(?:\.\d+)?)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)bpp")


def is_condition(text: str) -> bool:
    """Return True if a text has the form of a condition, such as ``x2`` or ``x2,0.05bpp``."""
    return all(_FACTOR.fullmatch(part) or _RATE.fullmatch(part) for part in text.replace(" ", "").split(","))


def parse_condition(text: str) -> KnownFacts:
    """Return the facts that a text such as ``x2`` or ``x2,0.05bpp`` states: factor, bits per pixel.

    Raises:
        UsageError: If it states nothing, or something else.
    """
    factor: float | None = None
    rate: float | None = None
    for part in text.replace(" ", "").split(","):
        if (found := _FACTOR.fullmatch(part)) and factor is None:
            factor = float(found[1])
        elif (found := _RATE.fullmatch(part)) and rate is None:
            rate = float(found[1])
        else:
            raise UsageError(f"a condition is like 'x2' or 'x2,0.05bpp', not {text!r}")
    return KnownFacts(factor=factor, bits_per_pixel=rate)


def at_condition(student: ConditionedStudent, known: KnownFacts, *, look: Look | None = None) -> Student:
    """Return the plain student that a conditioned one is under a condition.

    Args:
        student: The conditioned student.
        known: The condition, of which at least the factor must be known.
        look: ``natural`` where None is given.

    Returns:
        A student named ``<name>-x<factor>``, whose description says the condition.

    Raises:
        UsageError: If the factor is not known, or the look does not exist.
    """
    if known.factor is None or not math.isfinite(known.factor):
        raise UsageError("a stated condition needs a factor, such as x2")
    chosen = check_look(look, LOOKS, student.spec.name)
    rate = "" if known.bits_per_pixel is None else f", {known.bits_per_pixel:g} bits per pixel"
    made = student.student(mixture_for(student, known), look=chosen)
    spec = replace(
        student.spec,
        name=f"{student.spec.name}-x{known.factor:g}",
        factors=(float(known.factor),),
        degradation=f"{student.spec.degradation} [{chosen} look at x{known.factor:g}{rate}]".strip(),
    )
    return Student(spec, made.layers)


def stated_student(model: str, *, condition: str | None = None, look: Look | None = None) -> Student:
    """Return the plain student that a model's name or file means, under a condition if one is stated.

    Args:
        model: A bundled student's name, a tier, or the path of a file of either kind.
        condition: Such as ``x2`` or ``x2,0.05bpp``, for a conditioned student, which a tier then means; None for a
            plain one.
        look: Of a conditioned student; ``natural`` where None is given.

    Raises:
        UsageError: If a conditioned student lacks a condition, or another student is given one or a look.
        ModelError: If the model is unknown.
    """
    path = Path(model) if is_model_path(model) else conditioned_file(model) if condition is not None else None
    conditioned = path is not None and is_conditioned_file(path)
    if path is not None and conditioned:
        if condition is None:
            raise UsageError(f"{model}: is a conditioned student: state a condition, such as x2")
        return at_condition(load_conditioned(path), parse_condition(condition), look=look)
    student = find_student(model)
    if condition is not None:
        raise UsageError(f"{model}: has one weight set, and a condition of {condition!r} was stated")
    check_look(look, ("faithful",), student.spec.name)
    return student
