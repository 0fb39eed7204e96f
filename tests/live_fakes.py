"""Scripted sources and sinks for live jobs: what goes wrong in life, on demand."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any, Protocol

import numpy as np

from acutance.frame import Frame
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import LiveSource, SourceEnd, SourceInfo


def frame(index: int = 0, width: int = 96, height: int = 64, *, rotation: int = 0) -> Frame:
    """A moving gradient, 4:2:0."""
    y, x = np.mgrid[0:height, 0:width]
    luma = (16 + (3 * x + 2 * y + 5 * index) % 200).astype(np.uint8)
    chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    return Frame(luma, (chroma, chroma), rotation=rotation)


def until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread does; a machine that is busy with other things takes its time."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise AssertionError("what was waited for did not happen")
        time.sleep(0.001)


class Counting(Protocol):
    """Says how many frames it has been shown."""

    @property
    def count(self) -> int: ...


def one_by_one(sink: Counting, frames: Iterable[Frame]) -> Iterator[Any]:
    """A script that gives a frame when the one before has been shown."""
    for number, item in enumerate(frames, start=1):
        yield item
        yield partial(_has_shown, sink, number)


def _has_shown(sink: Counting, number: int) -> bool:
    return sink.count >= number


class ScriptedSource(LiveSource):
    """Does what its script says, step by step: a frame is given, a number is a wait in seconds, a function is waited
    for until it says True, an exception is raised.

    openings: what each further ``open`` raises, None for one that succeeds; the first always does.
    """

    def __init__(
        self, script: Iterable[Any], *, rate: float = 100.0, returns: bool = False, openings: Iterable[Any] = ()
    ) -> None:
        self._script: Iterator[Any] = iter(script)
        self._openings: Iterator[Any] = iter((None, *openings))
        self.returns, self.rate = returns, rate
        self.opened = self.closed = 0

    def open(self) -> SourceInfo:
        error = next(self._openings, None)
        if error is not None:
            raise error
        self.opened += 1
        return SourceInfo("scripted", 96, 64, Fraction(self.rate).limit_denominator(1001))

    def read(self, timeout: float) -> Frame:
        for step in self._script:
            if isinstance(step, Frame):
                return step
            if isinstance(step, BaseException):
                raise step
            if callable(step):
                until(step)
            else:
                time.sleep(min(step, timeout))
                raise TimeoutError
        raise SourceEnd

    def close(self) -> None:
        self.closed += 1


class Collector(LiveSink):
    """Keeps what it is shown. pause: what it does with each frame before it is done with it. fails_after: frames,
    and then ``error``."""

    def __init__(
        self,
        name: str = "collector",
        *,
        pause: Callable[[Shown], None] = lambda _: None,
        fails_after: int | None = None,
        error: BaseException | None = None,
        waits: int = 0,
        keep: bool = True,
    ) -> None:
        self.name, self.waits = name, waits
        self._pause, self._fails_after, self._error, self._keep = pause, fails_after, error, keep
        self.shown: list[Shown] = []
        self.count = 0
        self.threads: set[str] = set()
        self.opened = self.closed_times = 0

    def open(self, info: SourceInfo) -> None:
        self.opened += 1
        self.info = info

    def show(self, shown: Shown) -> None:
        if self._error is not None and self.count == self._fails_after:
            raise self._error
        self.threads.add(threading.current_thread().name)
        self._pause(shown)
        self.count += 1
        if self._keep:
            self.shown.append(shown)

    def close(self) -> None:
        self.closed_times += 1
