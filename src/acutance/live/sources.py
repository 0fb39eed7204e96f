"""Parse the name of a live source: camera, screen, stream, file or pipe."""

import re
import sys
from pathlib import Path

from acutance.errors import InputNotFoundError, UsageError
from acutance.io.capture import PROTOCOLS, CaptureSource, camera, screen, stream
from acutance.io.paced import PacedFile, Y4MSource
from acutance.io.source import LiveSource

__all__ = ["open_source"]

_REGION = re.compile(r"(\d+),(\d+),(\d+)x(\d+)")


def open_source(
    what: str = "camera",
    *,
    size: tuple[int, int] | None = None,
    rate: float | None = None,
    pix_fmt: str | None = None,
    transport: str = "tcp",
    stall: float = 5.0,
    loop: bool = False,
) -> LiveSource:
    """Create a source by name. It is not opened yet.

    Args:
        what: ``camera``, ``camera:NUMBER``, ``camera:NAME`` or the path of a device; ``screen`` or a part of it,
            ``screen:LEFT,TOP,WIDTHxHEIGHT``; an address such as ``rtsp://``, ``http://`` or ``udp://``; a video file;
            ``-`` for YUV4MPEG2 on stdin.
        size: width and height to request from a camera, or to scale a file to.
        rate: frames a second to request from a camera or screen, or to play a file at.
        pix_fmt: pixel format to request from a camera, as FFmpeg names it.
        transport: transport of RTSP, ``tcp`` or ``udp``.
        stall: seconds without a frame until a camera or stream is reopened.
        loop: if True, a file starts again at its end.

    Returns:
        The source.

    Raises:
        UsageError: a region or device is malformed.
        InputNotFoundError: ``what`` names no source and no file.
    """
    kind, _, rest = what.partition(":")
    if what == "-":
        return Y4MSource(sys.stdin.buffer)
    if kind == "camera":
        return CaptureSource(camera(rest, size=size, rate=rate, pix_fmt=pix_fmt), stall=stall)
    if what.startswith("/dev/video") or what.isdigit():
        return CaptureSource(camera(what, size=size, rate=rate, pix_fmt=pix_fmt), stall=stall)
    if kind == "screen":
        return CaptureSource(screen(_region(rest), rate=rate or 30.0), stall=stall)
    if "://" in what:
        return CaptureSource(stream(what, transport=transport), stall=stall)
    if not Path(what).exists():
        known = f"camera, screen, a stream's address ({', '.join(PROTOCOLS)}), a file, or '-'"
        raise InputNotFoundError(f"{what}: no such file and no known source; sources are {known}")
    return PacedFile(what, rate=rate, loop=loop, size=size)


def _region(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    found = _REGION.fullmatch(text)
    if found is None or not int(found[3]) or not int(found[4]):
        raise UsageError(f"screen:{text}: a region is LEFT,TOP,WIDTHxHEIGHT, for example screen:0,0,1280x720")
    left, top, width, height = (int(part) for part in found.groups())
    return left, top, width, height
