"""``acutance archive``."""

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from acutance import errors
from acutance.cli.bitrates import bits_per_second
from acutance.cli.engines import EngineOption
from acutance.cli.exit_codes import exit_code
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import Cancelled, TruncatedInputWarning

if TYPE_CHECKING:
    from acutance.cluster import ArchiveProgress, ArchiveReport, ArchiveSettings

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """What to sharpen, where to, and on which machines. Given again, it does only what is missing."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IN_FOLDER")]
    """Folder of pictures and videos, with the folders below it: a path, or an address such as s3://bucket/folder."""
    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT_FOLDER")]
    """Folder to write to, likewise. Results have the names of the inputs."""
    cluster: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "local"
    """Address of a Ray cluster's head, such as 10.0.0.1:6379; auto for the one of this machine; local for none, and
    all cores of this machine."""
    cpus: Annotated[int, tyro.conf.arg(metavar="COUNT")] = 1
    """Cores for each task, that is for each file or segment. Encoders write other bits with another number."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "auto"
    """As for sharpen: auto, a tier, a model's full name, or a file."""
    strength: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 1.0
    """0 (unchanged) to 2; 1 is what the student was trained for."""
    scale: float = 1.0
    """Resize by this first; 2 makes 1080p of 540p."""
    encoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """libx264, libx265, libvpx-vp9, libsvtav1 or ffv1 (lossless); by default the first that fits."""
    crf: Annotated[float | None, tyro.conf.arg(metavar="NUMBER")] = None
    """Quality of the encode; lower is better."""
    bitrate: Annotated[str | None, tyro.conf.arg(metavar="RATE")] = None
    """Instead of crf: 4M, 800k."""
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The encoder's speed: ultrafast to veryslow for libx264."""
    audio: Literal["copy", "convert", "none"] = "copy"
    """Sound of video, as for sharpen."""
    quality: int = 95
    """Of JPEG, WebP and AVIF pictures, 1 to 100."""
    engine: EngineOption = "auto"
    threshold: Annotated[int | None, tyro.conf.arg(metavar="LEVEL")] = None
    """Of video: tiles less active than this pass through; 0 computes everything."""
    segment_frames: Annotated[int, tyro.conf.arg(metavar="COUNT")] = 250
    """Frames in a segment, the part of a video that one task makes."""
    retries: Annotated[int, tyro.conf.arg(metavar="COUNT")] = 3
    """How often a file's tasks are tried again after a process or a node was lost."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Start the archive over and replace outputs that exist. Inputs are never touched."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    """Archive a folder. Files that cannot be done are listed at the end; the exit code of the last is returned."""
    from acutance.cluster import archive_folder

    settings = _settings(options)
    with JobProgress(options.progress) as progress:

        def show(now: "ArchiveProgress") -> None:
            total = max(now.total_frames, now.frames) or None
            note = f"{now.files}/{now.total_files} files  {now.fps:.1f} frames/s"
            if now.failed:
                note += f"  {now.failed} failed"
            progress.update("archive", now.frames, total, note, unit="frames")

        try:
            report = archive_folder(
                options.source,
                options.target,
                cluster=options.cluster,
                settings=settings,
                retries=options.retries,
                overwrite=options.overwrite,
                say=lambda line: print(f"acutance: {line}", file=sys.stderr),
                progress=show,
            )
        except KeyboardInterrupt as error:
            raise Cancelled("stopped; what is finished is kept, and the same command goes on from there") from error
        return _tell(report, progress)


def _settings(options: Options) -> "ArchiveSettings":
    from acutance.cluster import ArchiveSettings

    return ArchiveSettings(
        model=options.model,
        strength=options.strength,
        threshold=options.threshold,
        engine=options.engine,
        scale=options.scale,
        encoder=options.encoder,
        crf=options.crf,
        bitrate=bits_per_second(options.bitrate),
        preset=options.preset,
        quality=options.quality,
        audio=options.audio,
        segment_frames=options.segment_frames,
        cpus=options.cpus,
    )


def _tell(report: "ArchiveReport", progress: JobProgress) -> int:
    code = 0
    for name, damage in sorted(report.damaged.items()):
        print(f"acutance: warning: {name}: {damage}; what could be read was kept", file=sys.stderr)
        code = exit_code(TruncatedInputWarning)
    for failed in report.failed:
        print(f"acutance: not done: {failed.reason}", file=sys.stderr)
        code = exit_code(getattr(errors, failed.error, errors.AcutanceError))
    kept = f", {report.kept} were done before" if report.kept else ""
    lost = f", {len(report.failed)} were not done" if report.failed else ""
    rate = f", {report.frames:,} frames at {report.fps:.1f} a second" if report.frames else ""
    progress.say(f"{report.files} files{rate}{kept}{lost}")
    progress.event(
        "done",
        files=report.files,
        frames=report.frames,
        kept=report.kept,
        seconds=round(report.seconds, 3),
        damaged=report.damaged,
        failed=[asdict(failed) for failed in report.failed],
    )
    return code
