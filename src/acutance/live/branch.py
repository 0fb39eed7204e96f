"""A sink of a live job, and what waits for it."""

import contextlib
import threading
from collections.abc import Callable

from acutance.errors import AcutanceError, OutputError
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo
from acutance.live.ledger import Durations, Ledger
from acutance.live.line import Line
from acutance.live.report import CLOSED, SLOW_SINK

__all__ = ["Branch"]

_POLL = 0.2  # seconds between looks at whether there is more to come


class Branch:
    """Takes frames for its sink, shows them one by one, and writes in the ledger what becomes of each.

    failed: what is wrong with the sink, which is closed then; None while nothing is. recent: latencies, in seconds, for
    whoever wants those of a while: to be replaced at will. thread: the one it runs in, where that is its own.
    """

    def __init__(self, sink: LiveSink, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.sink, self.name = sink, sink.name
        self.line: Line[Shown] = Line(max(1, sink.waits))
        self.failed: AcutanceError | None = None
        self.recent = Durations()
        self.thread: threading.Thread | None = None
        self._ledger, self._clock = ledger, clock
        self._showing = False  # a frame that has been taken and is neither shown nor dropped yet
        self._opened = False

    def open(self, info: SourceInfo) -> None:
        self._opened = True
        self.sink.open(info)

    def give(self, shown: Shown) -> None:
        """A frame for the sink, from the thread that sharpens."""
        if self.failed is not None:
            self._ledger.drop(CLOSED, sink=self.name)
        elif self.line.put(shown) is not None:
            self._ledger.drop(SLOW_SINK, sink=self.name)

    def run(self, on_failure: Callable[["Branch"], None], stopped: Callable[[], bool]) -> None:
        """Show all that comes, until nothing will any more, or ``stopped`` says so."""
        while not stopped():
            shown = self.line.take(_POLL)
            if shown is not None:
                self.show(shown, on_failure)
            elif self.line.finished:
                return

    def show(self, shown: Shown, on_failure: Callable[["Branch"], None]) -> None:
        """Show one frame. A sink that fails is closed, and ``on_failure`` told."""
        if self.failed is not None:
            self._ledger.drop(CLOSED, sink=self.name)
            return
        self._showing = True
        try:
            self.sink.show(shown)
        except OutputError as error:
            self.failed = error
            with contextlib.suppress(AcutanceError):  # it has said what is wrong with it
                self._close_sink()
            self._showing = False
            self._ledger.drop(CLOSED, sink=self.name)
            on_failure(self)
            return
        latency = self._clock() - shown.captured
        self._ledger.show(self.name, latency)
        self._showing = False
        self.recent.add(latency)

    def close(self) -> bool:
        """Close the sink. Returns False where that fails for the first time; ``failed`` says how."""
        try:
            self._close_sink()
        except OutputError as error:
            if self.failed is None:
                self.failed = error
                return False
        return True

    def settle(self) -> None:
        """Write off what nobody will show any more."""
        while self.line.take(0.0) is not None:
            self._ledger.drop(CLOSED, sink=self.name)
        if self._showing:
            self._showing = False
            self._ledger.drop(CLOSED, sink=self.name)

    def _close_sink(self) -> None:
        if self._opened:
            self._opened = False
            self.sink.close()
