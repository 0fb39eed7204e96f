"""Sinks of live jobs: recordings, pipes, virtual cameras."""

import errno
import io
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from acutance._util.av import av
from acutance.errors import MissingExtraError, OutputError, OutputExistsError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io import VideoReader
from acutance.io._frames import converted, pix_fmt_of, rgb_of, upright
from acutance.io.paced import PacedFile
from acutance.io.recorder import Recorder, Y4MSink
from acutance.io.sink import Shown
from acutance.io.sound import file_has_sound, play_file_sound
from acutance.io.source import SourceInfo
from acutance.io.virtual_camera import VirtualCamera
from acutance.io.y4m import Y4MReader
from acutance.live import LiveJob
from acutance.live.stage import Stage
from io_clips import make_clip
from live_fakes import ScriptedSource, frame, one_by_one

INFO = SourceInfo("test", 96, 64, Fraction(30))


def shown(index: int, at: float, **options: Any) -> Shown:
    taken = frame(index, **options)
    return Shown(taken, taken, at)


def record(path: Path, frames: list[Shown], **options: Any) -> None:
    recorder = Recorder(path, **options)
    recorder.open(INFO)
    for item in frames:
        recorder.show(item)
    recorder.close()
    recorder.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".ts"])
def test_a_recording_keeps_the_times_of_capture(suffix: str, tmp_path: Path) -> None:
    times = [50.0, 50.04, 50.08, 50.5, 50.52]
    path = tmp_path / f"call{suffix}"
    record(path, [shown(i, at) for i, at in enumerate(times)])
    with VideoReader(path) as reader:
        found = [f.time or 0.0 for f in reader]
    assert [t - found[0] for t in found] == pytest.approx([t - 50.0 for t in times], abs=0.002)


def test_a_recording_takes_every_size_format_and_rotation(tmp_path: Path) -> None:
    odd, deep = frame(0, 97, 65, rotation=90), frame(2, 96, 64)
    ten = (deep.luma.astype(np.uint16) * 4).copy()
    deep10 = type(deep)(ten, None, bit_depth=10)
    items = [Shown(f, f, i / 30) for i, f in enumerate((odd, frame(1, 30, 20), deep10))]
    record(tmp_path / "call.mkv", items)
    with VideoReader(tmp_path / "call.mkv") as reader:
        assert [(f.width, f.height, f.rotation) for f in reader] == [(64, 96, 0)] * 3


def test_frames_with_equal_times_get_increasing_times(tmp_path: Path) -> None:
    record(tmp_path / "call.mkv", [shown(i, at) for i, at in enumerate((1.0, 1.0, 0.9))])
    with VideoReader(tmp_path / "call.mkv") as reader:
        assert len(list(reader)) == 3


