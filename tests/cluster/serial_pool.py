"""A pool that runs the tasks of an archive in this process, one after the other, and can lose some of them."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

from acutance.cluster import task
from acutance.cluster.pool import Outcome


class SerialPool:
    """As :class:`acutance.cluster.pool.Pool`, with one slot on one node.

    before: called with (key, function, arguments) before each task; may return an Outcome's fields instead of a run.
    Attributes: names: of the tasks that were run, as Ray's dashboard would show them. avoided: nodes that get no more.
    """

    def __init__(self, job: Mapping[str, Any], before: Callable[..., dict[str, Any] | None] | None = None) -> None:
        self._job, self._before = job, before
        self._waiting: deque[tuple[Any, str, str, tuple[Any, ...]]] = deque()
        self.names: list[str] = []
        self.avoided: list[str] = []
        self.largest = 0

    @property
    def running(self) -> int:
        return len(self._waiting)

    def slots(self) -> int:
        return 0 if self.avoided else 1

    def submit(self, key: Any, name: str, function: str, arguments: tuple[Any, ...]) -> None:
        self._waiting.append((key, name, function, arguments))
        self.largest = max(self.largest, len(self._waiting))

    def collect(self, _timeout: float) -> list[Outcome]:
        if not self._waiting:
            return []
        key, name, function, arguments = self._waiting.popleft()
        self.names.append(name)
        found = None if self._before is None else self._before(key, function, arguments)
        if found is None:
            found = task.run_task(self._job, function, arguments)
        return [Outcome(key, **found)]

    def avoid(self, node: str) -> str:
        self.avoided.append(node)
        return node


def serial_connect(pools: list[SerialPool], before: Callable[..., dict[str, Any] | None] | None = None) -> Any:
    """Return what can stand in for :func:`acutance.cluster.pool.connect`; the pools it makes are added to ``pools``."""

    @contextmanager
    def connect(cluster: str, job: Mapping[str, Any], *, cpus: int) -> Any:
        pools.append(SerialPool(job, before))
        yield pools[-1]

    return connect
