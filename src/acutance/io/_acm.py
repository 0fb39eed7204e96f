"""Sound in Matroska under the codec ID ``A_MS/ACM``: any codec that has a WAVEFORMATEX structure.

FFmpeg's muxer writes these tracks (Windows Media Audio, ADPCM, A-law, GSM), but PyAV refuses to add them, because
``avformat_query_codec`` does not list them at normal compliance. So the track is added under a codec ID of the same
length, with the WAVEFORMATEX as its private data, and the ID is replaced once the file is written.

Matroska codec mappings: RFC 9559 and https://www.matroska.org/technical/codec_specs.html (A_MS/ACM).
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from acutance._util.av import av
from acutance.errors import OutputError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

__all__ = ["add_acm_stream", "mark_acm_tracks", "wave_format"]

_ACM = b"A_MS/ACM"
_STAND_IN = b"A_TRUEHD"  # of the same length; its private data is written as it is
_SEGMENT, _TRACKS, _TRACK_ENTRY, _TRACK_NUMBER, _CODEC_ID = 0x18538067, 0x1654AE6B, 0xAE, 0xD7, 0x86


def wave_format(stream: "AudioStream") -> bytes | None:
    """Return the WAVEFORMATEX structure of a sound stream, or None if its codec has none.

    FFmpeg's WAVE muxer writes it: nothing else that PyAV offers tells block sizes.
    """
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="wav") as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return None
    data = buffer.getvalue()
    start = data.find(b"fmt ")
    if start < 0:
        return None
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    return data[start + 8 : start + 8 + size]


def add_acm_stream(output: "OutputContainer", stream: "AudioStream", description: bytes) -> "AudioStream":
    """Add a track for the packets of ``stream`` to a Matroska file whose header is not written yet.

    Args:
        output: The file. :func:`mark_acm_tracks` must be called on it when it is closed.
        stream: The sound stream of the input.
        description: Its :func:`wave_format`.
    """
    with av.open(_stand_in_file(), "r", format="matroska") as source:
        target: AudioStream = output.add_stream_from_template(source.streams.audio[0], opaque=True)
    context = target.codec_context
    context.sample_rate = stream.codec_context.sample_rate
    context.layout = stream.codec_context.layout
    context.extradata = description
    target.time_base = stream.time_base
    return target


def _stand_in_file() -> io.BytesIO:
    """Return a Matroska file with one TrueHD track, to take the form of a track from."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        track = file.add_mux_stream("truehd", rate=48000)
        packet = av.Packet(bytes(64))
        packet.pts = packet.dts = 0
        packet.stream = track
        file.mux(packet)
    buffer.seek(0)
    return buffer


def mark_acm_tracks(path: Path, numbers: set[int]) -> None:
    """Give tracks of a finished Matroska file the codec ID ``A_MS/ACM``.

    Args:
        path: The file.
        numbers: Track numbers, counted from 1.

    Raises:
        OutputError: The file has no such tracks.
    """
    with path.open("r+b") as file:
        found = {number: place for number, place in _codec_ids(file) if number in numbers}
        if found.keys() != numbers:
            raise OutputError(f"{path}: the header of its sound tracks cannot be completed")
        for place in found.values():
            file.seek(place)
            file.write(_ACM)


def _codec_ids(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the number of each track that has the stand-in's codec ID, and where in the file that ID is."""
    end = file.seek(0, io.SEEK_END)
    for kind, start, _ in _elements(file, 0, end):
        if kind != _SEGMENT:
            continue
        for inner, tracks, tracks_end in _elements(file, start, end):
            if inner != _TRACKS:
                continue
            for entry, first, last in _elements(file, tracks, tracks_end):
                if entry == _TRACK_ENTRY:
                    parts = {name: (at, to) for name, at, to in _elements(file, first, last)}
                    number, place = _read(file, *parts[_TRACK_NUMBER]), parts[_CODEC_ID]
                    if _read(file, *place) == _STAND_IN:
                        yield int.from_bytes(number, "big"), place[0]
            return


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (ID, start, end) of the EBML elements between two places, RFC 8794."""
    while start < end:
        file.seek(start)
        head = file.read(12)
        if len(head) < 2 or not head[0]:
            return
        id_length = 9 - head[0].bit_length()
        if len(head) <= id_length or not head[id_length]:
            return
        size_length = 9 - head[id_length].bit_length()
        size = int.from_bytes(head[id_length : id_length + size_length], "big") & ((1 << 7 * size_length) - 1)
        unknown = size == (1 << 7 * size_length) - 1
        start += id_length + size_length
        stop = end if unknown else min(end, start + size)
        yield int.from_bytes(head[:id_length], "big"), start, stop
        start = stop
