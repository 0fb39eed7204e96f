"""Batches made ahead of time by a thread, so that the student never waits for the disk."""

import queue
import threading
from collections.abc import Iterator
from types import TracebackType

from acutance.data.pairs import Batch, PairSet

__all__ = ["BatchFeed"]


class BatchFeed:
    """Iterates over the batches of steps ``start`` to ``stop``; a context manager that ends its thread."""

    def __init__(self, pairs: PairSet, *, start: int, stop: int, seed: int, size: int, crop: int) -> None:
        self._pairs, self._steps = pairs, range(start, stop)
        self._seed, self._size, self._crop = seed, size, crop
        self._queue: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=4)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make, name="acutance-batches", daemon=True)

    def _make(self) -> None:
        try:
            for step in self._steps:
                if not self._put(self._pairs.batch(step, seed=self._seed, size=self._size, crop=self._crop)):
                    return
            self._put(None)
        except BaseException as error:  # surfaces in the consumer
            self._put(error)

    def _put(self, item: Batch | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __enter__(self) -> "BatchFeed":
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[Batch]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
