"""Recording a live picture, with sound beside it: written as it comes, and readable whenever it breaks off."""

import contextlib
import queue
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

from acutance._util.av import av
from acutance.errors import OutputError, OutputExistsError
from acutance.frame import Frame
from acutance.io._checks import same_file
from acutance.io._encoders import choose_encoder, container_format
from acutance.io._frames import converted, picture_of, upright
from acutance.io.files import output_error
from acutance.io.sink import LiveSink, Shown
from acutance.io.source import SourceInfo
from acutance.io.y4m import Y4MWriter

__all__ = ["Recorder", "Y4MSink"]

_TIME_BASE = Fraction(1, 90_000)
_SOUND_RATE = 48_000
_DRIFT = 0.1  # seconds that sound may be away from its time before it is put there
_SOUND_WAITING = 500  # blocks of sound, some ten seconds
_LIVE_PRESETS = {"libx264": "veryfast", "libx265": "ultrafast", "libvpx-vp9": "8", "libsvtav1": "12"}


_PROMPT = {
    # What is there is written at once, in pieces of less than half a second: so much is lost when the power fails.
    "flush_packets": "1",
    "frag_duration": "400000",  # microseconds, of MP4 and MOV
    "cluster_time_limit": "400",  # milliseconds, of Matroska and WebM
    # Pictures do not wait longer for sound that may not come.
    "max_interleave_delta": "300000",  # microseconds
}

_OWN_BEGINNINGS = {
    # MP4 and MOV get no index at the end, and each track begins at its own time. FFmpeg would move the first packet of
    # each track to zero, and leave a hole behind it.
    "movflags": "empty_moov+default_base_moof+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "make_non_negative",
}


def _prompt_settings(encoder: str, rate: Fraction) -> dict[str, str]:
    """Return options with which an encoder holds back no more than about a quarter of a second of frames."""
    ahead = max(1, round(rate / 5))
    return {
        "libx264": {"rc-lookahead": str(ahead), "bf": "2", "x264-params": "sync-lookahead=0:sliced-threads=1"},
        "libx265": {"x265-params": f"rc-lookahead={ahead}:bframes=2:frame-threads=1:log-level=none"},
        "libvpx-vp9": {"deadline": "realtime", "lag-in-frames": "0"},
        "libsvtav1": {"svtav1-params": "pred-struct=1:lookahead=0"},
    }.get(encoder, {})


