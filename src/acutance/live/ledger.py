"""The books of a live job: what became of every frame, and how long it took."""

import threading
from collections import Counter

import numpy as np

__all__ = ["Causes", "Durations", "Ledger"]

Causes = dict[str, int]
"""How many frames were dropped, by cause."""

_BIN = 1e-4  # seconds
_BINS = 50_000


class Durations:
    """Percentiles of any number of durations, in memory that does not grow: counted in bins of 0.1 ms, up to 5 s."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, seconds: float) -> None:
        self._counts[min(_BINS - 1, max(0, int(seconds / _BIN)))] += 1

    def __len__(self) -> int:
        return int(self._counts.sum())

    def percentile(self, percent: float) -> float:
        """In seconds, rounded up to the bin; 0 where nothing was added."""
        below = np.cumsum(self._counts)
        if not below[-1]:
            return 0.0
        return (int(np.searchsorted(below, percent / 100 * below[-1])) + 1) * _BIN


class Ledger:
    """captured = shown + dropped, for each sink; ``dropped`` by cause. Any thread may write."""

    def __init__(self, sinks: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self.captured = 0
        self._shown: Counter[str] = Counter(dict.fromkeys(sinks, 0))
        self._dropped: dict[str, Counter[str]] = {name: Counter() for name in sinks}
        self.latency = {name: Durations() for name in sinks}
        self.work = Durations()

    def capture(self) -> None:
        with self._lock:
            self.captured += 1

    def drop(self, cause: str, *, sink: str | None = None) -> None:
        """A frame that ``sink``, or no sink where None, will show."""
        with self._lock:
            for name in self._dropped if sink is None else (sink,):
                self._dropped[name][cause] += 1

    def show(self, sink: str, latency: float) -> None:
        with self._lock:
            self._shown[sink] += 1
            self.latency[sink].add(latency)

    def worked(self, seconds: float) -> None:
        with self._lock:
            self.work.add(seconds)

    def shown(self, sink: str) -> int:
        with self._lock:
            return self._shown[sink]

    def dropped(self, sink: str) -> Causes:
        with self._lock:
            return dict(self._dropped[sink])
