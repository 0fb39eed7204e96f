"""The command line as a person types it: what it makes, and one clear line with its own exit code when it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from acutance.cli.durations import seconds
from acutance.cli.main import main
from acutance.errors import UsageError
from io_clips import make_clip


@pytest.fixture
def shoot(tmp_path: Path, student_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command line in a folder of its own: (exit code, lines on stderr, stdout)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, list[str], str]:
        words = [str(a) for a in arguments]
        if words[0] in ("sharpen", "demo") and not {"-m", "--model"} & set(words):
            words += ["-m", str(student_file)]
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.err.splitlines(), captured.out

    return run


def _photo(path: Path, picture: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def _errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("acutance:")]


def test_a_picture_is_sharpened_beside_its_input(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    _photo(tmp_path / "a.png", picture)
    assert shoot("sharpen", "a.png")[0] == 0
    out = np.asarray(Image.open(tmp_path / "a-sharp.png"))
    assert out.shape == picture.shape
    assert (out != picture).any()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture)


def test_a_video_is_sharpened_beside_its_input(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    code, lines, _ = shoot("sharpen", "a.mp4", "--progress", "plain")
    assert code == 0
    assert (tmp_path / "a-sharp.mp4").stat().st_size > 0
    assert "a-sharp.mp4: 64x48" in lines[-1]


def test_a_folder_becomes_a_folder(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    for name in ("in/a.png", "in/b.jpg", "in/below/c.webp"):
        _photo(tmp_path / name, picture)
    assert shoot("sharpen", "in")[0] == 0
    assert sorted(p.name for p in (tmp_path / "in-sharp").rglob("*.*")) == ["a.png", "b.jpg"]
    assert shoot("sharpen", "in", "out", "-r")[0] == 0
    assert (tmp_path / "out" / "below" / "c.webp").exists()


def test_a_pattern_and_several_files_go_into_a_folder(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    for name in ("a.png", "b.png", "c.jpg"):
        _photo(tmp_path / name, picture)
    assert shoot("sharpen", "*.png", "made/")[0] == 0
    assert shoot("sharpen", "a.png", "c.jpg", "-o", "made2/")[0] == 0
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["a.png", "b.png"]
    assert sorted(p.name for p in (tmp_path / "made2").iterdir()) == ["a.png", "c.jpg"]


def test_strength_zero_of_a_picture_changes_no_bit(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    _photo(tmp_path / "a.png", picture)
    assert shoot("sharpen", "a.png", "b.png", "--strength", "0")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), picture)


def test_a_video_job_tells_what_share_was_computed(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", encoder="ffv1")
    numpy = ("--engine", "numpy", "-y")
    code, _, out = shoot("sharpen", "a.mkv", *numpy, "--threshold", "5000", "--progress", "json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["tiles"] == {"tiles": 120, "computed": 0, "passed": 120, "reused": 0}
    _, lines, _ = shoot("sharpen", "a.mkv", *numpy, "--threshold", "5000", "--progress", "plain")
    assert lines[-1].endswith("a second; 100 % passed")
    _, lines, _ = shoot("sharpen", "a.mkv", *numpy, "--threshold", "0", "--no-reuse", "--progress", "plain")
    assert lines[-1].endswith("a second")


def test_a_share_that_rounds_to_nothing_is_not_told() -> None:
    from acutance.cli.sharpen import _shares
    from acutance.engine import TileCounts

    assert _shares(TileCounts(1000, 410, 588, 2)) == "; 41 % computed, 59 % passed"
    assert _shares(TileCounts(100, 41, 50, 9)) == "; 41 % computed, 50 % passed, 9 % reused"
    assert _shares(TileCounts(1000, 998, 2, 0)) == ""
    assert _shares(TileCounts()) == ""


@pytest.mark.parametrize("name", ["numpy", "native:portable", "auto"])
def test_an_engine_can_be_named(shoot, tmp_path: Path, name: str, picture: NDArray[np.uint8]) -> None:
    from acutance.engine import available_engines

    if name.partition(":")[0] not in ("auto", *available_engines()):
        pytest.skip(f"{name} is not installed")
    _photo(tmp_path / "a.png", picture)
    assert shoot("sharpen", "a.png", "--engine", name)[0] == 0


def test_a_threshold_for_an_engine_without_tiles_is_one_line(shoot, tmp_path: Path) -> None:
    from acutance.engine import available_engines

    if "onnxruntime" not in available_engines():
        pytest.skip("onnxruntime is not installed")
    make_clip(tmp_path / "a.mp4")
    code, lines, _ = shoot("sharpen", "a.mp4", "--engine", "onnxruntime", "--threshold", "8")
    assert code == 2
    assert len(lines) == 1
    assert "threshold of 8" in lines[0]


def test_a_preview_is_a_short_split_view(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", pts=list(range(90)), time_base=Fraction(1, 30))
    code, _, out = shoot("sharpen", "a.mp4", "--preview", "1s", "--progress", "json")
    assert code == 0
    done = json.loads(out.splitlines()[-1])
    assert done["event"] == "done"
    assert done["target"] == "a-preview.mp4"
    assert done["frames"] == 30


def test_one_bad_file_among_many_does_not_stop_the_others(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    _photo(tmp_path / "in/a.png", picture)
    (tmp_path / "in/b.png").write_bytes(b"not a picture at all")
    _photo(tmp_path / "in/c.png", picture)
    code, lines, _ = shoot("sharpen", "in")
    assert code == 4
    assert len(_errors(lines)) == 1
    assert "b.png" in _errors(lines)[0]
    assert sorted(p.name for p in (tmp_path / "in-sharp").iterdir()) == ["a.png", "c.png"]


def _zero_bytes(folder: Path) -> None:
    (folder / "x.mp4").write_bytes(b"")


def _text(folder: Path) -> None:
    (folder / "x.mp4").write_text("dear diary\n" * 40)


def _script(folder: Path) -> None:
    make_clip(folder / "real.mkv")
    (folder / "x.mp4").write_text(f"ffconcat version 1.0\nfile '{folder / 'real.mkv'}'\n")


def _playlist(folder: Path) -> None:
    (folder / "x.mp4").write_text("#EXTM3U\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n")


def _audio(folder: Path) -> None:
    import wave

    with wave.open(str(folder / "x.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    (folder / "x.wav").rename(folder / "x.mp4")


def _corrupt(folder: Path) -> None:
    make_clip(folder / "x.mp4")
    data = bytearray((folder / "x.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4 if data.index(b"moov") > start else len(data)
    data[start:end] = bytes(end - start)
    (folder / "x.mp4").write_bytes(data)


def _absurd(folder: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (folder / "x.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    (folder / "x.mp4").rename(folder / "x.png")


@pytest.mark.parametrize(
    ("make", "name", "code"),
    [
        (lambda folder: None, "x.mp4", 3),
        (_zero_bytes, "x.mp4", 4),
        (_text, "x.mp4", 4),
        (_script, "x.mp4", 4),
        (_playlist, "x.mp4", 4),
        (_audio, "x.mp4", 4),
        (_corrupt, "x.mp4", 5),
        (_absurd, "x.png", 7),
    ],
    ids=["missing", "zero bytes", "text", "script", "playlist", "audio only", "corrupt", "absurd size"],
)
def test_a_bad_input_is_one_line_with_its_name_and_code(shoot, tmp_path: Path, make, name: str, code: int) -> None:
    make(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    got, lines, _ = shoot("sharpen", name, f"out{Path(name).suffix}")
    assert got == code, lines
    assert len(lines) == 1
    assert name in lines[0]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_truncated_video_yields_what_was_readable_and_says_so(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "whole.mkv", pts=list(range(60)), options={"g": "5"})
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    code, lines, _ = shoot("sharpen", "cut.mkv", "out.mkv")
    assert code == 6
    assert any("warning" in line and "cut.mkv" in line for line in lines)
    assert (tmp_path / "out.mkv").stat().st_size > 0


def test_the_output_is_never_the_input_nor_an_existing_file(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    _photo(tmp_path / "a.png", picture)
    make_clip(tmp_path / "a.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "there.mp4").write_bytes(b"precious")
    for source, target in (("a.png", "a.png"), ("a.mp4", "a.mp4"), ("a.mp4", "link.mp4"), ("a.mp4", "there.mp4")):
        before = (tmp_path / target).read_bytes()
        code, lines, _ = shoot("sharpen", source, "-o", target)
        assert code == 8, lines
        assert target in lines[0]
        assert (tmp_path / target).read_bytes() == before
    assert shoot("sharpen", "a.mp4", "a.mp4", "--overwrite")[0] == 8
    assert shoot("sharpen", "a.mp4", "-o", "there.mp4", "--overwrite")[0] == 0
    assert (tmp_path / "there.mp4").read_bytes() != b"precious"


@pytest.mark.parametrize("target", ["no/such/folder/out.mp4", "/proc/out.mp4"])
def test_an_output_that_cannot_be_written_is_one_line(shoot, tmp_path: Path, target: str) -> None:
    make_clip(tmp_path / "a.mp4")
    code, lines, _ = shoot("sharpen", "a.mp4", target)
    assert code == 9, lines
    assert len(lines) == 1
    assert "out.mp4" in lines[0]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files by setrlimit")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, student_file: Path) -> None:
    make_clip(tmp_path / "a.mkv", size=(320, 240), pts=list(range(60)), encoder="ffv1")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from acutance.cli.main import main\n"
        "options = ['--encoder', 'ffv1', '--progress', 'none']\n"
        f"sys.exit(main(['sharpen', 'a.mkv', 'out.mkv', *options, '-m', {str(student_file)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "out.mkv" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["a.png", "--model", "sharpest"], 10, "unknown model 'sharpest'"),
        (["a.png", "--model", "none.safetensors"], 3, "none.safetensors"),
        (["a.png", "--model", "./a.png"], 10, "a.png"),
        (["a.png", "--strength", "3"], 2, "strength"),
        (["a.png", "--scale", "0"], 2, "scale"),
        (["a.png", "--bitrate", "fast"], 2, "bitrate"),
        (["a.png", "--preview", "soon"], 2, "preview"),
        (["a.png", "b.xyz"], 2, "b.xyz"),
        (["a.png", "--quality", "101"], 2, "quality"),
        (["a.png", "--engine", "quantum"], 2, "known: auto, native, onnxruntime, openvino, numpy"),
        (["a.png", "--engine", "numpy:avx2"], 2, "avx2"),
        (["a.png", "--threshold", "-1"], 2, "threshold"),
        ([], 2, "nothing to sharpen"),
    ],
)
def test_a_bad_option_is_one_line(
    shoot, tmp_path: Path, picture: NDArray[np.uint8], arguments: list[str], code: int, reason: str
) -> None:
    _photo(tmp_path / "a.png", picture)
    got, lines, _ = shoot("sharpen", *arguments)
    assert got == code
    assert len(lines) == 1
    assert reason in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


def test_an_unknown_encoder_names_those_that_are_known(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    code, lines, _ = shoot("sharpen", "a.mp4", "b.mp4", "--encoder", "x266")
    assert code == 2
    assert "x266" in lines[0]
    assert "libx264" in lines[0]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_within_a_second_and_cleans_up(tmp_path: Path, student_file: Path) -> None:
    # Fewer frames than a segment has: there is nothing that would be kept.
    make_clip(tmp_path / "a.mp4", size=(800, 600), pts=list(range(240)), options={"preset": "ultrafast"})
    command = [sys.executable, "-m", "acutance", "sharpen", "a.mp4", "--progress", "json", "-m", str(student_file)]
    job = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout is not None
    assert json.loads(job.stdout.readline())["event"] == "progress"  # it is in the middle of it
    job.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, errors = job.communicate(timeout=30)
    waited = time.monotonic() - asked
    assert job.returncode == 130
    assert errors.splitlines()[-1].startswith("acutance: stopped")
    assert "Traceback" not in errors
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]
    # A second on a machine that has the time; a busy test machine gets three.
    assert waited < 3.0


def test_a_pipe_in_and_out(tmp_path: Path, student_file: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    base = [sys.executable, "-m", "acutance", "sharpen"]
    model = ["-m", str(student_file)]
    first = subprocess.run([*base, "a.mp4", "-", *model], cwd=tmp_path, capture_output=True, check=True)
    assert first.stdout.startswith(b"YUV4MPEG2 ")
    second = subprocess.run([*base, "-", *model, "-s", "0"], input=first.stdout, capture_output=True, check=True)
    assert second.stdout == first.stdout


def test_models_lists_the_bundled_students(shoot) -> None:
    code, _, out = shoot("models", "--json")
    assert code == 0
    listed = json.loads(out)
    assert {m["tier"] for m in listed} == {"fast", "balanced", "quality"}
    for model in listed:
        assert model["licence"] == "Apache-2.0"
        assert model["threshold"] >= 0
        if model["factors"] != [1.0]:
            assert model["quality"]["Set5"]["psnr_y"] > model["quality"]["Set5"]["psnr_y_input"]
    listing = shoot("models")[2]
    assert "fast-clean-x2" in listing
    assert "threshold" in listing


def test_doctor_says_what_it_found(shoot) -> None:
    code, _, out = shoot("doctor", "--json", "--no-trial")
    assert code == 0
    found = json.loads(out)
    assert found["acutance"]
    defaults = found["default engine"]
    assert [line.split(":")[0] for line in defaults[:3]] == ["fast", "balanced", "quality"]
    others = [line for line in found["engines"] if line.split(":")[0] not in ("native", "numpy")]
    for line in defaults[:3]:  # tried by another test, or not
        assert ("frames of 640x360" in line or "not tried yet" in line) == bool(others), line


def test_doctor_tells_what_the_native_engine_runs_on(shoot) -> None:
    pytest.importorskip("acutance._native", reason="this installation has no native engine")
    line = json.loads(shoot("doctor", "--json", "--no-trial")[2])["engines"][0]
    assert line.startswith("native: ")
    assert " thread" in line
    assert line.endswith("portable")


def test_doctor_says_what_to_do_where_there_is_no_native_engine(shoot, monkeypatch: pytest.MonkeyPatch) -> None:
    import acutance.engine as engines

    monkeypatch.setitem(engines._NEEDS, "native", ("acutance._absent",))
    found = json.loads(shoot("doctor", "--json", "--no-trial")[2])
    *others, last = found["engines"]
    assert last.startswith("native: not in this installation")
    assert "pip install --force-reinstall" in last
    instead = others[0].split(":")[0]
    assert f"{instead} runs the models instead" in last
    assert all("native," not in line for line in found["default engine"][:3])


def test_unknown_verbs_and_versions(shoot) -> None:
    code, lines, _ = shoot("sharpne")
    assert code == 2
    assert "known: demo, sharpen" in lines[0]
    assert shoot("--version")[2].startswith("acutance ")
    assert "sharpen" in shoot("--help")[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", 5), ("5s", 5), ("1.5m", 90), ("500ms", 0.5), ("1:30", 90), ("1:02:03.5", 3723.5), (".5", 0.5)],
)
def test_durations_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text, option="--start") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "-1", "soon", "1:99", "5 parsecs", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        seconds(text, option="--start")


def test_a_demonstration_leaves_video_picture_and_figures(shoot, tmp_path: Path) -> None:
    code, _, out = shoot("demo", "--duration", "0.3", "-o", "d")
    assert code == 0
    result = json.loads((tmp_path / "d" / "result.json").read_text())
    assert f"{result['psnr_after']:.2f} dB" in out
    assert f"acutance {result['acutance_after']:.3f}, coherence {result['coherence_after']:.3f}" in out
    assert f"{100 * result['restored']:.0f} % of the lost acutance restored" in out
    assert Image.open(tmp_path / "d" / "before-after.png").width > 1000
    assert (tmp_path / "d" / "before-after.mp4").stat().st_size > 10_000
    assert shoot("demo", "--duration", "0.3", "-o", "d")[0] == 8


def test_a_demonstration_takes_a_video_of_ones_own(shoot, tmp_path: Path) -> None:
    make_clip(tmp_path / "mine.mp4", size=(192, 128), pts=list(range(20)))
    code, lines, _ = shoot("demo", "mine.mp4", "-o", "d", "--kbps", "200")
    assert code == 0, lines
    assert json.loads((tmp_path / "d" / "result.json").read_text())["size"] == [192, 128]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("blocked", ["reading", "writing"])
def test_ctrl_c_ends_a_job_that_waits_for_a_pipe(tmp_path: Path, student_file: Path, blocked: str) -> None:
    make_clip(tmp_path / "a.mp4", size=(320, 240), pts=list(range(100)))
    arguments = ["-"] if blocked == "reading" else ["a.mp4", "-"]
    command = [sys.executable, "-m", "acutance", "sharpen", *arguments, "--progress", "none", "-m", str(student_file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as job:  # type: ignore[call-overload]
        if blocked == "writing":
            assert job.stdout.read(10) == b"YUV4MPEG2 "  # and no more of it: the pipe fills up
        time.sleep(2.5)
        job.send_signal(signal.SIGINT)
        asked = time.monotonic()
        assert job.wait(timeout=20) == 130
        assert time.monotonic() - asked < 5
        assert job.stderr.read().splitlines()[-1].startswith(b"acutance: stopped")


def test_an_output_that_is_another_input_is_refused(shoot, tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    _photo(tmp_path / "a.png", picture)
    _photo(tmp_path / "a-sharp.png", picture // 2)
    before = (tmp_path / "a-sharp.png").read_bytes()
    code, lines, _ = shoot("sharpen", "*.png", "-y")
    assert code == 8
    assert "a-sharp.png" in lines[0]
    assert (tmp_path / "a-sharp.png").read_bytes() == before


def test_scaling_to_an_absurd_size_is_refused_before_it_is_done(shoot, tmp_path: Path) -> None:
    Image.new("L", (6000, 4000)).save(tmp_path / "a.png")
    code, lines, _ = shoot("sharpen", "a.png", "--scale", "8")
    assert code == 7
    assert "48000 x 32000" in lines[0]


def test_a_stream_without_frames_is_an_error(student_file: Path) -> None:
    command = [sys.executable, "-m", "acutance", "sharpen", "-", "-m", str(student_file)]
    done = subprocess.run(command, input=b"YUV4MPEG2 W16 H16 F30:1\n", capture_output=True, check=False)
    assert done.returncode == 5
    assert done.stdout == b""


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-u", "-m", "acutance", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""


def test_more_frames_than_announced_are_not_shown_as_more_than_all(capsys: pytest.CaptureFixture[str]) -> None:
    from acutance.cli.progress import JobProgress

    with JobProgress("plain") as progress:
        count = progress.counter("a.mkv", unit="frames")
        for done in range(1, 20):
            count(done, 3)
    lines = capsys.readouterr().err.splitlines()
    assert not any("4/3" in line or "19/3" in line for line in lines)
    assert len(lines) <= 3
