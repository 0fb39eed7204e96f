"""The only module that imports PyAV (FFmpeg).

Importing PyAV takes a fifth of a second and loads FFmpeg. Callers therefore import this module only when they need it.
"""

import os
import re
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import MissingExtraError
from acutance.frame import Plane

try:
    import av
    import av.device
    import av.error
    import av.logging
    from av.container import InputContainer
    from av.video.reformatter import ColorRange, Colorspace, Interpolation
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f"files, video and cameras need '{missing.name}': pip install 'acutance[video]'"
    ) from missing

__all__ = [
    "CHROMA_LOCATIONS",
    "FORMAT_WHITELIST",
    "TAGS_AS_BYTES",
    "ColorRange",
    "Colorspace",
    "Interpolation",
    "av",
    "chroma_location",
    "copy_properties",
    "fraction",
    "late_streams",
    "packets_of",
    "plane_rows",
    "plane_view",
    "reason",
    "time_unit",
]

# SVT-AV1 writes to stderr from its own threads, without FFmpeg's logging.
os.environ.setdefault("SVT_LOG", "0")
av.logging.set_level(None)  # FFmpeg's messages would break one-line errors and progress bars

FORMAT_WHITELIST = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,ogg,asf,gif,apng,yuv4mpegpipe,ivf,h264,hevc,av1,obu,"
    "nut,mxf"
)
"""Containers that may be opened. It lacks playlists and scripts (concat, hls, dash, ffmetadata, ...), because these can
make FFmpeg read other files."""


TAGS_AS_BYTES: dict[str, Any] = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
"""For ``av.open``: tags that are not UTF-8 become surrogates and are written back as the same bytes.

PyAV 19 does that by itself and has lost the argument.
"""


def fraction(value: Any) -> Fraction | None:
    """Return a time base, rate or ratio of PyAV as a Fraction; None where it is not set.

    PyAV 18 gives Fraction or None. PyAV 19 gives its own ``AVRational``, whose unset values are falsy.
    """
    return Fraction(value.numerator, value.denominator) if value else None


def time_unit(timed: Any, default: Fraction = Fraction(1)) -> Fraction:
    """Return the time base of a frame, packet, stream or codec context, in seconds; ``default`` where it has none."""
    return fraction(timed.time_base) or default


def plane_view(frame: av.VideoFrame, index: int, *, bit_depth: int) -> Plane:
    """Return one plane of a planar frame as a view on the frame's memory.

    Args:
        frame: a decoded frame of a planar pixel format.
        index: the plane: 0 is luma, 1 is Cb, 2 is Cr.
        bit_depth: bits of a sample: 8 gives uint8, more gives uint16.

    Returns:
        H x W array with the strides of the frame. Nothing is copied.
    """
    plane = frame.planes[index]
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if bit_depth == 8 else np.uint16
    size = np.dtype(dtype).itemsize
    rows: Any = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // size)
    view: Plane = rows[:, : plane.width]
    return view


def plane_rows(plane: Any) -> NDArray[np.uint8]:
    """Return the bytes of a plane of a frame, rows x bytes of a row with its padding, on the plane's own memory."""
    rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows


def copy_properties(source: av.VideoFrame, target: av.VideoFrame) -> None:
    """Give a frame the times and the meaning of the colours of another."""
    target.pts = source.pts
    if source.time_base:
        target.time_base = source.time_base
    target.color_range, target.colorspace = source.color_range, source.colorspace
    target.color_primaries, target.color_trc = source.color_primaries, source.color_trc


def reason(error: BaseException) -> str:
    """Return FFmpeg's message of an error.

    Args:
        error: an exception that PyAV raised.

    Returns:
        The message without FFmpeg's error code and without the file name.
    """
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""FFmpeg's names of chroma sample positions, by code point (ITU-T H.273)."""

_log_lock = threading.Lock()


def packets_of(container: InputContainer, *streams: Any) -> "Iterator[av.Packet[Any]]":
    """Yield the packets of a container, as ``container.demux`` does.

    PyAV (18.1) raises IndexError at the end of a file in which a stream first appears in mid-file, behind the closing
    packets of the streams that it knows. Such a stream is left out here; :func:`late_streams` counts them.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            return
        yield packet


def late_streams(container: InputContainer) -> int:
    """Return how many streams have appeared since a container was opened."""
    return max(0, len(re.findall(r"^ *Stream #0:", _described(container), re.MULTILINE)) - len(container.streams))


def _described(container: InputContainer) -> str:
    """FFmpeg's description of an open file, which holds what PyAV has no attribute for."""
    with _log_lock:
        try:
            av.logging.set_libav_level(av.logging.VERBOSE)
            av.logging.set_level(av.logging.VERBOSE)
            return str(container.dumps_format())  # type: ignore[attr-defined]
        finally:
            av.logging.set_level(None)


def chroma_location(container: InputContainer, stream_index: int) -> int:
    """Return the position of a video stream's chroma samples.

    PyAV has no attribute for it. FFmpeg prints it in its description of the stream, ``yuv420p(tv, bt709, topleft)``.

    Args:
        container: an open input.
        stream_index: index of the video stream in the container.

    Returns:
        An index into :data:`CHROMA_LOCATIONS`; 0 if the stream does not specify it.
    """
    text = _described(container)
    line = re.search(rf"Stream #0:{stream_index}\b.*", text)
    names = re.findall(r"[a-z]+", line.group(0)) if line else []
    return next((CHROMA_LOCATIONS.index(name) for name in names if name in CHROMA_LOCATIONS[1:]), 0)
