"""Imports of optional dependencies, with one-line errors that name the extra to install."""

import contextlib
import importlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import cast

from acutance.errors import MissingExtraError

REPORTS_HOME = "openvino_telemetry"
"""OpenVINO and NNCF send usage reports through this module, without asking. Without it they work and send nothing."""

_SILENT = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime (as of 1.32) sends usage reports and writes a device identifier when it is imported. Its own switch
must be set before."""


def require(module: str, *, extra: str, purpose: str, minimum: str = "") -> ModuleType:
    """Import an optional module.

    Args:
        module: dotted name.
        extra: the extra of this package that installs it.
        purpose: what needs it; the error message begins with it.
        minimum: the oldest version that works, as numbers: ``2024.4``. Empty accepts every version.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: the module cannot be imported, or is too old.
    """
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    try:
        with _hidden(REPORTS_HOME):
            found = importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs '{module}', which cannot be imported ({error}): pip install 'acutance[{extra}]'"
        ) from error
    version = str(getattr(found, "__version__", ""))
    if minimum and version and _numbers(version) < _numbers(minimum):
        raise MissingExtraError(
            f"{purpose} needs {module} {minimum} or newer, and {version} is installed: "
            f"pip install --upgrade 'acutance[{extra}]'"
        )
    return found


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Make imports of a module fail inside the block, unless the module is loaded already.

    The libraries have no switch for it: a missing module is what they handle. The entry is removed at the end.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    with _hiding:  # a thread that leaves must not unblock the module for a thread that still imports
        if name in sys.modules:
            yield
            return
        modules[name] = None  # an import of it raises ImportError
        try:
            yield
        finally:
            sys.modules.pop(name, None)


_hiding = threading.RLock()


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or the name of its type if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2026, 4, 1) for ``2026.4.1-22982``."""
    start = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in start[0].split(".")) if start else ()
