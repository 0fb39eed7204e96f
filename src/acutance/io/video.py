"""Reading video files: every frame, as planes on the decoder's own memory, with all that must survive processing."""

import contextlib
import itertools
import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from acutance._util.arguments import finite_number, whole_number
from acutance._util.av import av, chroma_location, fraction, time_unit
from acutance._util.closing import Closing
from acutance.errors import CorruptInputError, NotMediaError, UnsupportedMediaError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io._bit_rate import bits_per_picture
from acutance.io._checks import MAX_PIXELS, check_dimensions, refuse_hdr
from acutance.io._decoding import FrameDecoder
from acutance.io._frame_times import frame_rate
from acutance.io._frames import planes_of
from acutance.io._open import VideoInfo, open_container
from acutance.io._pixels import PixelPlan, matrix_for, plan_for, repack
from acutance.io._wholeness import missing_part
from acutance.io.joins import Joins

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoInfo", "VideoReader"]

_LONGEST = 1e8  # seconds, three years
_BACK = (0, 2, 5, 10, 30)  # seconds: how far before a time a key frame is looked for
_INTERLACED_ORDERS = (2, 3, 4, 5)
_NO_MATRIX = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


class VideoReader(Closing):
    """The frames of a video file, in order, each once. A context manager and an iterator of :class:`Frame`.

    >>> with VideoReader("call.mp4") as reader:
    ...     for frame in reader:
    ...         frame.luma      # H x W, uint8 or uint16, a read-only view on the decoder's memory

    path: the file. start, duration: seconds; only frames of that span are given (from the first whose time is not
    before ``start``). size: (width, height) that every frame is scaled to (bicubic); the stored size where None.
    threads: of the decoder; one per core where None.

    YUV 4:2:0, 4:2:2, 4:4:4 and grey of 8, 10 and 12 bits come as stored. Others are turned into the nearest of these,
    and ``notes`` says so: RGB into 4:4:4, limited range, with the matrix players assume (BT.601 up to 1024 x 576,
    BT.709 above), tagged so. Where the picture size changes in mid-stream, frames are scaled to the first size.

    Every frame that decodes is given. ``damaged`` says afterwards what was lost, or is None.
    Raises InputNotFoundError, NotMediaError (empty, text, playlist, audio only), CorruptInputError (not one frame
    decodes), UnsupportedMediaError (interlaced, HDR, absurd size, unknown pixel format), UsageError (``start`` past
    the end).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start: float = 0.0,
        duration: float | None = None,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> None:
        start = finite_number(start, "start", low=0.0, high=_LONGEST)
        if duration is not None:
            duration = finite_number(duration, "duration", low=0.0, high=_LONGEST, above=True)
        self.path = Path(path)
        self._threads = None if threads is None else whole_number(threads, "threads of a decoder", low=1, high=1 << 10)
        self.notes: list[str] = []
        self.joins = Joins(self.path)
        self.captioned = False
        self._decoder: FrameDecoder
        self._frames: Iterator[av.VideoFrame]
        self._plans: dict[tuple[str, int, int], PixelPlan] = {}
        self._closed = False
        self._container = open_container(self.path)
        try:
            self._stream = self._choose_stream(self._container)
            self._time_base = time_unit(self._stream, Fraction(1, 1000))
            self._start, self._duration = start, duration
            self._begin_decoding()
            self._first: av.VideoFrame | None = self._first_frame()
            self.info = self._describe(self._first)
            self.width, self.height = size or (self.info.width, self.info.height)
            check_dimensions(self.path, self.width, self.height)
            bits = bits_per_picture(self.path, self._container, self._stream)
            self._bits_per_pixel = None if bits is None else bits / (self.info.width * self.info.height)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Frames already given stay valid. May be called twice."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(AttributeError):  # opening failed before there was one
                self._decoder.closed = True
            self._first = None
            self._container.close()

    @property
    def damaged(self) -> str | None:
        """What could not be read, in words; None as long as nothing is known to be missing."""
        parts = list(self._decoder.damage)
        if self._decoder.bad_packets:
            parts.append(f"{self._decoder.bad_packets} packets are damaged")
        return "; ".join(parts) or None

    @property
    def origin(self) -> Fraction:
        """The time, in seconds of this file, that is zero for a copy of the part that is read."""
        return self._origin

    @property
    def end(self) -> Fraction | None:
        """The time, in seconds of this file, at which reading stops; None for the end of the file."""
        return self._end

    @property
    def starts_late(self) -> bool:
        """Whether a part of the file before ``origin`` is left out."""
        return self._start > 0

    @property
    def seek_safe(self) -> bool:
        """True if seeking to a later key frame yields the same frames.

        All packets so far are whole, all frames have times of their own on one clock, and there is one format.
        """
        decoder = self._decoder
        whole = not decoder.bad_packets and not decoder.damage
        return whole and decoder.clock.seek_safe and not self.joins.any and len(self._plans) == 1

    @property
    def stream_index(self) -> int:
        """Which stream of the file the picture is."""
        return int(self._stream.index)

    # -- opening ----------------------------------------------------------------------------------------------------

    def _choose_stream(self, container: "InputContainer") -> "VideoStream":
        videos = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not videos:
            reason_ = "no picture in it (audio only)" if container.streams.audio else "no video in it"
            raise NotMediaError(f"{self.path}: there is {reason_}")
        stream = videos[0]
        if stream.codec_context is None:
            raise UnsupportedMediaError(f"{self.path}: there is no decoder for its video codec")
        context = stream.codec_context
        if context.width or context.height:
            check_dimensions(self.path, context.width, context.height)
        refuse_hdr(self.path, context.color_trc)
        if context.field_order in _INTERLACED_ORDERS:
            self._refuse_interlaced()
        context.thread_type = "AUTO"
        if self._threads is not None:
            context.thread_count = self._threads
        context.options = {"max_pixels": str(MAX_PIXELS)}
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        return stream

    def _refuse_interlaced(self) -> None:
        raise UnsupportedMediaError(
            f"{self.path}: interlaced video: deinterlace it first, for example with ffmpeg -i IN -vf bwdif OUT"
        )

    def _first_frame(self) -> av.VideoFrame:
        container = self._container
        # MPEG streams begin anywhere on the clock; other containers say on purpose when they begin.
        zero = Fraction(container.start_time or 0, 1_000_000)
        self._zero = zero if container.format.name in ("mpegts", "mpeg") else Fraction(0)
        wanted = zero + Fraction(self._start).limit_denominator(1_000_000)
        self._end: Fraction | None = None
        if self._start > 0:
            self._seek(wanted, zero)
            container = self._container
        seen = False
        for frame in self._frames:
            seen = True
            if self._start == 0 or self._time(frame) >= wanted:
                self._origin = self._time(frame) if self._start > 0 else self._zero
                if self._duration is not None:
                    self._end = self._origin + Fraction(self._duration).limit_denominator(1_000_000)
                return frame
        if seen:
            raise UsageError(f"{self.path}: start {self._start:g} s is past the end of the video")
        detail = missing_part(self.path) or self.damaged or "it may be empty or damaged"
        raise CorruptInputError(f"{self.path}: not one frame can be decoded: {detail}")

    def _seek(self, wanted: Fraction, zero: Fraction) -> None:
        """Have decoding go on at or before a time, in seconds of this file.

        MPEG streams are sought by byte, and land behind the last key frame if pictures depend on one another for long.
        So the first frame that decodes is looked at, and if it is too late, the search begins farther back.
        """
        if self._container.format.name in ("mpegts", "mpeg"):
            self.joins.find()
        for back in () if self.joins.any else _BACK:
            if wanted - back <= zero:
                break
            self._reopen()
            try:
                self._container.seek(int((wanted - back) * 1_000_000), backward=True)
            except (av.error.FFmpegError, OSError):
                break
            first = next(self._frames, None)
            if first is not None and self._time(first) <= wanted:
                self._frames = itertools.chain([first], self._frames)
                return
        self._reopen()  # read from the beginning, and drop

    def rewind(self, before: Fraction | None = None) -> None:
        """Read again, and forget what was damaged.

        Args:
            before: Begin at a key frame not after this time, in seconds of this file, if the file knows of one; at the
                first frame where None.

        Raises:
            AcutanceError: What opening the file raises.
        """
        self._reopen()
        self._first = None
        if before is None:
            self._first = self._first_frame()
        elif not self.joins.any:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(int(before * 1_000_000), backward=True)

    def _reopen(self) -> None:
        self._container.close()
        self._container = open_container(self.path)
        self._stream = self._choose_stream(self._container)
        self._begin_decoding()

    def _begin_decoding(self) -> None:
        self._decoder = FrameDecoder(self.path, self._container, self._stream, self.joins, self._time_base)
        self._frames = self._decoder.frames()

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        container, stream = self._container, self._stream
        self._check(frame)
        if frame.interlaced_frame:
            self._refuse_interlaced()
        plan = self._plan(frame)
        if {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1":
            self._note("the alpha channel is left out: FFmpeg's decoder does not give it")
        rate = frame_rate(container.format.name, stream)
        duration: float | None = None
        if stream.duration is not None:
            duration = float(stream.duration * self._time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6
        # Side data is looked at once: PyAV (18.1) keeps a frame whose side data was asked for for ever.
        if frame.side_data.get("DOVI_METADATA") is not None and frame.color_trc == 2 and frame.colorspace == 2:
            raise UnsupportedMediaError(f"{self.path}: Dolby Vision without a standard base layer; convert it first")
        raw = frame.side_data.get("DISPLAYMATRIX")
        self.captioned = frame.side_data.get("A53_CC") is not None
        matrix = _NO_MATRIX if raw is None else struct.unpack("=9i", memoryview(cast(bytes, raw)))
        return VideoInfo(
            width=frame.width,
            height=frame.height,
            codec=stream.codec_context.codec.name,
            source_pix_fmt=frame.format.name,
            pix_fmt=plan.target,
            bit_depth=plan.bit_depth,
            frame_count=stream.frames or (round(duration * rate) if duration and rate else 0),
            average_rate=rate,
            time_base=self._time_base,
            duration=duration,
            colour=self._colour(frame, plan, chroma_location(container, stream.index)),
            rotation=round(frame.rotation / 90) * 90 % 360,
            sample_aspect_ratio=fraction(stream.sample_aspect_ratio),
            tagged_range=1 if plan.from_rgb else 2 if plan.full_range else frame.color_range,
            display_matrix=None if matrix == _NO_MATRIX else matrix,
            audio_streams=len(container.streams.audio),
            subtitle_streams=len(container.streams.subtitles),
        )

    # -- frames -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        if first is not None:
            yield self._frame(first)
            del first
        for frame in self._frames:
            if self._end is not None and self._time(frame) >= self._end:
                return
            self._check(frame)
            yield self._frame(frame)
        late = self._decoder.late_streams
        if late:
            self._note(
                f"{late} streams that first appear in mid-file are left out"
                if late > 1
                else "a stream that first appears in mid-file is left out"
            )

    def _time(self, frame: av.VideoFrame) -> Fraction:
        return (frame.pts or 0) * time_unit(frame)

    def _place(self, frame: av.VideoFrame) -> str:
        """Return where a frame is, from the start of the file as players count: ``4.97 s``."""
        return f"{float(self._time(frame) - self._zero):.2f} s"

    def _check(self, frame: av.VideoFrame) -> None:
        check_dimensions(self.path, frame.width, frame.height)
        refuse_hdr(self.path, frame.color_trc)

    def _plan(self, frame: av.VideoFrame) -> PixelPlan:
        key = (frame.format.name, frame.width, frame.height)
        plan = self._plans.get(key)
        if plan is None:
            plan = plan_for(*key)
            if plan is None:
                raise UnsupportedMediaError(f"{self.path}: pixel format {key[0]} is not accepted")
            when = self._place(frame)
            if self._plans and plan.target == self.info.pix_fmt:
                self._note(f"the picture changes to {key[1]} x {key[2]} at {when} and is scaled")
            elif self._plans:
                self._note(f"the pixel format changes to {key[0]} at {when} and is converted")
                plan = replace(plan, target=self.info.pix_fmt, bit_depth=self.info.bit_depth, repacked=True)
            elif plan.note:
                self._note(plan.note)
            self._plans[key] = plan
        return plan

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _colour(self, frame: av.VideoFrame, plan: PixelPlan, location: int) -> ColourInfo:
        full = not plan.from_rgb and (plan.full_range or frame.color_range == 2)
        return ColourInfo(
            range=ColourRange.FULL if full else ColourRange.LIMITED,
            matrix=matrix_for(frame.width, frame.height) if plan.from_rgb else int(frame.colorspace),
            primaries=int(frame.color_primaries),
            transfer=int(frame.color_trc),
            chroma_location=location,
        )

    def _frame(self, decoded: av.VideoFrame) -> Frame:
        plan = self._plan(decoded)
        picture = decoded
        colour = self._colour(decoded, plan, self.info.colour.chroma_location)
        ranged = colour.range is not self.info.colour.range
        if ranged:
            self._note(f"the colour range changes to {colour.range.value} at {self._place(decoded)} and is converted")
            colour = replace(colour, range=self.info.colour.range)
        if decoded.interlaced_frame:
            self._note(f"interlaced frames, from {self._place(decoded)} on, stay as they are: their lines would tear")
        resized = (decoded.width, decoded.height) != (self.width, self.height)
        backwards = any(plane.line_size < 0 for plane in decoded.planes)
        if plan.repacked or resized or backwards or ranged:
            picture = repack(decoded, plan, self.width, self.height, full_range=self.info.full_range)
        luma, chroma = planes_of(picture, plan)
        return Frame(
            luma=luma,
            chroma=chroma,
            bit_depth=plan.bit_depth,
            pts=decoded.pts,
            duration=self._duration_of(decoded),
            interlaced=bool(decoded.interlaced_frame),
            time_base=fraction(decoded.time_base),
            colour=colour,
            rotation=self.info.rotation,
            sample_aspect_ratio=self.info.sample_aspect_ratio,
            # Sides are whole numbers: what was asked for is near it.
            scaled_by=max(1.0, round(min(self.width / decoded.width, self.height / decoded.height), 2)),
            bits_per_pixel=self._bits_per_pixel,
            backing=picture,
        )

    def _duration_of(self, frame: av.VideoFrame) -> int | None:
        """Return how long a frame is to be seen, in units of its time base, as far as the file says."""
        duration = frame.duration or None
        if duration is None or self._end is None:
            return duration
        return max(1, min(duration, round((self._end - self._time(frame)) / self._time_base)))

    def picture_end(self) -> Fraction | None:
        """Return the time, in seconds of this file, at which its last frame ends; None if nothing tells.

        Matroska stores no durations of frames, but that of the whole file, which is the picture's if there is no sound.
        """
        container = self._container
        alone = sum(s.type in ("video", "audio") for s in container.streams) == 1
        if self.damaged or not alone or container.duration is None or "matroska" not in container.format.name:
            return self._end
        end = Fraction(container.duration + (container.start_time or 0), 1_000_000)
        return end if self._end is None else min(end, self._end)
