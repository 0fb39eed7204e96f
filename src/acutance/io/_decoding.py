"""Every frame of a picture stream that decodes, with its time, whatever the file is like."""

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from acutance._util.av import av, late_streams, packets_of, reason
from acutance.io._frame_times import FrameClock
from acutance.io._open import open_container
from acutance.io._wholeness import missing_part
from acutance.io.joins import Joins, TimeMender

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["FrameDecoder"]

_AT_JOIN = 4  # packets on each side of a join whose mark as damaged is not believed


class FrameDecoder:
    """Decodes one stream of an open file from where the file stands to its end.

    Args:
        path: The file.
        container: The same, open.
        stream: Its picture.
        joins: Where its clock starts again.
        time_base: The unit of the frames' times.

    Attributes:
        bad_packets: Packets that are damaged or do not decode.
        damage: What else was lost, in words.
        clock: The source of the frames' times.
        late_streams: Streams that first appear in mid-file, known at the end.
    """

    def __init__(
        self, path: Path, container: "InputContainer", stream: "VideoStream", joins: Joins, time_base: Fraction
    ) -> None:
        self._path, self._container, self._stream, self._joins = path, container, stream, joins
        self._time_base = time_base
        self._mender = TimeMender(joins, container.format.name)
        self.clock = FrameClock(container.format.name, stream, time_base)
        self.bad_packets = 0
        self.damage: list[str] = []
        self._corrupt: deque[bool] = deque(maxlen=_AT_JOIN)
        self._forgiven = 0
        self._sent = self._given = 0
        self._last: int | None = None
        self.closed = False
        self.late_streams = 0

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield every frame in presentation order. Its ``pts`` always increases."""
        packets = packets_of(self._container, self._stream)
        stopped = False
        while not self.closed:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                # The demuxer is finished; what the decoder still holds is not.
                self.damage.append(f"reading stopped: {reason(error)}")
                stopped = True
                break
            if packet is None:
                break
            yield from self._decoded(packet)
        if self.closed:
            return
        if stopped:
            yield from self._timed(self._drain())
        self.late_streams = late_streams(self._container)
        missing = missing_part(self._path)
        if self._given < self._sent and (missing or self.damage or self.bad_packets):
            yield from self._end_again()
        if missing:
            self.damage.append(missing)

    def _decoded(self, packet: "av.Packet[Any]") -> Iterator[av.VideoFrame]:
        joined = self._mender.mend(packet)
        self.clock.sent(packet.dts)
        self._sent += bool(packet.size)
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError):
            self.bad_packets += 1
            self.clock.lost(packet.dts)
            return
        if joined:  # the demuxer takes a join for lost packets, before it and behind it
            self.bad_packets -= sum(self._corrupt)
            self._corrupt.clear()
            self._forgiven = _AT_JOIN
        corrupt = bool(packet.is_corrupt) and not self._forgiven
        self._corrupt.append(corrupt)
        self._forgiven = max(0, self._forgiven - 1)
        self.bad_packets += corrupt
        yield from self._timed(frames)

    def _drain(self) -> list[av.VideoFrame]:
        try:
            return self._stream.codec_context.decode(None)
        except av.error.FFmpegError:
            return []

    def _timed(self, frames: list[Any]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            if frame.is_corrupt:
                self.clock.seek_safe = False  # what conceals the damage depends on the frames decoded before
            frame.pts, frame.time_base = self.clock.time_of(frame), self._time_base
            frame.duration = self.clock.duration_of(frame)
            self._last = frame.pts
            self._given += 1
            yield frame

    def _end_again(self) -> Iterator[av.VideoFrame]:
        """Yield the last frames of a damaged file, decoded by one thread.

        Several threads hold a frame each at the end. If one of them fails, PyAV loses the others.
        """
        with open_container(self._path) as container:
            stream = cast("VideoStream", container.streams[self._stream.index])
            stream.codec_context.thread_count = 1
            again = FrameDecoder(self._path, container, stream, self._joins, self._time_base)
            if self._last is not None and self.clock.seek_safe and not self._joins.any:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    container.seek(int(self._last * self._time_base * 1_000_000), backward=True)
            for packet in packets_of(container, stream):
                for frame in again._decoded(packet):
                    pts = frame.pts or 0
                    if self._last is None or pts > self._last:
                        self._last = pts
                        self._given += 1
                        yield frame
