"""Segments of a video that are made apart from each other, on several machines perhaps, and joined later.

A file job makes segments in order and knows the frame before each. A segment that is made apart finds its first frame
by the time that packets tell. Whether that is the frame that a file job would begin with is seen afterwards: the frame
before it must have the checksum of the last frame of the segment before.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from acutance.errors import CorruptInputError
from acutance.frame import Frame
from acutance.io.packet_times import packet_times
from acutance.io.video import VideoReader
from acutance.jobs.journal import Entry
from acutance.jobs.pipeline import open_reader, run_stages
from acutance.jobs.resumable import ResumableOutput
from acutance.jobs.segmented_writer import SegmentedVideoWriter
from acutance.sharpening.base import BaseSharpener, Choice

__all__ = ["FinishedSegment", "Place", "SegmentPlan", "join_segments", "plan_segments", "sharpen_segments"]


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """Where a video can be cut.

    Attributes:
        cuts: time of the last frame of every segment but the last, in the time base of the video.
        frames: how many frames there are.
    """

    cuts: list[int]
    frames: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment begins: after a certain frame.

    Attributes:
        frames: how many frames lie before the segment.
        pts: time of the last of them.
        samples: its checksum; None if it is not known.
        seek: whether decoding may begin at a key frame before it.
    """

    frames: int
    pts: int
    samples: int | None
    seek: bool


@dataclass(frozen=True, slots=True)
class FinishedSegment:
    """A segment that is on the disk.

    Attributes:
        entry: what a journal would say of it.
        before: time and checksum of the frame before its first; None for the first segment.
        frames: how many it has.
        damaged: what the input had lost by then, or None.
        notes: what was converted, one line each.
        choices: the students that were chosen in it, in order, if there was a choice.
        width: pixels.
        height: pixels.
    """

    entry: Entry
    before: tuple[int, int] | None
    frames: int
    damaged: str | None
    notes: list[str]
    choices: list[Choice]
    width: int
    height: int


def plan_segments(source: str | Path, *, every: int) -> SegmentPlan | None:
    """Return where a video can be cut into segments of ``every`` frames; None if packets do not tell.

    Raises what :class:`VideoReader` raises.
    """
    with VideoReader(source, threads=1) as reader:
        index = reader.stream_index
    times = packet_times(source, index)
    return None if not times else SegmentPlan(times[every - 1 : -1 : every], len(times))


def sharpen_segments(
    sharpener: BaseSharpener,
    source: str | Path,
    target: str | Path,
    *,
    after: Place | None,
    count: int | None,
    every: int,
    finished: Callable[[FinishedSegment], None],
    scale: float = 1.0,
    video_threads: int | None = None,
    **encoding: Any,
) -> bool:
    """Make segments of a video, as a file job would make them in their place.

    Args:
        sharpener: what sharpens.
        source: the video.
        target: what the output would be called. Segments appear in its folder; ``finished`` may take them from there.
        after: where to begin; None for the first frame.
        count: how many segments to make; None for all up to the end.
        every: frames in a segment.
        finished: called for each segment, in order, in the thread that encodes.
        scale: resize by this first.
        video_threads: of the decoder and the encoder.
        encoding: ``encoder``, ``crf``, ``bitrate`` and ``preset``, see :class:`acutance.io.VideoWriter`.

    Returns:
        True if the video has ended.

    Raises:
        What a file job raises.
    """
    target = Path(target)
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source, scale=scale, threads=video_threads))
        writer = SegmentedVideoWriter(
            target, reader, folder=target.parent, copy_streams=False, threads=video_threads, **encoding
        )
        writer.__enter__()
        stack.callback(writer.discard)
        log = _Log(reader, after, finished)
        output = ResumableOutput(reader, writer, log, every=every, keep_last=True)
        log.samples_before = output.samples_before
        frames = _Limited(reader, None if count is None else count * every)
        run_stages(sharpener, frames, writer.new_frame, output.take, resumed=output)
        if log.made == 0 and after is None:
            raise CorruptInputError(f"{source}: {reader.damaged or 'it may be empty'}; not one frame could be read")
        return frames.ended


def join_segments(
    source: str | Path, target: str | Path, segments: Sequence[Path], *, scale: float = 1.0, **options: Any
) -> list[str]:
    """Join segments into a video file with everything else of the input, and return what it cannot hold.

    Args:
        source: the input, for its sound, subtitles and tags.
        target: the output.
        segments: their files, in order, all in the folder of ``target``.
        scale: as for :func:`sharpen_segments`.
        options: ``video_threads`` and those of encoding, as for :func:`sharpen_segments`.

    Raises:
        What a file job raises.
    """
    target, threads = Path(target), options.pop("video_threads", None)
    with open_reader(source, scale=scale, threads=threads) as reader:
        writer = SegmentedVideoWriter(target, reader, folder=target.parent, threads=threads, **options)
        with writer:
            writer.add_finished([segment.name for segment in segments])
        return list(writer.notes)


class _Limited:
    """The first frames of a reader. ``ended`` says afterwards whether the reader had no more of them."""

    def __init__(self, reader: VideoReader, limit: int | None) -> None:
        self._reader, self._limit = reader, limit
        self.ended = False

    def __iter__(self) -> Iterator[Frame]:
        given = 0
        for frame in islice(self._reader, self._limit):
            given += 1
            yield frame
        self.ended = self._limit is None or given < self._limit


class _Log:
    """Takes the place of a journal: passes finished segments on."""

    def __init__(self, reader: VideoReader, after: Place | None, finished: Callable[[FinishedSegment], None]) -> None:
        self._reader, self._finished = reader, finished
        self.samples_before: int | None = None
        self.made = 0
        self.entries: list[Entry] = []
        if after is not None:
            self.entries.append(Entry("", 0, "", after.frames, after.pts, after.samples, after.seek, (0, 0, 0, 0)))
        self._notes: list[str] = []
        self._choices: list[Choice] = []

    def append(self, entry: Entry) -> None:
        """Pass a segment on."""
        before, frames = None, entry.frames
        if self.entries:
            last = self.entries[-1]
            samples = last.samples if self.made else self.samples_before
            before = (last.pts, samples or 0)
            frames -= last.frames
        notes = [note for note in self._reader.notes if note not in self._notes]
        choices = [Choice(**choice) for choice in (entry.session or {}).get("choices", [])][len(self._choices) :]
        self._notes += notes
        self._choices += choices
        self.entries[:] = [entry]
        self.made += 1
        self._finished(
            FinishedSegment(
                entry, before, frames, self._reader.damaged, notes, choices, self._reader.width, self._reader.height
            )
        )

    def whole(self, result: Path) -> None:
        """Nothing is joined here."""
