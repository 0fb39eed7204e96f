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
    """The user's cache folder of this program, as the platform has it; not made here."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "acutance" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "acutance"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "acutance"
