"""What ``acutance live`` says while it runs, and at the end."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from acutance.cli.progress import ProgressMode

if TYPE_CHECKING:
    from acutance.live import LiveReport, LiveStatus

__all__ = ["Teller", "figures"]

_TELL_EVERY = 10.0  # seconds between lines where there is no terminal


def figures(status: "LiveStatus") -> str:
    """The line of figures, for a window and a terminal."""
    parts = [
        f"{status.tier if status.enabled else 'off (space)'}",
        f"{status.fps:.0f} fps",
        f"{1000 * status.latency:.0f} ms",
        f"{status.dropped} dropped",
    ]
    if status.computed or status.passed or status.reused:
        parts.append(f"tiles {status.computed:.0%} computed, {status.passed:.0%} passed, {status.reused:.0%} reused")
    if status.share < 1:
        parts.append(f"at most {status.share:.0%}")
    if status.strength != 1:
        parts.append(f"strength {status.strength:g}")
    return "   ".join(parts)


class Teller:
    """What the terminal, or the program that reads, is told: all on stderr, for stdout may carry the picture."""

    def __init__(self, mode: ProgressMode) -> None:
        self.mode = mode if mode != "auto" else ("line" if sys.stderr.isatty() else "plain")
        self._told = time.monotonic()
        self._on_line = False

    def note(self, text: str) -> None:
        if self.mode == "json":
            self._event("note", text=text)
        elif self.mode != "none":
            self._clear()
            print(f"acutance: {text}", file=sys.stderr, flush=True)

    def status(self, status: "LiveStatus") -> None:
        if self.mode == "json":
            self._event("status", **{**asdict(status), "source": str(status.source)})
        elif self.mode == "line":
            self._clear()
            print(figures(status), end="", file=sys.stderr, flush=True)
            self._on_line = True
        elif self.mode == "plain" and time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            print(figures(status), file=sys.stderr, flush=True)

    def end(self) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._on_line:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._on_line = False

    def _event(self, event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=sys.stderr, flush=True)

    def summary(self, report: "LiveReport") -> None:
        if self.mode == "json":
            table = asdict(report)
            table["failed"] = {name: str(error) for name, error in report.failed.items()}
            self._event("done", **table)
        if self.mode in ("json", "none"):
            return
        tiles = report.tiles
        shares = ""
        if tiles.tiles:
            counts = (("computed", tiles.computed), ("passed", tiles.passed), ("reused", tiles.reused))
            shares = "; tiles: " + ", ".join(f"{count / tiles.tiles:.0%} {what}" for what, count in counts)
        print(
            f"acutance: {report.source}: {report.captured} frames in {report.seconds:.1f} s, "
            f"{1000 * report.work[0]:.1f} ms of sharpening each{shares}; {report.cpu:.2f} processors",
            file=sys.stderr,
        )
        for name, sink in report.sinks.items():
            dropped = ", ".join(f"{count} dropped: {cause}" for cause, count in sink.dropped.items())
            latency = " / ".join(f"{1000 * value:.1f}" for value in sink.latency)
            print(
                f"acutance: {name}: {sink.shown} shown{', ' + dropped if dropped else ''}; "
                f"latency {latency} ms (median, 95 %, 99 %)",
                file=sys.stderr,
            )
