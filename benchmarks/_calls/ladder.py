"""The ladder of sizes and rates that teachers are measured on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from _speed.setting import TEST_CLIPS, VAL_CLIPS
from acutance.degrade import Codec, Yuv420, resize
from acutance.errors import InputNotFoundError
from acutance.io import VideoReader

__all__ = ["CODECS", "RUNGS", "TEST_CLIPS", "VAL_CLIPS", "Truth", "read_truth"]

CODECS: tuple[Codec, ...] = ("h264", "vp8", "vp9", "av1")
_AT_EVERY_RATE = ("h264", "vp8")  # the others at the middle one

RUNGS: dict[tuple[int, int], dict[float, tuple[tuple[int, int], tuple[float, float, float]]]] = {
    (720, 1280): {
        4.0: ((180, 320), (60, 100, 200)),
        2.0: ((360, 640), (200, 400, 700)),
        1.5: ((480, 852), (350, 700, 1000)),
        1.0: ((720, 1280), (700, 1500, 2500)),
    },
    (960, 540): {
        3.0: ((320, 180), (60, 100, 200)),
        2.0: ((480, 270), (150, 300, 450)),
        1.5: ((640, 360), (200, 400, 700)),
        1.0: ((960, 540), (400, 800, 1200)),
    },
}
"""By size of the truth (width, height) and factor: the coded size, and low, middle and high rate in kbit/s."""

_START = 1.0  # second
_SMALLEST = 64  # pixels: SVT-AV1 takes no less


@dataclass(frozen=True)
class Truth:
    """A clip at the size of its truth.

    Attributes:
        name: The clip's name.
        rate: Frames per second.
        frames: The frames, limited range.
        rungs: As in RUNGS, for this clip.
    """

    name: str
    rate: float
    frames: list[Yuv420]
    rungs: dict[float, tuple[tuple[int, int], tuple[float, float, float]]]

    def cases(self) -> Iterator[tuple[float, Codec, float]]:
        """Yield (factor, codec, kbit/s) of every call."""
        for factor, (size, rates) in self.rungs.items():
            for codec in CODECS:
                if codec == "av1" and min(size) < _SMALLEST:
                    continue
                for kbps in rates if codec in _AT_EVERY_RATE else rates[1:2]:
                    yield factor, codec, float(kbps)


def read_truth(folder: Path, name: str, frames: int) -> Truth:
    """Read a clip scaled down to its truth, from the second second on.

    A small clip (of the validation clips) is its own truth, or three quarters of it. Its rates have as many bits per
    pixel as the rungs of 960x540.

    Raises:
        InputNotFoundError: The folder does not hold the clip.
    """
    path = next(folder.glob(f"{name}.*"), None)
    if path is None:
        raise InputNotFoundError(f"{folder}: holds no clip {name}")
    with VideoReader(path, start=_START) as reader:
        rate = float(reader.info.average_rate or 25)
        whole = list(islice(_planes(reader), frames))
    height, width = whole[0].luma.shape
    size = (720, 1280) if height > width else (960, 540)
    if width >= size[0]:
        rungs = RUNGS[size]
    else:
        shrink = 0.75 if width >= 640 else 1.0
        size = (int(width * shrink) // 12 * 12, int(height * shrink) // 12 * 12)
        rungs = {
            factor: (_small(size, factor), _same_density(sent, rates, _small(size, factor)))
            for factor, (sent, rates) in RUNGS[960, 540].items()
        }
    return Truth(name, rate, [_scaled(frame, *size) for frame in whole], rungs)


def _small(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return round(size[0] / factor) // 2 * 2, round(size[1] / factor) // 2 * 2


def _same_density(
    sent: tuple[int, int], rates: tuple[float, float, float], size: tuple[int, int]
) -> tuple[float, float, float]:
    share = size[0] * size[1] / (sent[0] * sent[1])
    low, middle, high = (max(1.0, rate * share) for rate in rates)
    return low, middle, high


def _scaled(frame: Yuv420, width: int, height: int) -> Yuv420:
    return Yuv420(
        resize(frame.luma, width, height),
        resize(frame.cb, width // 2, height // 2),
        resize(frame.cr, width // 2, height // 2),
    )


def _planes(reader: VideoReader) -> Iterator[Yuv420]:
    for frame in reader:
        if frame.chroma is None:
            continue
        luma, cb, cr = (np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma))
        if frame.full_range:  # all is limited here; nobody looks at the chroma
            luma = np.rint(luma * np.float32(219 / 255) + 16).astype(np.uint8)
        yield Yuv420(luma, cb, cr)
