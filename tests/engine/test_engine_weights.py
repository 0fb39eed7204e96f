"""Other weights in mid-stream: conversion without measuring, and sessions that take them without dropping a frame."""

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.choosing.condition import condition_features
from acutance.degrade import resize
from acutance.engine import TILE_ENGINES, Engine, TileOptions, available_engines, open_engine
from acutance.engine.float_network import residual
from acutance.engine.integer import IntegerNetwork, Peaks, convert
from acutance.engine.numpy_engine import NumpyEngine
from acutance.engine.peaks import quick_peaks
from acutance.engine.tiles import RENEWAL_FRAMES
from acutance.errors import UsageError
from acutance.students.bundled import bundled_models, conditioned_file
from acutance.students.conditioned import LOOKS, Look, load_conditioned, rounded_mixture
from acutance.students.spec import Student, StudentShape, load_student
from conditioned_students import random_conditioned

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def networks() -> list[IntegerNetwork]:
    student = random_conditioned()
    peaks = quick_peaks(student.student(np.array([0, 1, 0, 0], np.float32)))
    mixtures = np.array([[0, 1, 0, 0], [0.25, 0.25, 0, 0.5], [0.125, 0.125, 0.25, 0.5]], np.float32)
    return [convert(student.student(mixture), peaks=peaks) for mixture in mixtures]


@pytest.fixture(params=TILE_ENGINES)
def engine(request: pytest.FixtureRequest, networks: list[IntegerNetwork]) -> Engine:
    if request.param not in available_engines():
        pytest.skip(f"{request.param} is not installed")
    if request.param == "numpy":
        return NumpyEngine(networks[0])
    from acutance.engine.native_engine import NativeEngine

    return NativeEngine(networks[0], threads=2)


def video(frames: int, *, change: bool = True) -> list[Luma]:
    rng = np.random.default_rng(5)
    still = rng.integers(16, 236, (75, 118), dtype=np.uint8)
    out = []
    for number in range(frames):
        luma = still.copy()
        if change:
            luma[30:40, 50:70] = rng.integers(16, 236, (10, 20))
            luma[(number * 7) % 60, 5] ^= 1
        out.append(luma)
    return out


def _error(student: Student, luma: Luma, peaks: Peaks | None) -> float:
    """Root mean square, in code values, of the difference between the integer and the float network's residual."""
    truth = residual(student, luma.astype(np.float32) / 255) * 255
    made = NumpyEngine(convert(student, peaks=peaks)).residual(luma.astype(np.float32))
    return float(np.sqrt(np.mean((made - truth) ** 2)))


def _blurred(factor: float) -> Luma:
    rng = np.random.default_rng(5)
    small = rng.integers(16, 236, (round(96 / factor), round(128 / factor)), dtype=np.uint8)
    return resize(small, 128, 96)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_scales_measured_quickly_are_as_good_as_those_of_the_whole_picture(factor: float, look: Look) -> None:
    """Both networks of a mixture of the bundled student are as far from the float one, within a tenth."""
    path = conditioned_file("fast")
    assert path is not None
    student = load_conditioned(path)
    luma = _blurred(factor)
    features = condition_features(luma)
    assert features is not None
    plain = student.student(student.mixture(features), look=look)
    assert _error(plain, luma, quick_peaks(plain)) <= 1.1 * _error(plain, luma, None)


@pytest.mark.parametrize("name", ["fast-clean-x2", "balanced-call-x3-4", "quality-clean-x2"])
def test_quick_scales_suit_plain_students_too(name: str) -> None:
    student, luma = load_student(bundled_models()[name]), _blurred(2)
    assert _error(student, luma, quick_peaks(student)) <= 1.1 * _error(student, luma, None)


