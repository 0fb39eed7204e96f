"""Recorded frames at their own pace: a file as if it were a camera, and Y4M as it comes through a pipe."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from acutance.errors import SourceError, UsageError
from acutance.frame import Frame
from acutance.io.source import LiveSource, SourceEnd, SourceInfo
from acutance.io.video import VideoInfo, VideoReader
from acutance.io.y4m import Y4MReader

__all__ = ["PacedFile", "Y4MSource"]

_LONGEST_GAP = 30.0  # seconds between two frames' times; more, or less than nothing, is a clock that jumped


class PacedFile(LiveSource):
    """The frames of a video file, each when it is due, as a camera would give them: nobody is waited for.

    rate: frames a second instead of the file's own times. loop: begin again at the end. size: (width, height) to scale
    to. clock: seconds, monotonic; sleep: waits so many. Frames that are due while nobody reads are given late, one
    after the other, and are not left out: that is for whoever takes the newest.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: float | None = None,
        loop: bool = False,
        size: tuple[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate is not None and not 0 < rate <= 1000:
            raise UsageError(f"a rate lies above 0 and up to 1000 frames a second, not {rate}")
        self.path, self._rate, self._loop, self._size = Path(path), rate, loop, size
        self._clock, self._sleep = clock, sleep
        self._stack = ExitStack()
        self._frames: Iterator[Frame] | None = None
        self._waiting: Frame | None = None
        self._due = 0.0
        self._last: float | None = None  # the last frame's own time
        self._zero: float | None = None

    def open(self) -> SourceInfo:
        self.close()
        info = self._rewind()
        self._due, self._last, self._zero = self._clock(), None, None
        rate = Fraction(self._rate).limit_denominator(1001) if self._rate else info.average_rate
        width, height = self._size or (info.width, info.height)
        return SourceInfo(self.path.name, width, height, rate, info.source_pix_fmt)

    @property
    def zero(self) -> float | None:
        """Where zero of the file's own clock lies on the monotonic one, by the last frame given; None before."""
        return self._zero

    def _rewind(self) -> VideoInfo:
        self._stack.close()
        reader = self._stack.enter_context(VideoReader(self.path, size=self._size))
        self._frames = iter(reader)
        return reader.info

    def read(self, timeout: float) -> Frame:
        if self._waiting is None:
            self._waiting = self._next()
            self._due = self._when(self._waiting)
        wait = self._due - self._clock()
        if wait > timeout:
            self._sleep(timeout)
            raise TimeoutError
        if wait > 0:
            self._sleep(wait)
        frame, self._waiting = self._waiting, None
        self._zero = self._due - (frame.time or 0.0)
        return frame

    def _next(self) -> Frame:
        if self._frames is None:
            raise SourceError(f"{self.path}: is not open")
        frame = next(self._frames, None)
        if frame is None and self._loop:
            self._rewind()
            frame = next(self._frames, None)
        if frame is None:
            raise SourceEnd
        return frame

    def _when(self, frame: Frame) -> float:
        """When the frame is due: as long after the last one as its time says, wherever that clock began."""
        now, own = self._clock(), frame.time
        last, self._last = self._last, own
        if self._rate is not None:
            return self._due + 1 / self._rate if self._zero is not None else now
        if own is None or last is None or not 0 < own - last <= _LONGEST_GAP:
            return now
        return self._due + (own - last)

    def close(self) -> None:
        self._stack.close()
        self._frames = self._waiting = None


class Y4MSource(LiveSource):
    """A YUV4MPEG2 stream, at the pace at which it comes. stream: binary. name: what messages call it."""

    def __init__(self, stream: BinaryIO, *, name: str = "-") -> None:
        self._stream, self._name = stream, name
        self._reader: Y4MReader | None = None
        self._frames: Iterator[Frame] | None = None

    def open(self) -> SourceInfo:
        self._reader = reader = Y4MReader(self._stream, name=self._name)
        self._frames = iter(reader)
        return SourceInfo(self._name, reader.width, reader.height, reader.rate)

    def read(self, timeout: float) -> Frame:  # noqa: ARG002 - a pipe cannot be asked to hurry
        if self._frames is None or self._reader is None:
            raise SourceError(f"{self._name}: is not open")
        frame = next(self._frames, None)
        if frame is None:
            if self._reader.damaged:
                raise SourceError(f"{self._name}: {self._reader.damaged}")
            raise SourceEnd
        return frame

    def close(self) -> None:
        self._frames = None
