"""Files: which ones a pattern means, where a result goes, and how it appears there whole or not at all."""

import errno
import glob
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from acutance.errors import InputNotFoundError, NotMediaError, OutputError, OutputExistsError
from acutance.io._checks import Kind, check_readable, same_file, sniff

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "AtomicOutput",
    "MediaFile",
    "copy_file",
    "default_output",
    "expand_inputs",
    "final_name",
    "flush_to_disk",
    "is_pattern",
    "kind_of",
    "output_error",
    "output_suffix",
    "unread_pictures",
]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".avif"}) | {
    ".bmp",
    ".dib",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
}
"""Suffixes of pictures, in lower case."""

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mts", ".m2ts", ".mpg",
        ".mpeg", ".vob", ".ogv", ".ogg", ".wmv", ".asf", ".gif", ".y4m", ".ivf", ".h264", ".264", ".h265", ".hevc",
        ".265", ".obu", ".av1", ".nut", ".mxf",
    }
)  # fmt: skip
"""Suffixes of videos, in lower case."""

_UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".psd", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".exr", ".tga"}
)
"""Suffixes of pictures that are not read."""

_WRITABLE_VIDEO = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".mts", ".m2ts", ".nut"})
_WRITABLE_IMAGE = IMAGE_SUFFIXES


class MediaFile(NamedTuple):
    """An input file and what it holds: ``"image"`` or ``"video"``."""

    path: Path
    kind: Kind


def kind_of(path: str | Path) -> Kind | None:
    """What a file holds, by its first bytes, then by its name; None where neither says.

    Raises InputNotFoundError, and NotMediaError for an empty file, a folder, a playlist or script.
    """
    path = Path(path)
    found = sniff(check_readable(path))
    if found is not None:
        return found
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "video" if suffix in VIDEO_SUFFIXES else None


def expand_inputs(patterns: Iterable[str | Path], *, recursive: bool = False) -> list[MediaFile]:
    """The files that names, folders and globs mean, each once: in the order given, sorted within each.

    A folder means the images and videos in it (with ``recursive``, below it too); hidden files, and with them the
    temporary ones of an unfinished job, are skipped. A file that is named outright must be one of the two kinds.
    Raises InputNotFoundError where something is missing or nothing matches, NotMediaError for a named file of
    neither kind.
    """
    found: dict[Path, MediaFile] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = _in_folder(path, recursive=recursive)
            if not files:
                raise InputNotFoundError(f"{path}: the folder holds no image or video")
        elif path.exists() or not glob.has_magic(str(pattern)):
            kind = kind_of(path)
            if kind is None:
                raise NotMediaError(f"{path}: neither an image nor a video that is known here")
            files = [MediaFile(path, kind)]
        else:
            files = []
            for matched in _matches(str(pattern)):
                if matched.is_dir():
                    files += _in_folder(matched, recursive=recursive)
                else:
                    files += _listed(matched)
            if not files:
                raise InputNotFoundError(f"{pattern}: matches no image or video")
        for file in files:
            found.setdefault(file.path.resolve(), file)
    return list(found.values())


def _matches(pattern: str) -> list[Path]:
    """Return what a pattern matches, sorted. ``**`` enters no folder through a link: two links to ``.`` have no end."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return [Path(match) for match in sorted(glob.glob(pattern))]  # noqa: PTH207 - takes absolute patterns
    first = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    rest = [part if part == "**" else part.replace("**", "*") for part in parts[first:]]
    base = Path(*parts[:first])
    found = sorted(set(base.glob("/".join(rest))))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(base).parts)]


def is_pattern(text: str) -> bool:
    """Return True if a name has wildcards and no file has it literally."""
    return glob.has_magic(text) and not Path(text).exists()


def _in_folder(folder: Path, *, recursive: bool) -> list[MediaFile]:
    files: list[MediaFile] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(d for d in folders if not d.startswith(".")) if recursive else []
        for name in sorted(names):
            files += _listed(Path(root) / name)
    return sorted(files)


def unread_pictures(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """Return the pictures in a folder that :func:`expand_inputs` leaves out because no reader takes them.

    Args:
        folder: Where to look.
        recursive: Look below it too.
    """
    base = Path(folder)
    found = base.rglob("*") if recursive else base.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in _UNREAD_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
        and path.is_file()
    )


def _listed(path: Path) -> list[MediaFile]:
    """The file if it counts when nobody named it outright."""
    if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return []
    try:
        kind = kind_of(path)
    except (NotMediaError, InputNotFoundError):
        if path.exists() and not path.is_file():
            return []  # a pipe, a device or a folder with the name of a picture
        # Its name claims to be a picture or video: leaving it out here would hide from the user that it is not.
        kind = "image" if path.suffix.lower() in IMAGE_SUFFIXES else "video"
    return [] if kind is None else [MediaFile(path, kind)]


def default_output(path: str | Path, suffix: str = "-sharp") -> Path:
    """Where a result goes when nobody says: beside its source, ``talk.mp4`` -> ``talk-sharp.mp4``.

    Formats that are read but not written become Matroska, which holds every stream.
    """
    path = Path(path)
    extension = path.suffix
    if extension.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        extension = output_suffix(extension)
    else:
        extension = ".mkv" if kind_of(path) == "video" else ".png"
    return path.with_name(f"{path.stem}{suffix}{extension}")


def output_suffix(suffix: str) -> str:
    """Return the suffix of an output for that of a picture or video: the same if that format can be written."""
    if suffix.lower() in _WRITABLE_VIDEO | _WRITABLE_IMAGE:
        return suffix
    return ".mkv" if suffix.lower() in VIDEO_SUFFIXES else ".png"


def _shortened(name: str, limit: int) -> str:
    """Cut a name to ``limit`` bytes, because file systems count bytes, without cutting a character in two."""
    return os.fsencode(name)[:limit].decode("utf-8", "ignore") if len(os.fsencode(name)) > limit else name


def final_name(path: str | Path) -> Path:
    """The file that a result replaces: a link stays a link, and what it points to is replaced."""
    path = Path(path)
    return path.resolve() if path.is_symlink() else path


def output_error(path: str | Path, error: BaseException) -> OutputError:
    """The one-line OutputError for a failed write."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        reason = "the disk is full"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutputError(f"{path}: cannot be written: {reason}")


