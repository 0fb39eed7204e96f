"""Which files an archive has, and what their outputs are called."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from acutance.cluster.store import LocalStore, Store
from acutance.errors import UsageError
from acutance.io.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, output_suffix

__all__ = ["ListedFile", "check_folders", "list_files"]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file to archive.

    Attributes:
        name: of the input, relative to its folder.
        version: text that changes with its content.
        size: bytes.
        output: name of the output, relative to its folder.
        conflict: the input that has the same output already, or None.
    """

    name: str
    version: str
    size: int
    output: str
    conflict: str | None = None


def list_files(source: Store) -> Iterator[ListedFile]:
    """Yield pictures and videos by their names' suffixes, in the order of names.

    Formats that are read but not written become Matroska (video) or PNG. Raises InputNotFoundError.
    """
    taken: dict[str, str] = {}
    for file in source.files():
        path = PurePosixPath(file.name)
        if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
            continue
        output = path.with_suffix(output_suffix(path.suffix)).as_posix()
        conflict = taken.setdefault(output, file.name)
        yield ListedFile(file.name, file.version, file.size, output, None if conflict == file.name else conflict)


def check_folders(source: Store, target: Store) -> None:
    """Raises UsageError if one of the two folders lies in the other, or both are the same."""
    if isinstance(source, LocalStore) and isinstance(target, LocalStore):
        a, b = source.folder.resolve(), target.folder.resolve()
        if a == b or a in b.parents or b in a.parents:
            raise UsageError(f"{b}: the output folder must lie outside the input folder {a}")
    elif source.url == target.url or f"{target.url}/".startswith(f"{source.url}/"):
        raise UsageError(f"{target.url}: the output folder must lie outside the input folder {source.url}")
