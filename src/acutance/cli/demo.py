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
    before = _figures(result.psnr_before, result.ssim_before, result.acutance_before, result.coherence_before)
    restored = "" if result.restored is None else f", {100 * result.restored:.0f} % of the lost acutance restored"
    print(
        f"call:      {width}x{height} sent as {low_width}x{low_height} H.264 at {result.kbps:.0f} kbit/s, "
        f"{result.frames} frames (every fifth measured)\n"
        f"received:  {before} "
        "(luma, against the truth)\n"
        f"sharpened: {_figures(result.psnr_after, result.ssim_after, result.acutance_after, result.coherence_after)} "
        f"with {result.model}\n"
        f"gain:      {result.psnr_after - result.psnr_before:+.2f} dB, "
        f"{result.ssim_after - result.ssim_before:+.4f}{restored}\n"
        f"look at:   {result.picture}\n"
        f"           {result.video}",
        file=out,
    )
    return 0


def _figures(psnr: float, ssim: float, acutance: float | None, coherence: float | None) -> str:
    text = f"{psnr:.2f} dB PSNR, {ssim:.4f} SSIM"
    if acutance is None or coherence is None:
        return text
    return f"{text}, acutance {acutance:.3f}, coherence {coherence:.3f}"
