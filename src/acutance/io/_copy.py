"""Everything of a video file that is not the picture, carried over: sound, subtitles, fonts, chapters, tags."""

import contextlib
import errno
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from acutance._util.av import av, fraction, packets_of, reason, time_unit
from acutance.io._acm import add_acm_stream, mark_acm_tracks, wave_format
from acutance.io._holding import AudioMode, codec_name, describe, refusal
from acutance.io._open import open_container
from acutance.io._sound_converter import SoundConverter, sound_target
from acutance.io._text_converter import TEXT_TITLES, TextConverter, text_target
from acutance.io.joins import Joins, TimeMender

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["StreamCopier"]

_FILE_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_STREAM_KEYS = {"encoder", "duration", "bps", "rotate", "vendor_id", "_statistics_writing_app", "_statistics_tags"}
_STREAM_KEYS |= {"number_of_frames", "number_of_bytes", "_statistics_writing_date_utc"}
_PICTURE_KEYS = _STREAM_KEYS | {"alpha_mode"}  # the picture that is written has no alpha channel
_MARGIN = 2  # seconds that are sought too far back, because MPEG streams are sought by the picture
_FATAL = {errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}


class _Carrier(Protocol):
    """What turns packets of an input stream into packets of an output stream."""

    damaged: int

    @property
    def stream(self) -> "Stream": ...

    def convert(self, packet: "Packet[Any]", shift: Fraction, /) -> Iterator["Packet[Any]"]: ...

    def finish(self) -> Iterator["Packet[Any]"]: ...


class _Copy:
    """Passes packets on as they are, with their times shifted."""

    damaged = 0

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream

    @property
    def stream(self) -> "Stream":
        return self._stream

    def convert(self, packet: "Packet[Any]", shift: Fraction) -> Iterator["Packet[Any]"]:
        ticks = round(shift / time_unit(packet))
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks
        yield packet

    def finish(self) -> Iterator["Packet[Any]"]:
        return iter(())


class _ShiftedText(_Copy):
    """Passes packets on as text of another form."""

    def __init__(self, converter: TextConverter) -> None:
        super().__init__(converter.stream)
        self._converter = converter

    def convert(self, packet: "Packet[Any]", shift: Fraction) -> Iterator["Packet[Any]"]:
        for moved in super().convert(packet, shift):
            yield from self._converter.convert(moved)
        self.damaged = self._converter.damaged


