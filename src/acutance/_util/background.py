"""Worker threads with a bounded queue. A sentinel ends them, and their exceptions are raised in the caller."""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

__all__ = ["Consumer", "Producer"]

T = TypeVar("T")

_LEAVE_AFTER = 0.7  # seconds to wait for a thread when the caller leaves with an error
_POLL = 0.1  # seconds between checks for a stop while a queue is full or empty


class _End:
    """The sentinel at the end of a queue. It carries the error of the other side, if there is one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Worker(ABC, Generic[T]):
    """A thread and a bounded queue. As a context manager it starts the thread, then stops and joins it."""

    def __init__(self, name: str, ahead: int) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"acutance-{name}", daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Do the work of the thread."""

    def _put(self, item: T | _End) -> bool:
        """Put an item into the queue. Return False if the other side has stopped."""
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
            # A thread that waits for a silent pipe cannot be woken. If the caller leaves with an error, such a thread
            # must not hold the error back, so the caller stops waiting for it.
            self._thread.join(_LEAVE_AFTER if error is not None else None)


class Producer(_Worker[T]):
    """Iterate over items in a thread, ahead of the caller.

    An exception of ``items`` is raised where the caller iterates.

    Args:
        items: what the thread iterates over.
        name: name of the thread, after ``acutance-``.
        ahead: how many items may wait for the caller.
    """

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
    """Call a function on each item, in a thread behind the caller. No item is dropped.

    Args:
        work: called with one item after the other.
        name: name of the thread, after ``acutance-``.
        behind: how many items may wait for the thread.
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
        """Queue an item; wait while the queue is full. Raises what ``work`` raised."""
        if not self._put(item) and self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Wait until all items are done. Raises what ``work`` raised."""
        self._put(_End())
        self._thread.join()
        if self._error is not None:
            raise self._error
