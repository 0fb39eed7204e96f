"""One object for pictures, frames and files."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Frame, Sharpener, Student, load_student
from acutance.engine import TILE_ENGINES, TileCounts, available_engines
from acutance.engine.tiles import tile_activity
from acutance.errors import AcutanceError, EngineError, ModelError, UsageError
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.sharpening.single import FrameSharpener


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file)


def test_a_picture_keeps_its_chroma(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    out = sharpener(picture)
    assert out.shape == picture.shape
    assert out.dtype == picture.dtype
    change = out.astype(int) - picture
    inside = ((out > 0) & (out < 255)).all(axis=2)
    assert np.abs(change).max() > 5
    assert np.abs(change[inside] - change[inside][:, :1]).max() <= 1  # R, G and B move alike


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(11, 17), (11, 17, 3)])
def test_strength_zero_is_the_identity(student_file: Path, dtype: type, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    np.testing.assert_array_equal(Sharpener(student_file, strength=0)(image), image)


def test_sixteen_bits_are_sharpened_as_eight(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    deep = sharpener(picture.astype(np.uint16) * 257)
    assert (
        np.abs(deep / 257 - sharpener(picture).astype(float)).max() <= 0.54
    )  # activations come in 64ths of a code value


def test_twice_the_strength_is_twice_the_change(student_file: Path, picture: NDArray[np.uint8]) -> None:
    grey = picture[..., 0] // 2 + 60  # far from black and white, so that nothing clips
    once = Sharpener(student_file)(grey).astype(int) - grey
    sharper = Sharpener(student_file, strength=2)(grey)
    twice = sharper.astype(int) - grey
    unclipped = (sharper > 0) & (sharper < 255)
    assert unclipped.mean() > 0.5
    assert np.abs(twice - 2 * once)[unclipped].max() <= 2


def test_frames_carry_everything_but_the_luma_over(sharpener: Sharpener) -> None:
    luma = np.random.default_rng(0).integers(16, 236, (24, 32)).astype(np.uint8)
    chroma = (np.full((12, 16), 90, np.uint8), np.full((12, 16), 160, np.uint8))
    frame = Frame(luma, chroma, pts=7, time_base=Fraction(1, 30), rotation=90, sample_aspect_ratio=Fraction(4, 3))
    (out,) = sharpener.frames([frame])
    assert (out.pts, out.time_base, out.rotation, out.sample_aspect_ratio) == (7, Fraction(1, 30), 90, Fraction(4, 3))
    assert out.chroma is not None
    assert all(a is b for a, b in zip(out.chroma, chroma, strict=True))
    assert (out.luma != luma).any()


# -- sequences of frames ---------------------------------------------------------------------------------------------


@pytest.fixture(params=TILE_ENGINES)
def tile_engine(request: pytest.FixtureRequest) -> str:
    if request.param not in available_engines():
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def student(student_file: Path) -> Student:
    """Its own threshold is that of the video below: half of the tiles lie beneath it."""
    made = load_student(student_file)
    return replace(made, spec=replace(made.spec, threshold=100))


def _video(count: int = 4) -> list[Frame]:
    """A left half that is calm, a right half of noise, of which a corner changes from frame to frame."""
    rng = np.random.default_rng(0)
    still = rng.integers(16, 236, (64, 96), dtype=np.uint8)
    still[:, :48] = 90 + still[:, :48] // 32
    frames = []
    for number in range(count):
        luma = still.copy()
        luma[:8, -8:] += np.uint8(number)
        frames.append(Frame(luma, pts=number, time_base=Fraction(1, 30)))
    return frames


def test_with_threshold_zero_a_session_gives_what_single_frames_do(tile_engine: str, student: Student) -> None:
    sharpener = FrameSharpener(student, engine=tile_engine, threshold=0)
    with sharpener.session() as session:
        for frame in _video():
            np.testing.assert_array_equal(session.frame(frame).luma, sharpener.frame(frame).luma)
        assert session.counts == TileCounts(24, computed=1, reused=23)  # the corner's: the others do not see so far
        assert session.totals == TileCounts(96, computed=24 + 3, reused=69)


def test_a_students_own_threshold_is_used_on_frames_of_video_and_nowhere_else(
    tile_engine: str, student: Student
) -> None:
    own, whole = FrameSharpener(student, engine=tile_engine), Sharpener(student, engine=tile_engine, threshold=0)
    frame = _video()[0]
    luma = np.asarray(frame.luma, np.uint8)
    assert (own.threshold, own.reuse) == (100, True)
    np.testing.assert_array_equal(own(luma), whole(luma))
    np.testing.assert_array_equal(own.frame(frame).luma, whole.frame(frame).luma)
    (out,) = own.frames([frame])
    active = tile_activity(luma, 8, 16) >= 100
    assert active.any()
    assert not active.all()
    computed = active.repeat(16, axis=0).repeat(16, axis=1)
    np.testing.assert_array_equal(out.luma, np.where(computed, whole.frame(frame).luma, luma))


def test_without_reuse_everything_is_computed_again(tile_engine: str, student: Student) -> None:
    with FrameSharpener(student, engine=tile_engine, threshold=0, reuse=False).session() as session:
        for frame in _video(3):
            session.frame(frame)
        assert session.totals == TileCounts(72, computed=72)


def test_a_session_writes_where_it_is_told_and_carries_the_rest_over(tile_engine: str, student: Student) -> None:
    frame = _video()[1]
    out = np.zeros_like(frame.luma)
    with FrameSharpener(student, engine=tile_engine).session() as session:
        made = session.frame(frame, out=out)
    assert made.luma is out
    assert (made.pts, made.time_base) == (1, Fraction(1, 30))
    with pytest.raises(EngineError, match="closed"):
        session.frame(frame)


def test_a_budget_holds_in_a_session(tile_engine: str, student: Student) -> None:
    with FrameSharpener(student, engine=tile_engine, threshold=0, reuse=False).session(tile_budget=0.25) as session:
        session.frame(_video()[0])
        assert 0 < session.counts.computed <= 6


def test_a_reset_forgets_the_last_frame_and_keeps_the_totals(tile_engine: str, student: Student) -> None:
    frame = _video()[0]
    with FrameSharpener(student, engine=tile_engine, threshold=0).session() as session:
        session.frame(frame)
        session.reset()
        session.frame(frame)
        assert session.totals == TileCounts(48, computed=48)


def test_an_engine_without_tiles_computes_everything_unless_more_was_asked_for(student: Student) -> None:
    if "onnxruntime" not in available_engines():
        pytest.skip("onnxruntime is not installed")
    sharpener = FrameSharpener(student, engine="onnxruntime")
    assert (sharpener.threshold, sharpener.reuse) == (0, False)
    frames = _video(2)
    with sharpener.session() as session:
        for frame in frames:
            np.testing.assert_array_equal(session.frame(frame).luma, sharpener.frame(frame).luma)
        assert session.totals == TileCounts(2, computed=2)
    FrameSharpener(student, engine="onnxruntime", threshold=0)
    with pytest.raises(UsageError, match=r"8 needs .* \(native, numpy\); onnxruntime computes whole frames"):
        FrameSharpener(student, engine="onnxruntime", threshold=8)
    for budget in ({"tile_budget": 0.5}, {"time_budget": 0.01}):
        with pytest.raises(UsageError, match="'onnxruntime' has no tile options"):
            sharpener.session(**budget)


@pytest.mark.parametrize("threshold", [-1, 1.5])
def test_thresholds_out_of_range_are_refused(student: Student, threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold must be a whole number from 0"):
        Sharpener(student, threshold=threshold)  # type: ignore[arg-type]


# -- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4), np.float32), np.zeros(4, np.uint8), "picture.png"]
)
def test_what_is_not_a_picture_is_refused(sharpener: Sharpener, bad: object) -> None:
    with pytest.raises(AcutanceError):
        sharpener(bad)  # type: ignore[arg-type]


def test_an_unknown_model_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match="unknown model 'sharpest'; accepted are auto, fast, "):
        Sharpener("sharpest")
    with pytest.raises(UsageError, match="threads"):
        Sharpener("fast", threads=0)


@pytest.mark.parametrize("tier", ["fast", "balanced", "quality"])
def test_every_tier_is_bundled_and_restores_a_blurred_picture(tier: str, picture: NDArray[np.uint8]) -> None:
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.metrics import psnr_y

    sharp = crop_to_multiple(picture)
    blurred = down_up(sharp, 2).same_size
    gain = psnr_y(Sharpener(tier)(blurred), sharp, border=2) - psnr_y(blurred, sharp, border=2)
    assert gain > 1.0


def test_luma_of_known_colours() -> None:
    rgb = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.uint8)
    np.testing.assert_allclose(luma_from_rgb(rgb), [16.0, 235.0, 81.481], atol=1e-3)
    np.testing.assert_allclose(luma_from_rgb(rgb.astype(np.uint16) * 257), luma_from_rgb(rgb), atol=1e-3)


def test_a_change_of_luma_changes_luma_by_that(picture: NDArray[np.uint8]) -> None:
    middle = picture // 2 + 64
    step = 12 * 219 / 255  # twelve code values of R, G and B: nothing to round
    changed = add_luma_residual(middle, np.full(middle.shape[:2], step))
    np.testing.assert_allclose(luma_from_rgb(changed) - luma_from_rgb(middle), step, atol=1e-3)
