"""Durations as people write them."""

import math
import re

from acutance.errors import UsageError

__all__ = ["seconds"]

_LONGEST = 1e8  # seconds, three years
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str, *, option: str) -> float:
    """``5``, ``5s``, ``1.5m``, ``500ms``, ``1:30`` or ``1:02:03.5`` in seconds. Raises UsageError naming ``option``."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(:[0-5]?\d){1,2}(\.\d+)?", text):
        value = 0.0
        for part in text.split(":"):
            value = value * 60 + float(part)
        return _checked(value, text, option)
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text)
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"{option} {text!r} is not a duration; accepted are 5, 5s, 500ms, 1.5m, 1:30")
    value = float(match[1]) * _UNITS[match[2]]
    return _checked(value, text, option)


def _checked(value: float, text: str, option: str) -> float:
    if not math.isfinite(value) or value > _LONGEST:
        raise UsageError(f"{option} {text!r} is longer than any video")
    return value
