"""Opening input files: regular ones only, since a pipe hangs for ever and a device never ends."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["SpecialFileError", "open_plain", "read_plain_file"]


class SpecialFileError(OSError):
    """A path leads to a pipe, a device, a socket or a folder. ``strerror`` says to which."""


def open_plain(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, also through links.

    Raises:
        SpecialFileError: The path leads to something else.
        FileNotFoundError: It leads nowhere.
        OSError: The file cannot be read.
    """
    _require_regular(Path(path).stat(), path)
    # Should it have become a pipe meanwhile, opening it must not wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain_file(path: str | Path, *, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        SpecialFileError: The path leads to something else.
        OSError: The file is larger (``EFBIG``), missing, or cannot be read.
    """
    with open_plain(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"is larger than the {limit:,} bytes that are accepted", str(path))
    return data


def _require_regular(found: os.stat_result, path: str | Path) -> None:
    mode = found.st_mode
    if stat.S_ISREG(mode):
        return
    kinds = (
        (stat.S_ISDIR, "is a folder"),
        (stat.S_ISFIFO, "is a pipe"),
        (stat.S_ISSOCK, "is a socket"),
        (stat.S_ISCHR, "is a device"),
        (stat.S_ISBLK, "is a device"),
    )
    what = next((words for test, words in kinds if test(mode)), "is not a regular file")
    raise SpecialFileError(errno.EINVAL, what, str(path))
