"""A lock on a file that only one process at a time can hold, and that ends with the process, however that ends."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from acutance._util.closing import Closing

__all__ = ["FileLock"]

_UNKNOWN_HERE = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}


class FileLock(Closing):
    """Holds the lock from when it is made to :meth:`close`. The file is made where it is missing, and stays.

    held: False where the file system has no locks: then nobody was asked.
    Raises BlockingIOError where another holds it, also in this process; other OSErrors where the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = True
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(descriptor)
                # Whoever had it may have removed the file between opening and locking: then this is a lock on nothing.
                if self._is_named(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in _HELD:
                raise BlockingIOError(error.errno, "is held by another", str(self.path)) from error
            if error.errno not in _UNKNOWN_HERE:
                raise
            self.held = False

    def _is_named(self, descriptor: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        return False

    def close(self) -> None:
        """Let go of it. May be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)  # which unlocks


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
