"""A lock on a file that only one process at a time can hold, and that ends with the process."""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

from acutance._util.closing import Closing

__all__ = ["FileLock"]

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class FileLock(Closing):
    """Hold a lock on a regular file until :meth:`close`.

    The file is never reached through a symbolic link, and never has a second name (a hard link): a lock must not create
    or change a file elsewhere.

    Args:
        path: The file. It stays when the lock is released.
        create: Create the file where it is missing.
        folder: A handle of the folder of ``path``, so that nobody can exchange that folder; POSIX only.

    Attributes:
        held: False where the file system has no locks. Then other processes are not kept out.
        created: Whether the file is new.

    Raises:
        BlockingIOError: Another process, or another lock of this process, holds it.
        FileExistsError: ``path`` is a link, a special file, or has a second name.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, *, create: bool = True, folder: int | None = None) -> None:
        self.path = path
        self.held = True
        self.created = False
        self._folder = folder
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = self._open(create=create)
            try:
                _require_plain(os.fstat(descriptor), path)
                self._take(descriptor)
                # The previous holder may have removed the file between the two: then this locks a file without a name.
                if self._is_named(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    @property
    def descriptor(self) -> int:
        """The open file, for reading and writing."""
        if self._descriptor is None:
            raise ValueError(f"{self.path}: the lock is released")
        return self._descriptor

    def _open(self, *, create: bool) -> int:
        name = str(self.path) if self._folder is None else self.path.name
        found = _lstat(name, self._folder)
        if found is not None:
            _require_plain(found, self.path)
        elif create:
            with contextlib.suppress(FileExistsError):
                descriptor = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self._folder)
                self.created = True
                return descriptor
        return os.open(name, _FLAGS, dir_fd=self._folder)

    def _take(self, descriptor: int) -> None:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in _HELD:
                raise BlockingIOError(error.errno, "is held by another", str(self.path)) from error
            if error.errno not in _UNSUPPORTED:
                raise
            self.held = False

    def _is_named(self, descriptor: int) -> bool:
        found = _lstat(str(self.path) if self._folder is None else self.path.name, self._folder)
        return found is not None and os.path.samestat(os.fstat(descriptor), found)

    def close(self) -> None:
        """Release the lock. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)  # which unlocks


def _lstat(name: str, folder: int | None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _require_plain(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise FileExistsError(errno.EEXIST, "is a link or a special file", str(path))


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
