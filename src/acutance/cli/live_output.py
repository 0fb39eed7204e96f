"""The output of ``acutance live``: a status line, notes and the totals at the end."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from acutance.cli.progress import ProgressMode

if TYPE_CHECKING:
    from acutance.live import LiveReport, LiveStatus

__all__ = ["LiveOutput", "status_line"]

_PLAIN_EVERY = 10.0  # seconds between status lines without a terminal


def status_line(status: "LiveStatus") -> str:
    """Return a running job's state as one line, for a window or a terminal."""
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


class LiveOutput:
    """Print notes, status and totals to stderr, because stdout may carry the video.

    Args:
        mode: how progress is printed; ``auto`` is a line that updates on a terminal, and plain lines elsewhere.
    """

    def __init__(self, mode: ProgressMode) -> None:
        self.mode = mode if mode != "auto" else ("line" if sys.stderr.isatty() else "plain")
        self._last_status = time.monotonic()
        self._on_line = False

    def note(self, text: str) -> None:
        """Print a note."""
        if self.mode == "json":
            self._event("note", text=text)
        elif self.mode != "none":
            self._clear()
            print(f"acutance: {text}", file=sys.stderr, flush=True)

    def status(self, status: "LiveStatus") -> None:
        """Print the state of the job."""
        if self.mode == "json":
            self._event("status", **{**asdict(status), "source": str(status.source)})
        elif self.mode == "line":
            self._clear()
            print(status_line(status), end="", file=sys.stderr, flush=True)
            self._on_line = True
        elif self.mode == "plain" and time.monotonic() - self._last_status >= _PLAIN_EVERY:
            self._last_status = time.monotonic()
            print(status_line(status), file=sys.stderr, flush=True)

    def end(self) -> None:
        """Clear the status line."""
        self._clear()

    def _clear(self) -> None:
        if self._on_line:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._on_line = False

    def _event(self, event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=sys.stderr, flush=True)

    def summary(self, report: "LiveReport") -> None:
        """Print the totals of a job."""
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
