"""The part of a live job that serves one sink."""

import contextlib
import threading
from collections.abc import Callable

from acutance.errors import AcutanceError, OutputError
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo
from acutance.live.frame_slot import FrameSlot
from acutance.live.frame_stats import DurationHistogram, FrameStats
from acutance.live.report import CLOSED, SLOW_SINK

__all__ = ["SinkWorker"]

_POLL = 0.2  # seconds between checks whether more frames will come


class SinkWorker:
    """Pass frames to one sink and count what happens to each.

    Args:
        sink: what shows the frames.
        stats: where frames are counted.
        clock: returns monotonic seconds.

    Attributes:
        slot: frames that wait for the sink.
        error: why the sink failed and was closed; None while it works.
        recent: latencies in seconds since the owner last replaced this histogram.
        thread: the thread of :meth:`run`; None for a sink of the main thread.
    """

    def __init__(self, sink: LiveSink, stats: FrameStats, clock: Callable[[], float]) -> None:
        self.sink, self.name = sink, sink.name
        self.slot: FrameSlot[Shown] = FrameSlot(max(1, sink.waits))
        self.error: AcutanceError | None = None
        self.recent = DurationHistogram()
        self.thread: threading.Thread | None = None
        self._stats, self._clock = stats, clock
        self._showing = False  # True while a taken frame is neither shown nor dropped
        self._opened = False

    def open(self, info: SourceInfo) -> None:
        """Open the sink. Raises what the sink raises."""
        self._opened = True
        self.sink.open(info)

    def offer(self, shown: Shown) -> None:
        """Offer a frame to the sink. Called by the thread that sharpens; never waits."""
        if self.error is not None:
            self._stats.count_dropped(CLOSED, sink=self.name)
        elif self.slot.put(shown) is not None:
            self._stats.count_dropped(SLOW_SINK, sink=self.name)

    def run(self, on_failure: Callable[["SinkWorker"], None], stopped: Callable[[], bool]) -> None:
        """Show frames until the slot is closed and empty.

        Args:
            on_failure: called with this worker if the sink fails.
            stopped: returns True to end early.
        """
        while not stopped():
            shown = self.slot.take(_POLL)
            if shown is not None:
                self.show(shown, on_failure)
            elif self.slot.finished:
                return

    def show(self, shown: Shown, on_failure: Callable[["SinkWorker"], None]) -> None:
        """Show one frame. A sink that fails is closed.

        Args:
            shown: the frame.
            on_failure: called with this worker if the sink fails.
        """
        if self.error is not None:
            self._stats.count_dropped(CLOSED, sink=self.name)
            return
        self._showing = True
        try:
            self.sink.show(shown)
        except OutputError as error:
            self.error = error
            with contextlib.suppress(AcutanceError):  # the first error is the one to report
                self._close_sink()
            self._showing = False
            self._stats.count_dropped(CLOSED, sink=self.name)
            on_failure(self)
            return
        latency = self._clock() - shown.captured
        self._stats.count_shown(self.name, latency)
        self._showing = False
        self.recent.add(latency)

    def close(self) -> bool:
        """Close the sink.

        Returns:
            False if closing fails and nothing failed before. Then :attr:`error` holds the reason.
        """
        try:
            self._close_sink()
        except OutputError as error:
            if self.error is None:
                self.error = error
                return False
        return True

    def drop_pending(self) -> None:
        """Count the frames that nobody will show any more as dropped."""
        while self.slot.take(0.0) is not None:
            self._stats.count_dropped(CLOSED, sink=self.name)
        if self._showing:
            self._showing = False
            self._stats.count_dropped(CLOSED, sink=self.name)

    def _close_sink(self) -> None:
        if self._opened:
            self._opened = False
            self.sink.close()
