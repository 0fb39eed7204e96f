"""File jobs: every frame of a video, or one picture, from file to file. Nothing is dropped, nothing half-written."""

import functools
import logging
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec

import numpy as np

from acutance._util.arguments import finite_number, whole_number
from acutance._util.background import Consumer, Producer
from acutance.engine import TileCounts
from acutance.errors import CorruptInputError, TruncatedInputWarning, UsageError
from acutance.frame import Frame, Plane, luma_limits
from acutance.io import VideoReader, Y4MReader, Y4MWriter, read_image, write_image
from acutance.io._holding import AudioMode
from acutance.io._turns import Turn, turn_of_matrix, turn_of_orientation, turn_of_rotation
from acutance.io.files import copy_file
from acutance.io.images import format_of
from acutance.jobs.identity import job_identity
from acutance.jobs.journal import Journal, job_folder, unfinished
from acutance.jobs.resumable import SEGMENT_FRAMES, ResumableOutput, told_how_to_go_on
from acutance.jobs.scaling import LARGEST_SCALE, scale_image, scaled_size
from acutance.jobs.segmented_writer import SegmentedVideoWriter
from acutance.sharpening.base import BaseSession, BaseSharpener, Choice

__all__ = ["JobReport", "Progress", "open_reader", "run_stages", "sharpen_image", "sharpen_stream", "sharpen_video"]

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all or 0 where unknown) after each frame, in the thread of the caller."""

_log = logging.getLogger(__name__)
_Arguments = ParamSpec("_Arguments")
_QUEUE = 6  # frames between two stages: enough to even out key frames, few enough to stay out of memory's way


@dataclass(frozen=True)
class JobReport:
    """What a job did.

    frames: written. seconds: it took. damaged: what the input had lost, or None. notes: what the output cannot hold
    or what was converted, one line each. tiles: what became of those of all frames of a video; all zero for a picture,
    which is always computed whole. choices: of students, in order, where there was one to choose.
    resumed_from: how many frames an earlier run had finished, 0 for none; None where the job was not to be resumed. All
    but ``seconds`` and ``fps`` is about the whole job, also then.
    """

    source: str
    target: str
    frames: int
    width: int
    height: int
    seconds: float
    damaged: str | None = None
    notes: list[str] = field(default_factory=list)
    tiles: TileCounts = field(default_factory=TileCounts)
    choices: list[Choice] = field(default_factory=list)
    resumed_from: int | None = None

    @property
    def fps(self) -> float:
        """Of the frames that this run made."""
        return (self.frames - (self.resumed_from or 0)) / self.seconds if self.seconds > 0 else 0.0


def _announced(job: Callable[_Arguments, JobReport]) -> Callable[_Arguments, JobReport]:
    """Have a job log its choices and notes, and warn of an input that broke off."""

    @functools.wraps(job)
    def announced(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> JobReport:
        report = job(*args, **kwargs)
        for line in (*(choice.reason for choice in report.choices), *report.notes):
            _log.info("%s: %s", report.source, line)
        if report.damaged and report.frames:
            kept = f"{report.source}: {report.damaged}; the {report.frames} frames that could be read were kept"
            warnings.warn(kept, TruncatedInputWarning, stacklevel=2)
        return report

    return announced


@_announced
def sharpen_image(
    sharpener: BaseSharpener,
    source: str | Path,
    target: str | Path,
    *,
    scale: float = 1.0,
    split: bool = False,
    quality: int = 95,
    overwrite: bool = False,
) -> JobReport:
    """Sharpen one picture file. scale: resize by this first (bicubic). split: left half before, right half after.

    quality: of JPEG, WebP and AVIF, 1 to 100. Raises what :func:`read_image` and :func:`write_image` raise.
    """
    started = time.monotonic()
    small = read_image(source)
    if upscaling(sharpener, scale):
        size = sharpener.output_size(small.width, small.height)
        image = scale_image(small, sharpener.scale, name=source, size=size)
        pixels = sharpener(small.pixels)
    else:
        image = scale_image(small, scale, name=source)
        pixels = sharpener(image.pixels, scaled_by=max(scale, 1.0))
    choices = [sharpener.choice] if sharpener.choice else []
    if split:
        _join_halves(image.pixels, pixels, int(np.iinfo(pixels.dtype).max), turn_of_orientation(image.orientation))
    untouched = not split and not image.notes and np.array_equal(pixels, small.pixels)
    if untouched and format_of(target) == image.format:
        copy_file(source, target, overwrite=overwrite)  # encoding it again would lose something for nothing
        notes: list[str] = []
    else:
        notes = write_image(image.with_pixels(pixels), target, quality=quality, overwrite=overwrite, source=source)
    return JobReport(
        str(source),
        str(target),
        1,
        image.width,
        image.height,
        time.monotonic() - started,
        notes=[*image.notes, *notes],
        choices=choices,
    )


@_announced
def sharpen_video(
    sharpener: BaseSharpener,
    source: str | Path,
    target: str | Path | BinaryIO,
    *,
    scale: float = 1.0,
    split: bool = False,
    start: float = 0.0,
    duration: float | None = None,
    encoder: str | None = None,
    crf: float | None = None,
    bitrate: int | None = None,
    preset: str | None = None,
    audio: AudioMode = "copy",
    overwrite: bool = False,
    resume: bool = False,
    segment_frames: int = SEGMENT_FRAMES,
    video_threads: int | None = None,
    progress: Progress = lambda *_: None,
) -> JobReport:
    """Sharpen a video file: decode, sharpen and encode run side by side, frame by frame, none dropped.

    What of a frame is computed is up to the sharpener's ``threshold`` and ``reuse``; ``tiles`` of the report says it.
    target: a path, or a binary stream, which gets Y4M. scale: resize by this first (bicubic). start, duration: seconds.
    encoder, crf, bitrate (bits per second), preset, audio: see :class:`acutance.io.VideoWriter`.
    A video that breaks off yields what could be read; ``damaged`` of the report then says so.

    resume: go on with a job that was stopped or killed, from its last finished segment; the result has the frames of
    one that was not. Without such a job it begins at the beginning. segment_frames: between two points from which a
    job can go on; another number is another job. video_threads: of the decoder and of the encoder, whose output may
    depend on it; one per core where None.

    Raises what the reader and writer raise; nothing is left under the target's name then, and beside it, in a hidden
    folder, only segments that are finished. Raises OutputError where another job is writing the target,
    OutputExistsError for an unfinished job that is to be neither resumed nor overwritten, ResumeError for one of
    another input, other settings or another version; Cancelled, a KeyboardInterrupt, says what was kept.
    """
    segment_frames = whole_number(segment_frames, "frames in a segment", low=1, high=1 << 31)
    scale = finite_number(scale, "scale", low=0.0, high=LARGEST_SCALE, above=True)
    started = time.monotonic()
    with ExitStack() as stack:
        read_scale = 1.0 if upscaling(sharpener, scale) else scale
        reader = stack.enter_context(
            open_reader(source, scale=read_scale, start=start, duration=duration, threads=video_threads)
        )
        total = _frames_expected(reader, start, duration)
        width, height = sharpener.output_size(reader.width, reader.height)
        if not isinstance(target, str | Path):
            if resume:
                raise UsageError("a job that writes a stream cannot be resumed; resuming needs a file")
            stream = Y4MWriter(target, rate=reader.info.average_rate)
            frames, session = run_stages(sharpener, reader, None, stream.write, split, total, progress)
            notes = [*reader.notes]
            if reader.info.rotation:
                notes.append(f"a Y4M stream cannot say that the picture is turned by {reader.info.rotation} degrees")
            return JobReport(
                str(source), "-", frames, width, height, time.monotonic() - started, reader.damaged,
                notes, session.totals, session.choices,
            )  # fmt: skip
        begun = unfinished(target) if resume else None
        writer = SegmentedVideoWriter(
            target, reader, folder=job_folder(target), encoder=encoder, crf=crf, bitrate=bitrate, preset=preset,
            audio=audio, threads=video_threads, width=width, height=height,
            overwrite=overwrite or (begun is not None and begun.overwrite),
        )  # fmt: skip
        identity = job_identity(
            sharpener, source, writer, scale=scale, split=split, start=start, duration=duration,
            **{"frames in a segment": segment_frames},
        )  # fmt: skip
        journal = stack.enter_context(Journal(target, identity, resume=resume, overwrite=overwrite))
        stack.enter_context(told_how_to_go_on(journal))
        stack.enter_context(writer)
        output = ResumableOutput(reader, writer, journal, every=segment_frames)
        frames, ended, last_session = output.frames, output.ended, None
        if ended is None:
            frames, last_session = run_stages(
                sharpener, reader, writer.new_frame, output.take, split, total, progress, resumed=output
            )
            ended = {"notes": reader.notes, "damaged": reader.damaged}
        writer.close()
        return JobReport(
            str(source),
            str(target),
            frames,
            width,
            height,
            time.monotonic() - started,
            ended["damaged"],
            [*ended["notes"], *writer.notes, *journal.notes],
            output.tiles(last_session),
            output.choices(last_session),
            output.frames if resume else None,
        )


@_announced
def sharpen_stream(
    sharpener: BaseSharpener,
    source: BinaryIO,
    target: BinaryIO,
    *,
    split: bool = False,
    progress: Progress = lambda *_: None,
) -> JobReport:
    """Sharpen a Y4M stream into a Y4M stream; what of a frame is computed as in :func:`sharpen_video`."""
    started = time.monotonic()
    reader = Y4MReader(source)
    writer = Y4MWriter(target)
    sizes: list[tuple[int, int]] = []

    def write(frame: Frame) -> None:
        sizes[:] = [(frame.width, frame.height)]
        writer.write(frame)

    frames, session = run_stages(sharpener, reader, None, write, split, 0, progress)
    if not frames:
        raise CorruptInputError(
            f"-: {reader.damaged or 'the stream ends after its header'}; not one frame could be read"
        )
    width, height = sizes[0] if sizes else (0, 0)
    return JobReport(
        "-",
        "-",
        frames,
        width,
        height,
        time.monotonic() - started,
        reader.damaged,
        tiles=session.totals,
        choices=session.choices,
    )


def open_reader(
    source: str | Path,
    *,
    scale: float = 1.0,
    start: float = 0.0,
    duration: float | None = None,
    threads: int | None = None,
) -> VideoReader:
    """Open a video whose frames are resized by ``scale``; the rest as for :class:`VideoReader`."""
    # The size is only known once the file is open; opening twice is cheaper than a reader that changes its mind.
    size = None
    if scale != 1.0:
        with VideoReader(source) as probe:
            size = scaled_size(probe.width, probe.height, scale, multiple=2)
    return VideoReader(source, start=start, duration=duration, size=size, threads=threads)


def run_stages(
    sharpener: BaseSharpener,
    frames: Iterable[Frame],
    new_frame: Callable[[Frame], Frame] | None,
    write: Callable[[Any], None],
    split: bool = False,
    total: int = 0,
    progress: Progress = lambda *_: None,
    resumed: ResumableOutput | None = None,
) -> tuple[int, BaseSession]:
    """Decoding thread, sharpening here, encoding thread. Returns how many frames were written, and the session, closed,
    which knows what became of them. resumed: what also wants to know of every frame before, and of the end."""
    done = 0 if resumed is None else resumed.frames
    with (
        sharpener.session() as session,
        Producer(frames, name="decode", ahead=_QUEUE) as decoded,
        Consumer(write, name="encode", behind=_QUEUE) as encoding,
    ):
        if resumed is not None:
            resumed.begin(session)
        for frame in decoded:
            if resumed is not None and (cut := resumed.before(frame, done, session)) is not None:
                encoding.put(cut)
            if new_frame is None:
                sharp = (
                    session.frame(frame)
                    if not frame.interlaced
                    else frame
                    if sharpener.scale == 1
                    else sharpener.enlarged(frame)
                )
            else:
                canvas = new_frame(frame)
                if frame.interlaced:
                    made = frame if sharpener.scale == 1 else sharpener.enlarged(frame)
                else:
                    made = session.frame(frame, out=canvas.luma)
                _copy_planes(made, canvas, chroma=sharpener.scale > 1)
                sharp = canvas
            if split:
                before = frame.luma if sharpener.scale == 1 else sharpener.enlarged(frame).luma
                white = luma_limits(frame.bit_depth, full_range=frame.full_range)[1]
                _join_halves(before, sharp.luma, white, _shown(frames, frame))
            encoding.put(sharp)
            done += 1
            progress(done, total)
        encoding.finish()
        if resumed is not None:
            resumed.end(done, session)
    return done, session


def upscaling(sharpener: BaseSharpener, scale: float) -> bool:
    """Return True if the sharpener enlarges by itself. Raises UsageError if it does so by another factor."""
    if sharpener.scale > 1 and scale not in (1.0, sharpener.scale):
        raise UsageError(f"{sharpener.name} enlarges by {sharpener.scale:g}, not by {scale:g}")
    return sharpener.scale > 1


def _shown(source: object, frame: Frame) -> Turn:
    """Return how players turn the frames of a source."""
    matrix = source.info.display_matrix if isinstance(source, VideoReader) else None
    return turn_of_matrix(matrix) if matrix is not None else turn_of_rotation(frame.rotation)


def _frames_expected(reader: VideoReader, start: float, duration: float | None) -> int:
    """How many frames will come, as far as the file says; 0 where it does not."""
    info = reader.info
    if info.average_rate is None:
        return info.frame_count if start == 0 and duration is None else 0
    spans = [s for s in (None if info.duration is None else info.duration - start, duration) if s is not None]
    if start == 0 and duration is None and info.frame_count:
        return info.frame_count
    return max(1, round(min(spans) * float(info.average_rate))) if spans else 0


def _copy_planes(frame: Frame, canvas: Frame, *, chroma: bool) -> None:
    """Write the planes of a frame to a canvas, except those that lie there already.

    chroma: False if the canvas was made with the frame's chroma.
    """
    planes = [(frame.luma, canvas.luma)]
    if chroma and frame.chroma is not None and canvas.chroma is not None:
        planes += zip(frame.chroma, canvas.chroma, strict=True)
    for plane, target in planes:
        if not np.may_share_memory(plane, target):
            np.copyto(target, plane, casting="no")


def _join_halves(before: Plane, after: Plane, white: int, shown: Turn | None = None) -> None:
    """Write what is left of ``before`` as a player shows it into ``after``, and a thin line between.

    Args:
        before: H x W or H x W x 3 samples as stored.
        after: The same after sharpening; is written to.
        white: The code value of the line.
        shown: How a player turns the picture.
    """
    turn = shown or Turn()
    left, right = turn.view(before), turn.view(after)
    middle = left.shape[1] // 2
    if middle == 0:
        raise UsageError("a split view needs at least two columns")
    right[:, :middle] = left[:, :middle]
    line = max(1, left.shape[1] // 640)
    right[:, middle : middle + line] = white
