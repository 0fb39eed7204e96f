"""``acutance demo``."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from acutance.cli.durations import seconds
from acutance.cli.engines import EngineOption
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import UsageError

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """A scene the program draws itself, or a video of yours, is sent through a call and sharpened."""

    source: Annotated[str | None, tyro.conf.Positional] = None
    """A sharp video to use instead of the drawn scene."""
    out: Annotated[str, tyro.conf.arg(aliases=["-o"])] = "acutance-demo"
    """Folder for before-after.mp4, before-after.png and result.json."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "auto"
    """auto, fast, balanced or quality, which choose the student that the call needs; a model's full name; or a file."""
    engine: EngineOption = "auto"
    duration: str = "4s"
    """How much of the scene."""
    kbps: float = 500.0
    """Bitrate of the call, in kbit/s, at half the size."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace the results of an earlier demonstration."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    from acutance.choosing.automatic import open_sharpener
    from acutance.demo.run import run_demo

    length = seconds(options.duration, option="--duration")
    if not 0.1 <= length <= 60:
        raise UsageError(f"--duration of a demonstration lies between 0.1 and 60 seconds, not {length:g}")
    if not options.kbps > 0:
        raise UsageError(f"--kbps must be above 0, not {options.kbps:g}")
    with JobProgress(options.progress) as progress:
        result = run_demo(
            open_sharpener(options.model, engine=options.engine),
            options.out,
            source=options.source,
            duration=length,
            bitrate_kbps=options.kbps,
            overwrite=options.overwrite,
            progress=progress.counter("demo", unit="frames"),
        )
        progress.event("done", psnr_before=result.psnr_before, psnr_after=result.psnr_after, video=result.video)
    out = sys.stderr if options.progress == "json" else sys.stdout
    (width, height), (low_width, low_height) = result.size, result.call_size
    print(
        f"call:      {width}x{height} sent as {low_width}x{low_height} H.264 at {result.kbps:.0f} kbit/s, "
        f"{result.frames} frames (every fifth measured)\n"
        f"received:  {result.psnr_before:.2f} dB PSNR, {result.ssim_before:.4f} SSIM (luma, against the truth)\n"
        f"sharpened: {result.psnr_after:.2f} dB PSNR, {result.ssim_after:.4f} SSIM with {result.model}\n"
        f"gain:      {result.psnr_after - result.psnr_before:+.2f} dB, "
        f"{result.ssim_after - result.ssim_before:+.4f}\n"
        f"look at:   {result.picture}\n"
        f"           {result.video}",
        file=out,
    )
    return 0
