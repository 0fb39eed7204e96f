"""Where training finds its pictures and keeps what it has prepared, unless told."""

import os
import sys
from pathlib import Path

__all__ = ["DATA_VARIABLE", "default_cache", "default_data_root"]

DATA_VARIABLE = "ACUTANCE_DATA"


def default_data_root() -> Path:
    """The folder the environment names, else the current one."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else Path()


def default_cache() -> Path:
    """The user's cache folder of this program, as the platform has it; not made here."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "acutance" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "acutance"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "acutance"
