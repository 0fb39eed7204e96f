"""Progress of a job on the terminal: a bar, plain lines, JSON lines for programs, or nothing."""

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

__all__ = ["JobProgress", "ProgressMode", "Unit"]

ProgressMode = Literal["auto", "plain", "json", "none"]
Unit = Literal["steps", "pictures", "frames", "bytes"]

_PLAIN_EVERY, _JSON_EVERY = 10.0, 0.5  # seconds


class JobProgress:
    """Shows one phase after another, each with its own count and unit, the time left, and a note that changes.

    A context manager. mode: ``auto`` is a bar on a terminal and plain lines elsewhere. JSON, for programs to read, goes
    to ``json_to`` (stdout), all else to stderr.
    """

    def __init__(self, mode: ProgressMode, *, json_to: TextIO | None = None) -> None:
        self._json_to = json_to
        self.mode = mode if mode != "auto" else ("bar" if sys.stderr.isatty() else "plain")
        self._phase: str | None = None
        self._unit: Unit = "steps"
        self._shown = 0.0
        self._started, self._first = time.monotonic(), 0
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
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}", style="dim"),
                console=Console(stderr=True),
                # Steps can be told of in bursts minutes apart: the estimate looks back far enough to see several.
                speed_estimate_period=600.0,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, phase: str, done: int, total: int | None, note: str = "", *, unit: Unit) -> None:
        """Another ``phase`` than before begins a new bar. total: None where unknown. note: shown beside."""
        now = time.monotonic()
        begins = phase != self._phase
        if begins:
            self._phase, self._unit, self._started, self._first = phase, unit, now, done
        count = self._count(done, total)
        if self.mode == "bar":
            if begins:
                self._task = self._bar.add_task(phase, total=total, completed=done, count=count, note=note)
            self._bar.update(self._task, completed=done, total=total, count=count, note=note)
            return
        last = total is not None and done >= total
        every = _JSON_EVERY if self.mode == "json" else _PLAIN_EVERY
        if not (begins or last or now - self._shown >= every):
            return
        self._shown = now
        if self.mode == "json":
            self.event("progress", phase=phase, done=done, total=total, unit=unit, note=note)
        elif self.mode == "plain":
            parts = [f"{phase}: {count}", note, self._left(done, total, now)]
            print("  ".join(part for part in parts if part), file=sys.stderr, flush=True)

    def counter(self, phase: str, *, unit: Unit) -> Callable[[int, int], None]:
        """What a pipeline calls with (done, total or 0 where unknown): :meth:`update` with the rate as its note."""

        def count(done: int, total: int) -> None:
            passed = time.monotonic() - self._started
            seen = done - self._first
            note = f"{seen / passed:.1f} {unit}/s" if phase == self._phase and seen > 0 and passed > 0 else ""
            # Files announce fewer frames than they hold often enough: then how many there are is not known.
            self.update(phase, done, total if done <= total else None, note, unit=unit)

        return count

    def event(self, event: str, **values: Any) -> None:
        """One JSON line, in JSON mode only."""
        if self.mode == "json":
            print(json.dumps({"event": event, **values}), file=self._json_to or sys.stdout, flush=True)

    def say(self, line: str) -> None:
        """A line for people: above the bar; in JSON mode an event; nothing in the mode ``none``."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif self.mode == "plain":
            print(line, file=sys.stderr, flush=True)
        else:
            self.event("message", text=line)

    def _count(self, done: int, total: int | None) -> str:
        if self._unit == "bytes":
            return f"{done / 1e6:,.1f}" + (f"/{total / 1e6:,.1f} MB" if total is not None else " MB")
        return f"{done:,}" + (f"/{total:,}" if total is not None else "") + f" {self._unit}"

    def _left(self, done: int, total: int | None, now: float) -> str:
        """Time left, from what this process has seen of the phase: a resumed one does not begin at nought."""
        seen = done - self._first
        if total is None or seen <= 0 or done >= total:
            return ""
        seconds = round((now - self._started) / seen * (total - done))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"about {hours}:{minutes:02d}:{seconds:02d} left"
