"""The automatic choice of a student: what it sees, what it chooses, and that a stream gets what was chosen."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Frame
from acutance.choosing.automatic import AutoSharpener, automatic_tier, open_sharpener
from acutance.choosing.chooser import Chooser
from acutance.choosing.factor_classifier import REACH_FACTORS, detail_reach, reach_features
from acutance.degrade import Degradation, resize
from acutance.errors import EngineError, ModelError, UsageError
from acutance.frame import ColourInfo, ColourRange
from acutance.metrics import blockiness
from acutance.sharpening.single import FrameSharpener
from acutance.students import bundled

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photograph() -> Luma:
    """768 x 576 of limited-range luma with a photograph's spectrum: power falling with the square of frequency."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft2(rng.standard_normal((576, 768)))
    fy, fx = np.fft.fftfreq(576)[:, None], np.fft.rfftfreq(768)[None]
    plane = np.fft.irfft2(spectrum / np.maximum(np.hypot(fy, fx), 1 / 768), s=(576, 768))
    return np.clip(np.rint(120 + 40 * plane / plane.std()), 16, 235).astype(np.uint8)


def scaled_up(luma: Luma, factor: float) -> Luma:
    height, width = luma.shape
    return resize(resize(luma, round(width / factor), round(height / factor)), width, height)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, student_file: Path) -> None:
    """A zoo of one small student under many names."""
    names = ("fast-clean-x2", "fast-call-x1", "fast-call-x1.5", "fast-call-x2", "fast-call-x3-4", "quality-clean-x2")
    zoo_ = dict.fromkeys(names, student_file)
    monkeypatch.setattr(bundled, "bundled_models", lambda: zoo_)


# -- what is seen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", REACH_FACTORS)
def test_the_factor_is_told_from_the_spectrum(photograph: Luma, factor: float) -> None:
    features = reach_features(scaled_up(photograph, factor))
    assert features is not None
    shares = detail_reach(features)
    assert shares.sum() == pytest.approx(1)
    assert REACH_FACTORS[int(shares.argmax())] == factor


def test_depth_and_range_do_not_matter(photograph: Luma) -> None:
    features = reach_features(photograph)
    deep = reach_features(photograph.astype(np.uint16) * 4, bit_depth=10)
    full = np.rint((photograph.astype(float) - 16) * 255 / 219).astype(np.uint8)
    np.testing.assert_allclose(deep, features, atol=1e-6)
    np.testing.assert_allclose(reach_features(full, full_range=True), features, atol=0.02)


@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_blocks_of_jpeg_are_seen_at_the_distance_that_scaling_gave_them(photograph: Luma, factor: float) -> None:
    rgb = np.repeat(photograph[..., None], 3, axis=2)
    plain, blocky = (
        Degradation(factor=factor, jpeg_quality=quality).apply(rgb, np.random.default_rng(0)).degraded[..., 0].copy()
        for quality in (None, 25)
    )
    assert blockiness(plain, 8 * factor) < 1.6 < 2 < blockiness(blocky, 8 * factor)
    assert blockiness(blocky.astype(np.uint16) * 4, 8 * factor, bit_depth=10) == pytest.approx(
        blockiness(blocky, 8 * factor)
    )
    assert blockiness(blocky[: int(8 * 15 * factor)], 8 * factor) == 1.0  # too few blocks to tell
    with pytest.raises(UsageError, match="8 pixels"):
        blockiness(plain, 4)
    with pytest.raises(UsageError, match="H x W"):
        blockiness(rgb, 16)


@pytest.mark.usefixtures("models")
def test_a_picture_that_shows_blocks_gets_the_student_for_calls(photograph: Luma) -> None:
    rgb = np.repeat(photograph[..., None], 3, axis=2)
    sharpener = AutoSharpener("fast", engine="numpy")
    for quality, student in ((None, "fast-clean-x2"), (25, "fast-call-x2")):
        sharpener(Degradation(factor=2, jpeg_quality=quality).apply(rgb, np.random.default_rng(0)).degraded)
        assert sharpener.choice is not None
        assert sharpener.choice.student == student


@pytest.mark.parametrize("plane", [np.full((200, 300), 90, np.uint8), np.zeros((63, 500), np.uint8)])
def test_without_detail_there_is_nothing_to_see(plane: Luma) -> None:
    assert reach_features(plane) is None


def test_a_plane_it_must_be() -> None:
    with pytest.raises(UsageError, match="H x W"):
        reach_features(np.zeros((100, 100, 3), np.uint8))


