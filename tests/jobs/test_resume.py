"""File jobs that are killed, at any time, and go on: the result is that of a job that was not."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance import Sharpener
from acutance._util.av import av
from acutance.cli.exit_codes import exit_code
from acutance.degrade import resize
from acutance.errors import Cancelled, OutputError, OutputExistsError, ResumeError, UnsupportedMediaError, UsageError
from acutance.io import VideoReader
from acutance.jobs.journal import Journal, job_folder, unfinished
from acutance.jobs.pipeline import JobReport
from acutance.sharpening.base import Choice
from io_clips import frame_times, make_clip, packets
from killed_job import MOMENTS

needs_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
SEGMENT = 8
FRAMES = 37


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file, threads=1)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without a steady rate, with B-frames, and with sound."""
    steps = np.random.default_rng(0).integers(1, 9, FRAMES)
    times = [int(t) for t in np.cumsum(steps) * 128]
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", size=(160, 96), pts=times, audio=True)


@pytest.fixture(scope="module")
def whole(sharpener: Sharpener, uneven: Path) -> tuple[Path, JobReport]:
    """What an uninterrupted job makes of it."""
    target = uneven.with_name("whole.mp4")
    return target, sharpener.video(uneven, target, segment_frames=SEGMENT)


def frames_of(path: Path) -> list[tuple[int | None, bytes]]:
    """Time and samples of every frame."""
    with VideoReader(path) as reader:
        return [(f.pts, b"".join(p.tobytes() for p in (f.luma, *(f.chroma or ())))) for f in reader]