class AtomicOutput:
    """A file that appears under its final name whole, or not at all.

    >>> with AtomicOutput("out.mp4", inputs=["in.mp4"]) as output:
    ...     output.temporary.write_bytes(data)

    Between, it is a hidden file of the same suffix in the same folder (so that the rename cannot cross file systems
    and encoders still see the format). Leaving the block renames it; an exception of any kind removes it.

    path: the final name. temporary: where to write. folder: where that is, on the same file system; beside the final
    name where None. final: what is replaced, which is not ``path`` where that is a link.
    Raises OutputExistsError where the target exists without ``overwrite`` or is one of ``inputs``, also through links;
    OutputError where the folder is missing or not writable, or the target is not a regular file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        inputs: Iterable[str | Path] = (),
        folder: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        for source in inputs:
            if same_file(source, self.path):
                raise OutputExistsError(f"{self.path}: the output is the input; choose another name")
        self._check_target()
        self.final = final_name(self.path)
        name = f".{_shortened(self.final.stem, 80)}.{secrets.token_hex(4)}.part{self.final.suffix}"
        self.temporary = (folder or self.final.parent) / name
        self._open = False
        self.before_commit: Callable[[], None] | None = None
        """Called when all is written, before the file gets its name."""

    def _check_target(self) -> None:
        try:
            if self.path.is_dir():
                raise OutputError(f"{self.path}: is a folder, not a file name")
            if self.path.exists() and not self.path.is_file():
                # Renaming onto a device or pipe would put a plain file in its place.
                raise OutputError(f"{self.path}: is not a regular file")
            if self.path.exists() and not self.overwrite:
                raise OutputExistsError(f"{self.path}: exists already").offering("overwrite")
            if not self.path.parent.is_dir():
                raise OutputError(f"{self.path}: there is no folder {self.path.parent}")
        except OSError as error:
            if isinstance(error, (OutputError, OutputExistsError)):
                raise
            raise output_error(self.path, error) from error

    def __enter__(self) -> Self:
        try:
            os.close(os.open(self.temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise output_error(self.path, error) from error
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        else:
            self.commit()

    def commit(self) -> None:
        """Put the file under its final name. Does nothing the second time."""
        if not self._open:
            return
        try:
            if not self.overwrite and self.final.exists():
                raise OutputExistsError(f"{self.path}: appeared while the job ran").offering("overwrite")
            if self.overwrite and self.final.is_file():
                # A file that only its owner may read must not become readable by others.
                self.temporary.chmod(stat.S_IMODE(self.final.stat().st_mode))
            flush_to_disk(self.temporary)
            if self.before_commit is not None:
                self.before_commit()
            self.temporary.replace(self.final)
            self._open = False
            flush_to_disk(self.final.parent)
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError) and not isinstance(error, (OutputError, OutputExistsError)):
                raise output_error(self.path, error) from error
            raise

    def discard(self) -> None:
        """Remove the unfinished file. Does nothing once committed or discarded."""
        if self._open:
            self._open = False
            self.temporary.unlink(missing_ok=True)


def copy_file(source: str | Path, target: str | Path, *, overwrite: bool = False) -> None:
    """Copy a file; the copy appears whole or not at all.

    Raises:
        OutputExistsError: The target exists and is not to be overwritten, or is the source.
        OutputError: It cannot be written.
    """
    with AtomicOutput(target, overwrite=overwrite, inputs=[source]) as output:
        try:
            output.temporary.write_bytes(Path(source).read_bytes())
        except OSError as error:
            raise output_error(target, error) from error


def flush_to_disk(path: Path) -> None:
    """Without it, a crash soon after the rename could leave an empty file under the final name."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return  # folders cannot be opened on Windows
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EROFS, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
