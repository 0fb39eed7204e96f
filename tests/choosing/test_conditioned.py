"""Conditioned students at work: mixtures that follow a stream, looks, pictures, jobs, stated conditions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Frame, Sharpener
from acutance.choosing.condition import KnownFacts, condition_features, with_known
from acutance.choosing.condition_tracker import ConditionTracker
from acutance.choosing.conditioned import ConditionedSession, ConditionedSharpener
from acutance.choosing.stated import at_condition, parse_condition, stated_student
from acutance.cli.main import main
from acutance.degrade import resize
from acutance.engine.integer import convert
from acutance.engine.numpy_engine import NumpyEngine
from acutance.engine.peaks import quick_peaks
from acutance.errors import EngineError, UsageError
from acutance.io import VideoReader
from acutance.students.bundled import conditioned_file
from acutance.students.conditioned import ConditionedStudent, rounded_mixture
from acutance.students.spec import StudentShape, load_student, save_student
from conditioned_students import random_conditioned, write_random_conditioned
from io_clips import make_clip

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def student() -> ConditionedStudent:
    return random_conditioned()


@pytest.fixture(scope="module")
def sharpener(student: ConditionedStudent) -> ConditionedSharpener:
    return ConditionedSharpener("fast", {"": student}, first="", engine="numpy", threshold=0)


def scene(seed: int = 5, size: tuple[int, int] = (144, 176)) -> Luma:
    """Limited-range luma with a photograph's spectrum: power falling with the square of frequency."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal(size))
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    plane = np.fft.irfft2(spectrum / np.maximum(np.hypot(fy, fx), 1 / size[1]), s=size)
    return np.clip(np.rint(120 + 40 * plane / plane.std()), 16, 235).astype(np.uint8)


def enlarged(luma: Luma, factor: float) -> Luma:
    height, width = luma.shape
    return resize(resize(luma, round(width / factor), round(height / factor)), width, height)


def seen(student: ConditionedStudent, luma: Luma, known: KnownFacts | None = None) -> list[float]:
    features = condition_features(luma, known=known or KnownFacts())
    assert features is not None
    return list(student.mixture(features))


def followed(student: ConditionedStudent, frames: list[Luma]) -> list[list[float]]:
    """The mixture of every frame of a stream."""
    tracker = ConditionTracker(student)
    return [list(tracker.look(luma)) for luma in frames]


# -- which mixture holds -----------------------------------------------------------------------------------------------


def test_the_first_frame_gets_its_own_mixture(student: ConditionedStudent) -> None:
    luma = scene()
    assert followed(student, [luma]) == [seen(student, luma)]


def test_a_steady_stream_keeps_its_mixture(student: ConditionedStudent) -> None:
    mixtures = followed(student, [enlarged(scene(), 2)] * 40)
    assert mixtures == [mixtures[0]] * 40


def test_a_slow_change_is_followed_halfway_at_every_fifteenth_frame(student: ConditionedStudent) -> None:
    sharp = scene()
    soft = enlarged(sharp, 1.5)
    first, last = (np.array(seen(student, luma), np.float64) for luma in (sharp, soft))
    assert 0.02 < np.abs(first - last).sum() / 2 < 0.5
    mixtures = followed(student, [sharp] * 15 + [soft] * 60)
    for look in range(1, 5):
        expected = rounded_mixture(last + (first - last) / 2**look)
        assert mixtures[15 * look : 15 * look + 15] == [list(expected)] * 15


def test_a_scene_cut_is_seen_at_once(student: ConditionedStudent) -> None:
    before, after = scene(1), 251 - enlarged(scene(2), 3)
    expected = [seen(student, before)] * 7 + [seen(student, after)] * 3
    assert followed(student, [before] * 7 + [after] * 3) == expected
    assert seen(student, before) != seen(student, after)


def test_frames_with_nothing_to_see_keep_the_mixture(student: ConditionedStudent) -> None:
    luma, black = scene(), np.full((144, 176), 16, np.uint8)
    mixtures = followed(student, [black, luma, *[black] * 20])
    assert mixtures == [list(student.identity), *[seen(student, luma)] * 21]


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (63, 500)])
@pytest.mark.parametrize("bits", [8, 10])
def test_frames_of_any_kind_get_a_condition(student: ConditionedStudent, size: tuple[int, int], bits: int) -> None:
    luma = (np.random.default_rng(0).integers(16, 236, size) << (bits - 8)).astype(np.uint8 if bits == 8 else np.uint16)
    for full_range in (False, True):
        tracker = ConditionTracker(student)
        assert list(tracker.look(luma, bit_depth=bits, full_range=full_range)) == list(student.identity)
        known = KnownFacts(factor=2.0)
        expected = student.mixture(with_known(student.mean, known))
        np.testing.assert_array_equal(tracker.look(luma, bit_depth=bits, full_range=full_range, known=known), expected)