def test_an_existing_recording_is_kept_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"call\.mkv: exists"):
        Recorder(path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(UsageError, match=r"not \.txt"):
        Recorder(tmp_path / "call.txt")
    with pytest.raises(OutputError, match="there is no folder"):
        Recorder(tmp_path / "none" / "call.mkv").open(INFO)


@pytest.mark.parametrize("lead", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_sound_of_a_recording_has_no_hole_and_stays_beside_the_picture(
    suffix: str, lead: float, tmp_path: Path
) -> None:
    path, samples = tmp_path / f"call{suffix}", 1600
    recorder = Recorder(path, sound=True)
    recorder.open(INFO)
    for i in range(30):
        block = av.AudioFrame.from_ndarray(np.zeros((2, samples), np.float32), "fltp", "stereo")
        block.sample_rate = 48_000
        recorder.sound(block, 100 + lead + i * samples / 48_000)
        recorder.show(shown(i, 100 + i / 30))
    recorder.close()
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        times: dict[str, list[float]] = {"video": [], "audio": []}
        for packet in container.demux(picture, sound):
            if packet.size and packet.pts is not None:
                times[packet.stream.type].append(float(packet.pts * packet.time_base))
    heard = times["audio"]
    assert np.diff(heard) == pytest.approx(np.full(len(heard) - 1, 1024 / 48_000), abs=0.002)
    kept = lead if lead >= 0 else lead + 2 * samples / 48_000  # blocks before the first picture are left out
    assert heard[1] - min(times["video"]) == pytest.approx(kept, abs=0.002)  # the first packet primes the decoder


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_whose_process_dies_can_be_played(suffix: str, tmp_path: Path) -> None:
    """As by kill -9 or a power cut: nothing is finished."""
    code = f"""
import os, sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
from test_live_sinks import INFO, shown
from acutance.io.recorder import Recorder
recorder = Recorder({str(tmp_path / "call")!r} + {suffix!r})
recorder.open(INFO)
for i in range(300):
    recorder.show(shown(i, i / 30))
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    with VideoReader(tmp_path / f"call{suffix}") as reader:
        assert len(list(reader)) >= 150


def test_a_full_disk_is_an_error_and_leaves_a_playable_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    path = tmp_path / "call.mkv"
    code = f"""
import resource, signal, sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
import numpy as np
from dataclasses import replace
from test_live_sinks import INFO, frame
from acutance.errors import OutputError
from acutance.io.recorder import Recorder
from acutance.io.sink import Shown
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
rng = np.random.default_rng(0)
recorder = Recorder({str(path)!r}, crf=1)
recorder.open(INFO)
try:
    for i in range(300):
        f = frame(i, 320, 240)
        f = replace(f, luma=rng.integers(16, 235, f.luma.shape, dtype=np.uint8))
        recorder.show(Shown(f, f, i / 30))
except OutputError as error:
    print(error)
try:
    recorder.close()
except OutputError:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert "call.mkv" in done.stdout, done.stderr
    assert path.stat().st_size <= 1 << 20
    with VideoReader(path) as reader:
        assert len(list(reader)) >= 5


def test_a_disk_that_is_full_at_the_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written when a file is finished: the last cluster and the index."""
    recorder = Recorder(tmp_path / "call.mkv")
    recorder.open(INFO)
    recorder.show(shown(0, 0.0))

    class Full:
        def mux(self, _: Any) -> None:
            pass

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder, "_output", Full())
    with pytest.raises(OutputError, match=r"call\.mkv: cannot be written: the disk is full"):
        recorder.close()
    recorder.close()


def test_sound_of_a_file_is_in_step_with_its_picture(tmp_path: Path, student_file: Path) -> None:
    clip = make_clip(tmp_path / "with-sound.mp4", audio=True)
    assert file_has_sound(clip)
    recorder = Recorder(tmp_path / "call.mkv", sound=True)
    source = PacedFile(clip)
    job = LiveJob(
        source, [recorder], Stage(student_file, threads=1),
        sounds=[lambda stop: play_file_sound(clip, recorder.sound, stop, lambda: source.zero)],
    )  # fmt: skip
    job.run()
    with av.open(str(tmp_path / "call.mkv")) as container:
        blocks = list(container.decode(audio=0))
        first = float(blocks[0].pts * blocks[0].time_base)
        last = float(blocks[-1].pts * blocks[-1].time_base)
    with VideoReader(tmp_path / "call.mkv") as reader:
        times = [f.time or 0.0 for f in reader]
    assert abs(first - times[0]) < 0.15
    assert last <= times[-1] + 0.3
    assert sum(block.samples for block in blocks) >= 0.1 * 48_000


def test_drifting_sound_is_corrected(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", sound=True)
    recorder.open(INFO)
    for index in range(60):
        recorder.show(shown(index, 10.0 + index / 30))
        # A microphone of 48,000 samples a second that stops for half a second in the middle.
        at = 10.0 + index / 30 + (0.5 if index >= 30 else 0.0)
        block = av.AudioFrame.from_ndarray(np.full((1, 1600), 0.1, np.float32), format="fltp", layout="mono")
        block.sample_rate = 48_000
        recorder.sound(block, at)
    recorder.close()
    with av.open(str(tmp_path / "call.mkv")) as container:
        times = [float(b.pts * b.time_base) for b in container.decode(audio=0)]
    gaps = np.diff(times)
    assert times[0] < 0.1
    assert 0.4 < gaps.max() < 0.6
    assert sorted(gaps)[-2] < 0.1


def test_only_the_early_part_of_sound_is_dropped(tmp_path: Path) -> None:
    """As after a stall, when all that was held up comes at once: later sound is as it should be."""
    recorder = Recorder(tmp_path / "call.mkv", sound=True)
    recorder.open(INFO)
    for index in range(120):
        recorder.show(shown(index, 10.0 + index / 30))
        at = 10.0 + index / 30 - (0.3 if 40 <= index < 60 else 0.0)
        block = av.AudioFrame.from_ndarray(np.full((1, 1600), 0.1, np.float32), format="fltp", layout="mono")
        block.sample_rate = 48_000
        recorder.sound(block, at)
    recorder.close()
    with av.open(str(tmp_path / "call.mkv")) as container:
        blocks = list(container.decode(audio=0))
    samples = sum(block.samples for block in blocks)
    assert samples >= 48_000 * (4 - 20 / 30 - 0.2)
    assert float(blocks[-1].pts * blocks[-1].time_base) > 3.8


def test_sound_may_change_its_format_in_the_middle(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.mkv", sound=True)
    recorder.open(INFO)
    for index in range(60):
        recorder.show(shown(index, 10.0 + index / 30))
        rate, layout, count = (48_000, "mono", 1) if index < 30 else (44_100, "stereo", 2)
        block = av.AudioFrame.from_ndarray(np.zeros((count, rate // 30), np.float32), format="fltp", layout=layout)
        block.sample_rate = rate
        recorder.sound(block, 10.0 + index / 30)
    recorder.close()
    with av.open(str(tmp_path / "call.mkv")) as container:
        assert sum(block.samples for block in container.decode(audio=0)) >= 48_000 * 1.8


def test_sound_stays_with_a_picture_that_begins_late(tmp_path: Path, student_file: Path) -> None:
    """The clip's picture begins 0.2 s after its sound, which ends before it does."""
    clip = make_clip(tmp_path / "late.mkv", audio=True, pts=[2560 + 512 * i for i in range(20)])
    recorder = Recorder(tmp_path / "call.mkv", sound=True)
    source = PacedFile(clip)
    LiveJob(
        source, [recorder], Stage(student_file, threads=1),
        sounds=[lambda stop: play_file_sound(clip, recorder.sound, stop, lambda: source.zero)],
    ).run()  # fmt: skip
    with av.open(str(tmp_path / "call.mkv")) as container:
        blocks = list(container.decode(audio=0))
    end = float(blocks[-1].pts * blocks[-1].time_base) + blocks[-1].samples / 48_000
    assert end == pytest.approx(0.2, abs=0.1)  # of 0.4 s of sound, half lies before the picture


def test_a_recording_cannot_replace_its_source(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "call.mkv")
    before = clip.read_bytes()
    with pytest.raises(OutputExistsError, match="is what is being played"):
        Recorder(clip, overwrite=True, inputs=[clip])
    assert clip.read_bytes() == before


def test_a_pipe_keeps_its_first_size_and_format(student_file: Path) -> None:
    out = io.BytesIO()
    sink = Y4MSink(out)
    sink.open(INFO)
    for index, (width, height, rotation) in enumerate(((97, 65, 90), (64, 32, 0), (65, 97, 0))):
        sink.show(shown(index, index / 30, width=width, height=height, rotation=rotation))
    sink.close()
    with pytest.raises(OutputError, match="not open"):
        sink.show(shown(0, 0.0))
    frames = list(Y4MReader(io.BytesIO(out.getvalue())))
    assert [(f.width, f.height) for f in frames] == [(65, 97)] * 3


def test_a_closed_pipe_ends_the_job(student_file: Path) -> None:
    class Closed(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    sink = Y4MSink(Closed())
    with pytest.raises(OutputError, match="nobody reads"):
        LiveJob(ScriptedSource([frame(i) for i in range(5)]), [sink], Stage(student_file, threads=1)).run()


# -- virtual camera ---------------------------------------------------------------------------------------------------


class _FakeCamera:
    def __init__(self, *, width: int, height: int, fps: float, fmt: str, device: str = "/dev/video9") -> None:
        self.width, self.height, self.fps, self.fmt, self.device = width, height, fps, fmt, device
        self.sent: list[np.ndarray[Any, Any]] = []
        self.closed = False
        _FakeCamera.last = self

    def send(self, pixels: np.ndarray[Any, Any]) -> None:
        assert pixels.size == self.width * self.height * 3 // 2
        self.sent.append(pixels)

    def close(self) -> None:
        self.closed = True

    last: "_FakeCamera"


def _driver(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    module = SimpleNamespace(Camera=make, PixelFormat=SimpleNamespace(I420="I420"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)


def test_a_virtual_camera_gets_planes_upright_and_in_one_size(
    monkeypatch: pytest.MonkeyPatch, student_file: Path
) -> None:
    _driver(monkeypatch, _FakeCamera)
    sink = VirtualCamera()
    frames = [frame(0, 97, 65, rotation=90), frame(1, 64, 32)]

    class Counted:
        @property
        def count(self) -> int:
            return len(_FakeCamera.last.sent) if hasattr(_FakeCamera, "last") else 0

    LiveJob(ScriptedSource(one_by_one(Counted(), frames)), [sink], Stage(student_file, threads=1)).run()
    made = _FakeCamera.last
    assert (made.width, made.height, made.fps, made.fmt) == (64, 96, 100.0, "I420")
    assert (len(made.sent), made.closed) == (2, True)


def test_a_virtual_camera_is_given_limited_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call applications take what comes for limited; webcams send full range."""
    _driver(monkeypatch, _FakeCamera)
    sink = VirtualCamera()
    sink.open(INFO)
    white = np.full((64, 96), 255, np.uint8)
    grey = np.full((32, 48), 128, np.uint8)
    full = Frame(white, (grey, grey), colour=ColourInfo(range=ColourRange.FULL))
    sink.show(Shown(full, full, 0.0))
    assert int(_FakeCamera.last.sent[0][: 64 * 96].max()) == 235


def test_without_a_driver_the_message_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> None:
        raise RuntimeError("No v4l2 loopback device found")

    _driver(monkeypatch, none)
    monkeypatch.setattr("sys.platform", "linux")
    sink = VirtualCamera()
    sink.open(INFO)
    with pytest.raises(OutputError, match=r"there is none to write to \(No v4l2 loopback.*modprobe v4l2loopback"):
        sink.show(shown(0, 0.0))


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(MissingExtraError, match=r"acutance\[virtualcam\]"):
        VirtualCamera().open(INFO)


# -- formats ----------------------------------------------------------------------------------------------------------


def test_upright_equals_the_display_of_a_player() -> None:
    taken = frame(0, 5, 4, rotation=90)
    turned = upright(taken)
    np.testing.assert_array_equal(turned.luma, np.rot90(taken.luma))
    assert turned.rotation == 0
    assert upright(frame(0)).luma is not None


def test_conversion_to_the_same_format_returns_the_frame() -> None:
    taken = frame(0)
    assert pix_fmt_of(taken) == "yuv420p"
    assert converted(taken, 96, 64) is taken


def test_grey_converts_to_neutral_colour() -> None:
    taken = frame(0)
    rgb = rgb_of(taken)
    assert rgb.shape == (64, 96, 3)
    assert int(np.ptp(rgb.astype(int), axis=2).max()) <= 2
