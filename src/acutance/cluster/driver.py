"""The driver of an archive: which tasks are next, what became of them, and what is tried again."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from acutance.cluster.listing import ListedFile
from acutance.cluster.manifest import DoneFile, Manifest
from acutance.cluster.pool import Outcome
from acutance.cluster.progress import ArchiveProgress, FailedFile, FrameCount
from acutance.cluster.work import FileTask
from acutance.errors import ClusterError, OutputError

__all__ = ["Driver", "TaskPool"]

_AHEAD = 2  # tasks submitted for each slot: one runs and one waits, so that no slot is idle between two
_LOOK = 1.0  # seconds to wait for a task before progress is shown and nodes are counted again


class TaskPool(Protocol):
    """What runs tasks: a Ray cluster, or this process in tests."""

    @property
    def running(self) -> int:
        """Return how many tasks are submitted and not collected."""

    def slots(self) -> int:
        """Return how many tasks can run at the same time now."""

    def submit(self, key: Any, name: str, function: str, arguments: tuple[Any, ...]) -> None:
        """Submit a task."""

    def collect(self, timeout: float) -> list[Outcome]:
        """Wait until a task ends, at most so many seconds; return those that have ended."""

    def avoid(self, node: str) -> str:
        """Give a node no more tasks. Return its name."""


@dataclass
class _OpenFile:
    """A file that is being worked on.

    Attributes:
        task: what its tasks are told.
        cuts: as :class:`acutance.jobs.segment_runs.SegmentPlan` has them; None if packets do not tell.
        records: of the segments that are stored, by number.
        ready: segments that wait to be submitted.
        running: tasks that are submitted.
        attempts: how often a task was lost.
        sequential: whether one task makes all segments that are missing, in order.
        joining: whether the segments are being joined.
        counted: frames that were counted as done in this run.
    """

    task: FileTask
    cuts: list[int] | None = None
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    ready: deque[int] = field(default_factory=deque)
    running: int = 0
    attempts: int = 0
    sequential: bool = False
    joining: bool = False
    counted: int = 0

    @property
    def name(self) -> str:
        return str(self.task["name"])


class Driver:
    """Runs the tasks of an archive on a pool.

    Args:
        pool: where tasks run.
        manifest: where finished files are written down.
        segment_frames: frames in a segment.
        retries: how often the tasks of a file are tried again after a process or node was lost.
        replace: tells whether the output of a file may be replaced.
        clean: removes what is unfinished of a file whose output is written down.
        say: told, a line at a time, what a user should know at once.
        tick: called about once a second with how far the archive is.

    Attributes:
        failed: files that were given up.
        files: how many were finished.
        frames: how many were finished.
    """

    def __init__(
        self,
        pool: TaskPool,
        manifest: Manifest,
        *,
        segment_frames: int,
        retries: int,
        replace: Callable[[ListedFile], bool],
        clean: Callable[[DoneFile], None],
        say: Callable[[str], None],
        tick: Callable[[ArchiveProgress], None],
    ) -> None:
        self._pool, self._manifest, self._every, self._retries = pool, manifest, segment_frames, retries
        self._replace, self._clean, self._say, self._tick = replace, clean, say, tick
        self._open: dict[str, _OpenFile] = {}
        self._slots = 0
        self._avoided: set[str] = set()
        self.failed: list[FailedFile] = []
        self.files = 0
        self._count = FrameCount({})

    @property
    def frames(self) -> int:
        """Frames finished in this run."""
        return self._count.done

    def run(self, files: Sequence[ListedFile]) -> None:
        """Do all files.

        Raises:
            OutputError: the output folder cannot be written.
            ClusterError: no node is left that can work.
        """
        began = ticked = time.monotonic()
        self._count = FrameCount({file.name: file.size for file in files})
        waiting = iter(files)
        self._slots = self._pool.slots()
        try:
            while not self._fill(waiting) or self._open:
                for outcome in self._pool.collect(_LOOK):
                    self._take(outcome)
                self._write_down()
                now = time.monotonic()
                if now - ticked >= _LOOK:
                    ticked = now
                    self._slots = self._pool.slots()
                    self._tick(self._progress(len(files), now - began))
        finally:
            self._write_down(now=True)
        self._tick(self._progress(len(files), time.monotonic() - began))

    def _write_down(self, *, now: bool = False) -> None:
        for done in self._manifest.flush(now=now):
            self._clean(done)

    def _progress(self, total: int, seconds: float) -> ArchiveProgress:
        return ArchiveProgress(self.files, len(self.failed), total, self.frames, self._count.total, seconds)

    # -- submitting -------------------------------------------------------------------------------------------------

    def _fill(self, waiting: Iterator[ListedFile]) -> bool:
        """Submit tasks until each slot has one waiting. Return True if no file is left to open."""
        limit = max(1, self._slots) * _AHEAD
        for file in self._open.values():
            while file.ready and self._pool.running < limit:
                self._submit_segment(file, file.ready.popleft())
        while self._pool.running < limit:
            listed = next(waiting, None)
            if listed is None:
                return True
            self._begin(listed)
        return False

    def _begin(self, listed: ListedFile) -> None:
        if listed.conflict is not None:
            self._count.drop(listed.name)
            reason = f"{listed.name}: its output {listed.output} is that of {listed.conflict}"
            self.failed.append(FailedFile(listed.name, reason, "UsageError"))
            return
        replace = self._replace(listed)
        task = {"name": listed.name, "version": listed.version, "output": listed.output, "replace": replace}
        file = self._open[listed.name] = _OpenFile(task)
        self._submit(file, "begin")

    def _submit(self, file: _OpenFile, step: Literal["begin", "join"]) -> None:
        file.running += 1
        if step == "begin":
            self._pool.submit((file.name, step), file.name, "begin_file", (file.task,))
        else:
            file.joining = True
            count = len(file.records)
            self._pool.submit((file.name, step), f"{file.name} [join]", "join_file", (file.task, count))

    def _submit_segment(self, file: _OpenFile, number: int) -> None:
        cuts = file.cuts or []
        if number == 0:
            place: dict[str, Any] = {"pts": None, "samples": None, "seek": False}
        elif file.sequential:
            # From the first frame: what a decoder makes of damage depends on all that it has decoded before.
            place = {**file.records[number - 1]["place"], "seek": False}
        else:
            place = {"pts": cuts[number - 1], "samples": None, "seek": True}
        count = None if file.sequential or number == len(cuts) else 1
        which = f"from {number + 1}" if file.sequential else f"{number + 1}/{len(cuts) + 1}"
        file.running += 1
        arguments = (file.task, number, place, count)
        self._pool.submit((file.name, number), f"{file.name} [{which}]", "make_segments", arguments)

    # -- collecting -------------------------------------------------------------------------------------------------

    def _take(self, outcome: Outcome) -> None:
        name, step = outcome.key
        file = self._open.get(name)
        if file is None:
            return  # given up while this task ran
        file.running -= 1
        value = outcome.value
        if value is None:
            self._take_fault(file, step, outcome)
        elif "done" in value:
            self._finish(file, DoneFile(**value["done"]))
        elif step == "begin":
            self._plan(file, value)
        elif step == "join":
            self._make_again(file, value["broken"])
        else:
            self._add_segments(file, step, value)

    def _plan(self, file: _OpenFile, plan: dict[str, Any]) -> None:
        file.cuts, file.sequential = plan["cuts"], plan["cuts"] is None
        file.records = {int(number): record for number, record in plan["segments"].items()}
        earlier = sum(record["frames"] for record in file.records.values())
        self._count.set_frames(file.name, max(0, plan["frames"] - earlier))
        if not file.sequential:
            file.ready.extend(n for n in range(len(file.cuts or []) + 1) if n not in file.records)
        self._advance(file)

    def _add_segments(self, file: _OpenFile, first: int, made: dict[str, Any]) -> None:
        records = {int(number): record for number, record in made["segments"].items()}
        file.records |= records
        if made["ended"] and not records and first - 1 in file.records:
            file.records[first - 1]["last"] = True
        frames = sum(record["frames"] for record in records.values())
        file.counted += frames
        self._count.done += frames
        self._advance(file)

    def _make_again(self, file: _OpenFile, broken: list[int]) -> None:
        file.joining = False
        for number in broken:
            file.records.pop(number, None)
        if self._count_attempt(file, f"segments {broken} are not as they were stored"):
            if file.sequential:
                file.records = {n: record for n, record in file.records.items() if n < broken[0]}
                broken = broken[:1]
            file.ready.extend(broken)

    def _advance(self, file: _OpenFile) -> None:
        """Once no task of a file is left: join its segments, or make those again that do not fit."""
        if file.running or file.ready:
            return
        number = 0
        while number in file.records and _is_sound(file.records, number, self._every, file.cuts):
            if file.records[number]["last"]:
                file.records = {n: record for n, record in file.records.items() if n <= number}
                self._submit(file, "join")
                return
            number += 1
        # Packets do not tell this file's frames, or decoding from a key frame gives others. From here on one task makes
        # the segments one after the other, as a file job does.
        file.sequential = True
        file.records = {n: record for n, record in file.records.items() if n < number}
        file.ready.append(number)

    def _take_fault(self, file: _OpenFile, step: Any, outcome: Outcome) -> None:
        if outcome.fault == "store":
            raise OutputError(f"{outcome.reason}; what is finished is kept, and the same archive goes on from there")
        if outcome.fault == "file":
            self._give_up(file, outcome.reason, outcome.error)
            return
        if outcome.fault == "node" and outcome.node and outcome.node not in self._avoided:
            self._avoided.add(outcome.node)
            name = self._pool.avoid(outcome.node)
            self._say(f"node {name}: {outcome.reason}; it gets no more tasks")
            self._slots = self._pool.slots()
            if not self._slots:
                raise ClusterError(f"no node is left that can work; the last said: {outcome.reason}")
        if not self._count_attempt(file, outcome.reason):
            return
        if step in ("begin", "join"):
            self._submit(file, step)
        else:
            file.ready.appendleft(step)

    def _count_attempt(self, file: _OpenFile, reason: str) -> bool:
        file.attempts += 1
        if file.attempts <= self._retries:
            return True
        self._give_up(file, f"{file.name}: given up after {file.attempts} attempts: {reason}", ClusterError.__name__)
        return False

    def _give_up(self, file: _OpenFile, reason: str, error: str) -> None:
        del self._open[file.name]
        self._count.drop(file.name)
        self.failed.append(FailedFile(file.name, reason, error))

    def _finish(self, file: _OpenFile, done: DoneFile) -> None:
        del self._open[file.name]
        if not file.records:  # one task did all of it
            self._count.set_frames(file.name, done.frames)
            self._count.done += done.frames
        self._count.forget(file.name)
        self.files += 1
        self._manifest.add(done)


def _is_sound(records: dict[int, dict[str, Any]], number: int, every: int, cuts: list[int] | None) -> bool:
    """Return True if a segment is what a file job would have made in its place, given that those before it are."""
    record, before = records[number], records.get(number - 1)
    place = record["place"]
    if number and (before is None or record["before"] != [before["place"]["pts"], before["place"]["samples"]]):
        return False
    if not record["planned"]:
        return True  # made after the segment before it, of which everything was known
    if cuts is None or number >= len(cuts):
        return True
    return bool(place["seek"]) and place["pts"] == cuts[number] and record["frames"] == every
