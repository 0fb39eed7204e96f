"""Files whose clock starts again in the middle, as joined transport streams do: one clock for all of them.

An epoch is a part of the file with one clock. Each gets a shift, the same for picture and sound, that puts it right
behind the epoch before.
"""

import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acutance._util.av import av, packets_of, time_unit
from acutance.io._open import open_container

if TYPE_CHECKING:
    from av.packet import Packet

__all__ = ["Joins", "TimeMender"]

_BACKWARDS = Fraction(1, 10)  # seconds: decoding times of a stream never step back by so much
_FORWARDS = Fraction(10)  # seconds: FFmpeg's limit too
_BROADCAST = {"mpegts", "mpeg"}  # formats whose clock may also jump forward at a join
_NEAR = 16 << 20  # bytes within which all streams pass a join


@dataclass
class _Epoch:
    """A part of one stream with one clock: where it begins in the file, its first and its last time in seconds."""

    place: int
    start: Fraction
    end: Fraction
    forward: bool = False


@dataclass
class _Track:
    """What was seen of one stream."""

    place: int = 0
    epochs: list[_Epoch] = field(default_factory=list)
    last: Fraction | None = None
    step: Fraction = Fraction(0)
    odd: tuple[int, Fraction, Fraction] | None = None  # a packet that may begin an epoch

    def add(self, dts: Fraction, pts: Fraction, duration: Fraction, *, broadcast: bool) -> None:
        place = self.place
        if not self.epochs:
            self.epochs.append(_Epoch(place, pts, pts + duration))
        elif self.odd is not None:
            begun, odd = self.odd, self.odd[1]
            self.odd = None
            if abs(dts - odd) < abs(dts - (self.last or dts)):
                # The packets behind it follow it: it is an epoch, not one wrong time.
                forward = odd > (self.last or odd)
                self.epochs.append(_Epoch(begun[0], min(begun[2], pts), max(begun[2], pts) + duration, forward))
                self.last = dts
                return
        if self.last is not None and _jumps(self.last, dts, broadcast=broadcast):
            self.odd = place, dts, pts
            return
        if self.last is not None and dts > self.last:
            self.step = dts - self.last
        self.last = dts
        epoch = self.epochs[-1]
        epoch.end = max(epoch.end, pts + (duration or self.step))
        if place - epoch.place < _NEAR:
            epoch.start = min(epoch.start, pts)


def _jumps(last: Fraction, now: Fraction, *, broadcast: bool) -> bool:
    return now < last - _BACKWARDS or (broadcast and now > last + _FORWARDS)


class Joins:
    """Where the clock of a file starts again, found by one pass over its packets when somebody needs to know.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._table: tuple[list[int], dict[int, list[int]], list[Fraction]] | None = None

    @property
    def known(self) -> bool:
        """True once the file was looked through."""
        return self._table is not None

    @property
    def any(self) -> bool:
        """True if the file was looked through and its clock starts again somewhere."""
        return self._table is not None and len(self._table[2]) > 1

    def find(self) -> None:
        """Look through the file. Does nothing the second time."""
        with self._lock:
            if self._table is None:
                self._table = _table(_tracks(self._path))

    def shift(self, stream: int, place: int) -> Fraction:
        """Return the seconds to add to times of a stream's packet at a byte of the file."""
        if self._table is None:
            return Fraction(0)
        general, places, shifts = self._table
        return shifts[bisect_right(places.get(stream, general), place)]


def _tracks(path: Path) -> dict[int, tuple[str, _Track]]:
    tracks: dict[int, tuple[str, _Track]] = {}
    with open_container(path) as container:
        broadcast = container.format.name in _BROADCAST
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        streams = [s for s in streams if not s.disposition & av.stream.Disposition.attached_pic]
        try:
            for packet in packets_of(container, streams):
                dts = packet.dts
                if dts is None or not packet.size:
                    continue  # the first packets of reordered pictures: their presentation times step back and forth
                base = time_unit(packet)
                _, track = tracks.setdefault(packet.stream.index, (packet.stream.type, _Track()))
                if packet.pos is not None:
                    track.place = packet.pos  # else it lies in one piece with the packet before
                pts = packet.pts if packet.pts is not None else dts
                times = (dts * base, pts * base, (packet.duration or 0) * base)
                track.add(*times, broadcast=broadcast)
        except (av.error.FFmpegError, OSError):
            pass  # a file that breaks off: what was seen counts
    return tracks


def _table(tracks: dict[int, tuple[str, _Track]]) -> tuple[list[int], dict[int, list[int]], list[Fraction]]:
    """Return where epochs begin, the same for each stream, and the shift of each epoch."""
    main = next((i for i, (kind, _) in tracks.items() if kind == "video"), next(iter(tracks), None))
    general: list[int] = []
    places: dict[int, list[int]] = {index: [] for index in tracks}
    shifts = [Fraction(0)]
    if main is None:
        return general, places, shifts
    before = {index: track.epochs[0] for index, (_, track) in tracks.items() if track.epochs}
    for epoch in tracks[main][1].epochs[1:]:
        others = {i: _nearest(track, epoch) for i, (_, track) in tracks.items() if i != main}
        if epoch.forward and others and not any(others.values()):
            continue  # the picture alone pauses
        now = {main: epoch, **{i: found for i, found in others.items() if found is not None}}
        shift = max(shifts[-1] + before[i].end - found.start for i, found in now.items() if i in before)
        shifts.append(shift)
        general.append(epoch.place)
        for index, found_places in places.items():
            found_places.append(now[index].place if index in now else epoch.place)
        before.update(now)
    return general, places, shifts


def _nearest(track: _Track, epoch: _Epoch) -> _Epoch | None:
    same = [e for e in track.epochs[1:] if e.forward == epoch.forward and abs(e.place - epoch.place) < _NEAR]
    return min(same, key=lambda e: abs(e.place - epoch.place), default=None)


class TimeMender:
    """Puts the packets of one reader on the one clock of their file. Looks for joins once a time jumps.

    Args:
        joins: Those of the file; readers of one file may share it.
        container_format: FFmpeg's name of the format.
    """

    def __init__(self, joins: Joins, container_format: str) -> None:
        self._joins = joins
        self._broadcast = container_format in _BROADCAST
        self._last: dict[int, Fraction] = {}
        self._shifts: dict[int, Fraction] = {}

    def mend(self, packet: "Packet[Any]") -> bool:
        """Shift the times of a packet. Return True for the first packet of a stream behind a join."""
        index = packet.stream.index
        if not self._joins.known:
            if packet.dts is None:
                return False
            now, last = packet.dts * time_unit(packet), self._last.get(index)
            self._last[index] = now
            if last is None or not _jumps(last, now, broadcast=self._broadcast):
                return False
            self._joins.find()
        before = self._shifts.get(index, Fraction(0))
        shift = before if packet.pos is None else self._joins.shift(index, packet.pos)
        self._shifts[index] = shift
        ticks = round(shift / time_unit(packet))
        if ticks:
            if packet.pts is not None:
                packet.pts += ticks
            if packet.dts is not None:
                packet.dts += ticks
        return shift != before
