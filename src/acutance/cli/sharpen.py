"""``acutance sharpen``."""

import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from acutance.cli.bitrates import bits_per_second
from acutance.cli.durations import seconds
from acutance.cli.engines import EngineOption
from acutance.cli.exit_codes import exit_code
from acutance.cli.failures import BatchFailures
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.cli.targets import plan_jobs, split_paths
from acutance.cli.terminal import binary_output, complain, printable
from acutance.errors import Cancelled, CorruptInputError, TruncatedInputWarning, UsageError

if TYPE_CHECKING:
    from acutance.engine import TileCounts
    from acutance.io.files import MediaFile
    from acutance.jobs.pipeline import JobReport, Progress
    from acutance.sharpening.base import BaseSharpener

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """What to sharpen, and how."""

    paths: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IN...")]
    """Pictures, videos, folders or patterns, or '-' (Y4M). Of two, the second is the output if it is a folder or does
    not exist. Two files that exist are two inputs."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="OUT")] = None
    """File or folder to write to, or '-' (Y4M). By default each result is NAME-sharp beside its input."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "auto"
    """auto: the student that the picture needs, or none, of the tier fast (video) or quality (pictures); fast, balanced
    or quality: the same of that tier; or one student: a model's full name, or a file."""
    strength: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 1.0
    """0 (unchanged) to 2; 1 is what the student was trained for."""
    look: Literal["faithful", "natural"] | None = None
    """natural has the power of sharp pictures, by weights that follow each frame; faithful has the least error."""
    scale: float = 1.0
    """Enlarge by this: 2 makes 1080p of 540p. An upscaler, given by its file, takes the small picture; other models
    sharpen what was resized."""
    preview: Annotated[str | None, tyro.conf.arg(metavar="TIME")] = None
    """Only so long an excerpt, as a split view, to look at first: 5s."""
    split: bool = False
    """Left half before, right half after."""
    start: Annotated[str, tyro.conf.arg(metavar="TIME")] = "0"
    """Where in a video to begin: 90, 1:30."""
    duration: Annotated[str | None, tyro.conf.arg(metavar="TIME")] = None
    """How much of a video: 10s."""
    encoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """libx264, libx265, libvpx-vp9, libsvtav1 or ffv1 (lossless); the first that fits where not given."""
    crf: Annotated[float | None, tyro.conf.arg(metavar="NUMBER")] = None
    """Quality of the encode, lower is better; 18 for libx264 where not given."""
    bitrate: Annotated[str | None, tyro.conf.arg(metavar="RATE")] = None
    """Instead of crf: 4M, 800k."""
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The encoder's speed: ultrafast to veryslow for libx264."""
    audio: Literal["copy", "convert", "none"] = "copy"
    """Sound of video: copy keeps it where the output can hold it and converts it elsewhere, convert always makes AAC or
    Opus of it, none leaves it out."""
    quality: int = 95
    """Of JPEG, WebP and AVIF pictures, 1 to 100."""
    engine: EngineOption = "auto"
    threads: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None
    """Of the engine; one per core where not given."""
    video_threads: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None
    """Of the decoder and the encoder, on which an encoder's output depends; by default one per core."""
    threshold: Annotated[int | None, tyro.conf.arg(metavar="LEVEL")] = None
    """Of video: tiles less active than this pass through; 0 computes everything; the model's own where not given."""
    reuse: bool = True
    """Of video: what did not change since the last frame is not computed again; the result is the same."""
    recursive: Annotated[bool, tyro.conf.arg(aliases=["-r"])] = False
    """Also look in the folders below."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace outputs that exist, and start unfinished jobs over. Inputs are never touched."""
    resume: bool = False
    """Go on with jobs that were stopped or killed, with the same input and options, and keep outputs that exist."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


@dataclass(frozen=True)
class _Excerpt:
    start: float
    duration: float | None
    split: bool
    suffix: str


def run(options: Options) -> int:
    """Sharpen everything named. One bad file among many does not stop the others; its exit code is returned."""
    from acutance.choosing.automatic import open_sharpener

    if not options.paths:
        raise UsageError("nothing to sharpen: name a picture, a video, a folder, or '-'")
    sources, output = split_paths(options.paths, options.output)
    excerpt = _excerpt(options)
    bitrate = bits_per_second(options.bitrate)
    sharpener = open_sharpener(
        options.model,
        engine=options.engine,
        strength=options.strength,
        look=options.look,
        threads=options.threads,
        threshold=options.threshold,
        reuse=options.reuse,
    )
    if "-" in sources:
        if len(sources) > 1 or output not in (None, "-"):
            raise UsageError("a Y4M stream from '-' goes to '-'; pipe it on into an encoder")
        return _stream(options, sharpener, excerpt)
    failures = BatchFailures(say=JobProgress(options.progress).say, known={field.name for field in fields(options)})
    jobs = plan_jobs(sources, output, suffix=excerpt.suffix, recursive=options.recursive, failures=failures)
    alone = len(jobs) == 1 and not failures.failed
    failures.total += len(jobs)
    code = 0
    for number, (media, target) in enumerate(jobs, start=1):
        what = printable(media.path.name) if alone else f"[{number}/{len(jobs)}] {printable(media.path.name)}"
        try:
            with JobProgress(options.progress, json_to=sys.stderr if target == "-" else None) as progress:
                if _is_kept(options, media, target):
                    progress.say(f"{target}: exists already and is kept, whatever it was made with")
                    progress.event("kept", source=str(media.path), target=str(target))
                    continue
                report = _one(
                    options, sharpener, excerpt, bitrate, media, target, progress.counter(what, unit="frames")
                )
                code = _tell(report, progress) or code
        except Exception as error:
            if alone or isinstance(error, Cancelled):
                raise
            failures.add(media.path, error)
    return failures.summarise() or code


def _is_kept(options: Options, media: "MediaFile", target: "Path | str") -> bool:
    """Whether there is an output already, and no unfinished job that is to replace it."""
    from acutance.jobs.journal import sweep, unfinished

    if not options.resume or options.overwrite or target == "-":
        return False
    if not Path(target).is_file() or Path(target).samefile(media.path) or unfinished(target) is not None:
        return False
    sweep(target)
    return True


def _one(
    options: Options,
    sharpener: "BaseSharpener",
    excerpt: _Excerpt,
    bitrate: int | None,
    media: "MediaFile",
    target: "Path | str",
    progress: "Progress",
) -> "JobReport":
    from acutance.jobs.pipeline import sharpen_image, sharpen_video

    if media.kind == "image":
        if target == "-":
            raise UsageError(f"{media.path}: a picture cannot be written to '-', which is for Y4M video")
        return sharpen_image(
            sharpener,
            media.path,
            target,
            scale=options.scale,
            split=excerpt.split,
            quality=options.quality,
            overwrite=options.overwrite,
        )
    return sharpen_video(
        sharpener,
        media.path,
        binary_output() if target == "-" else target,
        scale=options.scale,
        split=excerpt.split,
        start=excerpt.start,
        duration=excerpt.duration,
        encoder=options.encoder,
        crf=options.crf,
        bitrate=bitrate,
        preset=options.preset,
        audio=options.audio,
        overwrite=options.overwrite,
        resume=options.resume,
        video_threads=options.video_threads,
        progress=progress,
    )


def _stream(options: Options, sharpener: "BaseSharpener", excerpt: _Excerpt) -> int:
    from acutance.jobs.pipeline import sharpen_stream

    if options.scale != 1.0 or excerpt.start or excerpt.duration is not None or options.resume:
        raise UsageError("--scale, --start, --duration, --preview and --resume are for files, not for '-'")
    with JobProgress(options.progress, json_to=sys.stderr) as progress:
        report = sharpen_stream(
            sharpener,
            sys.stdin.buffer,
            binary_output(),
            split=excerpt.split,
            progress=progress.counter("-", unit="frames"),
        )
        return _tell(report, progress)


def _tell(report: "JobReport", progress: JobProgress) -> int:
    """Say what was done; returns the exit code that a damaged input has."""
    if report.resumed_from is not None:
        finished = f"its first {report.resumed_from} frames were finished; went on from there"
        how = finished if report.resumed_from else "there was nothing to go on with; began at the beginning"
        complain(f"{report.target}: {how}")
    for choice in report.choices:
        complain(f"{report.source}: {choice.reason}")
    for note in report.notes:
        complain(f"{report.source}: {note}")
    frames = "" if report.frames == 1 else f", {report.frames} frames at {report.fps:.1f} a second"
    progress.say(f"{report.target}: {report.width}x{report.height}{frames}{_shares(report.tiles)}")
    progress.event(
        "done",
        source=report.source,
        target=report.target,
        frames=report.frames,
        width=report.width,
        height=report.height,
        seconds=round(report.seconds, 3),
        damaged=report.damaged,
        notes=report.notes,
        choices=[asdict(choice) for choice in report.choices],
        tiles=asdict(report.tiles),
        resumed_from=report.resumed_from,
    )
    if report.damaged:
        if not report.frames:
            raise CorruptInputError(f"{report.source}: {report.damaged}; not one frame could be read")
        complain(f"warning: {report.source}: {report.damaged}; the {report.frames} frames that could be read were kept")
        return exit_code(TruncatedInputWarning)
    return 0


def _shares(tiles: "TileCounts") -> str:
    """``; 41 % computed, 50 % passed, 9 % reused``; nothing where all tiles were computed, near enough."""
    counts = (("computed", tiles.computed), ("passed", tiles.passed), ("reused", tiles.reused))
    shares = [(round(100 * count / max(1, tiles.tiles)), what) for what, count in counts]
    if not tiles.tiles or shares[0][0] == 100:
        return ""
    return "; " + ", ".join(f"{share} % {what}" for share, what in shares if share)


def _excerpt(options: Options) -> _Excerpt:
    start = seconds(options.start, option="--start")
    duration = None if options.duration is None else seconds(options.duration, option="--duration")
    if duration == 0:
        raise UsageError("--duration must be above 0")
    if options.preview is None:
        return _Excerpt(start, duration, options.split, "-sharp")
    if duration is not None:
        raise UsageError("--preview and --duration both say how much; give one")
    length = seconds(options.preview, option="--preview")
    if length == 0:
        raise UsageError("--preview must be above 0")
    return _Excerpt(start, length, True, "-preview")
