"""The log of a run: one JSON object a line and an event, in the order of steps even after a resume."""

import json
import os
from pathlib import Path
from typing import Any

from acutance.errors import OutputError

__all__ = ["RunLog", "read_log"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return all complete events. A last line that is cut off is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return events


class RunLog:
    """Appends events to a file.

    It first removes the events after ``at_step``. A run that was killed after its last checkpoint repeats those steps,
    and would log them twice.

    Args:
        path: the log; None for no log, as in all but one of the processes that share a run.
        at_step: the step at which the run continues.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path | None, *, at_step: int) -> None:
        self._path = path or Path(os.devnull)
        if path is None:
            self._file = self._path.open("a", encoding="utf-8")
            return
        kept = [e for e in read_log(path) if e["step"] <= at_step] if at_step else []
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            temporary.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")
            temporary.replace(path)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, event: str, *, step: int, **values: Any) -> None:
        """Append an event with its step and values. Raises OutputError."""
        try:
            self._file.write(json.dumps({"event": event, "step": step, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
