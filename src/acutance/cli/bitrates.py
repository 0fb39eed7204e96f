"""Bit rates on the command line."""

from acutance.errors import UsageError

__all__ = ["bits_per_second"]


_LARGEST = 2_000_000_000


def bits_per_second(text: str | None) -> int | None:
    """Return the rate that ``--bitrate`` was given (``800k``, ``4M``), or None. Raises UsageError."""
    if text is None:
        return None
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = text[:-1] if factor > 1 else text
    try:
        bits = int(float(number) * factor)
    except (ValueError, OverflowError):  # of "inf"
        bits = 0
    if not 0 < bits <= _LARGEST:
        raise UsageError(f"--bitrate {text!r} is not a rate; accepted are 800k, 4M, 4000000")
    return bits
