"""Optional dependencies: one line that says what is missing and how to get it."""

import contextlib
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import cast

from acutance.errors import MissingExtraError

REPORTS_HOME = "openvino_telemetry"
"""With it OpenVINO and NNCF tell their makers over the network that they are used, without asking; they do without."""


def require(module: str, *, extra: str, purpose: str, minimum: str = "") -> ModuleType:
    """Import ``module``, or raise :class:`MissingExtraError` naming the extra that brings it.

    minimum: the oldest version that will do, as its numbers: ``2024.4``.
    """
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
    """Let what is imported meanwhile not find a module, unless it is there already."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    with _one_at_a_time:  # else one that leaves would show it to another that is still importing
        if name in sys.modules:
            yield
            return
        modules[name] = None  # an import of it raises ImportError
        try:
            yield
        finally:
            sys.modules.pop(name, None)


_one_at_a_time = threading.RLock()


def first_line(error: BaseException) -> str:
    """What an exception of another library says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _numbers(version: str) -> tuple[int, ...]:
    """What a version begins with: (2026, 4, 1) of ``2026.4.1-22982``."""
    start = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in start[0].split(".")) if start else ()
