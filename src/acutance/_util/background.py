"""Work done ahead or behind by a named thread: bounded, ended by a sentinel, its exceptions raised in the caller."""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["Consumer", "Producer"]

T = TypeVar("T")

_PATIENCE = 0.7
_POLL = 0.1  # seconds between looks at whether to stop, while a queue is full or empty


class _End:
    """The sentinel; carries what went wrong, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Worker(ABC, Generic[T]):
    """A thread and a bounded queue; a context manager that stops and joins it, twice if need be."""

    def __init__(self, name: str, ahead: int) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"acutance-{name}", daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """What the thread does."""

    def _put(self, item: T | _End) -> bool:
        """False where the other side has stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def _get(self) -> T | _End:
        while not self._stopped.is_set():
            try:
                return self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
        return _End()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            # Only a thread that waits for a pipe nobody writes to (or reads from) takes longer than a frame; nothing
            # can wake it. When the caller is already leaving with an error it is left behind.
            self._thread.join(_PATIENCE if error is not None else None)


class Producer(_Worker[T]):
    """Iterates over ``items`` in a thread, up to ``ahead`` items ahead of whoever iterates over this."""

    def __init__(self, items: Iterable[T], *, name: str, ahead: int = 4) -> None:
        super().__init__(name, ahead)
        self._items = items

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:  # surfaces in the consumer
            self._put(_End(error))

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self._get(), _End):
            yield item
        if item.error is not None:
            raise item.error


class Consumer(_Worker[T]):
    """Calls ``work`` on each item in a thread, up to ``behind`` items behind; nothing is dropped.

    :meth:`put` raises what ``work`` raised; so does :meth:`finish`, which waits until all is done.
    """

    def __init__(self, work: Callable[[T], None], *, name: str, behind: int = 4) -> None:
        super().__init__(name, behind)
        self._work = work
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            while not isinstance(item := self._get(), _End):
                self._work(item)
        except BaseException as error:  # surfaces in put or finish
            self._error = error
            self._stopped.set()

    def put(self, item: T) -> None:
        if not self._put(item) and self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait until every item has been worked on."""
        self._put(_End())
        self._thread.join()
        if self._error is not None:
            raise self._error