def test_known_facts_count_and_other_facts_begin_afresh(student: ConditionedStudent) -> None:
    luma, tracker = scene(), ConditionTracker(student)
    for known in (KnownFacts(), KnownFacts(factor=2.0), KnownFacts(factor=2.0, bits_per_pixel=0.05)):
        assert list(tracker.look(luma, known=known)) == seen(student, luma, known)
    assert seen(student, luma) != seen(student, luma, KnownFacts(factor=2.0))


@pytest.mark.parametrize(("rate", "told"), [(0.05, 0.05), (0.4, 0.4), (0.001, None), (5.0, None)])
def test_bits_per_pixel_are_told_to_the_student_where_training_has_been(
    student: ConditionedStudent, sharpener: ConditionedSharpener, rate: float, told: float | None
) -> None:
    luma = scene()
    mixture = sharpener.mixture_of(ConditionTracker(student), Frame(luma, bits_per_pixel=rate))
    assert list(mixture) == seen(student, luma, KnownFacts(bits_per_pixel=told))
    assert seen(student, luma, KnownFacts(bits_per_pixel=rate)) != seen(student, luma, KnownFacts())


# -- what is made of it ------------------------------------------------------------------------------------------------


def test_a_frame_is_sharpened_by_the_network_of_its_mixture(
    student: ConditionedStudent, sharpener: ConditionedSharpener
) -> None:
    frame = Frame(enlarged(scene(), 2), scaled_by=2.0)
    mixture = np.array(seen(student, np.asarray(frame.luma, np.uint8), KnownFacts(factor=2.0)), np.float32)
    for look in ("faithful", "natural"):
        sharpener.look = look  # type: ignore[assignment]
        plain = student.student(mixture, look=look)  # type: ignore[arg-type]
        network = convert(plain, peaks=quick_peaks(plain))
        np.testing.assert_array_equal(sharpener.frame(frame).luma, NumpyEngine(network).process(frame.luma))
    assert sharpener.choice is not None
    assert sharpener.choice.student == "fast"


