"""A hidden folder for the unfinished files of one job: locked, and safe from links and from the files of others.

A folder of this kind has a predictable name, so anything may lie under that name: a link to another folder, or a folder
with somebody's files. The lock file in the folder begins with a mark. Without that mark the folder is not touched.
"""

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from acutance._util.closing import Closing
from acutance._util.lock import FileLock

__all__ = ["ForeignFolderError", "WorkFolder", "read_plain"]

LOCK = "lock"
_MARK = b"acutance: this folder holds the unfinished files of one job, and is removed with them\n"
_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY") and hasattr(os, "O_NOFOLLOW")
_ATTEMPTS = 10


class ForeignFolderError(OSError):
    """Something lies under the folder's name that no job made. The message says what."""


class WorkFolder(Closing):
    """Make the folder where it is missing, lock it, and hold it open until :meth:`close`.

    Files are created and removed through a handle of the folder, so that nobody can put a link in its place meanwhile.
    Only regular files whose name matches ``own`` are ever removed.

    Args:
        path: The folder. Its parent exists.
        own: What the names of the job's files look like, all of each name.

    Raises:
        BlockingIOError: Another job holds the folder.
        ForeignFolderError: The name belongs to a link, a file, or a folder that no job made.
        OSError: The folder cannot be made or opened.
    """

    def __init__(self, path: Path, *, own: re.Pattern[str]) -> None:
        self.path = path
        self._own = own
        self._handle: int | None = None
        self._lock: FileLock | None = None
        for _ in range(_ATTEMPTS):
            # A job that ends may remove the folder between the steps.
            try:
                self._enter()
                return
            except FileNotFoundError:
                self._release()
                if not path.parent.is_dir():
                    raise
            except BaseException:
                self._release()
                raise
        raise FileNotFoundError(errno.ENOENT, "cannot be made", str(path))

    def _enter(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        self._handle = _folder_handle(self.path)
        names = set(self._names())
        if LOCK not in names and names:
            raise ForeignFolderError(f"{self.path} is a folder that no job of acutance made; rename it or remove it")
        try:
            self._lock = FileLock(self.path / LOCK, folder=self._handle)
        except FileExistsError as error:
            raise ForeignFolderError(f"{self.path / LOCK} is a link or a special file; remove it") from error
        self._check_mark()
        self._check_names()

    def _check_mark(self) -> None:
        descriptor = self._held().descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = os.read(descriptor, len(_MARK))
        if found == _MARK:
            return
        # A job that was killed while it made the folder leaves a part of the mark, and nothing else.
        if not _MARK.startswith(found) or set(self._names()) != {LOCK}:
            raise ForeignFolderError(f"{self.path} is a folder that no job of acutance made; rename it or remove it")
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, _MARK)

    def _check_names(self) -> None:
        for name in self._names():
            if name == LOCK or self._own.fullmatch(name):
                found = self._stat(name)
                if found is not None and (not stat.S_ISREG(found.st_mode) or found.st_nlink > 1):
                    raise ForeignFolderError(f"{self.path / name} is a link or a special file; remove it")

    @property
    def locked(self) -> bool:
        """Whether the lock keeps other jobs out; False where the file system has no locks."""
        return self._held().held

    def _held(self) -> FileLock:
        if self._lock is None:
            raise ValueError(f"{self.path}: is released")
        return self._lock

    def _at(self, name: str) -> str:
        return name if self._handle is not None else str(self.path / name)

    def _names(self) -> list[str]:
        return os.listdir(self.path if self._handle is None else self._handle)  # noqa: PTH208 - takes a handle

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(self._at(name), dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str, flags: int) -> int:
        """Open a regular file of the folder, never through a link; returns its descriptor. Raises OSError."""
        if not self._own.fullmatch(name):
            raise ValueError(f"{name!r} is not a name of this job")
        return _open_plain(self._at(name), flags, self._handle)

    def clear(self, *, keep: Iterable[str] = ()) -> None:
        """Remove the job's own files, except those in ``keep``. What cannot be removed stays."""
        kept = {LOCK, *keep}
        with contextlib.suppress(OSError):
            for name in self._names():
                found = self._stat(name)
                if name in kept or not self._own.fullmatch(name) or found is None or not stat.S_ISREG(found.st_mode):
                    continue
                with contextlib.suppress(OSError):
                    os.unlink(self._at(name), dir_fd=self._handle)

    def remove(self) -> None:
        """Remove the job's files, the folder with them where nothing else is in it, and release the lock."""
        if self._lock is None:
            return
        self.clear()
        with contextlib.suppress(OSError):
            if set(self._names()) == {LOCK}:
                if sys.platform == "win32":
                    self._lock.close()  # an open file cannot be removed there
                os.unlink(self._at(LOCK), dir_fd=self._handle)
                found, held = self.path.lstat(), self._handle
                if held is None or os.path.samestat(found, os.fstat(held)):
                    self.path.rmdir()
        self.close()

    def close(self) -> None:
        """Release the lock and leave everything where it is. May be called twice."""
        self._release()

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def read_plain(folder: Path, name: str, *, limit: int) -> bytes | None:
    """Read a regular file of a folder; neither may be a link.

    Returns:
        Its bytes; None where it is missing, is a link or a special file, is larger than ``limit``, or cannot be read.
    """
    try:
        handle = _folder_handle(folder)
        try:
            descriptor = _open_plain(name if handle is not None else str(folder / name), os.O_RDONLY, handle)
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(limit + 1)
        finally:
            if handle is not None:
                os.close(handle)
    except OSError:
        return None
    return data if len(data) <= limit else None


def _folder_handle(path: Path) -> int | None:
    """Open a folder that is not a link; None where the system has no handles of folders."""
    found = path.lstat()
    is_junction = getattr(found, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
    if not stat.S_ISDIR(found.st_mode) or is_junction:
        kind = "a link" if stat.S_ISLNK(found.st_mode) or is_junction else "not a folder"
        raise ForeignFolderError(f"{path} is {kind}; the unfinished files belong there: rename it or remove it")
    if not _HANDLES:
        return None
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ForeignFolderError(f"{path} is a link; the unfinished files belong there: remove it") from error
        raise


def _open_plain(name: str, flags: int, folder: int | None) -> int:
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if folder is None and Path(name).is_symlink():  # where the system has no O_NOFOLLOW
        raise FileExistsError(errno.EEXIST, "is a link", name)
    descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "is a link or a special file", name)
    return descriptor
