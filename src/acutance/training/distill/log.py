"""The log of a run: JSON lines, one event each, in step order even after a resume."""

import json
import os
from pathlib import Path
from typing import Any

from acutance.errors import OutputError

__all__ = ["RunLog", "read_log"]


def read_log(path: Path) -> list[dict[str, Any]]:
    """All whole events; a last line that a kill cut off is left out."""
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
    """Appends events to a file. Opened at a step, it first forgets what lies behind it: a run killed after its last
    checkpoint repeats those steps and would log them twice. Without a file (None) it forgets everything: of processes
    that share a run, one keeps the log."""

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
        try:
            self._file.write(json.dumps({"event": event, "step": step, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()
