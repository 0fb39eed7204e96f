"""Text for the terminal: standard streams that may be closed or full, and names that hold control characters."""

import contextlib
import io
import os
import re
import sys
from typing import Any, BinaryIO

from acutance.errors import OutputError

__all__ = ["binary_output", "complain", "prepare_streams", "printable"]

# C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return ``text`` with control characters and unpaired surrogates written as escapes, such as ``\\x1b``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def complain(line: str) -> None:
    """Write one line to the standard error stream, with the name of the program before it."""
    print(f"acutance: {printable(line)}", file=sys.stderr, flush=True)


class _PatientStream(io.TextIOWrapper):
    """A standard error stream whose failures do not matter: a job does not fail because nobody can read about it."""

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def prepare_streams() -> None:
    """Make the standard streams usable whatever the caller did to them.

    A closed descriptor is opened on the null device, so that no file of a job gets its number and is written to by
    mistake. Text that the terminal's encoding lacks is escaped. Errors of the standard error stream are ignored.
    """
    closed = [number for number in (0, 1, 2) if not _is_open(number)]
    while closed:
        number = os.open(os.devnull, os.O_RDWR)
        if number not in closed:
            os.close(number)
            break
        closed.remove(number)
    if sys.stdout is not None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    stream: Any = sys.stderr
    if isinstance(stream, io.TextIOWrapper):
        encoding = stream.encoding
        sys.stderr = _PatientStream(stream.detach(), encoding, "backslashreplace", line_buffering=True)
        sys.__stderr__ = sys.stderr  # type: ignore[misc]
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
    if sys.stdout is None:
        _closed.add("output")
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - lives as long as the process


def binary_output() -> BinaryIO:
    """Return the standard output stream for bytes. Raises OutputError if the caller has closed it."""
    if "output" in _closed:
        raise OutputError("-: the standard output stream is closed")
    return sys.stdout.buffer


_closed: set[str] = set()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
