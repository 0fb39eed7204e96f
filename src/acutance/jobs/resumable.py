"""A file job's output in segments: where it is cut, what is written down then, and how a later run goes on from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from acutance.engine import TileCounts
from acutance.errors import Cancelled, OutputError
from acutance.frame import Frame
from acutance.io.video import VideoReader
from acutance.jobs.journal import Entry, Journal
from acutance.jobs.seeking import samples_checksum, skip_past
from acutance.jobs.segmented_writer import SegmentedVideoWriter
from acutance.sharpening.base import BaseSession, Choice

__all__ = ["SEGMENT_FRAMES", "Cut", "ResumableOutput", "told_how_to_go_on"]

SEGMENT_FRAMES = 250
"""Between two cuts: x264's distance of key frames, so that it begins a new group of pictures there anyway."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Stands between two frames on their way to the encoder: the segment ends here, and this is where the job was."""

    frames: int
    pts: int
    samples: int
    straight: bool
    tiles: TileCounts
    session: dict[str, Any] | None


class SegmentLog(Protocol):
    """Where finished segments are written down: a :class:`Journal`, or what another kind of job keeps."""

    entries: list[Entry]

    def append(self, entry: Entry) -> None:
        """Add a segment, whose file is on the disk."""

    def whole(self, result: Path) -> None:
        """Note that ``result`` holds the output and is about to get its name."""


class ResumableOutput:
    """Where a file job writes to: a writer that cuts, and the journal of what is finished, both entered.

    every: frames in a segment. keep_last: also write down the last segment of a job that has one alone.
    ``frames`` says how many are there from an earlier run, ``ended`` what that run wrote down at its end where all are,
    ``samples_before`` the checksum of the frame before the first that this run reads, None for the video's first.
    """

    def __init__(
        self,
        reader: VideoReader,
        writer: SegmentedVideoWriter,
        journal: SegmentLog,
        *,
        every: int,
        keep_last: bool = False,
    ) -> None:
        self._reader, self._writer, self._journal, self._every = reader, writer, journal, every
        self._keep_last = keep_last
        self.samples_before: int | None = None
        last = journal.entries[-1] if journal.entries else None
        self.frames = last.frames if last is not None else 0
        self.ended = last.ended if last is not None else None
        self._tiles = TileCounts(*last.tiles) if last is not None else TileCounts()
        self._session_state = last.session if last is not None else None
        self._last_frame: Frame | None = None
        writer.add_finished([entry.segment for entry in journal.entries])
        writer.when_whole(journal.whole)
        if last is not None and self.ended is None:
            self.samples_before = skip_past(reader, last.pts, last.samples, seek=last.straight)

    def begin(self, session: BaseSession) -> None:
        """Put a new session where that of the earlier run was."""
        session.state = self._session_state
        session.reset()

    def tiles(self, session: BaseSession | None) -> TileCounts:
        """What became of the tiles of all frames, with those of the earlier run. session: None where all were its."""
        return self._tiles if session is None else self._tiles + session.totals

    def choices(self, session: BaseSession | None) -> list[Choice]:
        """All that held, with those of the earlier run."""
        if session is None:
            return [Choice(**choice) for choice in (self._session_state or {}).get("choices", [])]
        return session.choices

    def before(self, frame: Frame, done: int, session: BaseSession) -> Cut | None:
        """Told of every frame before it is sharpened, and how many were. What is to be encoded first, where there is a
        cut: the session has then forgotten the last frame."""
        cut = None
        if done % self._every == 0 and self._last_frame is not None:
            cut = self._cut(self._last_frame, done, session)
            session.reset()
        self._last_frame = frame
        return cut

    def _cut(self, last: Frame, done: int, session: BaseSession) -> Cut:
        return Cut(
            frames=done,
            pts=last.pts or 0,
            samples=samples_checksum(last),
            straight=self._reader.seek_safe,
            tiles=self.tiles(session),
            session=session.state,
        )

    def take(self, item: Frame | Cut) -> None:
        """Encode a frame, or finish a segment."""
        if isinstance(item, Frame):
            self._writer.write(item)
        else:
            self._finish(item, None)

    def end(self, done: int, session: BaseSession) -> None:
        """All frames were encoded. A job of one segment needs no journal: joining it takes a moment."""
        if self._last_frame is not None and (self._journal.entries or self._keep_last):
            ended = {"notes": self._reader.notes, "damaged": self._reader.damaged}
            self._finish(self._cut(self._last_frame, done, session), ended)

    def _finish(self, cut: Cut, ended: dict[str, Any] | None) -> None:
        facts = self._writer.cut()
        if facts is not None:
            tiles = (cut.tiles.tiles, cut.tiles.computed, cut.tiles.passed, cut.tiles.reused)
            self._journal.append(
                Entry(
                    facts.name, facts.size, facts.sha256, cut.frames, cut.pts, cut.samples, cut.straight, tiles,
                    cut.session, ended,
                )
            )  # fmt: skip


@contextmanager
def told_how_to_go_on(journal: Journal) -> Iterator[None]:
    """Have Ctrl-C and errors of writing say what is kept, where something is."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not journal.frames:
            raise
        raise Cancelled(
            f"stopped; the first {journal.frames} frames of {journal.target} are kept and can be resumed"
        ).offering("resume") from error
    except OutputError as error:
        if not journal.frames:
            raise
        raise OutputError(f"{error}; its first {journal.frames} frames are kept and can be resumed").offering(
            "resume"
        ) from error
