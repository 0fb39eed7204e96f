"""What an archive is and which of its files are done, in the output folder.

The manifest is a folder of parts, ``manifest/000000.jsonl`` and so on. A part appears whole and never changes, so that
it also works in object stores, which cannot append. The first line says what the archive is, each other line is a
file. Every line ends with a tab and the SHA-256 of itself and of the line before.
"""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from acutance.cluster.store import WORK, Store
from acutance.errors import OutputError, ResumeError
from acutance.jobs.sealed_lines import read_sealed, seal

__all__ = ["FORMAT", "DoneFile", "Manifest"]

FORMAT = 1
_FOLDER = f"{WORK}/manifest"
_SOONEST = 2.0  # seconds between two parts
_SHARE = 0.01  # of the time since the archive began: a long archive has hundreds of parts, not thousands


@dataclass(frozen=True, slots=True)
class DoneFile:
    """A file of which the output is complete.

    Attributes:
        name: of the input, relative to its folder.
        version: of the input, as its store tells it.
        output: name of the output, relative to its folder.
        size: bytes of the output.
        sha256: of the output.
        frames: written.
        width: pixels.
        height: pixels.
        damaged: what the input had lost, or None.
        notes: what was converted or could not be carried over, one line each.
        choices: the students that were chosen, in order, if there was a choice.
        seconds: processor time that all its tasks took.
    """

    name: str
    version: str
    output: str
    size: int
    sha256: str
    frames: int
    width: int
    height: int
    damaged: str | None = None
    notes: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Manifest:
    """The manifest of an output folder, read when it is made.

    Args:
        store: the output folder, held by a :class:`acutance.cluster.lease.Lease`.
        identity: everything that decides the frames of the outputs, in values that JSON keeps.
        overwrite: forget a manifest of another archive, or one that was altered.

    Attributes:
        done: the finished files, by the name of the input.

    Raises:
        ResumeError: the folder holds an archive of other settings or of another version, or its manifest was altered.
    """

    def __init__(self, store: Store, identity: dict[str, Any], *, overwrite: bool) -> None:
        self._store = store
        self.done: dict[str, DoneFile] = {}
        self._hash = ""
        self._parts = 0
        self._waiting: list[DoneFile] = []
        self._began = self._flushed = time.monotonic()
        self._header: dict[str, Any] | None = {"format": FORMAT, "archive": identity}
        names = store.names(_FOLDER)
        if names and overwrite:
            # The outputs that it lists may be replaced; nothing else of it is needed.
            store.remove(_FOLDER)
            store.remove(f"{WORK}/work")
        elif names:
            self._read(names, identity)

    def _read(self, names: list[str], identity: dict[str, Any]) -> None:
        lines: list[dict[str, Any]] = []
        for number, name in enumerate(names):
            if name != _part(number):
                raise ResumeError(f"{self._at(_part(number))}: is missing; {_WAYS_OUT}")
            found, self._hash, broken = read_sealed(self._store.read(f"{_FOLDER}/{name}") or b"", after=self._hash)
            if broken is not None or not found:
                raise ResumeError(f"{self._at(name)}: line {broken or 1} is not as this program wrote it; {_WAYS_OUT}")
            lines += found
        self._parts = len(names)
        header = lines[0]
        if header.get("format") != FORMAT:
            raise ResumeError(
                f"{self._store.url}: its manifest has format {header.get('format')}, and this version writes format "
                f"{FORMAT}; finish this archive with the version that began it"
            ).offering("overwrite")
        differing = [
            f"{name} was {header['archive'].get(name, 'not given')} and is {identity.get(name, 'not given')}"
            for name in {**header["archive"], **identity}
            if header["archive"].get(name) != identity.get(name)
        ]
        if differing:
            raise ResumeError(
                f"{self._store.url}: holds an archive that was begun differently: {'; '.join(differing)}; "
                "restore these settings, or choose another folder"
            ).offering("overwrite")
        self._header = None
        try:
            files = [DoneFile(**line["file"]) for line in lines[1:]]
        except (KeyError, TypeError) as error:
            raise ResumeError(
                f"{self._store.url}: its manifest lists what this version does not know: {error}"
            ) from error
        self.done = {file.name: file for file in files}

    def _at(self, name: str) -> str:
        return self._store.at(f"{_FOLDER}/{name}")

    def add(self, file: DoneFile) -> None:
        """Add a finished file; :meth:`flush` writes it down."""
        self.done[file.name] = file
        self._waiting.append(file)

    def flush(self, *, now: bool = False) -> list[DoneFile]:
        """Write the next part if there is something to write and it is time. Return the files that were written down.

        Args:
            now: do not wait until it is time.

        Raises:
            OutputError: the part cannot be written, or another archive wrote it.
        """
        moment = time.monotonic()
        due = moment - self._flushed >= max(_SOONEST, _SHARE * (moment - self._began))
        if not (self._header or self._waiting) or not (now or due or self._header):
            return []
        lines = [self._header] if self._header else []
        lines += [{"file": asdict(file)} for file in self._waiting]
        text, mark = [], self._hash
        for line in lines:
            sealed, mark = seal(line, after=mark)
            text.append(sealed)
        name = _part(self._parts)
        try:
            self._store.write(f"{_FOLDER}/{name}", b"".join(text), exclusive=True)
        except FileExistsError as error:
            raise OutputError(f"{self._store.url}: another archive writes into this folder") from error
        self._hash, self._parts, self._header, self._flushed = mark, self._parts + 1, None, moment
        written, self._waiting = self._waiting, []
        return written


_WAYS_OUT = "restore it from a copy, or choose another folder"


def _part(number: int) -> str:
    return f"{number:06d}.jsonl"
