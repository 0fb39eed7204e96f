"""The one door to PyAV (FFmpeg): nothing else imports it.

Importing PyAV takes a fifth of a second and loads FFmpeg, so this module is imported by those who use it, when they do.
"""

import os
import re
import threading
from typing import Any

import av
import av.device
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from acutance.frame import Plane

__all__ = [
    "CHROMA_LOCATIONS",
    "FORMAT_WHITELIST",
    "ColorRange",
    "Colorspace",
    "Interpolation",
    "av",
    "chroma_location",
    "plane_view",
    "reason",
]

# SVT-AV1 writes to stderr by itself, past FFmpeg's logging, from its own threads.
os.environ.setdefault("SVT_LOG", "0")
av.logging.set_level(None)  # FFmpeg's chatter would break one-line errors and progress bars

FORMAT_WHITELIST = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,ogg,asf,gif,apng,yuv4mpegpipe,ivf,h264,hevc,av1,obu,"
    "nut,mxf"
)
"""Containers that may be opened. Playlists and scripts (concat, hls, dash, ffmetadata, ...) are not among them: they
can make FFmpeg read other files."""


def plane_view(frame: av.VideoFrame, index: int, *, bit_depth: int) -> Plane:
    """A plane of a planar frame as an H x W array on the frame's own memory, strided, without a copy."""
    plane = frame.planes[index]
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if bit_depth == 8 else np.uint16
    size = np.dtype(dtype).itemsize
    rows: Any = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, plane.line_size // size)
    view: Plane = rows[:, : plane.width]
    return view


def reason(error: BaseException) -> str:
    """What FFmpeg says went wrong, in its words but without its codes and file names."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


CHROMA_LOCATIONS = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""FFmpeg's names for where chroma samples sit, by their code point."""

_log_lock = threading.Lock()


def chroma_location(container: InputContainer, stream_index: int) -> int:
    """Where the chroma samples of a video stream sit: an index into :data:`CHROMA_LOCATIONS`, 0 for unspecified.

    PyAV has no attribute for it. FFmpeg prints it in its description of the stream, ``yuv420p(tv, bt709, topleft)``.
    """
    with _log_lock:
        try:
            av.logging.set_libav_level(av.logging.VERBOSE)
            av.logging.set_level(av.logging.VERBOSE)
            text = str(container.dumps_format())  # type: ignore[attr-defined]
        finally:
            av.logging.set_level(None)
    line = re.search(rf"Stream #0:{stream_index}\b.*", text)
    names = re.findall(r"[a-z]+", line.group(0)) if line else []
    return next((CHROMA_LOCATIONS.index(name) for name in names if name in CHROMA_LOCATIONS[1:]), 0)
