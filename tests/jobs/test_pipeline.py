"""File jobs: every frame, from file to file, and nothing half-written."""

import io
import logging
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from acutance import Sharpener
from acutance._util.background import Consumer, Producer
from acutance.engine import TileCounts
from acutance.errors import OutputError, TruncatedInputWarning, UsageError
from acutance.frame import Frame
from acutance.io import VideoReader, Y4MReader, Y4MWriter
from acutance.jobs.pipeline import sharpen_stream, sharpen_video
from acutance.sharpening.single import FrameSharpener
from io_clips import frame_times, make_clip


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file)


def _lumas(path: Path) -> list[np.ndarray]:
    with VideoReader(path) as reader:
        return [np.array(frame.luma) for frame in reader]


def test_every_frame_is_sharpened_as_it_would_be_alone(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, encoder="ffv1")
    seen: list[tuple[int, int]] = []
    report = sharpener.video(source, target, encoder="ffv1", progress=lambda done, total: seen.append((done, total)))
    expected = [sharpener.inner.engine.process(luma) for luma in _lumas(source)]
    for got, wanted in zip(_lumas(target), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert report.frames == len(expected)
    assert report.damaged is None
    assert [done for done, _ in seen] == list(range(1, len(expected) + 1))
    with VideoReader(source) as before, VideoReader(target) as after:
        for a, b in zip(before, after, strict=True):
            assert a.chroma is not None
            assert b.chroma is not None
            np.testing.assert_array_equal(a.chroma[0], b.chroma[0])
            np.testing.assert_array_equal(a.chroma[1], b.chroma[1])


def test_variable_frame_times_are_kept(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, pts=[0, 1, 2, 7, 8, 20, 21])
    sharpener.video(source, target)
    assert frame_times(target) == frame_times(source)


def test_scale_resizes_before_sharpening(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, size=(64, 48))
    report = sharpener.video(source, target, scale=1.5)
    assert (report.width, report.height) == (96, 72)
    assert _lumas(target)[0].shape == (72, 96)
    with pytest.raises(UsageError, match="scale must be a number above 0 to 8, not 9"):
        sharpener.video(source, tmp_path / "x.mp4", scale=9)


def test_a_split_view_has_the_input_on_its_left(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, encoder="ffv1", size=(64, 48))
    sharpener.video(source, target, encoder="ffv1", split=True)
    for before, after in zip(_lumas(source), _lumas(target), strict=True):
        np.testing.assert_array_equal(after[:, :32], before[:, :32])
        assert (after[:, 32] == 235).all()
        np.testing.assert_array_equal(after[:, 33:], sharpener.inner.engine.process(before)[:, 33:])


def test_an_excerpt_has_the_frames_of_its_span(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, pts=list(range(60)), time_base=Fraction(1, 30))
    report = sharpener.video(source, target, start=0.5, duration=0.5)
    assert report.frames == 15


def test_a_failing_encoder_stops_the_job_and_leaves_nothing(
    sharpener: Sharpener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.jobs.segmented_writer import SegmentedVideoWriter

    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, pts=list(range(40)))

    def fail(self: SegmentedVideoWriter, frame: Frame) -> None:
        raise OutputError(f"{target}: cannot be written: the disk is full")

    monkeypatch.setattr(SegmentedVideoWriter, "write", fail)
    with pytest.raises(OutputError, match="the disk is full"):
        sharpener.video(source, target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_an_interrupt_leaves_nothing_and_ends_the_threads(sharpener: Sharpener, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, pts=list(range(40)))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sharpener.video(source, target, progress=stop)
    assert time.monotonic() - started < 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]
    assert not [t for t in threading.enumerate() if t.name.startswith("acutance")]


def test_a_y4m_stream_goes_through(sharpener: Sharpener) -> None:
    raw = io.BytesIO()
    writer = Y4MWriter(raw, rate=Fraction(30))
    rng = np.random.default_rng(0)
    planes = [rng.integers(16, 236, (16, 20)).astype(np.uint8) for _ in range(4)]
    chroma = (np.full((8, 10), 100, np.uint8), np.full((8, 10), 150, np.uint8))
    for index, plane in enumerate(planes):
        writer.write(Frame(plane, chroma, pts=index, time_base=Fraction(1, 30)))
    out = io.BytesIO()
    report = sharpen_stream(sharpener, io.BytesIO(raw.getvalue()), out)
    assert report.frames == 4
    frames = list(Y4MReader(io.BytesIO(out.getvalue())))
    for plane, frame in zip(planes, frames, strict=True):
        np.testing.assert_array_equal(frame.luma, sharpener.inner.engine.process(plane))
        assert frame.chroma is not None
        np.testing.assert_array_equal(frame.chroma[0], chroma[0])


def _y4m(planes: list[np.ndarray]) -> bytes:
    raw = io.BytesIO()
    writer = Y4MWriter(raw, rate=Fraction(30))
    for index, plane in enumerate(planes):
        chroma = np.full((plane.shape[0] // 2, plane.shape[1] // 2), 128, np.uint8)
        writer.write(Frame(plane, (chroma, chroma), pts=index, time_base=Fraction(1, 30)))
    return raw.getvalue()


def _sharpened(sharpener: Sharpener, planes: list[np.ndarray], **options: bool) -> tuple[list[np.ndarray], TileCounts]:
    out = io.BytesIO()
    report = sharpen_stream(sharpener, io.BytesIO(_y4m(planes)), out, **options)
    return [np.array(f.luma) for f in Y4MReader(io.BytesIO(out.getvalue()))], report.tiles


def test_a_still_video_is_computed_once_and_equals_its_frames(sharpener: Sharpener) -> None:
    plane = np.random.default_rng(0).integers(16, 236, (48, 64)).astype(np.uint8)
    frames, tiles = _sharpened(sharpener, [plane] * 10)
    for frame in frames:
        np.testing.assert_array_equal(frame, sharpener.inner.engine.process(plane))
    if sharpener.inner.reuse:
        assert tiles == TileCounts(120, computed=12, reused=108)


def test_a_split_view_does_not_leak_into_the_tiles_that_are_reused(sharpener: Sharpener) -> None:
    still = np.random.default_rng(0).integers(16, 236, (48, 64)).astype(np.uint8)
    for frame in _sharpened(sharpener, [still] * 3, split=True)[0]:
        np.testing.assert_array_equal(frame[:, :32], still[:, :32])
        np.testing.assert_array_equal(frame[:, 33:], sharpener.inner.engine.process(still)[:, 33:])


def test_flat_tiles_pass_through_a_file_job_bit_for_bit(student_file: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, encoder="ffv1", size=(128, 96))  # ramps of 2 and 3 codes a pixel, which jump back at times
    sharpener = Sharpener(student_file, engine="numpy", threshold=40, reuse=False)
    report = sharpener.video(source, target, encoder="ffv1")
    assert 0 < report.tiles.passed < report.tiles.tiles == 10 * 48
    passed = 0
    for before, after in zip(_lumas(source), _lumas(target), strict=True):
        whole = sharpener.inner.engine.process(before)
        for y in range(0, 96, 16):
            for x in range(0, 128, 16):
                tile = np.s_[y : y + 16, x : x + 16]
                flat = np.array_equal(after[tile], before[tile])
                passed += flat
                assert flat or np.array_equal(after[tile], whole[tile])
    assert passed >= report.tiles.passed


def test_a_file_can_go_into_a_pipe(sharpener: Sharpener, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4")
    out = io.BytesIO()
    report = sharpen_video(sharpener, tmp_path / "in.mp4", out)
    assert len(list(Y4MReader(io.BytesIO(out.getvalue())))) == report.frames > 0


def test_a_producer_passes_its_error_on_and_stops_when_left() -> None:
    def items() -> object:
        yield 1
        raise ValueError("in the thread")

    with Producer(items(), name="test") as producer, pytest.raises(ValueError, match="in the thread"):  # type: ignore[arg-type]
        list(producer)
    with Producer(iter(int, 1), name="endless") as endless:
        next(iter(endless))
    assert not [t for t in threading.enumerate() if t.name.startswith("acutance")]


def test_a_consumer_works_on_everything_in_order_or_raises() -> None:
    done: list[int] = []
    with Consumer(done.append, name="test", behind=2) as consumer:
        for i in range(50):
            consumer.put(i)
        consumer.finish()
    assert done == list(range(50))

    def fail(item: int) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), Consumer(fail, name="failing", behind=1) as failing:
        for i in range(50):
            failing.put(i)
        failing.finish()


def test_a_clip_that_breaks_off_is_warned_of_and_notes_are_logged(
    tmp_path: Path, student_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_clip(tmp_path / "whole.mkv", pts=[512 * i for i in range(24)]).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    sharpener = FrameSharpener(student_file, engine="numpy")
    with (
        caplog.at_level(logging.INFO, logger="acutance"),
        pytest.warns(TruncatedInputWarning, match=r"cut\.mkv: .*; the \d+ frames that could be read were kept"),
    ):
        report = sharpen_video(sharpener, tmp_path / "cut.mkv", tmp_path / "out.mkv")
    assert report.damaged
    assert [r.getMessage() for r in caplog.records if r.name == "acutance.jobs.pipeline"] == [
        f"{report.source}: {note}" for note in report.notes
    ]
