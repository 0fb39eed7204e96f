"""Jobs that are told to stop, or killed: nothing half-written under a final name, and what was made can be used."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acutance.io import VideoReader
from acutance.jobs.journal import job_folder, unfinished
from io_clips import make_clip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if sys.platform != "win32" else ()
PATIENCE = 15.0  # seconds that a busy machine gets to end; an idle one needs less than two


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for several segments of a file job."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    return make_clip(path, size=(320, 192), pts=[512 * i for i in range(1500)], options={"preset": "ultrafast"})


def started(*words: str, stdout: int | None = subprocess.PIPE) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "acutance", *words]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)


def wait_for_frames(process: "subprocess.Popen[str]", frames: int) -> None:
    """Read progress lines until so many frames are done."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["done"] >= frames:
            return
    pytest.fail(f"ended before: {process.stderr.read() if process.stderr else ''}")


def ended(process: "subprocess.Popen[str]", number: int) -> tuple[int, str, float]:
    """Send a signal; returns the exit code, what was said, and how long it took."""
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said, time.monotonic() - began


@pytest.mark.parametrize("number", STOPS[1:], ids=lambda number: signal.Signals(number).name)
def test_a_file_job_that_is_told_to_stop_can_be_resumed(
    clip: Path, tmp_path: Path, student_file: Path, number: int
) -> None:
    target = tmp_path / "out.mp4"
    words = ["sharpen", str(clip), "-o", str(target), "-m", str(student_file), "--progress", "json", "--threads", "1"]
    process = started(*words)
    wait_for_frames(process, 300)
    code, said, took = ended(process, number)
    assert code == 130
    assert "Traceback" not in said
    assert "are kept" in said
    assert said.count("\n") == 1
    assert took < PATIENCE
    assert [path.name for path in tmp_path.iterdir()] == [job_folder(target).name]
    found = unfinished(target)
    assert found is not None
    assert found.frames >= 250


@pytest.mark.parametrize(("number", "suffix"), [*zip(STOPS[1:], (".mkv", ".mp4"), strict=False)])
def test_a_recording_that_is_told_to_stop_is_whole(
    clip: Path, tmp_path: Path, student_file: Path, number: int, suffix: str
) -> None:
    target = tmp_path / f"call{suffix}"
    words = ["live", str(clip), "--to", str(target), "-m", str(student_file), "--progress", "json", "--threads", "1"]
    process = started(*words)
    assert process.stderr is not None
    shown = 0
    for line in process.stderr:
        shown = json.loads(line).get("shown", 0)
        if shown >= 40:
            break
    code, said, took = ended(process, number)
    assert code == 0, said
    assert took < PATIENCE
    with VideoReader(target) as reader:
        assert sum(1 for _ in reader) >= shown
        assert reader.damaged is None


def test_a_signal_that_the_caller_ignores_stays_ignored(clip: Path, tmp_path: Path, student_file: Path) -> None:
    """As ``nohup`` does with SIGHUP."""
    target = tmp_path / "out.mp4"
    words = ["sharpen", str(clip), "-o", str(target), "-m", str(student_file), "--progress", "json", "--duration", "30"]
    process = subprocess.Popen(
        [sys.executable, "-m", "acutance", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for_frames(process, 20)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert target.is_file()


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("call.mkv", "sound"),
        ("call.mp4", "sound"),
        ("call.mov", "silent"),
        ("call.webm", "silent"),
        ("call.ts", "silent"),
    ],
)
def test_a_killed_recording_can_be_played_up_to_its_last_second(tmp_path: Path, name: str, sound: str) -> None:
    target = tmp_path / name
    program = str(Path(__file__).with_name("recording_program.py"))
    process = subprocess.Popen([sys.executable, program, str(target), sound], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    recorded = 0
    for line in process.stdout:
        recorded = int(line)
        if recorded == 105:  # not a multiple of what is written at once
            break
    os.kill(process.pid, signal.SIGKILL)
    recorded = max([recorded, *(int(line) for line in process.stdout)])
    process.wait()
    with VideoReader(target) as reader:
        playable = sum(1 for _ in reader)
    assert recorded - 30 <= playable <= recorded  # at 30 frames per second
