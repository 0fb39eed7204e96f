"""How a name finds a student."""

from pathlib import Path

import pytest

from acutance.errors import ModelError
from acutance.students import bundled


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, student_file: Path) -> None:
    names = ("fast-clean-x2", "fast-call-x1-4", "quality-call-x2", "quality-call-x3")
    monkeypatch.setattr(bundled, "bundled_models", lambda: dict.fromkeys(names, student_file))


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["fast", "fast-clean-x2", "fast-call", "fast-call-x1-4", "quality-call-x3"])
def test_a_name_a_tier_or_a_tier_and_task_find_a_student(name: str) -> None:
    assert bundled.find_student(name).spec.name == "tiny-clean-x2"


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["quality-call", "fast-cal", "swift", "balanced"])
def test_a_name_that_is_none_or_several_is_refused_with_those_there_are(name: str) -> None:
    accepted = "auto, fast, balanced, quality, one of fast-clean-x2, fast-call-x1-4,"
    with pytest.raises(ModelError, match=f"unknown model '{name}'; accepted are {accepted}"):
        bundled.find_student(name)
