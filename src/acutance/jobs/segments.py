"""Segment files: the packets of one encoder as they came from it, and one stream made of those of several.

A file is :data:`MAGIC`, the length (u32) and text of a JSON object (``extradata`` in hexadecimal, ``time_base``), then
for each packet pts and duration (i64, in that time base), size (u32), whether it is a key frame (u8), and its bytes;
all little endian. Decoding times are not kept: :func:`joined_packets` makes them anew.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from acutance._util.av import av
from acutance._util.closing import Closing
from acutance.errors import OutputError

__all__ = ["SegmentFacts", "SegmentWriter", "joined_packets"]

MAGIC = b"acutance segment 1\n"
_RECORD = struct.Struct("<qqIB")
_LENGTH = struct.Struct("<I")
_DISPENSABLE = {"quality_stats"}  # side data that no container keeps


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """A finished segment: the name of its file, how many bytes that has, and their SHA-256."""

    name: str
    size: int
    sha256: str


class SegmentWriter(Closing):
    """Writes a segment file. extradata, time_base: of the encoder. Raises OSError."""

    def __init__(self, path: Path, *, extradata: bytes, time_base: Fraction) -> None:
        self.path = path
        self._hash = hashlib.sha256()
        self._size = 0
        path.unlink(missing_ok=True)  # an unfinished one; a link is removed, and not followed
        self._file: BinaryIO | None = path.open("xb", buffering=1 << 20)
        header = json.dumps({"extradata": extradata.hex(), "time_base": str(time_base)}).encode()
        self._write(MAGIC + _LENGTH.pack(len(header)) + header)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise ValueError(f"{self.path}: is closed")
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    def add(self, packet: "av.Packet[Any]") -> None:
        """Raises OutputError for a packet that a segment cannot hold."""
        extra = {data.data_type for data in packet.iter_sidedata()} - _DISPENSABLE
        if packet.pts is None or extra:
            what = "has no time" if packet.pts is None else f"carries {', '.join(sorted(extra))}"
            raise OutputError(f"{self.path}: a packet of the encoder {what}, which a segment cannot hold")
        data = bytes(packet)
        self._write(_RECORD.pack(packet.pts, packet.duration or 0, len(data), packet.is_keyframe) + data)

    def finish(self, *, to_disk: bool) -> SegmentFacts:
        """Close the file. to_disk: see to it that a power cut cannot take it any more."""
        file = self._file
        if file is None:
            raise ValueError(f"{self.path}: is closed")
        file.flush()
        if to_disk:
            os.fsync(file.fileno())
        self.close()
        return SegmentFacts(self.path.name, self._size, self._hash.hexdigest())

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


@dataclass(frozen=True, slots=True)
class _Record:
    pts: int
    duration: int
    size: int
    key: bool
    offset: int


def joined_packets(paths: Sequence[Path], *, extradata: bytes, time_base: Fraction) -> "Iterator[av.Packet[Any]]":
    """The packets of segment files one after the other, with decoding times that increase over all of them.

    extradata, time_base: of the stream they go into. A packet's decoding time is the presentation time of the frame
    that stands so many places before it as the encoder reorders at most.
    Raises OutputError for a file that is no segment or does not fit the stream, OSError.
    """
    segments = [_index(path, extradata, time_base) for path in paths]
    shown = [pts for records in segments for pts in sorted(r.pts for r in records)]
    if any(after <= before for before, after in pairwise(shown)):
        raise OutputError(f"{paths[0].parent}: the frame times of its segments do not increase")
    following = dict(pairwise(shown))
    delay = max((_delay(records) for records in segments), default=0)
    number = 0
    for path, records in zip(paths, segments, strict=True):
        with path.open("rb") as file:
            for record in records:
                file.seek(record.offset)
                packet = av.Packet(file.read(record.size))
                packet.pts, packet.duration, packet.time_base = record.pts, record.duration, time_base
                packet.is_keyframe = record.key
                after = following.get(record.pts)
                if after is not None:
                    packet.duration = after - record.pts
                if number >= delay:
                    packet.dts = shown[number - delay]
                else:
                    packet.dts = shown[number] - (shown[delay] - shown[0])
                number += 1
                yield packet


def _delay(records: list[_Record]) -> int:
    """By how many places packets come before their turn at most."""
    turn = {pts: place for place, pts in enumerate(sorted(r.pts for r in records))}
    return max((number - turn[r.pts] for number, r in enumerate(records)), default=0)


def _index(path: Path, extradata: bytes, time_base: Fraction) -> list[_Record]:
    size = path.stat().st_size
    records: list[_Record] = []
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("it does not begin as one")
            header = json.loads(file.read(*_LENGTH.unpack(file.read(_LENGTH.size))))
            if bytes.fromhex(header["extradata"]) != extradata or Fraction(header["time_base"]) != time_base:
                raise OutputError(
                    f"{path}: was encoded with other headers than this encoder writes now; "
                    "the segments cannot become one stream"
                ).offering("overwrite")
            offset = file.tell()
            while offset < size:
                file.seek(offset)
                pts, duration, length, key = _RECORD.unpack(file.read(_RECORD.size))
                records.append(_Record(pts, duration, length, bool(key), offset + _RECORD.size))
                offset += _RECORD.size + length
            if offset != size:
                raise ValueError("it breaks off")
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise OutputError(f"{path}: is no whole segment: {error}") from error
    return records
