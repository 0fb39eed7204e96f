"""Everything of a video file that is not the picture, carried over: sound, subtitles, fonts, chapters, tags."""

import contextlib
import errno
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acutance._util.av import av, reason
from acutance.io._open import open_container

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["StreamCopier"]

_FILE_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_STREAM_KEYS = {"encoder", "duration", "bps", "rotate", "vendor_id", "_statistics_writing_app", "_statistics_tags"}
_STREAM_KEYS |= {"number_of_frames", "number_of_bytes", "_statistics_writing_date_utc"}
_FATAL = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


class StreamCopier:
    """Copies packets of every stream but the picture from one file to another.

    It reads the file a second time, by itself: so the picture may be read ahead, or in another thread, and the sound
    still arrives where it belongs.

    origin, end: the span that is copied, in seconds of the input; ``origin`` becomes zero.
    notes: what could not be carried over, one line each.
    """

    def __init__(self, path: Path, picture_index: int, *, origin: Fraction, end: Fraction | None, cut: bool) -> None:
        self.notes: list[str] = []
        self._container = open_container(path)
        self._picture_index = picture_index
        self._origin, self._end, self._cut = origin, end, cut
        self._targets: dict[int, Stream] = {}
        self._packets: Iterator[Packet[Stream]] | None = None
        self._waiting: tuple[Packet[Stream], Fraction] | None = None
        self._failed: set[int] = set()

    def close(self) -> None:
        self._packets = None
        self._container.close()

    def add_streams(self, output: "OutputContainer", *, before: bool) -> None:
        """Add the streams that stand before or behind the picture, in their order."""
        for stream in self._container.streams:
            if stream.index != self._picture_index and (stream.index < self._picture_index) == before:
                self._add(output, stream)

    def describe_picture(self, picture: "VideoStream") -> None:
        """Carry over the picture stream's language, title and role."""
        source = self._container.streams[self._picture_index]
        picture.metadata.update(_tags(source, _STREAM_KEYS))
        picture.disposition = source.disposition

    def add_tags(self, output: "OutputContainer") -> None:
        """Carry over the file's own tags and its chapters."""
        output.metadata.update(_tags(self._container, _FILE_KEYS))
        chapters: list[Any] = []
        for chapter in self._container.chapters():
            time_base = chapter["time_base"] or Fraction(1, 1000)
            offset = round(self._origin / time_base)
            start, end = chapter["start"] - offset, chapter["end"] - offset
            if self._end is not None:
                end = min(end, round((self._end - self._origin) / time_base))
            if end > max(start, 0):
                chapters.append({**chapter, "start": max(start, 0), "end": end})
        if chapters:
            output.set_chapters(chapters)

    def _add(self, output: "OutputContainer", stream: "Stream") -> None:
        name = _describe(stream)
        if stream.type == "data" and self._container.chapters() and stream.name in (None, "bin_data"):
            return  # the chapters' own track in MP4; it is written anew from the chapters
        problem = _cannot_hold(output.format.name, stream)
        if problem is not None:
            self.notes.append(f"{name} is left out: {problem}")
            return
        target = output.add_stream_from_template(stream, opaque=True)
        target.metadata.update(_tags(stream, _STREAM_KEYS))
        target.disposition = stream.disposition
        if stream.type != "attachment":
            self._targets[stream.index] = target

    def copy_until(self, output: "OutputContainer", time: Fraction | None) -> None:
        """Copy the packets that belong before ``time`` (seconds of the input); all that is left where None."""
        if not self._targets:
            return
        if self._packets is None:
            self._packets = self._read()
        while True:
            if self._waiting is None:
                packet = next(self._packets, None)
                if packet is None:
                    return
                stamp = packet.dts if packet.dts is not None else packet.pts
                self._waiting = packet, Fraction(stamp or 0) * packet.time_base
            packet, when = self._waiting
            if time is not None and when > time:
                return
            self._waiting = None
            self._write(output, packet)

    def _read(self) -> Iterator["Packet[Stream]"]:
        streams = [self._container.streams[i] for i in self._targets]
        for stream in self._container.streams:
            if stream.index not in self._targets:
                stream.discard = av.stream.Discard.all
        if self._cut and self._origin > 0:
            # Where it cannot seek, everything before is read and dropped.
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(int(self._origin * 1_000_000), backward=True)
        try:
            for packet in self._container.demux(streams):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None:
                    if packet.size and packet.stream.disposition & av.stream.Disposition.attached_pic:
                        # Cover art has no time of its own; muxers ask for one.
                        packet.pts = packet.dts = round(self._origin / packet.time_base)
                        yield packet
                    continue  # else one of the demuxer's closing packets
                time = stamp * packet.time_base
                if self._cut and time < self._origin:
                    continue
                if self._end is not None and time >= self._end:
                    continue
                yield packet
        except (av.error.FFmpegError, OSError):
            return  # a file that breaks off: the picture's reader says so

    def _write(self, output: "OutputContainer", packet: "Packet[Stream]") -> None:
        index = packet.stream.index
        target = self._targets[index]
        offset = round(self._origin / packet.time_base)
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset
        packet.stream = target
        try:
            output.mux(packet)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if getattr(error, "errno", None) in _FATAL:
                raise
            if index not in self._failed:
                self._failed.add(index)
                name = _describe(self._container.streams[index])
                self.notes.append(f"parts of {name} could not be copied: {reason(error)}")


def _describe(stream: "Stream") -> str:
    codec = stream.codec_context.codec.name if stream.codec_context is not None else stream.name
    return f"{stream.type} stream {stream.index}" + (f" ({codec})" if codec else "")


def _tags(source: Any, left_out: set[str]) -> dict[str, str]:
    return {key: value for key, value in source.metadata.items() if key.lower().split("-")[0] not in left_out}


def _cannot_hold(container: str, stream: "Stream") -> str | None:
    """Why a container cannot hold a stream, found out by writing a header with it to memory; None where it can."""
    kinds = {"mp4": "MP4", "mov": "MOV", "matroska": "Matroska", "webm": "WebM", "mpegts": "MPEG-TS"}
    name = kinds.get(container, container)
    if stream.type == "attachment" and container != "matroska":
        return f"{name} holds no attached files"
    if stream.type == "data" and container != "mpegts" and stream.name in (None, "bin_data", "none"):
        return f"{name} cannot hold it"
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            target = trial.add_stream_from_template(stream, opaque=True)
            target.metadata.update(stream.metadata)
            trial.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return f"{name} cannot hold it"
    return None
