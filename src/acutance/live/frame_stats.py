"""Counts and durations of a live job: what happened to every frame, and how long it took."""

import threading
from collections import Counter

import numpy as np

__all__ = ["DropCounts", "DurationHistogram", "FrameStats"]

DropCounts = dict[str, int]
"""Number of dropped frames by cause."""

_BIN_SECONDS = 1e-4
_BINS = 50_000


class DurationHistogram:
    """Percentiles of any number of durations in constant memory: bins of 0.1 ms, up to 5 s."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, seconds: float) -> None:
        """Count one duration. Values above 5 s count as 5 s."""
        self._counts[min(_BINS - 1, max(0, int(seconds / _BIN_SECONDS)))] += 1

    def __len__(self) -> int:
        """Return how many durations were added."""
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float:
        """Return a percentile.

        Args:
            percent: 0 to 100.

        Returns:
            Seconds, rounded up to the bin; 0 if nothing was added.
        """
        below = np.cumsum(self._counts)
        if not below[-1]:
            return 0.0
        return (int(np.searchsorted(below, percent / 100 * below[-1])) + 1) * _BIN_SECONDS


class FrameStats:
    """Frame counts for each sink: captured = shown + dropped. All methods are thread-safe.

    Args:
        sinks: names of the sinks.

    Attributes:
        captured: frames that the source gave.
        latency: for each sink, durations from capture to shown.
        work: durations of sharpening a frame.
    """

    def __init__(self, sinks: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self.captured = 0
        self._shown: Counter[str] = Counter(dict.fromkeys(sinks, 0))
        self._dropped: dict[str, Counter[str]] = {name: Counter() for name in sinks}
        self.latency = {name: DurationHistogram() for name in sinks}
        self.work = DurationHistogram()

    def count_captured(self) -> None:
        """Count a captured frame."""
        with self._lock:
            self.captured += 1

    def count_dropped(self, cause: str, *, sink: str | None = None) -> None:
        """Count a frame that will not be shown.

        Args:
            cause: why; one of the constants in :mod:`acutance.live.report`.
            sink: name of the sink; None means all sinks.
        """
        with self._lock:
            for name in self._dropped if sink is None else (sink,):
                self._dropped[name][cause] += 1

    def count_shown(self, sink: str, latency: float) -> None:
        """Count a frame that a sink has shown.

        Args:
            sink: name of the sink.
            latency: seconds from capture to shown.
        """
        with self._lock:
            self._shown[sink] += 1
            self.latency[sink].add(latency)

    def add_work(self, seconds: float) -> None:
        """Add the time that sharpening one frame took."""
        with self._lock:
            self.work.add(seconds)

    def shown(self, sink: str) -> int:
        """Return how many frames a sink has shown."""
        with self._lock:
            return self._shown[sink]

    def dropped(self, sink: str) -> DropCounts:
        """Return how many frames a sink has missed, by cause."""
        with self._lock:
            return dict(self._dropped[sink])
