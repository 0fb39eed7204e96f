"""What lies between two stages of a live job: one place, in which a newer thing replaces the one that nobody took; or a
short line, for stages that are to miss nothing."""

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Line"]

T = TypeVar("T")


class Line(Generic[T]):
    """Between threads that put and threads that take. places: how many things may wait; 1: a slot for the newest.

    A full slot gives up what is in it for the newer thing; a full line of several places refuses the newer one. Either
    way :meth:`put` returns what nobody will take.
    """

    def __init__(self, places: int = 1) -> None:
        self._filled = threading.Condition()
        self._things: deque[T] = deque()
        self._places = places
        self._closed = False

    def put(self, thing: T) -> T | None:
        """Leave ``thing`` for whoever takes next. Returns the one that is lost by that, if any; once closed, itself."""
        with self._filled:
            if self._closed or len(self._things) >= self._places > 1:
                return thing
            lost = self._things.popleft() if len(self._things) >= self._places else None
            self._things.append(thing)
            self._filled.notify()
            return lost

    def take(self, timeout: float) -> T | None:
        """Take the oldest, waiting so many seconds for one; None where none came, or none will come."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._things) or self._closed, timeout)
            return self._things.popleft() if self._things else None

    def __len__(self) -> int:
        with self._filled:
            return len(self._things)

    @property
    def finished(self) -> bool:
        """Closed, and all taken."""
        with self._filled:
            return self._closed and not self._things

    def close(self) -> None:
        """Nothing will be put any more. What waits can still be taken; who waits is woken."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()
