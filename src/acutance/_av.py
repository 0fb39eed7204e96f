"""The one door to PyAV (FFmpeg): nothing else imports it.

Importing PyAV takes a fifth of a second and loads FFmpeg, so this module is imported by those who use it, when they do.
"""

import av
import av.error
import av.logging
import numpy as np

from acutance.frame import Plane

__all__ = ["FORMAT_WHITELIST", "av", "plane_view"]

av.logging.set_level(None)  # FFmpeg's chatter would break one-line errors and progress bars

FORMAT_WHITELIST = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,ogg,asf,gif,apng,yuv4mpegpipe,ivf,h264,hevc,av1,obu,nut,mxf"
)
"""Containers that may be opened. Playlists and scripts (concat, hls, dash, ffmetadata, ...) are not among them: they can
make FFmpeg read other files."""


def plane_view(frame: av.VideoFrame, index: int, *, bit_depth: int) -> Plane:
    """A plane of a planar frame as an H x W array on the frame's own memory, strided, without a copy."""
    plane = frame.planes[index]
    dtype: type[np.uint8] | type[np.uint16] = np.uint8 if bit_depth == 8 else np.uint16
    size = np.dtype(dtype).itemsize
    rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // size)
    return rows[:, : plane.width]
