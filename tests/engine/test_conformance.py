"""One suite for everything that runs a student: every engine, and every kind of export, is held to the same.

A runner takes a luma plane, H x W uint8, limited range, and returns its sharp twin at strength 1.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.degrade import down_up
from acutance.engine import ENGINES, available_engines, open_engine
from acutance.engine.arithmetic import from_plane, to_plane
from acutance.engine.float_network import residual
from acutance.export import (
    FORMATS,
    LIMITS,
    Limits,
    calibration_planes,
    examples,
    export_student,
    open_exported,
    parity,
)
from acutance.students.bundled import find_student
from acutance.students.spec import Student, load_student
from miniature import draw_picture

Luma = NDArray[np.uint8]
Run = Callable[[Luma], Luma]

NEEDS = {"onnx": ("onnx", "onnxruntime"), "tensorrt": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"),
         "ncnn": ("ncnn",)}  # fmt: skip
INT16 = Limits(2, 55.0, 0.01)
"""Of the integer engines: 15 bits of activation. On pictures; on extreme contrast they saturate (docs/engine.md)."""
EXPORTS = [f"{to}-{precision}" for to, kind in FORMATS.items() for precision in kind.precisions]
STUDENTS = ("tiny", "fast-clean-x2", "fast-call-x3-4", "fast-clean-x2-int8")
TRAINED = Path(__file__).resolve().parents[2] / "training" / "int8"


def _student(name: str, student_file: Path) -> Student:
    if name.endswith("-int8"):
        path = TRAINED / f"{name}.safetensors"
        if not path.is_file():
            pytest.skip("needs the training folder of a clone")
        return load_student(path)
    return load_student(student_file) if name == "tiny" else find_student(name)


@pytest.fixture(scope="module", params=STUDENTS)
def student(request: pytest.FixtureRequest, student_file: Path) -> Student:
    return _student(request.param, student_file)


@pytest.fixture(scope="module", params=[*(f"engine-{name}" for name in ENGINES), *EXPORTS])
def runner(
    request: pytest.FixtureRequest, student: Student, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Run]:
    kind, _, what = request.param.partition("-")
    if kind == "engine":
        if what not in available_engines():
            pytest.skip(f"{what} is not installed")
        return ("int16" if what in ("native", "numpy") else "fp32"), open_engine(student, what).process
    missing = [name for name in NEEDS[kind] + (("nncf",) if what == "int8" else ()) if not find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    path = tmp_path_factory.mktemp(request.param) / f"model{FORMATS[kind].suffix}"
    calibration = calibration_planes(student.spec, [draw_picture(seed) for seed in range(20, 24)])
    judged = examples(student.spec, [draw_picture(30)])
    # The suite below is what judges here.
    export_student(
        student, path, to=kind, precision=what, pictures=judged, calibration=calibration, limits=Limits(None, 0.0, 99.0)
    )
    return what, open_exported(path)


@pytest.fixture
def run(runner: tuple[str, Run]) -> Run:
    return runner[1]


@pytest.fixture
def limits(runner: tuple[str, Run]) -> Limits:
    return INT16 if runner[0] == "int16" else LIMITS[runner[0]]


@pytest.fixture(scope="module")
def blurred() -> Luma:
    return np.asarray(np.rint(down_up(draw_picture(1), 2.0).same_size[..., 1] * (219 / 255) + 16), np.uint8)


def _twin(student: Student, luma: Luma) -> Luma:
    return np.asarray(to_plane(luma, residual(student, from_plane(luma, 8, False)), 1.0, 8, False), np.uint8)


def test_it_computes_what_its_student_does(student: Student, run: Run, limits: Limits) -> None:
    found = parity(student, run, examples(student.spec, [draw_picture(seed) for seed in (2, 3, 4)]))
    assert found.pictures == 3
    found.check(limits, name="the runner")


def test_it_changes_a_blurred_picture(run: Run, blurred: Luma) -> None:
    assert np.abs(run(blurred).astype(int) - blurred).max() > 5


def test_it_computes_what_its_student_does_on_photographs(
    student: Student, run: Run, limits: Limits, data_folder: Path
) -> None:
    from acutance.training.data.folders import ImageFolder

    pictures = [file.load() for file in ImageFolder(data_folder / "test" / "Set5")]
    if student.spec.name.startswith("tiny"):
        limits = replace(limits, lost=99.0)  # it is no student that gains anything, so there is nothing to lose
    parity(student, run, examples(student.spec, pictures[:3])).check(limits, name="the runner")


def test_planes_of_any_size_keep_it(
    student: Student, run: Run, limits: Limits, blurred: Luma, subtests: pytest.Subtests
) -> None:
    for size in [(1, 1), (1, 7), (7, 1), (2, 2), (33, 47), (48, 33), (40, 64)]:
        with subtests.test(size=size):
            luma = blurred[20 : 20 + size[0], 30 : 30 + size[1]]
            out = run(luma)
            assert out.shape == size
            assert out.dtype == np.uint8
            difference = np.abs(out.astype(int) - _twin(student, luma))
            if limits.difference is not None:
                assert difference.max() <= limits.difference
            elif min(size) > 8:  # the ranges of int8 are from larger pictures, so a few pixels may differ more
                assert difference.mean() <= 4


def test_what_is_flat_stays_flat(student: Student, run: Run, limits: Limits) -> None:
    for level in (16, 126, 235):
        luma = np.full((48, 64), level, np.uint8)
        expected = _twin(student, luma).astype(int)
        inside = (slice(24, -23), slice(24, -23)) if student.spec.shape.radius <= 24 else (slice(None), slice(None))
        assert np.abs(run(luma).astype(int) - expected)[inside].max() <= (3 if limits.difference is None else 1)


def test_black_and_white_do_not_wrap_around(student: Student, run: Run, limits: Limits) -> None:
    luma = np.zeros((48, 64), np.uint8)
    luma[:, 32:] = 255
    out = run(luma).astype(int)
    difference = np.abs(out - _twin(student, luma).astype(int))
    assert out[:, :16].max() < 64
    assert out[:, -16:].min() > 192
    if limits.difference is not None and limits != INT16:
        assert difference.max() <= limits.difference


def test_the_same_plane_gives_the_same_bits(run: Run, blurred: Luma) -> None:
    kept = blurred.copy()
    first = run(blurred).copy()
    run(np.ascontiguousarray(blurred[::-1]))
    np.testing.assert_array_equal(run(blurred), first)
    np.testing.assert_array_equal(blurred, kept)  # and leaves its input alone


def test_size_may_change_from_plane_to_plane(run: Run, blurred: Luma) -> None:
    whole = run(blurred).copy()
    run(blurred[:48, :80])
    run(blurred[:50, :82])
    np.testing.assert_array_equal(run(blurred), whole)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_engines_may_be_used_from_several_threads(student: Student, engine: str, blurred: Luma) -> None:
    if engine not in available_engines():
        pytest.skip(f"{engine} is not installed")
    run = open_engine(student, engine).process
    planes = [np.ascontiguousarray(np.roll(blurred, shift, axis=1)) for shift in range(6)]
    expected = [run(plane).copy() for plane in planes]
    with ThreadPoolExecutor(3) as pool:
        for made, wanted in zip(pool.map(run, planes), expected, strict=True):
            np.testing.assert_array_equal(made, wanted)