# -- what is chosen ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("factor", "student"),
    [(1, "fast-call-x1"), (1.5, "fast-call-x1.5"), (2, "fast-call-x2"), (3, "fast-call-x3-4"), (4, "fast-call-x3-4")],
)
def test_a_stream_gets_the_student_for_its_factor_and_hears_why(photograph: Luma, factor: float, student: str) -> None:
    choice = Chooser("fast").look(scaled_up(photograph, factor))
    assert (choice.student, choice.factor) == (student, factor)
    assert choice.reason.endswith(student)
    assert ("as sharp as its size allows" in choice.reason) == (factor == 1)


@pytest.mark.usefixtures("models")
def test_what_is_known_counts_more_than_what_is_seen_unless_more_is_seen(photograph: Luma) -> None:
    assert Chooser("fast", scaled_by=2).look(photograph).reason == "was scaled up by 2: fast-call-x2"
    assert Chooser("fast", scaled_by=1.5).look(scaled_up(photograph, 3)).student == "fast-call-x3-4"
    far = Chooser("fast", scaled_by=6).look(photograph)
    assert far.reason == "was scaled up by 6: fast-call-x3-4, the nearest (for 3, 4)"


@pytest.mark.usefixtures("models")
def test_a_stream_whose_coded_size_changes_is_believed_at_once(photograph: Luma) -> None:
    """A reader keeps the first size and says by how much it scaled each frame up to it."""
    with AutoSharpener("fast", engine="numpy").session() as session:
        for scaled_by, student in ((1.0, "fast-call-x1"), (2.0, "fast-call-x2"), (1.0, "fast-call-x1")):
            session.frame(Frame(photograph, scaled_by=scaled_by))
            assert session.choice is not None
            assert session.choice.student == student


@pytest.mark.usefixtures("models")
def test_the_tier_of_a_session_may_change_and_its_factor_holds(
    photograph: Luma, monkeypatch: pytest.MonkeyPatch, student_file: Path
) -> None:
    larger = {**bundled.bundled_models(), "balanced-call-x2": student_file}
    monkeypatch.setattr(bundled, "bundled_models", lambda: larger)
    with AutoSharpener("fast", engine="numpy").session() as session:
        frame = Frame(scaled_up(photograph, 2))
        for tier in ("fast", "balanced", "fast"):
            session.tier = tier
            session.frame(frame)
            assert session.choice is not None
            assert session.choice.student == f"{tier}-call-x2"


@pytest.mark.usefixtures("models")
def test_a_share_of_tiles_holds_for_every_student(photograph: Luma) -> None:
    with AutoSharpener("fast", engine="numpy", threshold=0, reuse=False).session() as session:
        frame = Frame(scaled_up(photograph, 2))
        session.tile_budget = 0.25
        session.frame(frame)
        assert session.counts.computed == session.counts.tiles // 4
        session.tier = "balanced"
        session.frame(frame)
        assert session.counts.computed == session.counts.tiles // 4
        session.tile_budget = None
        session.frame(frame)
        assert session.counts.computed == session.counts.tiles


@pytest.mark.usefixtures("models")
def test_strength_may_change_for_every_student(photograph: Luma) -> None:
    sharpener = AutoSharpener("fast", engine="numpy")
    frame = Frame(scaled_up(photograph, 2))
    with sharpener.session() as session:
        session.frame(frame)
        sharpener.strength = 0.0
        np.testing.assert_array_equal(session.frame(frame).luma, frame.luma)
    with pytest.raises(UsageError, match="strength"):
        sharpener.strength = -1.0


@pytest.mark.usefixtures("models")
def test_a_sharp_picture_stays_as_it_is_where_no_student_is_for_it(photograph: Luma) -> None:
    sharpener = AutoSharpener("quality", engine="numpy")
    np.testing.assert_array_equal(sharpener(photograph), photograph)
    assert sharpener.choice is not None
    assert sharpener.choice.student is None
    assert sharpener.choice.reason == "as sharp as its size allows: left as it is"


@pytest.mark.usefixtures("models")
def test_a_stream_that_changes_is_looked_at_again_and_believed_the_second_time(photograph: Luma) -> None:
    chooser = Chooser("fast")
    chosen = [chooser.look(photograph).student for _ in range(10)]
    chosen += [chooser.look(scaled_up(photograph, 2)).student for _ in range(40)]
    assert chosen[:15] == ["fast-call-x1"] * 15
    change = chosen.index("fast-call-x2")
    assert 15 <= change <= 45
    assert set(chosen[change:]) == {"fast-call-x2"}