def test_a_mixture_without_an_integer_form_leaves_frames_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    student = random_conditioned(9)
    layer = student.looks["natural"][-1]
    huge = replace(layer, weight=layer.weight * np.float32(1e6))
    looks = {**student.looks, "natural": (*student.looks["natural"][:-1], huge)}
    luma = scene()
    with ConditionedSharpener("bad", {"": replace(student, looks=looks)}, first="", engine="numpy") as sharpener:
        np.testing.assert_array_equal(sharpener.frame(Frame(luma)).luma, luma)
        assert "a mixture has no integer form, frames stay as they are" in caplog.text
        sharpener.look = "faithful"
        assert (sharpener.frame(Frame(luma)).luma != luma).any()


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_strength_scales_the_change(student: ConditionedStudent, strength: float) -> None:
    made = ConditionedSharpener("fast", {"": student}, first="", engine="numpy", strength=strength)
    frame = Frame(scene() // 2 + 60)
    once = ConditionedSharpener("fast", {"": student}, first="", engine="numpy").frame(frame).luma.astype(int)
    change = made.frame(frame).luma.astype(int) - frame.luma
    wanted = strength * (once - frame.luma)
    inside = (frame.luma + wanted > 2) & (frame.luma + wanted < 253) & (once > 0) & (once < 255)  # nothing clipped
    assert inside.mean() > 0.5
    assert np.abs(change - wanted)[inside].max() <= 1.5  # each is rounded to whole code values


def test_the_look_and_the_strength_may_change_in_mid_stream(student: ConditionedStudent) -> None:
    made = ConditionedSharpener("fast", {"": student}, first="", engine="numpy", threshold=0, reuse=False)
    frame = Frame(scene())
    with made.session() as session:
        natural = session.frame(frame).luma
        made.look = "faithful"
        faithful = session.frame(frame).luma
        made.look, made.strength = "natural", 0.0
        np.testing.assert_array_equal(session.frame(frame).luma, frame.luma)
        assert (natural != faithful).any()
        made.strength = 1.0
        np.testing.assert_array_equal(session.frame(frame).luma, natural)
        assert [choice.reason.split(",")[1] for choice in session.choices] == [
            " natural look", " faithful look", " natural look",
        ]  # fmt: skip


def test_a_reset_looks_at_the_next_frame(student: ConditionedStudent, sharpener: ConditionedSharpener) -> None:
    first, second = scene(), enlarged(scene(), 1.5)
    with sharpener.session() as session:
        assert isinstance(session, ConditionedSession)
        session.frame(Frame(first))
        session.reset()
        session.frame(Frame(second))
        assert session.mixture is not None
        assert list(session.mixture) == seen(student, second)
    with pytest.raises(EngineError, match="closed"):
        session.frame(Frame(first))


def test_tiles_of_a_still_picture_are_reused(sharpener: ConditionedSharpener) -> None:
    frame = Frame(scene())
    with sharpener.session() as session:
        for _ in range(3):
            session.frame(frame)
        assert session.counts.reused == session.counts.tiles


def test_pictures_of_every_kind(sharpener: ConditionedSharpener) -> None:
    grey = scene()
    rgb = np.stack([grey, grey // 2 + 40, 255 - grey], axis=-1)
    rgba = np.dstack([rgb, grey])
    out = sharpener(rgb)
    assert (out != rgb).any()
    np.testing.assert_array_equal(sharpener(rgba)[..., :3], out)
    np.testing.assert_array_equal(sharpener(rgb[..., ::-1].copy(), order="bgr"), out[..., ::-1])
    again = rgb.copy()
    assert sharpener(again, out=again) is again
    np.testing.assert_array_equal(again, out)
    deep = sharpener(grey.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - sharpener(grey).astype(float)).max() <= 0.6


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_path_of_a_file_opens_it(tmp_path: Path) -> None:
    write_random_conditioned(tmp_path / "mine.safetensors")
    with Sharpener(tmp_path / "mine.safetensors", engine="numpy") as sharpener:
        assert (sharpener.name, sharpener.look) == ("fast", "natural")
        assert sharpener(scene()).shape == scene().shape
    with pytest.raises(UsageError, match="changes its weights while it runs, for which the engine is native or numpy"):
        Sharpener(tmp_path / "mine.safetensors", engine="onnxruntime")


def test_the_tier_of_a_session_may_change() -> None:
    students = {
        tier: random_conditioned(channels, name=tier, shape=StudentShape(2, channels, 1))
        for tier, channels in (("balanced", 12), ("fast", 8))
    }
    frame = Frame(scene())
    sharpener = ConditionedSharpener("mine", students, first="fast", engine="numpy", threshold=0, reuse=False)
    assert (sharpener.tiers, sharpener.first_tier) == (("balanced", "fast"), 1)
    with sharpener.session() as session:
        fast = session.frame(frame).luma
        session.tier = "balanced"
        balanced = session.frame(frame).luma
        session.tier = "fast"
        np.testing.assert_array_equal(session.frame(frame).luma, fast)
        assert (fast != balanced).any()
        assert [choice.student for choice in session.choices] == ["fast", "balanced", "fast"]
        with pytest.raises(UsageError, match="has no tier 'quality'; it has balanced, fast"):
            session.tier = "quality"


def test_a_condition_that_is_set_holds_until_it_is_taken_back(student: ConditionedStudent) -> None:
    made = ConditionedSharpener("fast", {"": student}, first="", engine="numpy", threshold=0)
    frame = Frame(scene())
    free = made.frame(frame).luma
    made.choice = "x3"
    plain = at_condition(student, KnownFacts(factor=3.0))
    expected = NumpyEngine(convert(plain, peaks=quick_peaks(plain))).process(frame.luma)
    np.testing.assert_array_equal(made.frame(frame).luma, expected)
    (in_session,) = made.frames([frame])
    np.testing.assert_array_equal(in_session.luma, expected)
    assert made.choice is not None
    assert (made.choice.factor, made.choice.reason) == (3.0, "x3, as asked")
    assert made.identity() != ConditionedSharpener("fast", {"": student}, first="", engine="numpy").identity()
    made.choice = None
    np.testing.assert_array_equal(made.frame(frame).luma, free)


# -- file jobs ---------------------------------------------------------------------------------------------------------


def test_a_resumed_job_gives_the_frames_of_a_plain_one(student: ConditionedStudent, tmp_path: Path) -> None:
    """What holds in a segment depends on its own frames: cut at a frame, the rest comes out the same."""
    clip = tmp_path / "in.mkv"
    make_clip(clip, encoder="ffv1", pts=[512 * i for i in range(24)], size=(96, 80))
    made = ConditionedSharpener("fast", {"": student}, first="", engine="numpy")
    _with(made).video(clip, tmp_path / "whole.mkv", encoder="ffv1", segment_frames=8)

    class Stop(Exception):  # noqa: N818
        pass

    def stop(done: int, _: int) -> None:
        if done == 19:
            raise Stop

    resumed = _with(ConditionedSharpener("fast", {"": student}, first="", engine="numpy"))
    with pytest.raises(Stop):
        resumed.video(clip, tmp_path / "out.mkv", encoder="ffv1", segment_frames=8, progress=stop)
    report = resumed.video(clip, tmp_path / "out.mkv", encoder="ffv1", segment_frames=8, resume=True)
    assert report.resumed_from in (8, 16)
    assert [choice.student for choice in report.choices] == ["fast"]
    with VideoReader(tmp_path / "whole.mkv") as whole, VideoReader(tmp_path / "out.mkv") as out:
        for number, (a, b) in enumerate(zip(whole, out, strict=True)):
            np.testing.assert_array_equal(a.luma, b.luma, err_msg=f"frame {number}")


def _with(inner: ConditionedSharpener) -> Sharpener:
    sharpener = Sharpener("fast-clean-x2", engine="numpy")
    sharpener._inner = inner
    return sharpener


# -- stated conditions -------------------------------------------------------------------------------------------------


def test_a_stated_condition_is_read() -> None:
    assert parse_condition("x2") == KnownFacts(factor=2.0)
    assert parse_condition("x1.5, 0.05bpp") == KnownFacts(factor=1.5, bits_per_pixel=0.05)
    for bad in ("", "2", "x2,x3", "x2;0.1bpp", "sharp"):
        with pytest.raises(UsageError, match=r"a condition is like 'x2' or 'x2,0.05bpp'"):
            parse_condition(bad)
    with pytest.raises(UsageError, match=r"factor must be 1 or more"):
        parse_condition("x0.5")


def test_a_student_for_a_stated_condition_is_a_plain_one(student: ConditionedStudent, tmp_path: Path) -> None:
    known = KnownFacts(factor=2.0)
    plain = at_condition(student, known)
    assert (plain.spec.name, plain.spec.factors) == ("fast-x2", (2.0,))
    assert plain.spec.degradation == "[natural look at x2]"
    save_student(plain, tmp_path / "plain.safetensors")
    assert load_student(tmp_path / "plain.safetensors").spec == plain.spec
    mixture = student.mixture(with_known(student.mean, known))
    for name, tensor in student.student(mixture).tensors().items():
        np.testing.assert_array_equal(plain.tensors()[name], tensor)
    faithful = at_condition(student, known, look="faithful")
    assert any((a != b).any() for a, b in zip(plain.tensors().values(), faithful.tensors().values(), strict=True))
    with pytest.raises(UsageError, match="needs a factor"):
        at_condition(student, replace(known, factor=None))


def test_a_model_and_a_condition_make_a_plain_student(student_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    student = write_random_conditioned(path)
    made = stated_student(str(path), condition="x3", look="faithful")
    expected = at_condition(student, KnownFacts(factor=3.0), look="faithful")
    assert made.spec == expected.spec
    assert all((a == b).all() for a, b in zip(made.tensors().values(), expected.tensors().values(), strict=True))
    assert stated_student("fast", condition="x2").spec.factors == (2.0,)  # a tier's conditioned student
    assert stated_student("fast").spec.name == "fast-clean-x2"
    assert stated_student(str(student_file)).spec == load_student(student_file).spec
    with pytest.raises(UsageError, match="state a condition, such as x2"):
        stated_student(str(path))
    with pytest.raises(UsageError, match="has one weight set"):
        stated_student("fast-clean-x2", condition="x2")
    with pytest.raises(UsageError, match="has no look 'natural'"):
        stated_student("fast-clean-x2", look="natural")


def test_an_integer_network_is_written_for_a_stated_condition(tmp_path: Path) -> None:
    student = write_random_conditioned(tmp_path / "mine.safetensors")
    target = tmp_path / "mine.acu"
    assert main(["convert", str(tmp_path / "mine.safetensors"), str(target), "--condition", "x2"]) == 0
    assert target.read_bytes() == convert(at_condition(student, KnownFacts(factor=2.0))).to_bytes()


@pytest.mark.parametrize("model", ["auto", "fast"])
def test_the_natural_look_of_a_tier_is_that_of_its_conditioned_student(model: str) -> None:
    frame = Frame(enlarged(scene(), 2))
    path = conditioned_file("fast")
    assert path is not None
    with Sharpener(model, look="natural", engine="numpy") as natural, Sharpener(path, engine="numpy") as own:
        assert natural.look == own.look == "natural"
        np.testing.assert_array_equal(natural.frame(frame).luma, own.frame(frame).luma)
        natural.look = "faithful"
        assert (natural.frame(frame).luma != own.frame(frame).luma).any()
    assert Sharpener(model, engine="numpy").look == "natural"


def test_a_tier_without_a_conditioned_student_has_no_natural_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acutance.choosing.automatic.conditioned_file", lambda _: None)
    with pytest.raises(UsageError, match="quality has no look 'natural'; these have: none"):
        Sharpener("quality", look="natural", engine="numpy")
