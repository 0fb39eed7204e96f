"""Progress of a job on the terminal: a bar, plain lines, JSON lines for programs, or nothing."""

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

__all__ = ["JobProgress", "ProgressMode"]

ProgressMode = Literal["auto", "plain", "json", "none"]

_PLAIN_EVERY, _JSON_EVERY = 5.0, 0.5  # seconds


class JobProgress:
    """Shows how far a job is. A context manager; :meth:`update` is what pipelines call.

    mode: ``auto`` is a bar on a terminal and plain lines elsewhere. unit: what is counted.
    Everything goes to stderr, but JSON to ``json_to`` (stdout), which is for programs to read.
    """

    def __init__(self, mode: ProgressMode, *, what: str, unit: str = "frames", json_to: TextIO | None = None) -> None:
        self.mode = mode if mode != "auto" else ("bar" if sys.stderr.isatty() else "plain")
        self._what, self._unit = what, unit
        self._json_to = json_to or sys.stdout
        self._started = self._shown = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "JobProgress":
        if self.mode == "bar":
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[count]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=None, count="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """``total`` is 0 where unknown."""
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-9)
        if self.mode == "bar":
            count = f"{done}/{total}" if total else str(done)
            self._bar.update(
                self._task, completed=done, total=total or None, count=f"{count} {self._unit}, {rate:.1f}/s"
            )
        elif self.mode == "plain" and now - self._shown >= _PLAIN_EVERY:
            self._shown = now
            share = f" ({done / total:.0%})" if total else ""
            print(f"{self._what}: {done} {self._unit}{share}, {rate:.1f}/s", file=sys.stderr, flush=True)
        elif self.mode == "json" and (now - self._shown >= _JSON_EVERY or done == total):
            self._shown = now
            self.event("progress", done=done, total=total, rate=round(rate, 2))

    def event(self, event: str, **values: Any) -> None:
        """One JSON line, in JSON mode only."""
        if self.mode == "json":
            print(json.dumps({"event": event, "what": self._what, **values}), file=self._json_to, flush=True)

    def say(self, line: str) -> None:
        """A line for people: above the bar, and not at all in the modes ``json`` and ``none``."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif self.mode == "plain":
            print(line, file=sys.stderr, flush=True)

    @property
    def callback(self) -> Callable[[int, int], None]:
        return self.update
