"""From what a user types to a source: camera, screen, stream, file or pipe."""

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
    """The source that ``what`` names, not yet opened.

    what: ``camera``, ``camera:NUMBER`` or ``camera:NAME``, or a device's path; ``screen``, or of it
    ``screen:LEFT,TOP,WIDTHxHEIGHT``; an address such as ``rtsp://``, ``http://``, ``udp://``; a video file; ``-`` for
    YUV4MPEG2 on stdin. size, rate, pix_fmt: to ask a camera for; rate also of a screen, and of a file instead of its
    own. transport: of RTSP. stall: seconds without a picture after which a camera or stream is opened again. loop: a
    file begins again at its end.
    Raises UsageError, InputNotFoundError for a missing file.
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
        raise InputNotFoundError(f"{what}: no such file, and no other source: those are {known}")
    return PacedFile(what, rate=rate, loop=loop, size=size)


def _region(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    found = _REGION.fullmatch(text)
    if found is None or not int(found[3]) or not int(found[4]):
        raise UsageError(f"screen:{text}: a region is LEFT,TOP,WIDTHxHEIGHT, as in screen:0,0,1280x720")
    left, top, width, height = (int(part) for part in found.groups())
    return left, top, width, height
