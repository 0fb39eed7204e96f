"""Going on in a video behind a frame that was read before, by another process perhaps."""

import zlib
from fractions import Fraction

import numpy as np

from acutance.errors import ResumeError
from acutance.frame import Frame
from acutance.io.video import VideoReader

__all__ = ["samples_checksum", "skip_past"]

_BACK = (
    0,
    2,
    20,
)  # seconds: where key frames are marked wrongly, or pictures before them need others, farther is better


def samples_checksum(frame: Frame) -> int:
    """CRC-32 of all samples of a frame."""
    found = 0
    for plane in (frame.luma, *(frame.chroma or ())):
        found = zlib.crc32(np.ascontiguousarray(plane).data, found)
    return found


def skip_past(reader: VideoReader, pts: int, checksum: int, *, seek: bool) -> None:
    """Have ``reader`` go on with the frame behind the one of that time and :func:`samples_checksum`.

    seek: begin near it; where what is decoded there is another picture, and where False, begin at the first frame.
    Raises ResumeError where that frame does not come even so.
    """
    time = pts * reader.info.time_base
    for back in _BACK if seek else ():
        reader.rewind(max(time - back, Fraction(0)))
        if _found(reader, pts, checksum) and reader.straight:
            return
    reader.rewind()
    if not _found(reader, pts, checksum):
        raise ResumeError(
            f"{reader.path}: the frame at {float(time):.3f} s is not the one that was read there before"
        ).offering("overwrite")


def _found(reader: VideoReader, pts: int, checksum: int) -> bool:
    for frame in reader:
        if frame.pts is None or frame.pts >= pts:
            return frame.pts == pts and samples_checksum(frame) == checksum
    return False
