"""This machine: what its processor is called, and where the user's cache is."""

import os
import platform
import sys
from pathlib import Path

__all__ = ["cache_folder", "processor_name"]


def processor_name() -> str:
    """What the processor calls itself, where the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )


def cache_folder() -> Path:
    """The user's cache folder of this program, as the platform has it; not made here.

    Raises FileNotFoundError where the user has no home.
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
    except RuntimeError as error:  # a container's user that nobody has heard of
        raise FileNotFoundError(f"this user has no home folder: {error}") from error
