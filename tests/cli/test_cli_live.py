"""``acutance live`` and ``acutance devices`` as a user types them."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from acutance.cli.main import main
from acutance.io import VideoReader
from acutance.io.y4m import Y4MReader
from io_clips import make_clip


def run(*arguments: str, stdin: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "acutance", "live", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin, check=False, timeout=120)


def events(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "a.mp4", size=(160, 120), audio=True)


def test_a_file_is_played_to_nowhere_and_accounted_for(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", str(clip), "--to", "none", "--progress", "json"]) == 0
    *_, done = events(capsys.readouterr().err)
    assert done["event"] == "done"
    assert done["captured"] == 10
    assert done["sinks"]["none"]["shown"] + sum(done["sinks"]["none"]["dropped"].values()) == 10


def test_a_recording_has_picture_and_sound(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sharp.mkv"
    assert main(["live", str(clip), "--to", str(out), "--progress", "plain"]) == 0
    said = capsys.readouterr().err
    assert "10 frames in" in said
    assert "latency" in said
    with VideoReader(out) as reader:
        assert reader.info.audio_streams == 1
        assert len(list(reader)) >= 2  # a busy machine drops some, and counts them
    assert main(["live", str(clip), "--to", str(out), "--progress", "none"]) == 8
    assert main(["live", str(clip), "--to", str(out), "-y", "--no-sound", "--progress", "none"]) == 0
    with VideoReader(out) as reader:
        assert reader.info.audio_streams == 0


def test_a_pipe_in_and_out_carries_nothing_but_pictures(tmp_path: Path, clip: Path) -> None:
    given = run(str(clip), "--to", "-", "--rate", "10")
    assert given.returncode == 0, given.stderr
    frames = list(Y4MReader(io.BytesIO(given.stdout)))
    assert [(f.width, f.height) for f in frames] == [(160, 120)] * len(frames)
    assert len(frames) >= 2
    again = run("-", "--to", "-", "--progress", "none", stdin=given.stdout)
    assert again.returncode == 0, again.stderr
    assert list(Y4MReader(io.BytesIO(again.stdout)))


def test_ctrl_c_ends_with_a_summary_and_a_recording_that_plays(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "call.mp4"
    command = [sys.executable, "-m", "acutance", "live", str(clip), "--loop", "--to", str(out), "--progress", "plain"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 1000) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert b"shown" in said
    assert b"Traceback" not in said
    with VideoReader(out) as reader:
        assert list(reader)


def test_no_camera_is_one_line_that_helps(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acutance.io.devices.list_devices", lambda **_: [])
    assert main(["live", "camera:97", "--to", "none"]) == 3
    said = capsys.readouterr().err
    assert "camera 97: there is no /dev/video97; no camera is plugged in" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.mp4", "--to", "none"], 3, "nowhere.mp4: no such file and no known source"),
        (["A", "--to", "a.mkv", "b.mkv"], 2, "one recording at a time"),
        (["A", "--to", "notes.txt"], 2, "notes.txt: video is written as"),
        (["A", "B", "--to", "none"], 2, "one source at a time"),
        (["A", "--to", "none", "--size", "big"], 2, "--size 'big' is not a size"),
        (["A", "--to", "none", "--cpu-budget", "0"], 2, "processor budget must be above 0"),
        (["A", "--to", "none", "--model", "sharpest"], 10, "unknown model 'sharpest'"),
        (["A", "--to", "none", "--microphone", "default"], 2, "--microphone is for a recording"),
        (["A", "--to", "none", "--duration", "soon"], 2, "--duration 'soon' is not a duration"),
        (["A", "--to", "none", "--strength", "9"], 2, "strength must be a number"),
        (["ftp://a/b", "--to", "none"], 2, "streams come by"),
    ],
)
def test_bad_options_are_one_line_each(
    arguments: list[str], code: int, message: str, clip: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["live", *(str(clip) if word == "A" else word for word in arguments)]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_microphone_that_is_not_there_costs_the_sound_and_not_the_picture(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "call.mkv"
    assert main(["live", str(clip), "--to", str(out), "--microphone", "hw:97", "--progress", "plain"]) == 0
    assert "the job continues without sound" in capsys.readouterr().err
    with VideoReader(out) as reader:
        assert len(list(reader)) >= 2  # a busy machine drops some, and counts them


def test_it_stops_after_the_duration(clip: Path) -> None:
    done = run(str(clip), "--loop", "--to", "none", "--duration", "1s", "--progress", "json")
    assert done.returncode == 0
    assert 0.5 <= events(done.stderr.decode())[-1]["seconds"] < 20


def test_it_stops_while_a_pipe_is_silent() -> None:
    """A writer that pauses does not keep the program, nor break it."""
    command = [sys.executable, "-m", "acutance", "live", "-", "--to", "none", "--duration", "1s"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"YUV4MPEG2 W64 H48 F30:1 C420jpeg\nFRAME\n" + bytes(64 * 48 * 3 // 2))
    process.stdin.flush()
    try:
        code = process.wait(timeout=60)
    finally:
        process.kill()
    assert code == 0
    assert process.stderr is not None
    assert b"Fatal" not in process.stderr.read()


def test_a_file_is_not_recorded_into_itself(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = clip.read_bytes()
    assert main(["live", str(clip), "--to", str(clip), "-y"]) == 8
    assert "is what is being played" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_devices_says_what_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from acutance.io.devices import Device

    found = [
        Device("camera", "/dev/video0", "Integrated Camera", ("mjpeg 1280x720",)),
        Device("microphone", "hw:1", "Headset"),
    ]
    monkeypatch.setattr("acutance.io.devices.list_devices", lambda **_: found)
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "camera:0" in said
    assert "mjpeg 1280x720" in said
    assert "--microphone hw:1" in said
    assert main(["devices", "--json"]) == 0
    assert [d["name"] for d in json.loads(capsys.readouterr().out)] == ["Integrated Camera", "Headset"]


@pytest.mark.skipif(os.name != "posix", reason="devices are files")
def test_devices_of_this_machine_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert "cameras:" in capsys.readouterr().out
