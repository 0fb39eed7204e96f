"""What of an unfinished file job is on the disk: the folder beside its output, the lock and the journal in it.

The journal is lines of JSON, each followed by a tab and the SHA-256 of it and of the hash of the line before: first
what the job is, then one a finished segment, at last that the output is whole. What is not as it was written is not
trusted, nor is what follows.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acutance._util.work_folder import ForeignFolderError, WorkFolder, read_plain
from acutance.errors import (
    CorruptInputError,
    OutputError,
    OutputExistsError,
    ResumeError,
    UnsupportedMediaError,
    UsageError,
)
from acutance.io.files import final_name, flush_to_disk, output_error
from acutance.jobs.sealed_lines import chain_hash

__all__ = ["Entry", "Journal", "Unfinished", "job_folder", "sweep", "unfinished"]

_JOURNAL = "journal"
_OWN = re.compile(r"journal|[0-9]{6,}\.segment|\..*\.[0-9a-f]{8}\.part(\..*)?", re.DOTALL)
"""The names of a job's files: its journal, its segments, and the temporary file that becomes the output."""
_MOST_BYTES = 64 << 20  # of a journal; a day of video at 60 frames per second needs a third
_PIECE = 1 << 20
_LOST = (UsageError, UnsupportedMediaError, CorruptInputError)
"""What would come again at the same place: a job that ends so has nothing to go on with."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished segment, and where the job was when it was.

    segment, size, sha256: of its file. frames: finished by then, from the job's first. pts, samples: time and
    checksum of the last frame that was read. straight: whether a place in the input may be sought by its time. tiles:
    of all frames. session: what the sharpening session remembers. ended: of the last segment, what is to be said of the
    whole job: ``notes`` and ``damaged``.
    """

    segment: str
    size: int
    sha256: str
    frames: int
    pts: int
    samples: int | None
    straight: bool
    tiles: tuple[int, int, int, int]
    session: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job that was begun. frames: how many are finished. overwrite: whether it may replace what has its name."""

    frames: int
    overwrite: bool


def unfinished(target: str | Path) -> Unfinished | None:
    """The job with that output that was begun and has finished segments, as far as its journal says; else None."""
    target = Path(target)
    contents = _read(job_folder(target))
    if not contents.entries or contents.is_done(final_name(target)):
        return None
    return Unfinished(contents.entries[-1].frames, contents.overwrite)


def sweep(target: str | Path) -> None:
    """Remove the folder of a job that was killed after its output got its name."""
    target = Path(target)
    if _read(job_folder(target)).is_done(final_name(target)):
        with (
            contextlib.suppress(OutputError, OutputExistsError),
            Journal(target, {}, resume=False, overwrite=False),
        ):
            pass


def job_folder(target: str | Path) -> Path:
    """Where everything unfinished of the job with that output is."""
    final = final_name(target)
    name = final.name
    if len(os.fsencode(name)) > 200:  # file systems allow 255
        name = f"{name[:40]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return final.with_name(f".{name}.acutance")


class Journal:
    """The folder of a job, locked; a context manager.

    target: the output. identity: what decides its content (:mod:`acutance.jobs.identity`). resume: go on with what is
    there. overwrite: may replace the output; without ``resume``, throw away what is there.

    Entered, ``entries`` are the segments that are there and good: none where the job begins at its first frame.
    Left without an exception it removes the folder. Left with one it keeps it where segments are finished, unless the
    exception would come again.

    Raises OutputError where another job has the lock or the folder cannot be made, OutputExistsError for an
    unfinished job that was not asked to go on, ResumeError where it cannot.
    """

    def __init__(self, target: str | Path, identity: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.target = Path(target)
        self.final = final_name(self.target)
        self.folder = job_folder(self.target)
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        """What is to be said of the journal itself."""
        self._identity, self._resume, self._overwrite = identity, resume, overwrite
        self._place: WorkFolder | None = None
        self._hash = ""
        self._left = False

    @property
    def frames(self) -> int:
        """How many are finished."""
        return self.entries[-1].frames if self.entries else 0

    def __enter__(self) -> Self:
        try:
            self._place = WorkFolder(self.folder, own=_OWN)
            try:
                self._open()
            except BaseException:
                self._place.close()
                raise
        except BlockingIOError as error:
            raise OutputError(f"{self.target}: another job is writing it") from error
        except ForeignFolderError as error:
            raise OutputError(f"{self.target}: {error}") from error
        except OSError as error:
            if isinstance(error, (OutputError, OutputExistsError)):
                raise
            raise output_error(self.target, error) from error
        if not self._place.locked:
            self.notes.append("this file system has no locks: nothing keeps another job from writing the same output")
        return self

    def _open(self) -> None:
        contents = _read(self.folder)
        begun = bool(contents.entries) and not contents.is_done(self.final)
        if begun and not self._resume and not self._overwrite:
            raise OutputExistsError(
                f"{self.target}: an unfinished job of {contents.entries[-1].frames} frames lies beside it; "
                "resume it or discard it"
            ).offering("resume", "overwrite")
        if contents.altered and not self._overwrite:
            raise ResumeError(
                f"{self.target}: the journal of its unfinished job was altered, or is of another version"
            ).offering("overwrite")
        if begun and self._resume:
            self._go_on(contents)
        self._held().clear(keep={*([_JOURNAL] if self.entries else []), *(e.segment for e in self.entries)})

    def _held(self) -> WorkFolder:
        if self._place is None:
            raise ValueError(f"{self.folder}: is not open")
        return self._place

    def _go_on(self, contents: "_Contents") -> None:
        found = _differences(contents.identity, self._identity)
        if found:
            raise ResumeError(
                f"{self.target}: its unfinished job cannot be resumed: {'; '.join(found)}; "
                "restore the original settings to resume, or discard the unfinished job"
            ).offering("overwrite")
        self.entries = [*_good(self._held(), contents.entries)]
        if self.entries:
            self._overwrite |= contents.overwrite
            end, self._hash = contents.ends[len(self.entries)]  # the first is that of the header
            with os.fdopen(self._held().open(_JOURNAL, os.O_RDWR), "rb+") as file:
                file.truncate(end)
                os.fsync(file.fileno())

    def append(self, entry: Entry) -> None:
        """Add a segment, whose file is on the disk. Raises OutputError."""
        if self._left:  # by a caller that did not wait for the thread that encodes
            raise OutputError(f"{self.target}: the job has ended")
        try:
            if not self.entries:
                self._append({"job": self._identity, "overwrite": self._overwrite})
                flush_to_disk(self.folder)
                flush_to_disk(self.folder.parent)
            self._append(asdict(entry))
        except OSError as error:
            raise output_error(self.target, error) from error
        self.entries.append(entry)

    def whole(self, result: Path) -> None:
        """``result`` holds the output and is about to get its name. Raises OutputError."""
        if self.entries:
            found = result.stat()
            try:
                self._append({"whole": [found.st_size, found.st_mtime_ns]})
            except OSError as error:
                raise output_error(self.target, error) from error

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, separators=(",", ":"))
        mark = chain_hash(self._hash, text)
        with os.fdopen(self._held().open(_JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
            file.write(f"{text}\t{mark}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        self._hash = mark

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        if self._place is None:
            return
        if error is not None and self.entries and not isinstance(error, _LOST):
            self._place.close()
            return
        self.entries = []
        self._place.remove()


# -- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Contents:
    """What can be trusted of a journal. ends: after each line where it ends in the file, and its hash. altered: its
    first line is whole but not what was written. whole: size and time of change of the output."""

    identity: dict[str, Any]
    overwrite: bool
    entries: list[Entry]
    ends: list[tuple[int, str]]
    altered: bool = False
    whole: tuple[int, int] | None = None

    def is_done(self, final: Path) -> bool:
        """Whether the output got its name: only the folder is left to be removed."""
        if self.whole is None:
            return False
        try:
            found = final.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == self.whole


def _read(folder: Path) -> _Contents:
    raw = read_plain(folder, _JOURNAL, limit=_MOST_BYTES) or b""
    lines: list[dict[str, Any]] = []
    ends: list[tuple[int, str]] = []
    mark, offset = "", 0
    for line in raw.splitlines(keepends=True):
        text, _, given = line.decode(errors="replace").partition("\t")
        mark = chain_hash(mark, text)
        if given != f"{mark}\n":
            break
        offset += len(line)
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
        ends.append((offset, mark))
    entries, whole = [], None
    try:
        for values in lines[1:]:
            if "whole" in values:
                whole = (values["whole"][0], values["whole"][1])
            else:
                values["tiles"] = tuple(values["tiles"])
                entries.append(Entry(**values))
        return _Contents(dict(lines[0]["job"]), bool(lines[0]["overwrite"]), entries, ends, whole=whole)
    except (IndexError, KeyError, TypeError, ValueError):
        # Torn while it was begun there is no second line, and nothing is lost.
        return _Contents({}, False, [], [], altered=raw.count(b"\n") > 1)


def _good(place: WorkFolder, entries: list[Entry]) -> Iterator[Entry]:
    """The segments up to the first whose file is not what it was."""
    for entry in entries:
        try:
            found = hashlib.sha256()
            with os.fdopen(place.open(entry.segment, os.O_RDONLY), "rb") as file:
                if os.fstat(file.fileno()).st_size != entry.size:
                    return
                while piece := file.read(_PIECE):
                    found.update(piece)
        except (OSError, ValueError):
            return
        if found.hexdigest() != entry.sha256:
            return
        yield entry


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was, in words."""
    return [
        f"{name} was {before.get(name, 'not given')} and is {now.get(name, 'not given')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
