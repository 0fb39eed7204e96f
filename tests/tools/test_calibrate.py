"""tools/calibrate.py: the highest threshold that loses next to nothing, and where it is written."""

import importlib
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from acutance.engine import Engine, open_engine
from acutance.students.spec import load_student


@pytest.fixture
def calibrate() -> ModuleType:
    return importlib.import_module("calibrate")


@pytest.fixture
def engine(student_file: Path) -> Engine:
    return open_engine(load_student(student_file), "numpy")


def _content(calibrate: ModuleType, engine: Engine, *, moving: bool = True):
    """Tiles of more and more contrast from left to right, whose truth is what the student makes of them."""
    contrast = np.linspace(0, 30, 8).repeat(16)
    rng = np.random.default_rng(0)
    shown = [np.rint(120 + rng.normal(size=(32, 128)) * contrast).clip(16, 235).astype(np.uint8) for _ in range(2)]
    truth = [np.clip(engine.process(s).astype(int) + rng.integers(-3, 4, s.shape), 0, 255) for s in shown]
    return calibrate.Content("drawn", [t.astype(np.uint8) for t in truth], shown, moving)


def test_thresholds_are_tried_until_one_loses_too_much(calibrate: ModuleType, engine: Engine) -> None:
    trials = list(calibrate.try_thresholds(engine, _content(calibrate, engine), 0.05))
    assert [t.threshold for t in trials] == list(range(len(trials)))
    assert (trials[0].loss_db, trials[0].passed_share) == (0.0, 0.0)
    assert all(t.loss_db <= 0.05 for t in trials[:-1])
    assert trials[-1].loss_db > 0.05
    assert calibrate.allowed(trials, 0.05) == len(trials) - 2
    assert trials[-1].passed_share > 0


def test_stills_do_not_carry_over_into_each_other(calibrate: ModuleType, engine: Engine) -> None:
    """A tile counts as more active where it was computed in the frame before; between stills there is no before."""
    drawn = _content(calibrate, engine)

    def passed(moving: bool, frames: slice) -> list[float]:
        content = calibrate.Content("drawn", drawn.truth[frames], drawn.shown[frames], moving)
        return [t.passed_share for t in calibrate.try_thresholds(engine, content, 99.0)]

    first, second, stills = (passed(False, slice(*ends)) for ends in ((0, 1), (1, 2), (0, 2)))
    assert stills == pytest.approx([(a + b) / 2 for a, b in zip(first, second, strict=True)])
    assert sum(passed(True, slice(0, 2))) < sum(stills)


def test_stills_fit_into_full_hd_and_divide_by_four(calibrate: ModuleType, tmp_path: Path) -> None:
    for name, size in (("a", (2100, 150)), ("b", (130, 2100)), ("c", (50, 42))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    made = calibrate.stills(tmp_path, None, 2.0)
    assert [t.shape for t in made.truth] == [(136, 1920), (1920, 116), (40, 48)]
    assert [s.shape for s in made.shown] == [t.shape for t in made.truth]
    assert len(calibrate.stills(tmp_path, 1, 2.0).truth) == 1


def test_a_threshold_is_written_and_all_else_stays(calibrate: ModuleType, student_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    shutil.copy(student_file, path)
    path.chmod(0o600)
    calibrate.write_threshold(path, 7)
    before, after = load_student(student_file), load_student(path)
    assert after.spec.threshold == 7
    assert json.loads(after.spec.to_json()) == json.loads(before.spec.to_json()) | {"threshold": 7}
    for name, tensor in before.tensors().items():
        np.testing.assert_array_equal(after.tensors()[name], tensor)
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_report_has_the_least_of_what_the_contents_allow(
    calibrate: ModuleType,
    student_file: Path,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "tiny.safetensors"
    shutil.copy(student_file, path)
    moving = _content(calibrate, engine)
    named = calibrate.Content(calibrate.VAL_CLIPS[0], moving.truth, moving.shown, True)
    worse = calibrate.Content("made worse", moving.shown, moving.shown, moving=False)  # any threshold is a gain
    monkeypatch.setattr(calibrate, "bundled_models", lambda: {"tiny": path})
    monkeypatch.setattr(calibrate, "clips", lambda setting, frames, factor: [named])
    monkeypatch.setattr(calibrate, "stills", lambda folder, limit, factor: worse)
    monkeypatch.setattr(calibrate, "_HIGHEST", 40)
    (tmp_path / "clips").mkdir()
    out = tmp_path / "thresholds.json"
    arguments = ["--data", str(tmp_path), "--engine", "numpy", "--out", str(out)]
    assert calibrate.main(arguments) == 0
    assert load_student(path).spec.threshold == 0
    assert calibrate.main([*arguments, "--write"]) == 0
    report = json.loads(out.read_text())
    tiny = report["students"]["tiny"]
    clip, still = tiny["contents"]
    assert tiny["threshold"] == clip["allows"] < still["allows"] == 40
    assert clip["loss_db"] <= report["calibrated_to_db"] < report["limit_db"] == 0.02
    assert tiny["seams"]["clip"] == named.name
    assert load_student(path).spec.threshold == tiny["threshold"]
    assert f"tiny: {tiny['threshold']}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--models", "huge"], "huge"), (["--frames", "0"], "--frames"), (["--stills", "0"], "--stills")],
)
def test_a_bad_option_is_one_line(
    calibrate: ModuleType, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate.main(arguments) == 2
    assert reason in capsys.readouterr().err
