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


def skip_past(reader: VideoReader, pts: int, checksum: int | None, *, seek: bool) -> int:
    """Read up to a frame that was read before, so that ``reader`` continues with the frame after it.

    Args:
        reader: an open video.
        pts: time of that frame, in the time base of the video.
        checksum: :func:`samples_checksum` of that frame; None if it is not known, and the time has to do.
        seek: begin at a key frame before it. If another picture is decoded there, or if False, begin at the first
            frame.

    Returns:
        The checksum of that frame.

    Raises:
        ResumeError: the video holds no such frame.
    """
    time = pts * reader.info.time_base
    for back in _BACK if seek else ():
        reader.rewind(max(time - back, Fraction(0)))
        found = _read_up_to(reader, pts)
        if found is not None and checksum in (None, found) and reader.seek_safe:
            return found
    reader.rewind()
    found = _read_up_to(reader, pts)
    if found is None or checksum not in (None, found):
        raise ResumeError(
            f"{reader.path}: the frame at {float(time):.3f} s is not the one that was read there before"
        ).offering("overwrite")
    return found


def _read_up_to(reader: VideoReader, pts: int) -> int | None:
    """Return the checksum of the frame of that time; None if there is none."""
    for frame in reader:
        if frame.pts is None or frame.pts >= pts:
            return samples_checksum(frame) if frame.pts == pts else None
    return None
