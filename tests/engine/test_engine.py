"""What every engine does, what it refuses, and that ONNX Runtime computes the float student."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance.engine import ENGINES, TILE_ENGINES, available_engines, float_network, open_engine
from acutance.engine.arithmetic import from_plane, to_plane
from acutance.engine.base import Engine
from acutance.errors import AcutanceError, UsageError
from acutance.students.spec import ConvLayer, Student, StudentShape, StudentSpec, load_student


def _random_student(seed: int, shape: StudentShape) -> Student:
    rng = np.random.default_rng(seed)
    layers = tuple(
        ConvLayer(
            rng.normal(0, (9 * i) ** -0.5, (o, i, 3, 3)).astype(np.float32),
            rng.normal(0, 0.05, o).astype(np.float32),
            rng.uniform(-0.2, 1.0, o).astype(np.float32) if k + 1 < len(shape.layer_channels) else None,
        )
        for k, (i, o) in enumerate(shape.layer_channels)
    )
    return Student(StudentSpec("random-clean-x2", "fast", "clean", (2.0,), shape), layers)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, student_file: Path) -> Engine:
    if request.param not in available_engines():
        pytest.skip(f"{request.param} is not installed")
    return open_engine(load_student(student_file), request.param)


@pytest.fixture(params=["onnxruntime", "openvino"], scope="module")
def engine_of_others(request: pytest.FixtureRequest) -> str:
    if request.param not in available_engines():
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="session")
def luma(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (picture[..., 0] * (219 / 255) + 16).astype(np.uint8)


def test_it_changes_a_blurred_picture(engine: Engine, luma: NDArray[np.uint8]) -> None:
    assert np.abs(engine.process(luma).astype(int) - luma).max() > 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_zero_returns_the_input_bit_for_bit(engine: Engine, dtype: type) -> None:
    plane = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (37, 53), endpoint=True).astype(dtype)
    out = engine.process(plane, strength=0.0, bit_depth=8 * plane.itemsize)
    np.testing.assert_array_equal(out, plane)
    assert out is not plane


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    unshuffle=st.integers(1, 3),
    strength=st.floats(0, 2),
    depth=st.sampled_from([8, 10, 16]),
    full_range=st.booleans(),
    seed=st.integers(0, 99),
)
def test_engines_of_others_equal_the_float_network(
    engine_of_others: str,
    height: int,
    width: int,
    unshuffle: int,
    strength: float,
    depth: int,
    full_range: bool,
    seed: int,
) -> None:
    student = _random_student(seed, StudentShape(unshuffle, 4, 1))
    top = (1 << depth) - 1
    plane = np.random.default_rng(seed).integers(0, top, (height, width), endpoint=True)
    plane = plane.astype(np.uint8 if depth == 8 else np.uint16)
    residual = float_network.residual(student, from_plane(plane, depth, full_range))
    twin = to_plane(plane, residual, strength, depth, full_range)
    fast = open_engine(student, engine_of_others).process(
        plane, strength=strength, bit_depth=depth, full_range=full_range
    )
    # Sums in another order: a value within float error of a half may round to either side.
    difference = np.abs(twin.astype(int) - fast.astype(int))
    assert difference.max() <= (1 if depth <= 10 else 2)
    assert (difference > 0).mean() < (0.02 if depth <= 10 else 0.5) or difference.sum() <= 2


def test_bands_of_a_large_picture_equal_running_it_whole(
    student_file: Path, monkeypatch: pytest.MonkeyPatch, luma: NDArray[np.uint8]
) -> None:
    student = load_student(student_file)
    for name, module, constant, small in (
        ("onnxruntime", "acutance.engine.graph_engine", "_LARGEST_BAND", 128 * 6),
        ("numpy", "acutance.engine.float_network", "_BAND", 3),
    ):
        whole = open_engine(student, name).process(luma)
        monkeypatch.setattr(f"{module}.{constant}", small)
        np.testing.assert_array_equal(open_engine(student, name).process(luma), whole)


def test_strided_views_give_what_copies_give(engine: Engine, luma: NDArray[np.uint8]) -> None:
    view = luma[1::2, 3:90:3]
    np.testing.assert_array_equal(engine.process(view), engine.process(np.ascontiguousarray(view)))


def test_a_given_output_is_written_to_and_nothing_beside_it(engine: Engine, luma: NDArray[np.uint8]) -> None:
    canvas = np.full((luma.shape[0] + 2, luma.shape[1] + 2), 7, np.uint8)
    out = canvas[1:-1, 1:-1]
    assert engine.process(luma, out=out) is out
    np.testing.assert_array_equal(out, engine.process(luma))
    assert (canvas[[0, -1]] == 7).all()
    assert (canvas[:, [0, -1]] == 7).all()


def test_full_range_video_is_sharpened_as_its_limited_twin(engine: Engine, luma: NDArray[np.uint8]) -> None:
    full = np.rint((luma.astype(float) - 16) * 255 / 219).clip(0, 255).astype(np.uint8)
    residual = engine.residual(full.astype(np.float32) * np.float32(219 / 255) + 16).astype(float)
    expected = np.clip(full + residual * 255 / 219, 0, 255)
    # Integers have a step of 1/298 in what they multiply the residual by: 0.03 percent of at most 100 code values.
    assert np.abs(engine.process(full, full_range=True) - expected).max() <= (
        0.54 if engine.name in TILE_ENGINES else 0.51
    )


def test_ten_bits_are_sharpened_as_eight(engine: Engine, luma: NDArray[np.uint8]) -> None:
    deep = engine.process(luma.astype(np.uint16) * 4, bit_depth=10)
    shallow = engine.process(luma).astype(float)
    inside = (shallow > 0) & (shallow < 255)
    assert np.abs(deep / 4 - shallow)[inside].max() <= 0.5 + 0.125 + 0.01  # each rounds by half a step of its own


def test_the_residual_is_what_processing_adds(engine: Engine, luma: NDArray[np.uint8]) -> None:
    added = engine.residual(luma.astype(np.float32))
    assert added.dtype == np.float32
    expected = np.clip(np.rint(luma + added.astype(np.float64)), 0, 255)
    assert np.abs(expected - engine.process(luma)).max() <= 1


@pytest.mark.parametrize(
    ("plane", "options", "reason"),
    [
        (np.zeros((4, 4), np.float32), {}, "is uint8"),
        (np.zeros((4, 4), np.uint8), {"bit_depth": 10}, "10 bits is uint16"),
        (np.zeros((4, 4, 3), np.uint8), {}, "two-dimensional"),
        (np.zeros((0, 4), np.uint8), {}, "not empty"),
        ([[1, 2]], {}, "two-dimensional"),
        (np.zeros((4, 4), np.uint8), {"strength": 2.1}, "strength must be a number"),
        (np.zeros((4, 4), np.uint8), {"strength": float("nan")}, "strength must be a number"),
        (np.zeros((4, 4), np.uint8), {"bit_depth": 7}, "bit depth"),
        (np.zeros((4, 4), np.uint8), {"out": np.zeros((4, 5), np.uint8)}, "out must be"),
        (np.zeros((4, 4), np.uint8), {"out": np.zeros((4, 4), np.uint16)}, "out must be"),
    ],
)
def test_what_does_not_fit_is_refused(engine: Engine, plane: object, options: dict[str, object], reason: str) -> None:
    with pytest.raises(AcutanceError, match=reason):
        engine.process(plane, **options)  # type: ignore[arg-type]


def test_an_output_that_overlaps_or_is_read_only_is_refused(engine: Engine) -> None:
    plane = np.zeros((8, 8), np.uint8)
    with pytest.raises(UsageError, match="overlaps"):
        engine.process(plane[:4], out=plane[2:6])
    frozen = np.zeros((8, 8), np.uint8)
    frozen.flags.writeable = False
    with pytest.raises(UsageError, match="read-only"):
        engine.process(plane, out=frozen)


def test_an_unknown_engine_is_named_with_those_that_are_known(student_file: Path) -> None:
    with pytest.raises(UsageError, match="'quantum' is unknown; known: auto"):
        open_engine(load_student(student_file), "quantum")
    assert issubclass(UsageError, ValueError)
