"""Which engine is the default: what a trial chooses, and for how long that is believed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.engine import Engine, available_engines, default_engine, default_trial, open_engine, trial
from acutance.errors import AcutanceError, EngineError, MissingExtraError, UsageError
from acutance.students.spec import StudentShape, load_student


class _Paced(Engine):
    """Takes as many turns of a fake clock as it is told."""

    def __init__(self, name: str, seconds: float, clock: list[float]) -> None:
        self.name, self._seconds, self._clock = name, seconds, clock
        self.shape = StudentShape(2, 1, 0)

    def _sharpen(self, *_: object) -> None:
        self._clock[0] += self._seconds

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros_like(luma)


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], Callable[[str], Engine]]:
    clock = [0.0]
    monkeypatch.setattr(trial.time, "perf_counter", lambda: clock[0])

    def of(seconds: dict[str, float]) -> Callable[[str], Engine]:
        def open_one(name: str) -> Engine:
            if seconds[name] < 0:
                raise EngineError(f"{name} is broken")
            return _Paced(name, seconds[name], clock)

        return open_one

    return of


@pytest.fixture
def empty_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(trial, "_of_this_process", {})
    monkeypatch.setattr(trial, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "engines.json"


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"native": 0.01, "openvino": 0.03}, "native"),
        ({"native": 0.014, "openvino": 0.01}, "native"),  # faster, but not by what leaving tiles out is worth
        ({"native": 0.016, "openvino": 0.01}, "openvino"),
        ({"onnxruntime": 0.02, "openvino": 0.01}, "openvino"),
        ({"native": -1, "onnxruntime": 0.02}, "onnxruntime"),
    ],
)
def test_the_native_engine_is_taken_unless_another_is_much_faster(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]], seconds: dict[str, float], chosen: str
) -> None:
    found = trial.run_trial(list(seconds), opener(seconds))
    assert found.chosen == chosen
    for name, taken in seconds.items():
        if taken > 0:
            assert found.fps[name] == pytest.approx(1 / taken, rel=1e-3)
        else:
            assert "is broken" in found.failed[name]
            assert "cannot run" in found.explain()


def test_where_nothing_runs_the_reason_is_raised(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]],
) -> None:
    with pytest.raises(AcutanceError, match="b is broken"):
        trial.run_trial(["a", "b"], opener({"a": -1, "b": -1}))


def test_a_trial_is_made_once_for_a_machine_and_a_shape(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]], empty_memory: Path, student_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    student = load_student(student_file)
    names = ["native", "openvino"]
    first = trial.trial_for(student, names, opener({"native": 0.01, "openvino": 0.03}), list)
    monkeypatch.setattr(trial, "_of_this_process", {})  # as in another process
    again = trial.trial_for(student, names, opener({"native": 9.0, "openvino": 0.03}), list)
    assert again == first
    monkeypatch.setattr(trial, "_of_this_process", {})
    monkeypatch.setattr(trial, "processor_name", lambda: "another one")
    other = trial.trial_for(student, names, opener({"native": 9.0, "openvino": 0.03}), list)
    assert other.chosen == "openvino"
    assert len(json.loads(empty_memory.read_text())) == 2


@pytest.mark.parametrize(
    "torn", ["", "{", "[]", "[" * 100_000, '{"x": 1}', '{"x": {"fps": {}, "failed": {}, "chosen": "native"}}']
)
def test_a_memory_that_cannot_be_read_is_made_anew(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]], empty_memory: Path, student_file: Path, torn: str
) -> None:
    empty_memory.parent.mkdir()
    empty_memory.write_text(torn)
    student = load_student(student_file)
    made = trial.trial_for(student, ["native", "openvino"], opener({"native": 0.01, "openvino": 0.03}), list)
    assert made.chosen == "native"
    assert made.chosen in empty_memory.read_text()


def test_a_memory_that_cannot_be_written_costs_one_trial_a_process(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]], empty_memory: Path, student_file: Path
) -> None:
    empty_memory.parent.write_text("a file where the folder should be")
    student = load_student(student_file)
    made = trial.trial_for(student, ["native", "openvino"], opener({"native": 0.01, "openvino": 0.03}), list)
    assert trial.remembered(student.spec.shape, ["native", "openvino"]) == made


@pytest.mark.usefixtures("empty_memory")
def test_the_real_trial_names_an_engine_that_is_installed(student_file: Path) -> None:
    student = load_student(student_file)
    assert default_engine(student) in available_engines()
    assert open_engine(student).name == default_engine(student)
    found = default_trial(student)
    if len([name for name in available_engines() if name != "numpy"]) > 1:
        assert found is not None
        assert all(fps > 0 for fps in found.fps.values())
    else:
        assert found is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("onnxruntime:abacus", "provider 'abacus' is unknown; known: cpu, cuda"),
        ("openvino:abacus", "no device 'abacus' here; it has cpu"),
        ("numpy:abacus", "has no variants"),
        ("native:abacus", "abacus"),
    ],
)
def test_a_variant_that_is_not_here_is_refused_and_never_replaced(student_file: Path, name: str, reason: str) -> None:
    if name.partition(":")[0] not in available_engines():
        pytest.skip(f"{name.partition(':')[0]} is not installed")
    with pytest.raises((EngineError, UsageError), match=reason):
        open_engine(load_student(student_file), name)


def test_a_graphics_card_that_this_build_lacks_says_which_build_has_it(student_file: Path) -> None:
    if "onnxruntime" not in available_engines():
        pytest.skip("onnxruntime is not installed")
    from acutance.engine.onnxruntime_engine import providers

    if "cuda" in providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(EngineError, match=r"built without cuda.*onnxruntime-gpu"):
        open_engine(load_student(student_file), "onnxruntime:cuda")


def test_an_engine_that_raises_what_it_likes_costs_itself_alone(
    opener: Callable[[dict[str, float]], Callable[[str], Engine]],
) -> None:
    def open_one(name: str) -> Engine:
        if name == "openvino":
            raise RuntimeError("a driver\n  is missing")
        return opener({"native": 0.01})(name)

    found = trial.run_trial(["native", "openvino"], open_one)
    assert found.chosen == "native"
    assert found.failed == {"openvino": "a driver is missing"}
    with pytest.raises(EngineError, match="no engine runs here: openvino: a driver is missing"):
        trial.run_trial(["openvino"], open_one)


def test_what_was_chosen_and_has_gone_is_chosen_again(empty_memory: Path, student_file: Path) -> None:
    student = load_student(student_file)
    if default_trial(student) is None:
        pytest.skip("one engine alone is installed")
    kept = json.loads(empty_memory.read_text())
    for entry in kept.values():
        entry["chosen"] = "onnxruntime:abacus"
        entry["fps"]["onnxruntime:abacus"] = 1e6
    empty_memory.write_text(json.dumps(kept))
    trial._of_this_process.clear()
    assert default_engine(student) == "onnxruntime:abacus"
    assert open_engine(student).name in available_engines()
    assert "abacus" not in empty_memory.read_text()


def test_a_user_without_a_home_has_a_default_engine(student_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    monkeypatch.setattr(trial, "_of_this_process", {})
    assert open_engine(load_student(student_file)).name in available_engines()


def test_a_library_that_is_too_old_leaves_the_others_alone(
    empty_memory: Path, student_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import sys
    from types import ModuleType

    if "onnxruntime" not in available_engines() or "native" not in available_engines():
        pytest.skip("needs the native engine and onnxruntime")
    from acutance.cli.main import main

    old = ModuleType("onnxruntime")
    old.__version__ = "1.19.0"  # type: ignore[attr-defined]
    old.__spec__ = sys.modules["onnxruntime"].__spec__ if "onnxruntime" in sys.modules else None
    monkeypatch.setitem(sys.modules, "onnxruntime", old)
    if old.__spec__ is None:
        from importlib.machinery import ModuleSpec

        old.__spec__ = ModuleSpec("onnxruntime", None)
    found = default_trial(load_student(student_file))
    assert found is not None
    assert found.chosen == "native"
    assert "1.20 or newer" in found.failed["onnxruntime"]
    assert main(["doctor", "--no-trial"]) == 0
    assert main(["bench", "--seconds", "0.3", "--engine", "onnxruntime"]) == 12
    assert "1.20 or newer" in capsys.readouterr().err


def test_doctor_that_may_not_try_says_that_nothing_was_tried(
    empty_memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from acutance.cli.main import main

    assert main(["doctor", "--no-trial"]) == 0
    said = capsys.readouterr().out
    assert ("not tried yet" in said) == (len(set(available_engines()) - {"numpy"}) > 1)
    assert not empty_memory.exists()


@pytest.mark.parametrize(("name", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino")])
def test_an_engine_that_lacks_its_library_names_its_own_extra(
    student_file: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=rf"the engine '{name}' needs 'onnx'.*acutance\[{extra}\]"):
        open_engine(load_student(student_file), name)