def test_every_mixture_passes_the_proof_with_the_scales_of_the_file() -> None:
    """IntegerNetwork refuses what could overflow."""
    student = random_conditioned(3, shape=StudentShape(2, 12, 3))
    rng = np.random.default_rng(0)
    peaks = quick_peaks(student.student(np.full(4, 0.25, np.float32)))
    for _ in range(20):
        mixture = rounded_mixture(rng.dirichlet(np.ones(4)))
        for look in LOOKS:
            convert(student.student(mixture, look=look), peaks=peaks)


def test_without_reuse_the_new_weights_hold_from_the_next_frame_on(
    engine: Engine, networks: list[IntegerNetwork]
) -> None:
    frames = video(4)
    with engine.session() as session:
        for luma, network in zip(frames, [networks[0], networks[1], networks[1], networks[2]], strict=True):
            session.set_network(network)
            np.testing.assert_array_equal(session.process(luma), NumpyEngine(network).process(luma))
    np.testing.assert_array_equal(engine.process(frames[0]), NumpyEngine(networks[0]).process(frames[0]))


def test_kept_tiles_are_computed_again_within_eight_frames(engine: Engine, networks: list[IntegerNetwork]) -> None:
    (luma,) = video(1, change=False)
    old, new = (NumpyEngine(network).process(luma) for network in networks[:2])
    assert (old != new).mean() > 0.3
    with engine.session(TileOptions(reuse=True)) as session:
        session.process(luma)
        session.process(luma)
        assert session.counts.reused == session.counts.tiles
        session.set_network(networks[1])
        shares = []
        for _ in range(RENEWAL_FRAMES):
            out = session.process(luma)
            assert ((out == old) | (out == new)).all()
            assert 0 < session.counts.computed <= -(-session.counts.tiles // RENEWAL_FRAMES) + 3
            shares.append(float((out == new).mean()))
        assert shares == sorted(shares)
        np.testing.assert_array_equal(out, new)
        session.process(luma)
        assert session.counts.reused == session.counts.tiles


def test_a_reset_forgets_the_old_weights_at_once(engine: Engine, networks: list[IntegerNetwork]) -> None:
    (luma,) = video(1, change=False)
    with engine.session(TileOptions(reuse=True)) as session:
        session.process(luma)
        session.set_network(networks[1])
        session.reset()
        np.testing.assert_array_equal(session.process(luma), NumpyEngine(networks[1]).process(luma))
        session.process(luma)
        assert session.counts.reused == session.counts.tiles


@pytest.mark.parametrize("options", [TileOptions(reuse=True), TileOptions(300, 0.6, reuse=True), TileOptions(300)])
def test_native_and_numpy_give_the_same_bits_through_every_change(
    options: TileOptions, networks: list[IntegerNetwork]
) -> None:
    if "native" not in available_engines():
        pytest.skip("the native engine is not installed")
    from acutance.engine.native_engine import NativeEngine

    rng = np.random.default_rng(1)
    native, twin = NativeEngine(networks[0], threads=2), NumpyEngine(networks[0])
    with native.session(options) as fast, twin.session(options) as plain:
        for number, luma in enumerate(video(40)):
            if rng.random() < 0.2:
                network = networks[int(rng.integers(3))]
                fast.set_network(network)
                plain.set_network(network)
            np.testing.assert_array_equal(fast.process(luma), plain.process(luma), err_msg=f"frame {number}")
            assert fast.counts == plain.counts, f"frame {number}"


def test_weights_of_another_shape_are_refused(engine: Engine) -> None:
    other = convert(random_conditioned(shape=StudentShape(2, 12, 1)).student(np.full(4, 0.25, np.float32)))
    with engine.session() as session, pytest.raises(UsageError, match="another shape"):
        session.set_network(other)


def test_engines_of_others_say_that_they_cannot() -> None:
    if "onnxruntime" not in available_engines():
        pytest.skip("onnxruntime is not installed")
    student = random_conditioned().student(np.full(4, 0.25, np.float32))
    said = "other weights need an engine that computes tile by tile"
    with (
        open_engine(student, "onnxruntime") as engine,
        engine.session() as session,
        pytest.raises(UsageError, match=said),
    ):
        session.set_network(convert(student))
