"""What the command line says of an exception: one line and an exit code, whatever the exception is."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from acutance.cli import exit_codes
from acutance.cli.terminal import complain, printable
from acutance.errors import AcutanceError, OutputError

__all__ = ["INTERNAL_ERROR", "SHORTAGE", "BatchFailures", "explain"]

INTERNAL_ERROR = 70
"""The exit code of a fault in acutance itself (EX_SOFTWARE of sysexits.h)."""
SHORTAGE = 71
"""The exit code where the system has no memory, threads or open files left (EX_OSERR of sysexits.h)."""
_TRACEBACK = "ACUTANCE_TRACEBACK"
_NO_MEMORY = ("cannot allocate memory", "failed to map segment", "bad_alloc", "out of memory")


def explain(error: BaseException, known: Collection[str] = ()) -> tuple[str, int]:
    """Return one line that says what went wrong, and the exit code.

    Args:
        error: Any exception.
        known: The options of the verb in use; those that would help are named.

    Returns:
        The line without the program's name, and the exit code. With ``ACUTANCE_TRACEBACK`` set, the traceback goes to
        the standard error stream too.
    """
    if os.environ.get(_TRACEBACK):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, AcutanceError):
        return printable(" ".join(exit_codes.explain(error, known).split())), exit_codes.exit_code(error)
    shortage = _shortage(error)
    if shortage is not None:
        return shortage, SHORTAGE
    first = printable(" ".join(str(error).split())[:300])
    if isinstance(error, OSError):  # no layer below expected it
        where = f"{printable(error.filename)}: " if isinstance(error.filename, str) else ""
        return f"{where}{error.strerror or first}", exit_codes.exit_code(OutputError)
    name = type(error).__name__
    return f"internal error: {name}: {first} (set {_TRACEBACK}=1 to see where, and report it)", INTERNAL_ERROR


def _shortage(error: BaseException) -> str | None:
    """Return what the system lacks, if that is what an exception is about."""
    text = str(error).lower()
    code = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or code == errno.ENOMEM or any(words in text for words in _NO_MEMORY):
        return "out of memory: a smaller picture, fewer threads, or more memory is needed"
    if "can't start new thread" in text or "resource temporarily unavailable" in text:
        return "no more threads can be started: the limit on memory or processes is reached"
    if code in (errno.EMFILE, errno.ENFILE):
        return "too many files are open: the limit is reached"
    return None


@dataclass
class BatchFailures:
    """The files of a batch that failed: they are listed at its end.

    Attributes:
        total: How many files the batch has.
        code: The exit code of the last failure, 0 without one.
        failed: One line for each file that failed.
        say: Called with one line when a file fails.
        known: The options of the verb in use.
    """

    total: int = 0
    code: int = 0
    failed: list[str] = field(default_factory=list)
    say: Callable[[str], None] | None = None
    known: Collection[str] = ()

    def add(self, path: str | Path, error: BaseException) -> None:
        """Remember the failure of one file."""
        line, self.code = explain(error, self.known)
        name = printable(str(path))
        line = line if name in line else f"{name}: {line}"
        self.failed.append(line)
        if self.say is not None:
            self.say(f"failed: {line}")

    def summarise(self) -> int:
        """List what failed; returns the exit code of the last failure, 0 without one."""
        if len(self.failed) > 1:
            complain(f"{len(self.failed)} of {self.total} files failed:")
        for line in self.failed:
            complain(line)
        return self.code
