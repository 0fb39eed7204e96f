"""The demonstration: truth, through a real low-bitrate encode, sharpened, compared."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from acutance.choosing.automatic import AutoSession, AutoSharpener
from acutance.degrade import Yuv420, encode_decode, resize, yuv420_from_rgb
from acutance.demo.scene import FRAME_RATE, scene
from acutance.errors import OutputError, OutputExistsError, UnsupportedMediaError
from acutance.frame import ColourInfo, ColourRange, Frame, luma_limits
from acutance.io import VideoReader, VideoWriter, Y4MWriter
from acutance.io.files import AtomicOutput
from acutance.jobs.pipeline import Progress
from acutance.metrics import psnr, ssim
from acutance.sharpener import FrameSharpener

__all__ = ["DemoResult", "run_demo"]

_FACTOR = 2
_MEASURED_EVERY = 5  # frames; SSIM of every one would take longer than all the rest
_LARGEST_CLIP = 600_000_000  # pixels over all frames: about four gigabytes of them


@dataclass(frozen=True)
class DemoResult:
    """PSNR (dB) and SSIM on luma against the truth, of the call as received and sharpened: mean over every fifth frame.

    size: of the truth and the output. call_size: of what was encoded. kbps: of the encode, measured.
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


def run_demo(
    sharpener: FrameSharpener | AutoSharpener,
    folder: str | Path,
    *,
    source: str | Path | None = None,
    duration: float = 4.0,
    bitrate_kbps: float = 500.0,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> DemoResult:
    """Make ``before-after.mp4``, ``before-after.png`` and ``result.json`` in ``folder``.

    source: a video to take instead of the drawn scene; it is the truth. duration: seconds of it, less where that many
    frames of its size would not fit into memory. bitrate_kbps: of the
    H.264 stream at half the size, encoded as calls are (no lookahead, constrained rate).
    Raises OutputExistsError, OutputError, UnsupportedMediaError (a video that is not 8-bit 4:2:0), and what reading
    raises.
    """
    folder = Path(folder)
    video, picture, result_file = (folder / n for n in ("before-after.mp4", "before-after.png", "result.json"))
    for path in (video, picture, result_file):
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists; --overwrite replaces it, --out names another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error

    clip = _drawn(duration) if source is None else _read(source, duration)
    truth, rate = clip.frames, clip.rate
    total = 3 * len(truth)
    height, width = truth[0].luma.shape
    low = (_scaled(frame, width // _FACTOR, height // _FACTOR) for frame in truth)
    call = encode_decode(
        _counted(low, progress, 0, total), codec="h264", bitrate_kbps=bitrate_kbps, frame_rate=float(rate)
    )
    received, sharpened, figures = [], [], []
    with sharpener.session() as session:
        for index, frame in enumerate(call.frames):
            before = _scaled(frame, width, height)
            luma = session.frame(Frame(before.luma, colour=clip.colour)).luma
            after = Yuv420(luma.astype(np.uint8, copy=False), before.cb, before.cr)
            received.append(before)
            sharpened.append(after)
            if index % _MEASURED_EVERY == 0:
                figures.append(
                    [measure(f.luma, truth[index].luma) for measure in (psnr, ssim) for f in (before, after)]
                )
            progress(len(truth) + index + 1, total)
        chosen = [c.student for c in session.choices if c.student] if isinstance(session, AutoSession) else []
    psnr_before, psnr_after, ssim_before, ssim_after = (float(v) for v in np.mean(figures, axis=0))
    frames = _counted(_sweep(received, sharpened, clip), progress, 2 * len(truth), total)
    _write_video(frames, video, clip, overwrite=overwrite)
    result = DemoResult(
        video=str(video),
        picture=str(picture),
        model=" and ".join(dict.fromkeys(chosen)) or sharpener.name,
        frames=len(truth),
        measured_frames=len(figures),
        size=(width, height),
        call_size=(width // _FACTOR, height // _FACTOR),
        kbps=round(call.size_bytes * 8 / 1000 / (len(truth) / float(rate)), 1),
        psnr_before=psnr_before,
        psnr_after=psnr_after,
        ssim_before=ssim_before,
        ssim_after=ssim_after,
    )
    middle = len(truth) // 2
    sheet = _picture([_rgb(frames_[middle], clip) for frames_ in (received, sharpened, truth)], result)
    with AtomicOutput(picture, overwrite=overwrite) as output:
        sheet.save(output.temporary)
    with AtomicOutput(result_file, overwrite=overwrite) as output:
        output.temporary.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


@dataclass(frozen=True)
class _Clip:
    """The truth: 4:2:0 frames cropped so that half their size is even, and what their code values mean."""

    frames: list[Yuv420]
    rate: Fraction
    colour: ColourInfo
    rotation: int = 0
    source: Path | None = None


def _drawn(duration: float) -> _Clip:
    frames = [_cropped(yuv420_from_rgb(frame)) for frame in scene(duration)]
    return _Clip(frames, Fraction(FRAME_RATE), ColourInfo(matrix=6))  # BT.601


def _read(source: str | Path, duration: float) -> _Clip:
    with VideoReader(source, duration=duration) as reader:
        info = reader.info
        if info.pix_fmt not in ("yuv420p", "yuvj420p"):
            raise UnsupportedMediaError(f"{source}: the demonstration takes 8-bit 4:2:0, this is {info.pix_fmt}")
        rate = info.average_rate or Fraction(FRAME_RATE)
        # Truth, received and sharpened frames are all held until they have been compared.
        fits = max(1, _LARGEST_CLIP // (reader.width * reader.height))
        limit = min(max(1, round(duration * float(rate))), fits)
        frames = [_copied(frame) for frame in islice(reader, limit)]
        return _Clip(frames, rate, info.colour, info.rotation, Path(source))


def _copied(frame: Frame) -> Yuv420:
    assert frame.chroma is not None
    return _cropped(Yuv420(*(np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma))))


def _rgb(frame: Yuv420, clip: _Clip) -> NDArray[np.uint8]:
    """A frame as it is seen: upright, with the clip's matrix (ITU-T H.273) and range."""
    height, width = frame.luma.shape
    matrix = clip.colour.matrix
    if matrix not in (1, 5, 6, 9):  # unspecified: what players assume
        matrix = 1 if width >= 1280 or height > 576 else 6
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    black, luma_span, chroma_span = (0, 255, 255) if clip.colour.range is ColourRange.FULL else (16, 219, 224)
    y = (frame.luma.astype(np.float32) - black) / luma_span
    cb, cr = (
        (resize(np.ascontiguousarray(plane), width, height).astype(np.float32) - 128) / chroma_span
        for plane in (frame.cb, frame.cr)
    )
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    rgb = np.stack([red, green, blue], axis=-1) * 255
    return np.rot90(np.array(np.clip(np.rint(rgb), 0, 255), np.uint8), clip.rotation // 90)


def _cropped(frame: Yuv420) -> Yuv420:
    multiple = 2 * _FACTOR
    height, width = (side // multiple * multiple for side in frame.luma.shape)
    if min(height, width) < 64:
        raise UnsupportedMediaError(f"the demonstration needs a video of at least 64 x 64, not {width} x {height}")
    return Yuv420(
        frame.luma[:height, :width], frame.cb[: height // 2, : width // 2], frame.cr[: height // 2, : width // 2]
    )


def _scaled(frame: Yuv420, width: int, height: int) -> Yuv420:
    chroma = (np.ascontiguousarray(plane) for plane in (frame.cb, frame.cr))
    cb, cr = (resize(plane, width // 2, height // 2) for plane in chroma)
    return Yuv420(resize(np.ascontiguousarray(frame.luma), width, height), cb, cr)


def _counted(frames: Iterable[Yuv420], progress: Progress, done: int, total: int) -> Iterator[Yuv420]:
    for index, frame in enumerate(frames, start=1):
        progress(done + index, total)
        yield frame


def _sweep(before: list[Yuv420], after: list[Yuv420], clip: _Clip) -> Iterator[Yuv420]:
    """Before on the left, after on the right of a line that sweeps to and fro once."""
    width = before[0].luma.shape[1]
    white = luma_limits(8, full_range=clip.colour.range is ColourRange.FULL)[1]
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        share = 0.5 - 0.35 * np.sin(2 * np.pi * index / len(before))
        x = int(width * share) // 2 * 2
        luma = np.concatenate([old.luma[:, :x], new.luma[:, x:]], axis=1)
        luma[:, max(0, x - 1) : x + 1] = white
        yield Yuv420(luma, old.cb, old.cr)


def _write_video(frames: Iterable[Yuv420], path: Path, clip: _Clip, *, overwrite: bool) -> None:
    """A writer takes its stream parameters from a reader: of the source, or else of a raw temporary file."""
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


def _frame(frame: Yuv420, index: int, clip: _Clip) -> Frame:
    return Frame(frame.luma, (frame.cb, frame.cr), pts=index, time_base=1 / clip.rate, colour=clip.colour)


def _picture(pictures: list[NDArray[np.uint8]], result: DemoResult) -> Image.Image:
    """Two details of one frame, enlarged, as received, sharpened and in truth, under each other's names."""
    before, after, truth = pictures
    side = max(32, min(240, min(truth.shape[:2]) // 3)) // 2 * 2
    zoom = max(1, 480 // side)
    gap, head = 12, 64
    details = _details(before, after, side)
    names = (
        f"received: {result.psnr_before:.2f} dB, SSIM {result.ssim_before:.4f}",
        f"acutance {result.model}: {result.psnr_after:.2f} dB, SSIM {result.ssim_after:.4f}",
        "truth",
    )
    tile = side * zoom
    sheet = Image.new("RGB", (3 * tile + 4 * gap, head + len(details) * (tile + gap)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(zip(names, (before, after, truth), strict=True)):
        x = gap + column * (tile + gap)
        size = 22.0
        while size > 9 and draw.textlength(name, font=ImageFont.load_default(size)) > tile:
            size -= 1  # the full line of figures, however narrow the tile
        draw.text((x, head / 2), name, font=ImageFont.load_default(size), fill=(20, 20, 24), anchor="lm")
        for row, (top, left) in enumerate(details):
            crop = Image.fromarray(np.ascontiguousarray(picture[top : top + side, left : left + side]))
            sheet.paste(crop.resize((tile, tile), Image.Resampling.NEAREST), (x, head + row * (tile + gap)))
    return sheet


def _details(before: NDArray[np.uint8], after: NDArray[np.uint8], side: int) -> list[tuple[int, int]]:
    """Top-left corners of the two places that changed most, apart from each other."""
    change = np.abs(after.astype(np.int16) - before.astype(np.int16)).sum(axis=2)
    height, width = change.shape
    corners = [(y, x) for y in range(0, height - side + 1, side // 4) for x in range(0, width - side + 1, side // 4)]
    corners.sort(key=lambda c: -int(change[c[0] : c[0] + side, c[1] : c[1] + side].sum()))
    chosen = corners[:1]
    chosen += [c for c in corners if max(abs(c[0] - chosen[0][0]), abs(c[1] - chosen[0][1])) >= side][:1]
    return chosen
