"""The way into a live job: reads a source, opens it again when it is lost, and leaves the newest frame to be taken."""

import threading
from collections import deque
from collections.abc import Callable
from statistics import median

from acutance.errors import InputNotFoundError, SourceError
from acutance.frame import Frame
from acutance.io.source import LiveSource, SourceEnd, SourceInfo
from acutance.live.ledger import Ledger
from acutance.live.line import Line
from acutance.live.report import BUSY, ENDED, PAUSED

__all__ = ["Intake"]

_POLL = 0.2  # seconds between looks at whether to stop
_BACK_OFF = (0.5, 1.0, 2.0, 5.0)  # seconds between attempts to open a lost source
_GAPS = 31  # between frames, whose median is the interval that is believed: a hiccup and the burst after it are not
_SLOWEST, _FASTEST = 1.0, 1 / 240  # seconds between frames that are believed


class Intake:
    """line: frames, each with the time of its capture. info: what the source gives; None before it is open. interval:
    seconds from frame to frame, as they have come of late. lost: what is wrong with the source, or None. paused: frames
    are dropped as they come; may be set.
    """

    def __init__(
        self,
        source: LiveSource,
        ledger: Ledger,
        stopping: threading.Event,
        tell: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.line: Line[tuple[Frame, float]] = Line()
        self.info: SourceInfo | None = None
        self.interval = 1 / 30
        self.lost: str | None = None
        self.paused = False
        self._source, self._ledger, self._stopping = source, ledger, stopping
        self._tell, self._clock = tell, clock
        self._renewed = self._dropped = False

    def open(self) -> SourceInfo:
        """Raises what opening the source raises."""
        self.info = info = self._source.open()
        if info.rate:
            self.interval = _believed(float(1 / info.rate))
        self._tell(str(info))
        return info

    def run(self) -> None:
        """Read until the source ends or the job does. Raises SourceError where it is lost for good."""
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
                        self.interval = _believed(median(gaps))
                last = now
                self._leave(frame, now)
        finally:
            self.line.close()

    def _leave(self, frame: Frame, captured: float) -> None:
        self._ledger.capture()
        if self.paused:
            self._ledger.drop(PAUSED)
        elif self.line.put((frame, captured)) is not None:
            if self._stopping.is_set():
                self._ledger.drop(ENDED)
            else:
                self._ledger.drop(BUSY)
                self._dropped = True

    def _reopen(self, error: SourceError) -> None:
        """Wait until a lost source is back, or the job ends."""
        self.lost = str(error)
        self._tell(f"{error}; waiting for it to come back")
        self._source.close()
        attempt = 0
        while not self._stopping.wait(_BACK_OFF[min(attempt, len(_BACK_OFF) - 1)]):
            attempt += 1
            try:
                self.info = self._source.open()
            except (SourceError, InputNotFoundError) as again:
                self.lost = str(again)
                continue
            self.lost, self._renewed = None, True
            self._tell(f"{self.info} is back")
            return

    def renewed(self) -> bool:
        """Whether the source was opened anew since this was last asked: what was seen of it holds no longer."""
        renewed, self._renewed = self._renewed, False
        return renewed

    def dropped(self) -> bool:
        """Whether a frame was dropped, since this was last asked, because sharpening was busy."""
        dropped, self._dropped = self._dropped, False
        return dropped

    def close(self) -> None:
        self._source.close()


def _believed(seconds: float) -> float:
    return min(_SLOWEST, max(_FASTEST, seconds))
