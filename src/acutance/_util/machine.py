"""Facts about this machine: the processor's name and the user's cache folder."""

import os
import platform
import sys
from pathlib import Path

__all__ = ["cache_folder", "processor_name"]


def processor_name() -> str:
    """Return the processor's model name, or its architecture if the system does not tell the model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )


def cache_folder() -> Path:
    """Return the user's cache folder for this program. It is not created.

    Returns:
        ``%LOCALAPPDATA%`` + ``acutance``, ``Cache`` on Windows, ``~/Library/Caches/acutance`` on macOS, else
        ``$XDG_CACHE_HOME/acutance`` or ``~/.cache/acutance``.

    Raises:
        FileNotFoundError: the user has no home folder.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else _home() / "AppData" / "Local") / "acutance" / "Cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "acutance"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else _home() / ".cache") / "acutance"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # a container's user without an entry in the user database
        raise FileNotFoundError(f"this user has no home folder: {error}") from error