class StreamCopier:
    """Copies packets of every stream but the picture from one file to another, and converts what does not fit.

    It reads the file a second time, by itself: so the picture may be read ahead, or in another thread, and the sound
    still arrives where it belongs.

    Args:
        path: The input.
        picture_index: Which stream of it the picture is.
        origin: The time in seconds of the input that becomes zero.
        end: The time in seconds of the input at which copying stops, or None.
        joins: Where the clock of the input starts again.
        cut: A part of the input before ``origin`` is left out.
        audio: ``copy`` keeps sound as it is where the container holds it and converts it elsewhere, ``convert`` always
            converts, ``none`` leaves sound out.
        m2ts: The output is a Blu-ray or AVCHD transport stream.

    Attributes:
        notes: What was converted or could not be carried over, one line each.
    """

    def __init__(
        self,
        path: Path,
        picture_index: int,
        *,
        origin: Fraction,
        end: Fraction | None,
        cut: bool,
        joins: Joins | None = None,
        audio: AudioMode = "copy",
        m2ts: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._container = open_container(path)
        self._picture_index = picture_index
        self._origin, self._end, self._cut = origin, end, cut
        self._audio, self._m2ts = audio, m2ts
        self._carriers: dict[int, _Carrier] = {}
        self._acm_tracks: set[int] = set()
        self._joins = joins or Joins(path)
        self._mender = TimeMender(self._joins, self._container.format.name)
        self._packets: Iterator[Packet[Stream]] | None = None
        self._waiting: tuple[Packet[Stream], Fraction] | None = None
        self._failed: set[int] = set()

    def close(self) -> None:
        """Let go of the input. May be called twice."""
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
        picture.metadata.update(_tags(source, _PICTURE_KEYS))
        picture.disposition = source.disposition

    def add_tags(self, output: "OutputContainer") -> None:
        """Carry over the file's own tags and its chapters."""
        output.metadata.update(_tags(self._container, _FILE_KEYS))
        chapters: list[Any] = []
        for chapter in self._container.chapters():
            time_base = fraction(chapter["time_base"]) or Fraction(1, 1000)
            offset = round(self._origin / time_base)
            start, end = chapter["start"] - offset, chapter["end"] - offset
            if self._end is not None:
                end = min(end, round((self._end - self._origin) / time_base))
            if end > max(start, 0):
                chapters.append({**chapter, "start": max(start, 0), "end": end})
        if chapters:
            output.set_chapters(chapters)

    def _add(self, output: "OutputContainer", stream: "Stream") -> None:
        if stream.type == "data" and self._container.chapters() and codec_name(stream) in (None, "bin_data"):
            return  # the chapters' own track in MP4; it is written anew from the chapters
        if stream.type == "audio" and self._audio == "none":
            return
        carrier = self._carrier(output, stream)
        if carrier is None:
            return
        carrier.stream.metadata.update(_tags(stream, _STREAM_KEYS))
        carrier.stream.disposition = stream.disposition
        if stream.type != "attachment":
            self._carriers[stream.index] = carrier

    def _carrier(self, output: "OutputContainer", stream: "Stream") -> _Carrier | None:
        """Add a stream to the output as it is, or converted; None, with a note, if neither works."""
        container = output.format.name
        problem = refusal(container, stream, m2ts=self._m2ts)
        decoder: object = stream.codec_context  # None without one, which PyAV's annotations do not say
        if stream.type == "audio" and decoder is not None:
            sound = cast("AudioStream", stream)
            target = sound_target(container, codec_name(stream), m2ts=self._m2ts)
            same = (codec_name(stream) or "").removeprefix("lib") == target.encoder.removeprefix("lib")
            if self._audio == "convert" and not same:
                problem = "asked for"
            elif problem is not None and container == "matroska" and (form := wave_format(sound)) is not None:
                track = add_acm_stream(output, sound, form)
                self._acm_tracks.add(track.index + 1)
                return _Copy(track)
            if problem is not None:
                try:
                    converter = SoundConverter(output, sound, target)
                except (av.error.FFmpegError, ValueError) as error:
                    problem += f", nor converted to {target.title} ({reason(error)})"
                else:
                    self.notes.append(f"{describe(stream)} is converted to {target.title}: {problem}")
                    return converter
        if problem is not None and stream.type == "subtitle" and decoder is not None:
            codec = text_target(container, codec_name(stream))
            if codec is not None:
                self.notes.append(f"{describe(stream)} is converted to {TEXT_TITLES[codec]}: {problem}")
                return _ShiftedText(TextConverter(output, stream, codec))
        if problem is not None:
            self.notes.append(f"{describe(stream)} is left out: {problem}")
            return None
        return _Copy(output.add_stream_from_template(stream, opaque=True))

    def copy_until(self, output: "OutputContainer", time: Fraction | None) -> None:
        """Copy the packets that belong before ``time`` (seconds of the input); all that is left where None."""
        if not self._carriers:
            return
        if self._packets is None:
            self._packets = self._read()
        while True:
            if self._waiting is None:
                packet = next(self._packets, None)
                if packet is None:
                    if time is None:
                        self._finish(output)
                    return
                stamp = packet.dts if packet.dts is not None else packet.pts
                self._waiting = packet, Fraction(stamp or 0) * time_unit(packet)
            packet, when = self._waiting
            if time is not None and when > time:
                return
            self._waiting = None
            index = packet.stream.index
            self._write(output, index, self._carriers[index].convert(packet, -self._origin))

    def complete(self, path: Path) -> None:
        """Put into the finished file what could not be written before. Raises OutputError."""
        if self._acm_tracks:
            mark_acm_tracks(path, self._acm_tracks)

    def _read(self) -> Iterator["Packet[Stream]"]:
        streams = [self._container.streams[i] for i in self._carriers]
        for stream in self._container.streams:
            if stream.index not in self._carriers:
                stream.discard = av.stream.Discard.all
        if self._cut and self._origin > _MARGIN and not self._joins.any:
            # Where it cannot seek, everything before is read and dropped.
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._container.seek(int((self._origin - _MARGIN) * 1_000_000), backward=True)
        try:
            for packet in packets_of(self._container, streams):
                self._mender.mend(packet)
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None:
                    if packet.size and packet.stream.disposition & av.stream.Disposition.attached_pic:
                        # Cover art has no time of its own; muxers ask for one.
                        packet.pts = packet.dts = round(self._origin / time_unit(packet))
                        yield packet
                    continue  # else one of the demuxer's closing packets
                time = stamp * time_unit(packet)
                if self._cut and time < self._origin:
                    continue
                if self._end is not None and time >= self._end:
                    continue
                yield packet
        except (av.error.FFmpegError, OSError):
            return  # a file that breaks off: the picture's reader says so

    def _finish(self, output: "OutputContainer") -> None:
        for index, carrier in self._carriers.items():
            self._write(output, index, carrier.finish())
            if carrier.damaged:
                name = describe(self._container.streams[index])
                self.notes.append(f"{carrier.damaged} packets of {name} cannot be decoded and are left out")
        self._carriers = {}

    def _write(self, output: "OutputContainer", index: int, packets: Iterator["Packet[Any]"]) -> None:
        try:
            for packet in packets:
                packet.stream = self._carriers[index].stream
                output.mux(packet)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if getattr(error, "errno", None) in _FATAL:
                raise
            if index not in self._failed:
                self._failed.add(index)
                name = describe(self._container.streams[index])
                self.notes.append(f"parts of {name} could not be copied: {reason(error)}")


def _tags(source: Any, left_out: set[str]) -> dict[str, str]:
    return {key: value for key, value in source.metadata.items() if key.lower().split("-")[0] not in left_out}
