"""Optional libraries: what is missing, or too old, is one line that says how to get it."""

import sys
from types import ModuleType

import pytest

from acutance._util.extras import require
from acutance.errors import MissingExtraError


def test_a_missing_module_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"flying needs 'carpet'.*pip install 'acutance\[magic\]'"):
        require("carpet", extra="magic", purpose="flying")


@pytest.mark.parametrize(
    ("version", "fits"),
    [("1.20.1", True), ("1.20", True), ("2.0.0-dev", True), ("1.9.9", False), ("1.19.2+cpu", False), ("", True)],
)
def test_an_old_module_names_the_needed_version(monkeypatch: pytest.MonkeyPatch, version: str, fits: bool) -> None:
    module = ModuleType("carpet")
    if version:
        module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "carpet", module)
    if fits:
        assert require("carpet", extra="magic", purpose="flying", minimum="1.20") is module
    else:
        with pytest.raises(MissingExtraError, match=r"needs carpet 1\.20 or newer, and .* --upgrade"):
            require("carpet", extra="magic", purpose="flying", minimum="1.20")
