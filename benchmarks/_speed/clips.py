"""Frames to sharpen: test clips as calls bring them, a slide show, noise. 8 bits, limited range."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from acutance.degrade import Yuv420, encode_decode, resize, yuv420_from_rgb
from acutance.errors import UnsupportedMediaError
from acutance.io import VideoReader

__all__ = ["Clip", "Luma", "Rung", "call_rung", "noise", "rung_rates", "slide_show", "timing_clip"]

Luma = NDArray[np.uint8]

CALL_KBPS = 800
_SLIDES, _SLIDE_SECONDS, _SLIDE_RATE = 10, 2, 30
_FROM_SECOND = 1.0  # "from the second second on"


@dataclass(frozen=True)
class Clip:
    """Frames as they are shown, 4:2:0."""

    name: str
    frames: list[Yuv420]
    rate: float

    @property
    def luma(self) -> list[Luma]:
        return [frame.luma for frame in self.frames]

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.frames[0].luma.shape
        return width, height


@dataclass(frozen=True)
class Rung:
    """One rung of the ladder: luma that was sent and that is shown, in step."""

    name: str
    kbps: float
    truth: list[Luma]
    shown: list[Luma]


@cache
def timing_clip(path: Path, size: tuple[int, int], frames: int) -> Clip:
    """Return a clip as a call sends it, scaled up to ``size``; an upright clip is turned.

    At 1080p the call is 960x540, H.264 at 800 kbit/s, scaled up bicubically. For a smaller size the call is half of it,
    with as many bits per pixel.
    """
    rate, source = _read(path, frames)
    width, height = _upright(size, next(iter(source)).luma.shape)
    half = (width // 4 * 2, height // 4 * 2)
    kbps = CALL_KBPS * half[0] * half[1] / (960 * 540)
    call = encode_decode((_scaled(f, *half) for f in source), codec="h264", bitrate_kbps=kbps, frame_rate=rate)
    return Clip(path.stem, [_scaled(f, width, height) for f in call.frames], rate)


@cache
def call_rung(path: Path, rates: tuple[float, ...], frames: int, factor: float = 2.0) -> list[Rung]:
    """Return the x2 rung with H.264: the truth is the clip at 960x540 or 720x1280, and the call is half of it.

    Args:
        rates: Rates of the x2 rung in kbit/s.
        frames: How many, from the second second on.
        factor: Other rungs have as many bits per pixel.

    A smaller clip is its own truth, and its call has as many bits per pixel.
    """
    rate, source = _read(path, frames)
    height, width = source[0].luma.shape
    size = (720, 1280) if height > width else (960, 540)
    share = min(1.0, width * height / (size[0] * size[1]))
    multiple = 4 if factor == 2 else 12
    width, height = size if share == 1.0 else (width // multiple * multiple, height // multiple * multiple)
    truth = [_scaled(f, width, height) for f in source]
    low = [_scaled(f, round(width / factor) // 2 * 2, round(height / factor) // 2 * 2) for f in truth]
    share *= (2 / factor) ** 2
    rungs = []
    for kbps in rates:
        call = encode_decode(low, codec="h264", bitrate_kbps=kbps * share, frame_rate=rate)
        shown = [resize(f.luma, width, height) for f in call.frames]
        rungs.append(Rung(path.stem, kbps, [f.luma for f in truth], shown))
    return rungs


def rung_rates(path: Path) -> tuple[float, ...]:
    """Return low, middle and high rate of the x2 rung in kbit/s, for the shape of a clip."""
    with VideoReader(path) as reader:
        return (200.0, 400.0, 700.0) if reader.height > reader.width else (150.0, 300.0, 450.0)


def _read(path: Path, frames: int) -> tuple[float, list[Yuv420]]:
    with VideoReader(path, start=_FROM_SECOND) as reader:
        info = reader.info
        if info.pix_fmt not in ("yuv420p", "yuvj420p"):
            raise UnsupportedMediaError(f"{path}: the benchmark takes 8-bit 4:2:0, not {info.pix_fmt}")
        rate = float(info.average_rate or 25)
        return rate, list(islice(_copies(reader), frames))


def _copies(reader: VideoReader) -> Iterator[Yuv420]:
    for frame in reader:
        if frame.chroma is not None:
            luma, cb, cr = (np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma))
            if frame.full_range:  # all is limited here; nobody looks at the chroma
                luma = np.rint(luma * np.float32(219 / 255) + 16).astype(np.uint8)
            yield Yuv420(luma, cb, cr)


def _upright(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    return (size[1], size[0]) if shape[0] > shape[1] else size


def _scaled(frame: Yuv420, width: int, height: int) -> Yuv420:
    cb, cr = (resize(plane, width // 2, height // 2) for plane in (frame.cb, frame.cr))
    return Yuv420(resize(frame.luma, width, height), cb, cr)


# -- drawn ----------------------------------------------------------------------------------------------------------


def slide_show(size: tuple[int, int], *, seed: int = 1) -> Clip:
    """Return ten slides of text and shapes, two seconds each at 30 frames per second.

    The frames of a slide are four arrays in turn, as in a decoder. A comparison with the last frame must not be cheap
    because both are the same memory.
    """
    frames = []
    for i in range(_SLIDES):
        drawn = yuv420_from_rgb(_slide(np.random.default_rng((seed, i)), size, i))
        buffers = [Yuv420(*(plane.copy() for plane in drawn)) for _ in range(4)]
        frames += [buffers[k % 4] for k in range(_SLIDE_SECONDS * _SLIDE_RATE)]
    return Clip("slides", frames, _SLIDE_RATE)


_TEXT = """latency frames call bitrate sharpness edge budget teacher student engine quarter plan review risk goal cost
team release window network memory screen detail result figure measure baseline target share"""
_WORDS = _TEXT.split()


def _slide(rng: np.random.Generator, size: tuple[int, int], number: int) -> NDArray[np.uint8]:
    """Draw a heading, lines of words, and bars, boxes or a line chart beside them."""
    width, height = size
    unit = height / 36
    dark = bool(rng.integers(2))
    paper, ink = ((24, 30, 48), (236, 240, 248)) if dark else ((250, 249, 246), (28, 30, 38))
    colours = [tuple(int(v) for v in rng.integers(50, 210, 3)) for _ in range(6)]
    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)

    def words(count: int) -> str:
        return " ".join(_WORDS[int(i)] for i in rng.integers(0, len(_WORDS), count))

    draw.text((2 * unit, 1.5 * unit), f"{number + 1}. {words(3).capitalize()}", ink, ImageFont.load_default(2.2 * unit))
    for line in range(int(rng.integers(5, 10))):
        y = (7 + 2.7 * line) * unit
        draw.ellipse((2 * unit, y + 0.4 * unit, 2.6 * unit, y + unit), fill=colours[0])
        draw.text((3.4 * unit, y), words(int(rng.integers(3, 6))), ink, ImageFont.load_default(1.25 * unit))
    left, bottom = width * 0.56, height - 4 * unit
    kind = number % 3
    if kind == 0:
        for i, share in enumerate(rng.uniform(0.2, 1.0, 6)):
            x = left + i * 4 * unit
            draw.rectangle((x, bottom - share * 22 * unit, x + 2.6 * unit, bottom), fill=colours[i])
            draw.text((x, bottom + 0.3 * unit), f"Q{i + 1}", ink, ImageFont.load_default(1.1 * unit))
    elif kind == 1:
        for i in range(6):
            x, y = left + (i % 2) * 12 * unit, (8 + (i // 2) * 7) * unit
            draw.rounded_rectangle((x, y, x + 10 * unit, y + 5 * unit), unit, fill=colours[i], outline=ink, width=2)
            draw.text((x + unit, y + 1.6 * unit), words(1), paper, ImageFont.load_default(1.3 * unit))
    else:
        xs = left + np.arange(13) * 2 * unit
        for colour in colours[:3]:
            ys = bottom - rng.uniform(2, 20, 13) * unit
            points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
            draw.line(points, fill=colour, width=max(1, round(unit / 6)))
        draw.line((left, bottom, width - 2 * unit, bottom), fill=ink, width=2)
        draw.line((left, bottom, left, 6 * unit), fill=ink, width=2)
    return np.asarray(picture)


def noise(size: tuple[int, int], frames: int, *, seed: int = 1) -> Clip:
    """Return frames in which every sample changes: nothing can be reused, and the search for reuse is pure cost."""
    width, height = size
    rng = np.random.default_rng(seed)

    def planes() -> Iterable[Yuv420]:
        grey = np.full((height // 2, width // 2), 128, np.uint8)
        for _ in range(frames):
            yield Yuv420(rng.integers(16, 236, (height, width), dtype=np.uint8), grey, grey)

    return Clip("noise", list(planes()), 30.0)