def assert_same(report: JobReport, target: Path, whole: tuple[Path, JobReport]) -> None:
    assert frames_of(target) == frames_of(whole[0])
    assert frame_times(target) == frame_times(whole[0])
    for name in ("frames", "tiles", "choices", "damaged", "notes"):
        assert getattr(report, name) == getattr(whole[1], name), name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(moment: str, model: object, source: Path, target: Path, **options: object) -> None:
    """Run a job in a process that kills itself then."""
    words = [moment, str(model), str(source), str(target)]
    words += [f"{name}={json.dumps(value)}" for name, value in {"segment_frames": SEGMENT, **options}.items()]
    command = [sys.executable, str(Path(__file__).parents[1] / "killed_job.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def stopped(sharpener: Sharpener, source: Path, target: Path, at: int, **options: Any) -> None:
    """Run a job and press Ctrl-C when so many frames are sharpened."""

    def stop(done: int, total: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sharpener.video(source, target, progress=stop, **{"segment_frames": SEGMENT, **options})


def segments_of(target: Path) -> list[Path]:
    return sorted(job_folder(target).glob("*.segment"))


def journal_of(target: Path) -> Path:
    return job_folder(target) / "journal"


# -- killed ------------------------------------------------------------------------------------------------------------


@needs_sigkill
@pytest.mark.parametrize("moment", MOMENTS[:-1])
def test_a_job_killed_at_any_moment_goes_on_to_the_same_result(
    moment: str, sharpener: Sharpener, student_file: Path, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    killed(moment, student_file, uneven, target)
    assert names(tmp_path) == [job_folder(target).name]
    finished = unfinished(target)
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from == (0 if finished is None else finished.frames)
    assert_same(report, target, whole)
    assert packets(target, "audio") == packets(whole[0], "audio")
    assert names(tmp_path) == ["out.mp4"]


@needs_sigkill
def test_how_far_a_killed_job_was(student_file: Path, uneven: Path, tmp_path: Path) -> None:
    found = {}
    for moment in MOMENTS:
        target = tmp_path / f"{MOMENTS.index(moment)}.mp4"
        killed(moment, student_file, uneven, target)
        begun = unfinished(target)
        found[moment] = None if begun is None else begun.frames
    at_least = found.pop("in the third segment")
    assert at_least in (8, 16)  # the encoder may be some frames behind
    assert [*found.values()] == [None, 8, 16, FRAMES, FRAMES, None]


@needs_sigkill
def test_a_job_killed_when_all_was_done_but_tidying_is_finished(
    student_file: Path, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from acutance.cli.main import main

    target = tmp_path / "out.mp4"
    killed(MOMENTS[-1], student_file, uneven, target)
    assert frames_of(target) == frames_of(whole[0])
    assert (
        main(["sharpen", str(uneven), "-o", str(target), "--resume", "-m", str(student_file), "--progress", "plain"])
        == 0
    )
    assert "exists already and is kept" in capsys.readouterr().err
    assert names(tmp_path) == ["out.mp4"]


@needs_sigkill
def test_a_job_that_is_killed_again_and_again_gets_there(
    sharpener: Sharpener, student_file: Path, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    killed("with a segment in the journal", student_file, uneven, target)
    killed("with a segment in the journal", student_file, uneven, target, resume=True)
    killed("while the segments are joined", student_file, uneven, target, resume=True)
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from == FRAMES
    assert_same(report, target, whole)


# -- what is the same --------------------------------------------------------------------------------------------------


def test_segments_do_not_change_times_nor_what_is_beside_the_picture(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    report = sharpener.video(uneven, target)
    assert report.resumed_from is None
    assert frame_times(target) == frame_times(whole[0]) == frame_times(uneven)
    assert packets(target, "audio") == packets(whole[0], "audio") == packets(uneven, "audio")
    assert sorted(pts for pts, _ in packets(target, "video")) == sorted(pts for pts, _ in packets(whole[0], "video"))


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("out.mp4", "libx265"),
        ("out.webm", "libvpx-vp9"),
        ("out.mkv", "libsvtav1"),
        ("out.nut", "ffv1"),
        ("out.ts", "libx264"),
    ],
)
def test_every_encoder_goes_on(sharpener: Sharpener, uneven: Path, tmp_path: Path, name: str, encoder: str) -> None:
    target, straight = tmp_path / name, tmp_path / f"straight-{name}"
    options = {"encoder": encoder, "segment_frames": SEGMENT}
    stopped(sharpener, uneven, target, 30, **options)
    report = sharpener.video(uneven, target, resume=True, **options)
    assert report.resumed_from in (8, 16, 24)
    assert_same(report, target, (straight, sharpener.video(uneven, straight, **options)))


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 1.5},
        {"split": True},
        {"start": 0.25, "duration": 1.2},
        {"bitrate": 400_000, "preset": "fast"},
    ],
    ids=["scale", "split", "start and duration", "bitrate"],
)
def test_every_option_goes_on(sharpener: Sharpener, uneven: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    target, straight = tmp_path / "out.mp4", tmp_path / "straight.mp4"
    expected = sharpener.video(uneven, straight, segment_frames=4, **options)
    stopped(sharpener, uneven, target, 18, segment_frames=4, **options)
    report = sharpener.video(uneven, target, segment_frames=4, resume=True, **options)
    assert report.resumed_from
    assert_same(report, target, (straight, expected))


def test_ten_bits_rotation_and_a_start_that_is_not_zero_survive(sharpener: Sharpener, tmp_path: Path) -> None:
    times = [512 * i + 12800 for i in range(30)]
    source = make_clip(tmp_path / "in.mp4", pix_fmt="yuv420p10le", encoder="libx265", rotation=90, pts=times)
    target, straight = tmp_path / "out.mp4", tmp_path / "straight.mp4"
    expected = sharpener.video(source, straight, segment_frames=SEGMENT)
    stopped(sharpener, source, target, 25)
    report = sharpener.video(source, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from
    assert_same(report, target, (straight, expected))
    assert frame_times(target) == frame_times(source)
    with VideoReader(target) as reader:
        assert reader.info.rotation == 90
        assert reader.info.bit_depth == 10


def test_tiles_near_the_threshold_are_as_in_a_job_that_was_not_stopped(student_file: Path, tmp_path: Path) -> None:
    """What a session remembers of a frame decides about the next one: it begins anew with each segment."""
    sharpener = Sharpener(student_file, engine="numpy", threshold=36)
    source = _noisy(tmp_path / "in.mkv")
    target, straight = tmp_path / "out.mkv", tmp_path / "straight.mkv"
    expected = sharpener.video(source, straight, segment_frames=SEGMENT, encoder="ffv1")
    assert 0 < expected.tiles.passed < expected.tiles.tiles
    uncut = sharpener.video(source, tmp_path / "uncut.mkv", encoder="ffv1")
    assert uncut.tiles != expected.tiles  # it would matter
    stopped(sharpener, source, target, 25, encoder="ffv1")
    report = sharpener.video(source, target, segment_frames=SEGMENT, encoder="ffv1", resume=True)
    assert report.resumed_from
    assert_same(report, target, (straight, expected))


def _write(path: Path, lumas: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width = lumas[0].shape
        stream.pix_fmt = "gray"
        for index, luma in enumerate(lumas):
            frame = av.VideoFrame.from_ndarray(luma, "gray")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _noisy(path: Path) -> Path:
    """Edges whose height, and with it the activity of tiles, goes up and down from frame to frame."""
    rng = np.random.default_rng(1)
    height = rng.integers(12, 20, (30, 4, 6))
    base = np.indices((64, 96)).sum(axis=0) // 7 % 2
    return _write(path, [(100 + base * np.kron(h, np.ones((16, 16), int))).astype(np.uint8) for h in height])


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that is sharp at first, and scaled up by two from its 20th frame on."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft2(rng.standard_normal((256, 512)))
    fy, fx = np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(512)[None]
    plane = np.fft.irfft2(spectrum / np.maximum(np.hypot(fy, fx), 1 / 512), s=(256, 512))
    sharp = np.clip(np.rint(120 + 40 * plane / plane.std()), 16, 235).astype(np.uint8)
    soft = resize(resize(sharp, 256, 128), 512, 256)
    lumas = [np.ascontiguousarray((sharp if i < 20 else soft)[:192, i : i + 256]) for i in range(70)]
    return _write(tmp_path_factory.mktemp("changing") / "in.mkv", lumas)


@pytest.mark.parametrize("at", [20, 32, 44, 66])
def test_auto_chooses_for_a_segment_by_its_own_frames(changing: Path, tmp_path: Path, at: int) -> None:
    """A resumed job begins with a cut, so what was seen before it must not count in any job."""
    options = {"segment_frames": 12, "encoder": "ffv1"}
    for model in ("auto", "balanced"):  # weights that follow each frame; a table of students
        sharpener = Sharpener(model, threads=1)
        target, straight = tmp_path / f"{model}.mkv", tmp_path / f"{model}-straight.mkv"
        expected = sharpener.video(changing, straight, **options)
        if model == "balanced":
            assert [choice.factor for choice in expected.choices] == [1, 2]
        stopped(sharpener, changing, target, at, **options)
        report = sharpener.video(changing, target, resume=True, **options)
        assert report.resumed_from
        assert all(isinstance(choice, Choice) for choice in report.choices)
        assert_same(report, target, (straight, expected))


@needs_sigkill
def test_auto_goes_on_in_another_process(changing: Path, tmp_path: Path) -> None:
    target, straight = tmp_path / "out.mkv", tmp_path / "straight.mkv"
    killed("with a segment in the journal", "auto", changing, target, segment_frames=18, encoder="ffv1")
    sharpener = Sharpener("auto", threads=1)
    expected = sharpener.video(changing, straight, segment_frames=18, encoder="ffv1")
    report = sharpener.video(changing, target, segment_frames=18, encoder="ffv1", resume=True)
    assert report.resumed_from == 36
    assert_same(report, target, (straight, expected))


def test_a_damaged_video_goes_on_with_the_same_frames_and_the_same_complaint(
    sharpener: Sharpener, tmp_path: Path
) -> None:
    times = [512 * i for i in range(40)]
    make_clip(tmp_path / "good.mkv", size=(96, 64), pts=times, options={"preset": "ultrafast"})
    data = bytearray((tmp_path / "good.mkv").read_bytes())
    rng = np.random.default_rng(2)
    for at in rng.integers(len(data) // 4, len(data), 12):
        data[at] ^= 0xFF
    (tmp_path / "in.mkv").write_bytes(data[: len(data) * 9 // 10])
    source, target, straight = (tmp_path / name for name in ("in.mkv", "out.mkv", "straight.mkv"))
    expected = sharpener.video(source, straight, segment_frames=SEGMENT)
    assert expected.damaged
    stopped(sharpener, source, target, 20)
    report = sharpener.video(source, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from
    assert_same(report, target, (straight, expected))


@pytest.mark.parametrize("kind", ["open groups", "no times", "one key frame"])
def test_where_a_place_cannot_be_sought_it_is_read_up_to(sharpener: Sharpener, tmp_path: Path, kind: str) -> None:
    times = [512 * i for i in range(40)]
    if kind == "open groups":
        parameters = "open-gop=1:bframes=3:keyint=10:min-keyint=10:log-level=none"
        source = make_clip(tmp_path / "in.mkv", encoder="libx265", pts=times, options={"x265-params": parameters})
    elif kind == "no times":
        source = make_clip(tmp_path / "in.h264", pts=times)
    else:
        source = make_clip(tmp_path / "in.ts", pts=times, options={"g": "1000"})
    target, straight = tmp_path / "out.mkv", tmp_path / "straight.mkv"
    expected = sharpener.video(source, straight, segment_frames=SEGMENT)
    stopped(sharpener, source, target, 34)
    report = sharpener.video(source, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from
    assert_same(report, target, (straight, expected))


# -- what is not the same ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crf": 30}, "libx264 crf was 18 and is 30"),
        ({"preset": "fast"}, "libx264 preset was medium and is fast"),
        ({"encoder": "libx265"}, "encoder was libx264 and is libx265"),
        ({"scale": 2.0}, "scale was 1.0 and is 2.0"),
        ({"split": True}, "split was False and is True"),
        ({"start": 0.1}, "start was 0.0 and is 0.1"),
        ({"segment_frames": 9}, "frames in a segment was 8 and is 9"),
    ],
)
def test_another_setting_is_refused_and_named(
    sharpener: Sharpener, uneven: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    before = names(job_folder(target))
    with pytest.raises(ResumeError, match=said):
        sharpener.video(uneven, target, resume=True, **{"segment_frames": SEGMENT, **options})
    assert names(job_folder(target)) == before
    assert names(tmp_path) == [job_folder(target).name]


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("fast-clean-x2", {}, "the student was tiny-clean-x2"),
        (None, {"strength": 0.5}, "strength was 1.0 and is 0.5"),
        (None, {"threshold": 9}, "threshold was 0 and is 9"),
    ],
)
def test_another_student_is_refused(
    sharpener: Sharpener, student_file: Path, uneven: Path, tmp_path: Path, model: str | None, options: Any, said: str
) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    other = Sharpener(model or student_file, threads=1, **options)
    with pytest.raises(ResumeError, match=said):
        other.video(uneven, target, segment_frames=SEGMENT, resume=True)


def test_another_student_of_the_same_name_is_refused(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    student = sharpener.inner.student
    first = replace(student.layers[0], bias=student.layers[0].bias + 1e-3)
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    with pytest.raises(ResumeError, match=r"the student was tiny-clean-x2 .* and is tiny-clean-x2"):
        other = Sharpener(replace(student, layers=(first, *student.layers[1:])), threads=1)
        other.video(uneven, target, segment_frames=SEGMENT, resume=True)


def test_the_other_engine_of_the_same_bits_goes_on(
    sharpener: Sharpener, student_file: Path, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    if sharpener.inner.engine_name not in ("native", "numpy"):
        pytest.skip("the default engine here is another")
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    other = Sharpener(student_file, engine="numpy")
    report = other.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from
    assert frames_of(target) == frames_of(whole[0])


def test_a_changed_input_is_refused(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    data = bytearray(uneven.read_bytes())
    source.write_bytes(data)
    stopped(sharpener, source, target, 30)
    data[-1] ^= 1
    source.write_bytes(data)
    with pytest.raises(ResumeError, match="the input was"):
        sharpener.video(source, target, segment_frames=SEGMENT, resume=True)


def test_the_same_input_under_another_name_goes_on(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    (tmp_path / "moved.mp4").write_bytes(uneven.read_bytes())
    assert sharpener.video(tmp_path / "moved.mp4", target, segment_frames=SEGMENT, resume=True).resumed_from


def test_another_version_is_refused(
    sharpener: Sharpener, uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.jobs import identity

    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    monkeypatch.setattr(identity, "__version__", "9.9")
    with pytest.raises(ResumeError, match=r"acutance was .* and is 9\.9"):
        sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)


def test_the_digest_of_a_large_file_sees_its_ends_and_its_middle(tmp_path: Path) -> None:
    from acutance.jobs.identity import input_digest

    path = tmp_path / "large"
    size = 70 << 20
    with path.open("wb") as file:
        file.truncate(size)
    seen = {input_digest(path)}
    piece = (size - (256 << 10)) * 128 // 255
    for at in (0, piece, size - 1):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"x")
        seen.add(input_digest(path))
    assert len(seen) == 4


# -- damage to what was kept -------------------------------------------------------------------------------------------


def _torn(target: Path) -> int:
    journal_of(target).write_bytes(journal_of(target).read_bytes()[:-20])
    return 16


def _last_missing(target: Path) -> int:
    segments_of(target)[2].unlink()
    return 16


def _middle_missing(target: Path) -> int:
    segments_of(target)[1].unlink()
    return 8


def _shortened(target: Path) -> int:
    os.truncate(segments_of(target)[2], 100)
    return 16


def _flipped(target: Path) -> int:
    data = bytearray(segments_of(target)[1].read_bytes())
    data[-1] ^= 1
    segments_of(target)[1].write_bytes(data)
    return 8


def _line_altered(target: Path) -> int:
    journal_of(target).write_text(journal_of(target).read_text().replace('"frames":16', '"frames":17'))
    return 8


def _line_removed(target: Path) -> int:
    lines = journal_of(target).read_text().splitlines(keepends=True)
    journal_of(target).write_text("".join(lines[:2] + lines[3:]))
    return 8


def _all_missing(target: Path) -> int:
    for segment in segments_of(target):
        segment.unlink()
    return 0


@pytest.mark.parametrize(
    "damage",
    [_torn, _last_missing, _middle_missing, _shortened, _flipped, _line_altered, _line_removed, _all_missing],
)
def test_what_was_damaged_is_made_again(
    damage: Callable[[Path], int], sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    _stop_behind(sharpener, uneven, target, 3)
    expected = damage(target)
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from == expected
    assert_same(report, target, whole)


def _stop_behind(sharpener: Sharpener, source: Path, target: Path, segments: int) -> str:
    """Stop a job when so many segments are in its journal, and no other; returns what it says."""
    append = Journal.append

    def counted(self: Journal, entry: Any) -> None:
        append(self, entry)
        if len(self.entries) == segments:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cancelled) as caught:
        patch.setattr(Journal, "append", counted)
        sharpener.video(source, target, segment_frames=SEGMENT)
    return str(caught.value)


def test_a_journal_whose_first_line_was_altered_is_not_gone_on_with(
    sharpener: Sharpener, uneven: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    text = journal_of(target).read_text()
    journal_of(target).write_text(text.replace('"18"', '"30"', 1))
    assert journal_of(target).read_text() != text
    with pytest.raises(ResumeError, match="was altered"):
        sharpener.video(uneven, target, segment_frames=SEGMENT, crf=30, resume=True)
    assert sharpener.video(uneven, target, segment_frames=SEGMENT, overwrite=True).frames == FRAMES


def test_an_input_that_decodes_to_other_frames_is_not_gone_on_with(
    sharpener: Sharpener, uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.jobs import seeking

    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    monkeypatch.setattr(seeking, "samples_checksum", lambda frame: 0)
    with pytest.raises(ResumeError, match="is not the one that was read there"):
        sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert segments_of(target)


# -- two jobs, and jobs that were left ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}], ids=["plain", "resume", "overwrite"])
def test_a_second_job_on_the_same_output_is_refused_while_the_first_runs(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path, options: dict[str, bool]
) -> None:
    target = tmp_path / "out.mp4"
    refused: list[BaseException] = []

    def meanwhile(done: int, total: int) -> None:
        if done == 30:
            with pytest.raises(OutputError, match=r"out\.mp4: another job is writing it") as caught:
                sharpener.video(uneven, target, segment_frames=SEGMENT, **options)
            refused.append(caught.value)

    report = sharpener.video(uneven, target, segment_frames=SEGMENT, progress=meanwhile)
    assert refused
    assert_same(report, target, whole)


def test_another_process_is_refused_too(sharpener: Sharpener, student_file: Path, uneven: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "acutance", "sharpen", str(uneven), str(target), "-m", str(student_file)]
    outcome: list[subprocess.CompletedProcess[str]] = []

    def meanwhile(done: int, total: int) -> None:
        if done == 12:
            outcome.append(subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False))

    sharpener.video(uneven, target, segment_frames=SEGMENT, progress=meanwhile)
    assert outcome[0].returncode == exit_code(OutputError)
    assert outcome[0].stderr.splitlines() == [f"acutance: {target}: another job is writing it"]


def test_of_two_that_go_on_at_once_one_does(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    begun, refused = threading.Event(), threading.Event()
    outcomes: list[JobReport] = []

    def first() -> None:
        def wait(done: int, total: int) -> None:
            begun.set()
            assert refused.wait(60)

        outcomes.append(sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True, progress=wait))

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert begun.wait(60)
        with pytest.raises(OutputError, match="another job"):
            sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    finally:
        refused.set()
        thread.join()
    assert_same(outcomes[0], target, whole)


def test_an_unfinished_job_is_neither_gone_on_with_nor_thrown_away_unasked(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    stopped(sharpener, uneven, target, 30)
    before = {path.name: path.read_bytes() for path in job_folder(target).iterdir()}
    with pytest.raises(OutputExistsError, match="resume it or discard it"):
        sharpener.video(uneven, target, segment_frames=SEGMENT)
    assert {path.name: path.read_bytes() for path in job_folder(target).iterdir()} == before
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, overwrite=True)
    assert report.resumed_from is None
    assert_same(report, target, whole)
    assert names(tmp_path) == ["out.mp4"]


@needs_sigkill
def test_what_was_killed_before_its_first_segment_is_no_unfinished_job(
    sharpener: Sharpener, student_file: Path, uneven: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    killed("in the first segment", student_file, uneven, target)
    assert job_folder(target).is_dir()
    sharpener.video(uneven, target, segment_frames=SEGMENT)
    assert names(tmp_path) == ["out.mp4"]


def test_what_was_to_be_replaced_is_there_until_the_resumed_job_has_finished(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("old")
    stopped(sharpener, uneven, target, 30, overwrite=True)
    assert target.read_text() == "old"
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)  # it was allowed to replace it
    assert report.resumed_from
    assert_same(report, target, whole)


def test_a_link_as_output_goes_on_beside_what_it_points_to(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.mp4").write_text("old")
    link = tmp_path / "out.mp4"
    link.symlink_to(tmp_path / "there" / "real.mp4")
    stopped(sharpener, uneven, link, 30, overwrite=True)
    assert names(tmp_path / "there") == [".real.mp4.acutance", "real.mp4"]
    report = sharpener.video(uneven, link, segment_frames=SEGMENT, resume=True)
    assert link.is_symlink()
    assert_same(report, tmp_path / "there" / "real.mp4", whole)


def test_a_name_of_the_longest_kind_has_a_folder(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    target = tmp_path / f"{'x' * 240}.mp4"
    stopped(sharpener, uneven, target, 30)
    assert sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True).resumed_from
    assert names(tmp_path) == [target.name]


# -- errors ------------------------------------------------------------------------------------------------------------


def test_ctrl_c_says_what_is_kept(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    said = _stop_behind(sharpener, uneven, target, 3)
    assert said == f"stopped; the first 24 frames of {target} are kept and can be resumed"
    assert names(tmp_path) == [job_folder(target).name]
    assert names(job_folder(target)) == ["000000.segment", "000001.segment", "000002.segment", "journal", "lock"]


def test_a_full_disk_keeps_what_is_finished(
    sharpener: Sharpener, uneven: Path, whole: tuple[Path, JobReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from acutance.jobs.segments import SegmentWriter

    target = tmp_path / "out.mp4"
    add = SegmentWriter.add

    def full(self: SegmentWriter, packet: Any) -> None:
        if self.path.name == "000002.segment":
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, packet)

    monkeypatch.setattr(SegmentWriter, "add", full)
    expected = r"out\.mp4: cannot be written: the disk is full; its first 16 frames are kept and can be resumed"
    with pytest.raises(OutputError, match=expected):
        sharpener.video(uneven, target, segment_frames=SEGMENT)
    assert names(job_folder(target)) == ["000000.segment", "000001.segment", "journal", "lock"]
    monkeypatch.undo()
    report = sharpener.video(uneven, target, segment_frames=SEGMENT, resume=True)
    assert report.resumed_from == 16
    assert_same(report, target, whole)


def test_a_job_that_would_fail_again_at_the_same_place_keeps_nothing(
    sharpener: Sharpener, uneven: Path, tmp_path: Path
) -> None:
    def refuse(done: int, total: int) -> None:
        if done == 30:
            raise UnsupportedMediaError("in.mp4: interlaced video")

    with pytest.raises(UnsupportedMediaError):
        sharpener.video(uneven, tmp_path / "out.mp4", segment_frames=SEGMENT, progress=refuse)
    assert names(tmp_path) == []


def test_segments_of_another_encoder_do_not_become_one_stream(
    sharpener: Sharpener, uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.jobs import pipeline

    target = tmp_path / "out.mp4"
    monkeypatch.setattr(pipeline, "job_identity", lambda *_, **__: {})
    stopped(sharpener, uneven, target, 30, preset="ultrafast")
    with pytest.raises(OutputError, match="encoded with other headers"):
        sharpener.video(uneven, target, segment_frames=SEGMENT, preset="veryslow", resume=True)


def test_a_stream_cannot_go_on(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    with (tmp_path / "out.y4m").open("wb") as out, pytest.raises(UsageError, match="resuming needs a file"):
        sharpener.video(uneven, out, resume=True)


def test_a_segment_has_frames(sharpener: Sharpener, uneven: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"frames in a segment.* from 1 to .*, not 0"):
        sharpener.video(uneven, tmp_path / "out.mp4", segment_frames=0)


# -- the command line --------------------------------------------------------------------------------------------------


def test_the_command_line_goes_on_and_says_so(
    sharpener: Sharpener,
    student_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from acutance.cli.main import main
    from acutance.jobs.resumable import SEGMENT_FRAMES

    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.mp4", pts=[512 * i for i in range(SEGMENT_FRAMES + 60)], options={"preset": "ultrafast"})
    command = ["sharpen", "a.mp4", "--preset", "ultrafast", "-m", str(student_file)]
    assert main([*command, "--resume", "--progress", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["resumed_from"] == 0
    assert "there was nothing to go on with; began at the beginning" in err
    expected = frames_of(tmp_path / "a-sharp.mp4")
    (tmp_path / "a-sharp.mp4").unlink()
    stopped(
        sharpener, Path("a.mp4"), Path("a-sharp.mp4"), SEGMENT_FRAMES + 50,
        segment_frames=SEGMENT_FRAMES, preset="ultrafast",
    )  # fmt: skip
    assert main(command) == exit_code(OutputExistsError)
    assert "resume it or discard it; --resume continues, --overwrite replaces what is there" in capsys.readouterr().err
    assert main([*command, "--resume", "--crf", "30"]) == exit_code(ResumeError)
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*command, "--resume", "--progress", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["resumed_from"] == SEGMENT_FRAMES
    assert f"its first {SEGMENT_FRAMES} frames were finished; went on from there" in err
    assert frames_of(tmp_path / "a-sharp.mp4") == expected


def test_in_a_folder_what_is_finished_is_kept(
    student_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from acutance.cli.main import main

    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("out").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (32, 32), 99).save(Path("in") / name)
    make_clip(Path("in") / "c.mp4")
    make_clip(Path("in") / "d.mp4")
    for name in ("a.png", "c.mp4"):
        (Path("out") / name).write_text("finished")
    command = ["sharpen", "in", "out", "--progress", "plain", "-m", str(student_file)]
    assert main([*command, "--resume"]) == 0
    told = capsys.readouterr().err
    for name in ("a.png", "c.mp4"):
        assert (Path("out") / name).read_text() == "finished"
        assert f"{Path('out') / name}: exists already and is kept" in told
    assert names(tmp_path / "out") == ["a.png", "b.png", "c.mp4", "d.mp4"]
    assert (Path("out") / "b.png").stat().st_size > 60
    assert main([*command, "--resume", "--overwrite"]) == 0
    assert (Path("out") / "a.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_in_one_of_several_jobs_ends_them_all(
    sharpener: Sharpener, student_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.cli.main import main
    from acutance.jobs import pipeline

    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_clip(Path("in") / name)
    jobs: list[object] = []

    def stop(*arguments: object, **options: object) -> None:
        jobs.append(arguments)
        raise Cancelled("stopped; the first 250 frames are kept")

    monkeypatch.setattr(pipeline, "sharpen_video", stop)
    assert main(["sharpen", "in", "-m", str(student_file)]) == exit_code(Cancelled)
    assert len(jobs) == 1