@pytest.mark.usefixtures("models")
def test_a_fade_from_black_is_waited_for(photograph: Luma) -> None:
    chooser = Chooser("fast")
    for _ in range(7):
        assert chooser.look(np.full_like(photograph, 16)).student is None
    assert chooser.look(scaled_up(photograph, 2)).student == "fast-call-x2"


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("tier", "task", "factor", "student"),
    [
        ("fast", "call", 2.0, "fast-call-x2"),
        ("fast", "clean", 2.0, "fast-clean-x2"),
        ("fast", "call", 1.0, "fast-call-x1"),
        ("fast", "clean", 1.0, None),  # pictures that are sharp are left alone
        ("fast", "clean", 3.0, "fast-call-x3-4"),  # the factor before the task
        ("fast", "call", 8.0, "fast-call-x3-4"),
        ("quality", "clean", 2.0, "quality-clean-x2"),
        ("quality", "call", 2.0, "fast-call-x2"),  # the task before the tier
        ("quality", "call", 4.0, "fast-call-x3-4"),
        ("balanced", "clean", 2.0, "fast-clean-x2"),  # not a dearer one
    ],
)
def test_the_zoo_knows_the_nearest(tier: str, task: str, factor: float, student: str | None) -> None:
    assert bundled.student_for(tier, task, factor) == student


@pytest.mark.parametrize(
    ("name", "factors"), [("fast-call-x1.5", (1.5,)), ("fast-call-x3-4", (3.0, 4.0)), ("own", ()), ("a-x2-b", ())]
)
def test_factors_stand_in_the_name(name: str, factors: tuple[float, ...]) -> None:
    assert bundled.factors_of(name) == factors


# -- the sharpener -----------------------------------------------------------------------------------------------------


def test_names_that_ask_for_a_choice() -> None:
    assert [automatic_tier(name) for name in ("auto", "fast", "balanced", "fast-clean-x2", Path("fast"))] == [
        "fast", "fast", "balanced", None, None,
    ]  # fmt: skip
    assert automatic_tier("auto", picture=True) == "quality"
    assert automatic_tier("fast", picture=True) == "fast"
    assert isinstance(open_sharpener(), AutoSharpener)
    assert isinstance(open_sharpener("fast-clean-x2"), FrameSharpener)
    with pytest.raises(UsageError, match="nothing to choose"):
        AutoSharpener("fast-clean-x2")
    with pytest.raises(ModelError, match="unknown model"):
        open_sharpener("swift")
    for bad in ({"threads": 0}, {"strength": 3.0}, {"threshold": -1}):
        with pytest.raises(UsageError):
            open_sharpener("auto", **bad)


@pytest.mark.usefixtures("models")
def test_a_session_is_that_of_the_chosen_student_and_changes_with_the_choice(photograph: Luma) -> None:
    video = [scaled_up(photograph, 2)] * 20 + [photograph] * 45
    sharpener = AutoSharpener("fast", engine="numpy", threshold=0, reuse=False)
    alone = FrameSharpener(bundled.bundled_models()["fast-call-x2"], engine="numpy", threshold=0, reuse=False)
    with sharpener.session() as session:
        out = [session.frame(Frame(luma)).luma for luma in video]
        assert session.counts.computed > 0
        assert session.totals.tiles == 65 * session.counts.tiles
    np.testing.assert_array_equal(out[0], alone.frame(Frame(video[0])).luma)
    assert [c.student for c in session.choices] == ["fast-call-x2", "fast-call-x1"]
    with pytest.raises(EngineError, match="closed"):
        session.frame(Frame(photograph))


@pytest.mark.usefixtures("models")
def test_frames_without_a_student_are_copies(photograph: Luma) -> None:
    dark = Frame(np.full((64, 64), 20, np.uint8), colour=ColourInfo(range=ColourRange.FULL))
    sharpener = AutoSharpener("fast", engine="numpy")
    canvas = np.zeros_like(dark.luma)
    with sharpener.session() as session:
        out = session.frame(dark, out=canvas)
        session.reset()
        assert session.counts.tiles == 0
    assert out.luma is canvas
    assert out.colour == dark.colour
    for sharp in (out, sharpener.frame(dark), *sharpener.frames([dark])):
        np.testing.assert_array_equal(sharp.luma, dark.luma)
        assert sharp.luma is not dark.luma


@pytest.mark.usefixtures("models")
def test_colour_pictures_are_seen_by_their_luma(photograph: Luma) -> None:
    blurred = scaled_up(photograph, 2)
    rgb = np.repeat(blurred[..., None], 3, axis=2)
    sharpener = AutoSharpener("fast", engine="numpy")
    for picture in (rgb, rgb.astype(np.uint16) * 257, blurred):
        assert sharpener(picture).shape == picture.shape
        assert sharpener.choice is not None
        assert sharpener.choice.student == "fast-clean-x2"
    assert sharpener(photograph, scaled_by=1.5).shape == photograph.shape
    with pytest.raises(UsageError, match="picture"):
        sharpener(np.zeros((4, 4, 5), np.uint8))
