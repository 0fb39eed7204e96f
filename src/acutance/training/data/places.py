"""Where training finds its pictures, unless told."""

import os
from pathlib import Path

__all__ = ["DATA_VARIABLE", "default_data_root"]

DATA_VARIABLE = "ACUTANCE_DATA"


def default_data_root() -> Path:
    """The folder the environment names, else the current one."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else Path()
