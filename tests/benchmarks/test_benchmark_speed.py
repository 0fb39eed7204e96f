"""The parts of ``benchmarks/speed.py`` that figures hang on."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.students.spec import load_student

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from _speed.clips import noise, slide_show
from _speed.graphs import FORMS, student_model
from _speed.runtimes import RUNTIMES, MissingRuntime, choose
from _speed.seams import SeamMeter
from _speed.setting import Section, Setting


@pytest.fixture(scope="module")
def luma() -> NDArray[np.uint8]:
    return np.array(slide_show((128, 96)).frames[0].luma)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_student_is_the_student(form: str, student_file: Path, luma: NDArray[np.uint8]) -> None:
    import onnxruntime

    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    student = load_student(student_file)
    session = onnxruntime.InferenceSession(student_model(student, *luma.shape, form=form))  # type: ignore[arg-type]
    out = session.run(None, {"in": luma[None, None]})[0][0, 0]
    expected = OnnxRuntimeEngine(student).process(luma)
    assert np.abs(out.astype(int) - expected).max() <= 1
    assert np.abs(expected.astype(int) - luma).max() > 5


@pytest.mark.parametrize("name", [n for n in RUNTIMES if n != "OpenVINO int8"])
def test_a_runtime_that_is_here_runs_the_same_network(name: str, student_file: Path, luma: NDArray[np.uint8]) -> None:
    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    student = load_student(student_file)
    try:
        chosen = choose(name, student, [luma], 1)
    except MissingRuntime as missing:
        pytest.skip(str(missing))
    out = np.empty_like(luma)
    chosen.run(luma, out)
    assert np.abs(out.astype(int) - OnnxRuntimeEngine(student).process(luma)).max() <= 1
    assert set(chosen.tried) == set(FORMS)


def test_the_slide_show_is_the_same_every_time_and_stands_still_for_two_seconds() -> None:
    first, second = slide_show((128, 96)), slide_show((128, 96))
    assert len(first.frames) == 600
    frames = [f.luma for f in first.frames]
    changes = [i for i in range(1, 600) if not np.array_equal(frames[i - 1], frames[i])]
    assert changes == list(range(60, 600, 60))
    assert all(np.array_equal(a.luma, b.luma) for a, b in zip(first.frames, second.frames, strict=True))
    assert frames[0] is not frames[1]


def test_steps_at_seams_are_those_between_computed_and_passed_tiles() -> None:
    source = noise((64, 32), 1).frames[0].luma
    untiled = source ^ 1
    tiled = untiled.copy()
    tiled[:16, 16:32] = source[:16, 16:32]
    meter = SeamMeter(16)
    meter.add(source, tiled, untiled)
    assert meter.strange == 0
    assert meter.tiles == 8
    assert meter.steps == 3 * 16
    wide = tiled.astype(int)
    expected = np.abs(wide[:16, 16] - wide[:16, 15]).sum() + np.abs(wide[:16, 32] - wide[:16, 31]).sum()
    expected += np.abs(wide[16, 16:32] - wide[15, 16:32]).sum()
    assert meter.tiled == expected
    tiled[0, 0] ^= 3
    meter.add(source, tiled, untiled)
    assert meter.strange == 1


def test_a_target_is_only_judged_where_it_was_measured_as_asked() -> None:
    asked = Section("x", Setting(None, instruction_set="avx2"))
    asked.target("at least", 60.0, 60.0)
    asked.target("less", 16.7, 16.7, at_least=False, strict=True)
    asked.target("no figure", None, 1.0)
    assert [t["met"] for t in asked.targets] == [True, False, None]
    trial = Section("x", Setting(None, size=(320, 180)))
    trial.target("at least", 100.0, 60.0)
    assert trial.targets[0]["met"] is None


def test_a_runtime_that_is_not_here_is_missing_with_the_reason(
    student_file: Path, luma: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(MissingRuntime, match="ncnn cannot be imported"):
        choose("ncnn", load_student(student_file), [luma], 1)
