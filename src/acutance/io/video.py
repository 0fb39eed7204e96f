"""Reading video files: every frame, as planes on the decoder's own memory, with all that must survive processing."""

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from acutance._util.av import av, chroma_location, fraction, late_streams, packets_of, reason, time_unit
from acutance._util.closing import Closing
from acutance.errors import CorruptInputError, NotMediaError, UnsupportedMediaError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io._checks import MAX_PIXELS, check_dimensions
from acutance.io._frames import planes_of
from acutance.io._open import VideoInfo, open_container
from acutance.io._pixels import PixelPlan, matrix_for, plan_for, repack
from acutance.io._wholeness import missing_part

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoInfo", "VideoReader"]

_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
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
        if start < 0 or (duration is not None and duration <= 0):
            raise UsageError(f"start must not be negative and duration must be positive, not {start} and {duration}")
        self.path = Path(path)
        self._threads = threads
        self.notes: list[str] = []
        self._bad_packets = 0
        self._damage: list[str] = []
        self._last_pts: int | None = None
        self._straight = True
        self._plans: dict[tuple[str, int, int], PixelPlan] = {}
        self._closed = False
        self._container = open_container(self.path)
        try:
            self._stream = self._choose_stream(self._container)
            self._time_base = time_unit(self._stream, Fraction(1, 1000))
            self._start, self._duration = start, duration
            self._frames = self._decode()
            self._first: av.VideoFrame | None = self._first_frame()
            self.info = self._describe(self._first)
            self.width, self.height = size or (self.info.width, self.info.height)
            check_dimensions(self.path, self.width, self.height)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Frames already given stay valid. May be called twice."""
        if not self._closed:
            self._closed = True
            self._first = None
            self._container.close()

    @property
    def damaged(self) -> str | None:
        """What could not be read, in words; None as long as nothing is known to be missing."""
        parts = list(self._damage)
        if self._bad_packets:
            parts.append(f"{self._bad_packets} packets are damaged")
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
    def straight(self) -> bool:
        """Whether all so far is what it would be had reading begun at a later key frame: whole packets, frames with a
        time of their own, one format."""
        return self._straight and not self._bad_packets and not self._damage and len(self._plans) == 1

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
        self._refuse_hdr(context.color_trc)
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

    def _refuse_hdr(self, transfer: int) -> None:
        if transfer in _HDR_TRANSFERS:
            raise UnsupportedMediaError(
                f"{self.path}: HDR video, {_HDR_TRANSFERS[transfer]}: the students were trained on standard dynamic "
                "range; tone-map it first"
            )

    def _refuse_interlaced(self) -> None:
        raise UnsupportedMediaError(
            f"{self.path}: interlaced video: deinterlace it first, for example with ffmpeg -i IN -vf bwdif OUT"
        )

    def _first_frame(self) -> av.VideoFrame:
        container = self._container
        zero = Fraction(container.start_time or 0, 1_000_000)
        wanted = zero + Fraction(self._start).limit_denominator(1_000_000)
        self._end: Fraction | None = None
        if self._duration is not None:
            self._end = wanted + Fraction(self._duration).limit_denominator(1_000_000)
        if self._start > 0:
            try:
                container.seek(int(wanted * 1_000_000), backward=True)
            except (av.error.FFmpegError, OSError):
                self._reopen()  # not seekable: read from the beginning and drop
        seen = False
        for frame in self._frames:
            seen = True
            if self._start == 0 or self._time(frame) >= wanted:
                # MPEG streams begin anywhere on the clock; other containers say on purpose when they begin.
                shifts = container.format.name in ("mpegts", "mpeg")
                self._origin = self._time(frame) if self._start > 0 else (zero if shifts else Fraction(0))
                return frame
        if seen:
            raise UsageError(f"{self.path}: start {self._start:g} s is past the end of the video")
        detail = missing_part(self.path) or self.damaged or "it may be empty or damaged"
        raise CorruptInputError(f"{self.path}: not one frame can be decoded: {detail}")

    def rewind(self, before: Fraction | None = None) -> None:
        """Read again: from a key frame not after ``before``, in seconds of this file, where the file knows of one; from
        the first frame where None. What was damaged is forgotten. Raises what opening the file does."""
        self._reopen()
        self._bad_packets, self._damage, self._straight = 0, [], True
        self._first = None
        if before is None:
            self._first = self._first_frame()
        else:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(int(before * 1_000_000), backward=True)

    def _reopen(self) -> None:
        self._container.close()
        self._last_pts = None
        self._container = open_container(self.path)
        self._stream = self._choose_stream(self._container)
        self._frames = self._decode()

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        container, stream = self._container, self._stream
        self._check(frame)
        plan = self._plan(frame)
        rate = fraction(stream.average_rate) or fraction(stream.guessed_rate)
        duration: float | None = None
        if stream.duration is not None:
            duration = float(stream.duration * self._time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6
        # Side data is looked at once: PyAV (18.1) keeps a frame whose side data was asked for for ever.
        if frame.side_data.get("DOVI_METADATA") is not None and frame.color_trc == 2 and frame.colorspace == 2:
            raise UnsupportedMediaError(f"{self.path}: Dolby Vision without a standard base layer; convert it first")
        raw = frame.side_data.get("DISPLAYMATRIX")
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

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that decodes, with a pts that never stands still, whatever the file is like."""
        container, stream = self._container, self._stream
        packets = packets_of(container, stream)
        while not self._closed:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                # The demuxer is finished; what the decoder still holds is not.
                self._damage.append(f"reading stopped: {reason(error)}")
                yield from self._clocked(self._flush())
                break
            if packet is None:
                break
            try:
                frames = packet.decode()
            except av.error.EOFError:
                continue
            except (av.error.FFmpegError, ValueError):
                self._bad_packets += 1
                continue
            self._bad_packets += bool(packet.is_corrupt)
            yield from self._clocked(frames)
        late = 0 if self._closed else late_streams(container)
        if late:
            self._note(
                f"{late} streams that first appear in mid-file are left out"
                if late > 1
                else "a stream that first appears in mid-file is left out"
            )
        missing = missing_part(self.path)
        if missing:
            self._damage.append(missing)

    def _flush(self) -> list[av.VideoFrame]:
        try:
            return self._stream.codec_context.decode(None)
        except av.error.FFmpegError:
            return []

    def _clocked(self, frames: list[Any]) -> Iterator[av.VideoFrame]:
        rate = fraction(self._stream.average_rate) or fraction(self._stream.guessed_rate) or Fraction(25)
        for frame in frames:
            if frame.is_corrupt:
                self._straight = False  # what conceals the damage depends on the frames decoded before
            pts = frame.pts
            if pts is None:
                # Raw streams and some AVI files carry no times: count frames at the announced rate.
                pts = 0 if self._last_pts is None else self._last_pts + max(1, round(1 / rate / self._time_base))
                self._straight = False
            elif self._last_pts is not None and pts <= self._last_pts:
                pts = self._last_pts + 1  # encoders refuse a clock that stands still or runs backwards
                self._straight = False
            self._last_pts = pts
            frame.pts, frame.time_base = pts, self._time_base
            yield frame

    def _time(self, frame: av.VideoFrame) -> Fraction:
        return (frame.pts or 0) * time_unit(frame)

    def _check(self, frame: av.VideoFrame) -> None:
        check_dimensions(self.path, frame.width, frame.height)
        if frame.interlaced_frame:
            self._refuse_interlaced()
        self._refuse_hdr(frame.color_trc)

    def _plan(self, frame: av.VideoFrame) -> PixelPlan:
        key = (frame.format.name, frame.width, frame.height)
        plan = self._plans.get(key)
        if plan is None:
            plan = plan_for(*key)
            if plan is None:
                raise UnsupportedMediaError(f"{self.path}: pixel format {key[0]} is not accepted")
            when = float(self._time(frame))
            if self._plans and plan.target == self.info.pix_fmt:
                self._note(f"the picture changes to {key[1]} x {key[2]} at {when:.2f} s and is scaled")
            elif self._plans:
                self._note(f"the pixel format changes to {key[0]} at {when:.2f} s and is converted")
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
        if colour.range is not self.info.colour.range:
            raise UnsupportedMediaError(
                f"{self.path}: the colour range changes to {colour.range.value} at {float(self._time(decoded)):.2f} s; "
                "the file it would be written to can only name one"
            )
        resized = (decoded.width, decoded.height) != (self.width, self.height)
        backwards = any(plane.line_size < 0 for plane in decoded.planes)
        if plan.repacked or resized or backwards:
            picture = repack(decoded, plan, self.width, self.height)
        luma, chroma = planes_of(picture, plan)
        return Frame(
            luma=luma,
            chroma=chroma,
            bit_depth=plan.bit_depth,
            pts=decoded.pts,
            time_base=fraction(decoded.time_base),
            colour=colour,
            rotation=self.info.rotation,
            sample_aspect_ratio=self.info.sample_aspect_ratio,
            # Sides are whole numbers: what was asked for is near it.
            scaled_by=max(1.0, round(min(self.width / decoded.width, self.height / decoded.height), 2)),
            backing=picture,
        )
