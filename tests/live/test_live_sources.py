"""Sources of live jobs: files at their own pace, pipes, cameras that misbehave, streams that stall."""

import contextlib
import errno
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance._util.av import av
from acutance.errors import InputNotFoundError, SourceError, UnsupportedMediaError, UsageError
from acutance.io.capture import Address, CaptureSource, camera, screen, stream
from acutance.io.devices import parse_modes
from acutance.io.paced import PacedFile, Y4MSource
from acutance.io.source import SourceEnd
from acutance.io.y4m import Y4MWriter
from acutance.live import LiveJob, capture_worker
from acutance.live.sources import open_source
from acutance.live.stage import Stage
from io_clips import make_clip, picture
from live_fakes import Collector, until


class Clock:
    """A clock that only moves when somebody sleeps, or is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def _read(source: PacedFile) -> Iterator[tuple[float, Any]]:
    while True:
        try:
            frame = source.read(0.2)
        except TimeoutError:
            continue
        except SourceEnd:
            return
        yield source._clock(), frame


def test_a_file_gives_each_frame_when_it_is_due(tmp_path: Path) -> None:
    times = [0, 512, 1300, 1400, 2600, 3000, 4800, 5000, 6000, 6100]
    clock = Clock()
    with PacedFile(make_clip(tmp_path / "a.mp4", pts=times), clock=clock, sleep=clock.sleep) as source:
        info = source.open()
        assert (info.width, info.height, info.pix_fmt) == (64, 48, "yuv420p")
        given = [now - 1000.0 for now, _ in _read(source)]
    assert given == pytest.approx([t / 12800 for t in times], abs=1e-6)


def test_a_rate_replaces_the_files_own_times(tmp_path: Path) -> None:
    clock = Clock()
    with PacedFile(make_clip(tmp_path / "a.mp4"), rate=50.0, clock=clock, sleep=clock.sleep) as source:
        assert source.open().rate == 50
        assert [now - 1000.0 for now, _ in _read(source)] == pytest.approx([i / 50 for i in range(10)])


def test_a_jump_of_file_times_causes_no_wait(tmp_path: Path) -> None:
    """An hour ahead in the middle, as of a stream whose sender began anew."""
    times = [0, 512, 1024, 1024 + 12800 * 3600, 1536 + 12800 * 3600]
    clock = Clock()
    with PacedFile(make_clip(tmp_path / "a.mkv", pts=times), clock=clock, sleep=clock.sleep) as source:
        source.open()
        assert len(list(_read(source))) == 5
    assert clock.slept < 1.0


def test_a_pause_in_a_file_is_kept(tmp_path: Path) -> None:
    """Recordings of screens give a frame when something changes."""
    clock = Clock()
    times = [0, 512, 512 + 12800 * 10, 1024 + 12800 * 10]
    with PacedFile(make_clip(tmp_path / "a.mkv", pts=times), clock=clock, sleep=clock.sleep) as source:
        source.open()
        assert len(list(_read(source))) == 4
    assert clock.slept == pytest.approx(10.08, abs=0.01)


def test_a_late_reader_catches_up_with_the_file(tmp_path: Path) -> None:
    clock = Clock()
    with PacedFile(make_clip(tmp_path / "a.mp4"), clock=clock, sleep=clock.sleep) as source:
        source.open()
        frames = _read(source)
        next(frames)
        clock.now += 0.3  # seven of its frames are due by now
        behind = [now for now, _ in frames]
    assert sum(now == behind[0] for now in behind) == 7
    assert behind[-1] - 1000.0 == pytest.approx(0.36)


def test_a_looped_file_starts_again(tmp_path: Path) -> None:
    clock = Clock()
    with PacedFile(make_clip(tmp_path / "a.mp4"), loop=True, clock=clock, sleep=clock.sleep) as source:
        source.open()
        frames = _read(source)
        assert len([next(frames) for _ in range(25)]) == 25


def test_a_pipe_is_read_to_its_end() -> None:
    stream_ = io.BytesIO()
    writer = Y4MWriter(stream_, rate=Fraction(30))
    from live_fakes import frame

    for index in range(3):
        writer.write(frame(index))
    with Y4MSource(io.BytesIO(stream_.getvalue())) as source:
        assert source.open().rate == 30
        assert [source.read(1.0).luma.shape for _ in range(3)] == [(64, 96)] * 3
        with pytest.raises(SourceEnd):
            source.read(1.0)
    with Y4MSource(io.BytesIO(stream_.getvalue()[:-10])) as source:
        source.open()
        with pytest.raises(SourceError, match="breaks off"):
            [source.read(1.0) for _ in range(3)]


# -- cameras, scripted ----------------------------------------------------------------------------------------------


class _Context:
    width, height, pix_fmt, thread_type = 64, 48, "yuyv422", ""
    codec = type("Codec", (), {"name": "rawvideo"})()


class _Camera:
    """A container as PyAV gives it, whose packets are scripted: a pixel format and size is a picture, an exception is
    raised."""

    def __init__(self, script: list[Any]) -> None:
        self._script = script
        self.closed = False
        video = type("Video", (), {})()
        video.index, video.codec_context, video.average_rate, video.guessed_rate = 0, _Context(), Fraction(30), None
        video.sample_aspect_ratio = None
        self.streams = type("Streams", (), {"video": [video], "audio": []})()
        self._video = video

    def demux(self, *_: Any) -> Iterator[Any]:
        while self._script:
            step = self._script.pop(0)
            if isinstance(step, BaseException):
                raise step
            packet = type("Packet", (), {})()
            packet.stream = self._video
            packet.decode = lambda step=step: [picture(1, *step[1:], step[0])]
            yield packet

    def close(self) -> None:
        self.closed = True


def _again() -> BaseException:
    return av.error.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[CaptureSource, "_Camera"]]:
    def make(script: list[Any], *, stall: float = 0.2) -> tuple[CaptureSource, _Camera]:
        container = _Camera(script)
        monkeypatch.setattr(av, "open", lambda *_, **__: container)
        return CaptureSource(Address("camera", "camera 0", "/dev/video0", "fake"), stall=stall), container

    return make


def test_a_camera_without_a_frame_is_polled_again(scripted: Any) -> None:
    source, container = scripted([_again(), _again(), ("yuyv422", 64, 48)])
    with source:
        assert str(source.open()).startswith("camera 0: 64x48 at 30 a second, yuyv422")
        frame = source.read(5.0)
        assert frame.luma.shape == (48, 64)
        assert frame.chroma is not None
        assert frame.chroma[0].shape == (48, 32)
    assert container.closed


def test_a_camera_without_a_picture_in_time_is_not_yet_lost(scripted: Any) -> None:
    source, _ = scripted([_again()] * 10_000, stall=60.0)
    with source:
        source.open()
        with pytest.raises(TimeoutError):
            source.read(0.02)


def test_a_camera_that_freezes_is_lost_after_a_while(scripted: Any) -> None:
    source, _ = scripted([("yuv420p", 64, 48), *[_again()] * 100_000], stall=0.1)
    with source:
        source.open()
        source.read(1.0)
        with pytest.raises(SourceError, match=r"camera 0: no picture for 0\.1 seconds"):
            for _ in range(1000):
                with pytest.raises(TimeoutError):
                    source.read(0.01)


def test_sound_alone_does_not_keep_a_source_alive(scripted: Any) -> None:
    """A sender whose picture has stopped: packets come, and none is a picture."""
    source, container = scripted([("yuv420p", 64, 48)] + [("yuv420p", 64, 48)] * 100_000, stall=0.05)
    with source:
        source.open()
        source.read(1.0)
        other = type("Sound", (), {"index": 1})()
        container._video = other  # what comes now is of another stream
        with pytest.raises(SourceError, match="no picture for"):
            for _ in range(1000):
                with pytest.raises(TimeoutError):
                    source.read(0.01)


def test_a_camera_that_is_unplugged_is_lost_at_once(scripted: Any) -> None:
    source, _ = scripted([("yuv420p", 64, 48), av.error.OSError(errno.ENODEV, "No such device")])
    with source:
        source.open()
        source.read(1.0)
        with pytest.raises(SourceError, match="camera 0: is lost: No such device"):
            source.read(1.0)


def test_a_camera_may_change_size_and_format_in_the_middle(scripted: Any) -> None:
    steps = [("yuyv422", 64, 48), ("yuvj420p", 32, 16), ("nv12", 34, 18), ("bgr24", 16, 16), ("gray", 8, 8)]
    source, _ = scripted(list(steps))
    with source:
        source.open()
        frames = [source.read(1.0) for _ in steps]
    assert [(f.width, f.height) for f in frames] == [step[1:] for step in steps]
    assert [f.full_range for f in frames] == [False, True, False, False, False]
    assert all(not f.luma.flags.writeable for f in frames)


def test_an_absurd_size_is_refused(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from acutance.io import capture

    def refuse(name: str, *_: int) -> None:
        raise UnsupportedMediaError(f"{name}: larger than what is accepted")

    monkeypatch.setattr(capture, "check_dimensions", refuse)
    source, _ = scripted([("yuv420p", 64, 48)])
    with source:
        source.open()
        with pytest.raises(UnsupportedMediaError, match="camera 0: larger"):
            source.read(1.0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "camera 0: this program may not use it"),
        (errno.EBUSY, "camera 0: another program is using it"),
        (errno.ENODEV, "camera 0: is not there; no camera is plugged in"),
        (errno.EINVAL, "camera 0: does not offer video_size 9x9; 'acutance devices'"),
        (errno.EIO, "camera 0: cannot be opened: trouble"),
    ],
)
def test_a_camera_that_cannot_open_gives_reason_and_remedy(
    code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, "trouble")

    monkeypatch.setattr(av, "open", refuse)
    monkeypatch.setattr("acutance.io.devices.list_devices", list)
    address = Address("camera", "camera 0", "/dev/video0", "fake", {"video_size": "9x9"})
    with pytest.raises((SourceError, InputNotFoundError), match=message):
        CaptureSource(address).open()


def test_without_a_camera_the_message_names_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acutance.io.devices.list_devices", list)
    with pytest.raises(InputNotFoundError, match="no camera is plugged in; a file, a stream's address or 'screen'"):
        CaptureSource(Address("camera", "camera 0", "/dev/video-none", "v4l2")).open()


# -- streams, over real sockets -------------------------------------------------------------------------------------


class _Server:
    """Serves a clip over HTTP, once for each connection; the first goes silent in the middle and stays open."""

    def __init__(self, clip: bytes) -> None:
        self._clip = clip
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/call.ts"
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            connection.recv(4096)
            part = self._clip if len(self.connections) > 1 else self._clip[: len(self._clip) // 376 * 188]
            head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {len(self._clip)}\r\n\r\n"
            connection.sendall(head.encode() + part)
            if len(self.connections) > 1:
                connection.shutdown(socket.SHUT_WR)  # closing could take back what was not read yet

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    path = make_clip(tmp_path / "call.ts", pts=[512 * i for i in range(50)], options={"bf": "0"})
    running = _Server(path.read_bytes())
    yield running
    running.close()


def test_a_stalled_stream_is_reopened(server: _Server, student_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_worker, "_BACK_OFF", (0.01,))
    source = CaptureSource(stream(server.url), stall=1.0)
    sink = Collector(waits=100)
    notes: list[str] = []
    job = LiveJob(source, [sink], Stage(student_file, threads=1), on_note=notes.append)

    def stop_when_back() -> None:
        until(lambda: any("is back" in note for note in notes) and sink.count > 0, 60.0)
        job.stop()

    watcher = threading.Thread(target=stop_when_back)
    watcher.start()
    report = job.run()
    watcher.join()
    assert any("nothing has come for 1 seconds" in note for note in notes), notes
    assert report.captured == report.sinks["collector"].shown + sum(report.sinks["collector"].dropped.values())


def test_a_stream_that_comes_all_at_once_is_shown_at_its_pace(server: _Server) -> None:
    """As a recording on a web server does. Its two seconds would otherwise be over in an instant."""
    with pytest.raises(SourceError), CaptureSource(stream(server.url), stall=0.5) as first:
        first.open()  # the server's first connection is the one that stalls
        while True:
            with contextlib.suppress(TimeoutError):
                first.read(0.1)
    with CaptureSource(stream(server.url), stall=5.0) as source:
        source.open()
        times: list[float] = []
        with pytest.raises(SourceError, match="the stream has ended"):
            while True:
                try:
                    source.read(0.05)
                except TimeoutError:
                    continue
                times.append(time.monotonic())
    assert len(times) >= 45
    assert times[-1] - times[0] > 1.0


def test_an_unreachable_stream_is_an_error_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match=f"127.0.0.1:{port}"):
        CaptureSource(stream(f"http://127.0.0.1:{port}/call.ts")).open()


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = CaptureSource(stream(f"http://127.0.0.1:{silent.getsockname()[1]}/x"), stall=0.3)
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"nothing has come within 0\.6 seconds"):
            source.open()
        assert time.monotonic() - started < 20


def test_a_password_in_an_address_is_not_shown() -> None:
    assert stream("rtsp://me:secret@camera.lan/1").name == "rtsp://camera.lan/1"


def test_a_stream_cannot_lead_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="streams come by"):
        stream(f"file://{tmp_path}/secret")
    with pytest.raises(UsageError, match="streams come by"):
        stream("concat://a|b")


# -- what a user types ----------------------------------------------------------------------------------------------


def test_names_select_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("acutance.io.devices.list_devices", list)
    clip = make_clip(tmp_path / "a.mp4")
    assert isinstance(open_source(str(clip)), PacedFile)
    assert isinstance(open_source("-"), Y4MSource)

    def address(what: str) -> Address:
        source = open_source(what, size=(1280, 720), rate=30.0)
        assert isinstance(source, CaptureSource)
        return source.address

    assert address("camera").url == "/dev/video0"
    assert address("camera").options == {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"}
    assert address("camera:2").url == address("2").url == address("/dev/video2").url == "/dev/video2"
    monkeypatch.setenv("DISPLAY", ":5")
    assert address("screen:10,20,640x480").url == ":5+10,20"
    assert address("screen:10,20,640x480").options["video_size"] == "640x480"
    assert address("rtsp://camera.lan/1").options["rtsp_transport"] == "tcp"
    with pytest.raises(UsageError, match="LEFT,TOP,WIDTHxHEIGHT"):
        open_source("screen:all")
    with pytest.raises(InputNotFoundError, match="no such file and no known source"):
        open_source("webcam0")


@pytest.mark.parametrize(
    ("platform", "format_", "url"), [("darwin", "avfoundation", "1"), ("linux", "v4l2", "/dev/video1")]
)
def test_cameras_of_each_platform(platform: str, format_: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("acutance.io.devices.list_devices", list)
    assert (camera("1").format, camera("1").url) == (format_, url)


def test_screens_of_each_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert screen((5, 6, 7, 8)).options == {
        "framerate": "30", "video_size": "7x8", "offset_x": "5", "offset_y": "6",
    }  # fmt: skip
    monkeypatch.setattr("sys.platform", "sunos5")
    with pytest.raises(UsageError, match="not on sunos5"):
        screen()


def test_camera_modes_are_parsed_from_ffmpegs_output() -> None:
    v4l2 = (
        "[video4linux2,v4l2] Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 320x240\n"
        "[video4linux2,v4l2] Compressed:       mjpeg :          Motion-JPEG : 1280x720 1920x1080\n"
    )
    assert parse_modes(v4l2) == ("yuyv422 640x480", "yuyv422 320x240", "mjpeg 1280x720", "mjpeg 1920x1080")
    dshow = (
        "[dshow]   pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30\n"
        "[dshow]   vcodec=mjpeg  min s=1280x720 fps=5 max s=1280x720 fps=60.0002\n"
    )
    assert parse_modes(dshow) == ("yuyv422 640x480 at 30", "mjpeg 1280x720 at 60")
    assert parse_modes("no camera here") == ()


def test_planes_are_those_of_the_camera(scripted: Any) -> None:
    source, _ = scripted([("yuv420p", 64, 48)])
    with source:
        source.open()
        frame = source.read(1.0)
    own = picture(1, 64, 48, "yuv420p")
    expected = np.frombuffer(own.planes[0], np.uint8).reshape(48, -1)[:, :64]
    np.testing.assert_array_equal(frame.luma, expected)
