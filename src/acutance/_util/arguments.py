"""Checks of numbers that callers give: one kind of error for every value that makes no sense."""

import math
import numbers

from acutance.errors import UsageError

__all__ = ["finite_number", "shown", "whole_number"]


def finite_number(value: object, name: str, *, low: float, high: float, above: bool = False) -> float:
    """Return a number as a float.

    Args:
        value: What the caller gave. Booleans, text and arrays are not numbers.
        name: What messages call it.
        low: The least value accepted.
        high: The largest value accepted.
        above: ``low`` itself is not accepted.

    Raises:
        UsageError: It is no number, not finite, or out of range.
    """
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        try:
            number = float(value)
        except (OverflowError, ValueError):
            number = math.inf
        if low <= number <= high and not (above and number == low):
            return number
    begin = f"above {low:g}" if above else f"from {low:g}"
    raise UsageError(f"{name} must be a number {begin} to {high:g}, not {shown(value)}")


def whole_number(value: object, name: str, *, low: int, high: int) -> int:
    """Return a whole number from ``low`` to ``high`` as an int. Raises UsageError for everything else."""
    if not isinstance(value, bool) and isinstance(value, numbers.Integral):
        number = int(value)
        if low <= number <= high:
            return number
    raise UsageError(f"{name} must be a whole number from {low} to {high}, not {shown(value)}")


def shown(value: object) -> str:
    """Return a short form of a value for messages, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of integers of thousands of digits, and of objects whose repr fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
