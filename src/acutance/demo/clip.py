"""The clip of the demonstration: 4:2:0 frames, drawn or read from a video, and their conversions."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance.degrade import Yuv420, resize, yuv420_from_rgb
from acutance.demo.scene import FRAME_RATE, scene
from acutance.errors import UnsupportedMediaError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io import VideoReader

__all__ = ["FACTOR", "Clip", "drawn_clip", "read_clip", "rgb_of", "scaled"]

FACTOR = 2
"""How much smaller the call is than the clip."""

_MOST_PIXELS = 600_000_000  # of all frames together; they take about four gigabytes in memory


@dataclass(frozen=True)
class Clip:
    """The true frames.

    Attributes:
        frames: planes of 4:2:0, 8 bit, with sides that are multiples of four, so that half the size is even.
        rate: frames a second.
        colour: meaning of the code values.
        rotation: degrees to rotate for display, counter-clockwise.
        source: the video that the frames are from; None if they are drawn.
    """

    frames: list[Yuv420]
    rate: Fraction
    colour: ColourInfo
    rotation: int = 0
    source: Path | None = None


def drawn_clip(duration: float) -> Clip:
    """Draw so many seconds of the built-in scene."""
    frames = [_cropped(yuv420_from_rgb(frame)) for frame in scene(duration)]
    return Clip(frames, Fraction(FRAME_RATE), ColourInfo(matrix=6))  # BT.601


def read_clip(source: str | Path, duration: float) -> Clip:
    """Read the beginning of a video.

    Args:
        source: a video of 8-bit 4:2:0.
        duration: seconds to read. Fewer are read if the frames would not fit into memory.

    Returns:
        The clip.

    Raises:
        UnsupportedMediaError: another pixel format, or a frame smaller than 64 x 64.
        AcutanceError: the file cannot be read.
    """
    with VideoReader(source, duration=duration) as reader:
        info = reader.info
        if info.pix_fmt not in ("yuv420p", "yuvj420p"):
            raise UnsupportedMediaError(f"{source}: the demo needs 8-bit 4:2:0 video, not {info.pix_fmt}")
        rate = info.average_rate or Fraction(FRAME_RATE)
        # Truth, received and sharpened frames are all in memory at the same time.
        fits = max(1, _MOST_PIXELS // (reader.width * reader.height))
        limit = min(max(1, round(duration * float(rate))), fits)
        frames = [_copied(frame) for frame in islice(reader, limit)]
        return Clip(frames, rate, info.colour, info.rotation, Path(source))


def _copied(frame: Frame) -> Yuv420:
    assert frame.chroma is not None
    return _cropped(Yuv420(*(np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma))))


def rgb_of(frame: Yuv420, clip: Clip) -> NDArray[np.uint8]:
    """Convert a frame to upright RGB with the clip's matrix (ITU-T H.273) and range.

    Args:
        frame: planes of 4:2:0, 8 bit.
        clip: the clip that the frame belongs to.

    Returns:
        H x W x 3, uint8, rotated for display.
    """
    height, width = frame.luma.shape
    matrix = clip.colour.matrix
    if matrix not in (1, 5, 6, 9):  # unspecified: the rule of most players
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
    multiple = 2 * FACTOR
    height, width = (side // multiple * multiple for side in frame.luma.shape)
    if min(height, width) < 64:
        raise UnsupportedMediaError(f"the demo needs a video of at least 64 x 64, not {width} x {height}")
    return Yuv420(
        frame.luma[:height, :width], frame.cb[: height // 2, : width // 2], frame.cr[: height // 2, : width // 2]
    )


def scaled(frame: Yuv420, width: int, height: int) -> Yuv420:
    """Scale a frame with the bicubic filter.

    Args:
        frame: planes of 4:2:0, 8 bit.
        width: width of luma, even.
        height: height of luma, even.

    Returns:
        The scaled planes.
    """
    chroma = (np.ascontiguousarray(plane) for plane in (frame.cb, frame.cr))
    cb, cr = (resize(plane, width // 2, height // 2) for plane in chroma)
    return Yuv420(resize(np.ascontiguousarray(frame.luma), width, height), cb, cr)
