"""Where frames wait between two stages of a live job: a slot for the newest one, or a short queue."""

import threading
from collections import deque
from typing import Generic, TypeVar

__all__ = ["FrameSlot"]

T = TypeVar("T")


class FrameSlot(Generic[T]):
    """A bounded buffer between one thread that puts and one that takes.

    With a capacity of 1, a new item replaces the one that waits, so that the taker always gets the newest one. With a
    larger capacity, a full buffer refuses the new item, so that the taker misses as few as possible.

    Args:
        capacity: how many items may wait.
    """

    def __init__(self, capacity: int = 1) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._closed = False

    def put(self, item: T) -> T | None:
        """Leave an item for the taker. Never waits.

        Returns:
            The item that is lost: the replaced one, or ``item`` itself if it was refused. None if nothing is lost.
        """
        with self._changed:
            if self._closed or len(self._items) >= self._capacity > 1:
                return item
            lost = self._items.popleft() if len(self._items) >= self._capacity else None
            self._items.append(item)
            self._changed.notify()
            return lost

    def take(self, timeout: float) -> T | None:
        """Take the oldest item.

        Args:
            timeout: seconds to wait for an item.

        Returns:
            The item, or None if there was none in time or the slot is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout)
            return self._items.popleft() if self._items else None

    def __len__(self) -> int:
        """Return how many items wait."""
        with self._changed:
            return len(self._items)

    @property
    def finished(self) -> bool:
        """True if the slot is closed and empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Refuse new items and wake the taker. Waiting items can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