class Recorder(LiveSink):
    """Writes frames to a video file, each at the time at which it was captured, and sound beside them.

    path: MP4, MOV, Matroska, WebM, MPEG-TS or NUT, written in short pieces: whatever happens, all but the last second
    can be played. The picture has the size of the first frame, upright; others are scaled.
    encoder, crf, bitrate, preset: as for :class:`acutance.io.VideoWriter`, with presets that keep up with a camera.
    sound: whether to expect some (:meth:`sound`); None: as the source says.
    inputs: files that it must not be. Raises OutputExistsError, UsageError, OutputError.
    """

    waits = 20  # of 1080p, some hundred megabytes

    def __init__(
        self,
        path: str | Path,
        *,
        encoder: str | None = None,
        crf: float | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        sound: bool | None = False,
        overwrite: bool = False,
        inputs: Sequence[Path] = (),
    ) -> None:
        self.path = Path(path)
        self.name = str(path)
        self._container_name = container_format(self.path)
        if any(same_file(self.path, source) for source in inputs):
            raise OutputExistsError(f"{self.path}: is what is being played; record into another file")
        if self.path.exists() and not overwrite:
            raise OutputExistsError(f"{self.path}: exists already").offering("overwrite")
        self._wanted = (encoder, crf, bitrate, preset)
        self.with_sound = sound
        self._sounds: queue.Queue[tuple[Any, float]] = queue.Queue(_SOUND_WAITING)
        self._output: av.container.OutputContainer | None = None
        self._rate = Fraction(30)
        self._began: float | None = None
        self._last_pts = -1
        self._size = (0, 0)
        self._sound_next: float | None = None
        self._sound_kind: tuple[object, ...] | None = None
        self._resampler: Any = None
        self.frames_written = 0

    def open(self, info: SourceInfo) -> None:
        self._rate = (info.rate or Fraction(30)).limit_denominator(1001)
        if self.with_sound is None:
            self.with_sound = info.sound
        if not self.path.parent.is_dir():
            raise OutputError(f"{self.path}: there is no folder {self.path.parent}")

    def sound(self, block: Any, time: float) -> None:
        """A block of decoded sound (``av.AudioFrame``) and when, on the monotonic clock, it was heard. Any thread."""
        with contextlib.suppress(queue.Full):
            self._sounds.put_nowait((block, time))

    def show(self, shown: Shown) -> None:
        frame = upright(shown.frame)
        try:
            if self._output is None:
                self._begin(frame, shown.captured)
            self._encode(frame, shown.captured)
            self._encode_sounds()
        except (av.error.FFmpegError, OSError) as error:
            if isinstance(error, OutputError):
                raise
            raise output_error(self.path, error) from error
        self.frames_written += 1

    def _begin(self, frame: Frame, captured: float) -> None:
        encoder, crf, bitrate, preset = self._wanted
        width, height = max(2, frame.width // 2 * 2), max(2, frame.height // 2 * 2)
        self._size, self._began = (width, height), captured
        chosen = choose_encoder(
            encoder, path=self.path, container=self._container_name, pix_fmt="yuv420p", width=width, height=height
        )
        settings = chosen.settings(crf=crf, bitrate=bitrate, preset=preset or _LIVE_PRESETS.get(chosen.name))
        settings |= _prompt_settings(chosen.name, self._rate)
        options = _PROMPT | (_OWN_BEGINNINGS if self._container_name in ("mp4", "mov") else {})
        output = av.open(f"file:{self.path}", "w", format=self._container_name, container_options=options)
        self._output = output
        added = output.add_stream(chosen.name, rate=self._rate, options=settings, bit_rate=bitrate or 0)
        self._picture = picture = cast(av.video.stream.VideoStream, added)
        context = picture.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", _TIME_BASE
        context.thread_type = "SLICE"  # threads that each encode a frame of their own hold back as many frames
        context.gop_size = max(1, round(2 * self._rate))
        context.color_range = 2 if frame.full_range else 1
        if frame.sample_aspect_ratio is not None:
            context.sample_aspect_ratio = frame.sample_aspect_ratio
        self._full_range = frame.full_range
        context.colorspace = frame.colour.matrix
        self._sound_stream: Any = None
        if self.with_sound:
            codec = "libopus" if self._container_name == "webm" else "aac"
            self._sound_stream = output.add_stream(codec, rate=_SOUND_RATE, layout="stereo")
        output.start_encoding()

    def _encode(self, frame: Frame, captured: float) -> None:
        picture = picture_of(converted(frame, *self._size, full_range=self._full_range))
        began = captured if self._began is None else self._began
        self._last_pts = max(self._last_pts + 1, round((captured - began) / _TIME_BASE))
        picture.pts, picture.time_base = self._last_pts, _TIME_BASE
        self._mux(self._picture.encode(picture))

    def _encode_sounds(self) -> None:
        while True:
            try:
                block, time = self._sounds.get_nowait()
            except queue.Empty:
                return
            if self._sound_stream is not None and self._began is not None:
                self._encode_sound(block, time - self._began)

    def _encode_sound(self, block: Any, time: float) -> None:
        """Blocks follow each other without a gap for as long as they stay near their time. What comes too early is left
        out until there is room; before what comes late there is silence."""
        if time < 0:
            return  # heard before the first picture
        late = self._sound_next is not None and time > self._sound_next + _DRIFT
        if self._sound_next is not None and time < self._sound_next - _DRIFT:
            return
        kind = block.format.name, block.layout.name, block.sample_rate
        if self._sound_next is None or late or kind != self._sound_kind:
            self._flush_sound()
            self._sound_next, self._sound_kind = time if self._sound_next is None or late else self._sound_next, kind
            size = self._sound_stream.codec_context.frame_size or 960
            self._resampler = av.AudioResampler("fltp", "stereo", _SOUND_RATE, frame_size=size)
        block.pts, block.time_base = round(self._sound_next * block.sample_rate), Fraction(1, block.sample_rate)
        self._sound_next += block.samples / block.sample_rate
        for part in self._resampler.resample(block):
            self._mux(self._sound_stream.encode(part))

    def _flush_sound(self) -> None:
        if self._resampler is not None:
            for part in self._resampler.resample(None):
                self._mux(self._sound_stream.encode(part))

    def _mux(self, packets: Any) -> None:
        if self._output is not None:
            for packet in packets:
                self._output.mux(packet)

    def close(self) -> None:
        output = self._output
        if output is None:
            return
        try:
            self._encode_sounds()
            self._mux(self._picture.encode(None))
            if self._sound_stream is not None:
                self._flush_sound()
                self._mux(self._sound_stream.encode(None))
            self._output = None
            output.close()  # writes the last of it
        except (av.error.FFmpegError, OSError) as error:
            self._output = None
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                output.close()
            raise output_error(self.path, error) from error


class Y4MSink(LiveSink):
    """Writes frames as a YUV4MPEG2 stream, in the size and format of the first one; others are turned into these."""

    name = "-"
    waits = 4

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._writer: Y4MWriter | None = None
        self._layout: tuple[int, int, str, bool] | None = None

    def open(self, info: SourceInfo) -> None:
        self._writer = Y4MWriter(self._stream, rate=(info.rate or Fraction(30)).limit_denominator(1001))

    def show(self, shown: Shown) -> None:
        if self._writer is None:
            raise OutputError("-: is not open")
        frame = upright(shown.frame)
        if self._layout is None:
            pix_fmt = "gray" if frame.chroma is None else "yuv420p"
            self._layout = frame.width, frame.height, pix_fmt, frame.full_range
        width, height, pix_fmt, full_range = self._layout
        self._writer.write(converted(frame, width, height, pix_fmt, full_range=full_range))

    def close(self) -> None:
        self._writer = None
