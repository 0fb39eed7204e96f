"""The demonstration: send a clip through a call of few bits, sharpen it, and compare it with the truth."""

import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from acutance.degrade import Yuv420, encode_decode
from acutance.demo.clip import FACTOR, Clip, drawn_clip, read_clip, rgb_of, scaled
from acutance.demo.sheet import comparison_sheet
from acutance.errors import OutputError, OutputExistsError
from acutance.frame import ColourRange, Frame, luma_limits
from acutance.io import VideoReader, VideoWriter, Y4MWriter
from acutance.io.files import AtomicOutput
from acutance.jobs.pipeline import Progress
from acutance.metrics import AcutanceMeter, TruthWindows, psnr, restored_share, ssim
from acutance.sharpening.base import BaseSharpener

__all__ = ["DemoResult", "run_demo"]

_MEASURED_EVERY = 5  # frames; SSIM of every frame would take longer than everything else


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration made and measured.

    Attributes:
        video: path of the video that shows before and after.
        picture: path of the picture that shows details.
        model: the students that were used.
        frames: number of frames.
        measured_frames: number of frames that were measured: every fifth.
        size: width and height of the truth and of the output.
        call_size: width and height of the encoded call.
        kbps: measured bit rate of the call, in 1000 bit/s.
        psnr_before: PSNR of the received luma against the truth in dB, mean over the measured frames.
        psnr_after: PSNR of the sharpened luma.
        ssim_before: SSIM of the received luma.
        ssim_after: SSIM of the sharpened luma.
        acutance_before: acutance of the received luma over the measured frames; None where the truth has no detail.
        acutance_after: acutance of the sharpened luma.
        coherence_before: coherence of the received luma, 0 to 1.
        coherence_after: coherence of the sharpened luma.
        restored: share of the lost acutance that is restored; None where nothing was lost.
    """

    video: str
    picture: str
    model: str
    frames: int
    measured_frames: int
    size: tuple[int, int]
    call_size: tuple[int, int]
    kbps: float
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    acutance_before: float | None
    acutance_after: float | None
    coherence_before: float | None
    coherence_after: float | None
    restored: float | None


def run_demo(
    sharpener: BaseSharpener,
    folder: str | Path,
    *,
    source: str | Path | None = None,
    duration: float = 4.0,
    bitrate_kbps: float = 500.0,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> DemoResult:
    """Make ``before-after.mp4``, ``before-after.png`` and ``result.json``.

    Args:
        sharpener: what sharpens the call.
        folder: where the files go. It is created if it does not exist.
        source: a sharp video to use instead of the drawn scene.
        duration: seconds of the clip. Fewer are used if the frames would not fit into memory.
        bitrate_kbps: bit rate of the call in 1000 bit/s. It is H.264 of half the size, with the settings of calls.
        overwrite: replace files of an earlier run.
        progress: called with the number of steps done and their total.

    Returns:
        What was made and measured.

    Raises:
        OutputExistsError: a file exists and ``overwrite`` is False.
        OutputError: a file cannot be written.
        UnsupportedMediaError: the video is not 8-bit 4:2:0.
    """
    folder = Path(folder)
    video, picture, result_file = (folder / n for n in ("before-after.mp4", "before-after.png", "result.json"))
    for path in (video, picture, result_file):
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already").offering("overwrite", "out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot create this folder: {error.strerror}") from error

    clip = drawn_clip(duration) if source is None else read_clip(source, duration)
    truth, rate = clip.frames, clip.rate
    total = 3 * len(truth)
    height, width = truth[0].luma.shape
    low = (scaled(frame, width // FACTOR, height // FACTOR) for frame in truth)
    call = encode_decode(
        _counted(low, progress, 0, total), codec="h264", bitrate_kbps=bitrate_kbps, frame_rate=float(rate)
    )
    received, sharpened, figures = [], [], []
    meters = AcutanceMeter(), AcutanceMeter()
    with sharpener.session() as session:
        for index, frame in enumerate(call.frames):
            before = scaled(frame, width, height)
            luma = session.frame(Frame(before.luma, colour=clip.colour)).luma
            after = Yuv420(luma.astype(np.uint8, copy=False), before.cb, before.cr)
            received.append(before)
            sharpened.append(after)
            if index % _MEASURED_EVERY == 0:
                figures.append(
                    [measure(f.luma, truth[index].luma) for measure in (psnr, ssim) for f in (before, after)]
                )
                windows = TruthWindows(truth[index].luma)
                for meter, version in zip(meters, (before, after), strict=True):
                    meter.add(version.luma, windows)
            progress(len(truth) + index + 1, total)
        chosen = [c.student for c in session.choices if c.student]
    psnr_before, psnr_after, ssim_before, ssim_after = (float(v) for v in np.mean(figures, axis=0))
    sharp_before, sharp_after = (meter.result() for meter in meters)
    frames = _counted(_sweep(received, sharpened, clip), progress, 2 * len(truth), total)
    _write_video(frames, video, clip, overwrite=overwrite)
    result = DemoResult(
        video=str(video),
        picture=str(picture),
        model=" and ".join(dict.fromkeys(chosen)) or sharpener.name,
        frames=len(truth),
        measured_frames=len(figures),
        size=(width, height),
        call_size=(width // FACTOR, height // FACTOR),
        kbps=round(call.size_bytes * 8 / 1000 / (len(truth) / float(rate)), 1),
        psnr_before=psnr_before,
        psnr_after=psnr_after,
        ssim_before=ssim_before,
        ssim_after=ssim_after,
        acutance_before=_finite(sharp_before.acutance),
        acutance_after=_finite(sharp_after.acutance),
        coherence_before=_finite(sharp_before.coherence),
        coherence_after=_finite(sharp_after.coherence),
        restored=_finite(restored_share(sharp_after.acutance, sharp_before.acutance)),
    )
    middle = len(truth) // 2
    names = (
        f"received: {result.psnr_before:.2f} dB, SSIM {result.ssim_before:.4f}",
        f"acutance {result.model}: {result.psnr_after:.2f} dB, SSIM {result.ssim_after:.4f}",
        "truth",
    )
    sheet = comparison_sheet([rgb_of(version[middle], clip) for version in (received, sharpened, truth)], names)
    with AtomicOutput(picture, overwrite=overwrite) as output:
        sheet.save(output.temporary)
    with AtomicOutput(result_file, overwrite=overwrite) as output:
        output.temporary.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _counted(frames: Iterable[Yuv420], progress: Progress, done: int, total: int) -> Iterator[Yuv420]:
    for index, frame in enumerate(frames, start=1):
        progress(done + index, total)
        yield frame


def _sweep(before: list[Yuv420], after: list[Yuv420], clip: Clip) -> Iterator[Yuv420]:
    """Yield frames with before on the left and after on the right of a line that sweeps left and right once."""
    width = before[0].luma.shape[1]
    white = luma_limits(8, full_range=clip.colour.range is ColourRange.FULL)[1]
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        share = 0.5 - 0.35 * np.sin(2 * np.pi * index / len(before))
        x = int(width * share) // 2 * 2
        luma = np.concatenate([old.luma[:, :x], new.luma[:, x:]], axis=1)
        luma[:, max(0, x - 1) : x + 1] = white
        yield Yuv420(luma, old.cb, old.cr)


def _write_video(frames: Iterable[Yuv420], path: Path, clip: Clip, *, overwrite: bool) -> None:
    """Write a video. The writer takes its parameters from a reader of the source, or of a raw temporary file."""
    with tempfile.TemporaryDirectory(prefix=".acutance-", dir=path.parent) as scratch:
        template = clip.source
        if template is None:
            template = Path(scratch) / "frames.y4m"
            with template.open("wb") as stream:
                first = clip.frames[0]
                Y4MWriter(stream, rate=clip.rate, name=str(path)).write(_frame(first, 0, clip))
        height, width = clip.frames[0].luma.shape
        with (
            VideoReader(template) as reader,
            VideoWriter(
                path, reader, crf=16, preset="fast", width=width, height=height, copy_streams=False, overwrite=overwrite
            ) as video,
        ):
            for index, frame in enumerate(frames):
                video.write(_frame(frame, index, clip))


def _frame(frame: Yuv420, index: int, clip: Clip) -> Frame:
    return Frame(frame.luma, (frame.cb, frame.cr), pts=index, time_base=1 / clip.rate, colour=clip.colour)
