"""Optional dependencies: one line that says what is missing and how to get it."""

import importlib
from types import ModuleType

from acutance.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or raise :class:`MissingExtraError` naming the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs '{module}', which cannot be imported ({error}): pip install 'acutance[{extra}]'"
        ) from error
