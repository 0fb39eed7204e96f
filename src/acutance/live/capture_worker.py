"""The part of a live job that reads its source and reopens a source that is lost."""

import threading
from collections import deque
from collections.abc import Callable
from statistics import median

from acutance.errors import InputNotFoundError, SourceError
from acutance.frame import Frame
from acutance.io.source import LiveSource, SourceEnd, SourceInfo
from acutance.live.frame_slot import FrameSlot
from acutance.live.frame_stats import FrameStats
from acutance.live.report import BUSY, ENDED, PAUSED

__all__ = ["CaptureWorker"]

_POLL = 0.2  # seconds between checks whether to stop
_BACK_OFF = (0.5, 1.0, 2.0, 5.0)  # seconds between attempts to open a lost source
_GAPS = 31  # gaps between frames; their median ignores a hiccup and the burst after it
_SLOWEST, _FASTEST = 1.0, 1 / 240  # seconds between frames: limits of the estimate


class CaptureWorker:
    """Read a live source and keep its newest frame ready for the thread that sharpens.

    Args:
        source: what to read.
        stats: where frames are counted.
        stopping: set when the job ends.
        notify: called with each note for the user.
        clock: returns monotonic seconds.

    Attributes:
        slot: the newest frame with the time of its capture.
        info: what the source gives; None before it is open.
        interval: seconds between frames, estimated from the last ones.
        lost: why the source is lost; None while it works.
        paused: if True, frames are dropped as they arrive. It can be set at any time.
    """

    def __init__(
        self,
        source: LiveSource,
        stats: FrameStats,
        stopping: threading.Event,
        notify: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.slot: FrameSlot[tuple[Frame, float]] = FrameSlot()
        self.info: SourceInfo | None = None
        self.interval = 1 / 30
        self.lost: str | None = None
        self.paused = False
        self._source, self._stats, self._stopping = source, stats, stopping
        self._notify, self._clock = notify, clock
        self._reopened = self._dropped = False

    def open(self) -> SourceInfo:
        """Open the source. Raises what the source raises."""
        self.info = info = self._source.open()
        if info.rate:
            self.interval = _plausible(float(1 / info.rate))
        self._notify(str(info))
        return info

    def run(self) -> None:
        """Read until the source ends or the job stops.

        Raises:
            SourceError: the source is lost and cannot come back.
        """
        last: float | None = None
        gaps: deque[float] = deque(maxlen=_GAPS)
        try:
            while not self._stopping.is_set():
                try:
                    frame = self._source.read(_POLL)
                except TimeoutError:
                    continue
                except SourceEnd:
                    return
                except SourceError as error:
                    if not self._source.returns:
                        raise
                    self._reopen(error)
                    last = None
                    continue
                now = self._clock()
                if last is not None:
                    gaps.append(now - last)
                    if len(gaps) == _GAPS:
                        self.interval = _plausible(median(gaps))
                last = now
                self._offer(frame, now)
        finally:
            self.slot.close()

    def _offer(self, frame: Frame, captured: float) -> None:
        self._stats.count_captured()
        if self.paused:
            self._stats.count_dropped(PAUSED)
        elif self.slot.put((frame, captured)) is not None:
            if self._stopping.is_set():
                self._stats.count_dropped(ENDED)
            else:
                self._stats.count_dropped(BUSY)
                self._dropped = True

    def _reopen(self, error: SourceError) -> None:
        """Try to open a lost source until it is back or the job stops."""
        self.lost = str(error)
        self._notify(f"{error}; waiting for it to come back")
        self._source.close()
        attempt = 0
        while not self._stopping.wait(_BACK_OFF[min(attempt, len(_BACK_OFF) - 1)]):
            attempt += 1
            try:
                self.info = self._source.open()
            except (SourceError, InputNotFoundError) as again:
                self.lost = str(again)
                continue
            self.lost, self._reopened = None, True
            self._notify(f"{self.info} is back")
            return

    def pop_reopened(self) -> bool:
        """Return True once after the source was reopened. Knowledge of earlier frames is then out of date."""
        reopened, self._reopened = self._reopened, False
        return reopened

    def pop_dropped(self) -> bool:
        """Return True if a frame was dropped since the last call because sharpening was busy."""
        dropped, self._dropped = self._dropped, False
        return dropped

    def close(self) -> None:
        """Close the source. A second call does nothing."""
        self._source.close()


def _plausible(seconds: float) -> float:
    return min(_SLOWEST, max(_FASTEST, seconds))
