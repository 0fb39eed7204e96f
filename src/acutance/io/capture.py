"""Cameras, screens and network streams, through FFmpeg."""

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from acutance._util.av import FORMAT_WHITELIST, ColorRange, av, fraction, packets_of, reason
from acutance.errors import AcutanceError, InputNotFoundError, SourceError, UnsupportedMediaError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame
from acutance.io._checks import MAX_PIXELS, check_dimensions
from acutance.io._frames import planes_of
from acutance.io._pixels import PixelPlan, matrix_for, plan_for, repack
from acutance.io.source import LiveSource, SourceEnd, SourceInfo

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Address", "CaptureSource", "camera", "screen", "stream"]

Kind = Literal["camera", "screen", "stream"]

PROTOCOLS = ("rtsp", "rtsps", "rtp", "udp", "tcp", "http", "https", "srt", "rtmp", "rtmps")
_INNER_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,srt,rtmp,rtmps"
_STREAM_FORMATS = f"{FORMAT_WHITELIST},rtsp,rtp,sdp,mjpeg,mpjpeg,hls"
_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_SCREENS = {"linux": "x11grab", "darwin": "avfoundation", "win32": "gdigrab"}
_POLL = 0.002  # seconds between two questions to a camera that has nothing yet
_AT_ONCE = 0.01  # seconds: a packet that takes longer to come was not there yet
_FOLLOW = 0.05  # how fast where sound belongs follows the pictures
_HDR = (16, 18)  # PQ, HLG
_LONGEST_GAP = 2.0  # seconds between two pictures' times; more is a clock that jumped
_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a source is, in FFmpeg's words. name: as people know it. kind: how it behaves when it is lost. buffered:
    it may come faster than it is to be shown, as from a web server."""

    kind: Kind
    name: str
    url: str
    format: str | None
    options: dict[str, str] = field(default_factory=dict)
    buffered: bool = False


def camera(
    which: str = "", *, size: tuple[int, int] | None = None, rate: float | None = None, pix_fmt: str | None = None
) -> Address:
    """A webcam: its number (0 is the first), its device, or its name; the first where empty.

    size, rate: what to ask for; the camera may give others. pix_fmt: ``mjpeg`` or a pixel format, as the camera names
    it; cameras give large pictures at full rate only compressed. Raises UsageError on platforms without cameras.
    """
    format_ = _of_platform(_CAMERAS, "cameras")
    options = {"video_size": f"{size[0]}x{size[1]}"} if size else {}
    if rate:
        options["framerate"] = f"{rate:g}"
    number = int(which) if which.isdigit() else 0 if not which else None
    if format_ == "v4l2":
        url = which if which.startswith("/") else _v4l2(which, number)
        if pix_fmt or (size and size[0] * size[1] > 640 * 480):
            options["input_format"] = pix_fmt or "mjpeg"
    elif format_ == "dshow":
        url = which if which.startswith("video=") else f"video={which}" if number is None else f"video={_nth(number)}"
    else:
        url = which or "0"
        options.setdefault("framerate", "30")  # AVFoundation refuses its own default
    return Address("camera", f"camera {which or 0}" if number is not None else which, url, format_, options)


def screen(
    region: tuple[int, int, int, int] | None = None, *, rate: float = 30.0, display: str | None = None
) -> Address:
    """A part of the screen: left, top, width, height in pixels; all of it where None. display: X11's: ``:0``."""
    format_ = _of_platform(_SCREENS, "screens")
    options = {"framerate": f"{rate:g}"}
    if region is not None:
        options["video_size"] = f"{region[2]}x{region[3]}"
    if format_ == "x11grab":
        options["draw_mouse"] = "1"
        base = display or os.environ.get("DISPLAY") or ":0"
        url = base if region is None else f"{base}+{region[0]},{region[1]}"
    elif format_ == "gdigrab":
        url = "desktop"
        if region is not None:
            options |= {"offset_x": str(region[0]), "offset_y": str(region[1])}
    else:
        url = "Capture screen 0"
    return Address("screen", "screen", url, format_, options)


def stream(url: str, *, transport: str = "tcp") -> Address:
    """A network stream by its address. transport: of RTSP, ``tcp`` or ``udp``. Raises UsageError for other schemes."""
    scheme = url.partition("://")[0].lower()
    if scheme not in PROTOCOLS:
        raise UsageError(f"{url}: streams come by {', '.join(PROTOCOLS)}, not by {scheme}")
    options = {
        "protocol_whitelist": _INNER_PROTOCOLS,
        "format_whitelist": _STREAM_FORMATS,
        "analyzeduration": "1000000",
        "probesize": "1000000",
    }
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = transport
    buffered = scheme.startswith("http")
    if not buffered:
        options["fflags"] = "nobuffer"  # what was read to find out what comes is not shown: it is late by then
    name = re.sub(r"//[^/@]*@", "//", url)  # never shows a password
    return Address("stream", name, url, None, options, buffered=buffered)


class CaptureSource(LiveSource):
    """Frames of a camera, a screen or a stream, as they come.

    stall: seconds without a frame after which the source counts as lost. Frames of other formats than planar YUV are
    turned into the nearest; sizes, formats and ranges may change from frame to frame, and frames say so. What comes
    faster than its times say, as from a web server, is held back; what had to be waited for is not.
    """

    returns = True

    def __init__(self, address: Address, *, stall: float = 5.0) -> None:
        self.address, self._stall = address, stall
        self._container: InputContainer | None = None
        self._wanted: set[int] = set()
        self._packets: Iterator[Any] | None = None
        self._ready: list[Any] = []
        self._plans: dict[tuple[str, int, int], PixelPlan] = {}
        self._heard = 0.0  # when the last frame came
        self._waited = True  # for the packet that it came in
        self._held: Any = None  # a picture that is not due yet
        self._due_offset: float | None = None  # from its clock to the monotonic one
        self._given_offset: float | None = None  # the same, of pictures as they are given

    def open(self) -> SourceInfo:
        self.close()
        where = self.address
        if where.kind == "camera" and where.format == "v4l2" and not Path(where.url).exists():
            raise InputNotFoundError(f"{where.name}: there is no {where.url}; {_cameras_in_words()}")
        try:
            self._container = container = av.open(
                where.url,
                "r",
                format=where.format,
                # A camera is asked, not waited for, so that a frozen one can be told from a slow one.
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={**where.options, **({"fflags": "nonblock"} if where.kind == "camera" else {})},
                timeout=(2 * self._stall, self._stall),
            )
            videos = container.streams.video
            if not videos:
                raise SourceError(f"{where.name}: there is no picture in it")
            video = videos[0]
            context = video.codec_context
            # Threads that each decode a frame of their own hold back as many frames.
            context.thread_type = "SLICE"
            wanted: list[Any] = [video]
            sounds = container.streams.audio
            if sounds and self.on_sound is not None:
                wanted.append(sounds[0])
            # All of them, and unwanted ones passed over here: asked for one alone, FFmpeg would not come back while
            # only others come.
            self._packets = packets_of(container)
            self._video_index = video.index
            self._wanted = {stream.index for stream in wanted}
            self._aspect = fraction(video.sample_aspect_ratio)
            self._heard = time.monotonic()
            rate = fraction(video.average_rate) or fraction(video.guessed_rate)
            pix_fmt = context.pix_fmt or ""
            name = f"{where.name} ({context.codec.name})" if context.codec.name != "rawvideo" else where.name
            return SourceInfo(name, context.width, context.height, rate, pix_fmt, sound=bool(sounds))
        except AcutanceError:
            self.close()
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.close()
            raise _opening_error(where, error, self._stall) from error

    def read(self, timeout: float) -> Frame:
        end = time.monotonic() + timeout
        if self._held is None:
            while not self._ready:
                self._fetch(end)
            self._held = self._ready.pop(0)
            self._heard = time.monotonic()
        early = self._early(self._held) if self.address.buffered else 0.0
        left = end - time.monotonic()
        if early > left:
            time.sleep(max(0.0, left))
            raise TimeoutError
        if early > 0:
            time.sleep(early)
        picture, self._held = self._held, None
        if picture.pts is not None and picture.time_base:
            offset = time.monotonic() - float(picture.pts * picture.time_base)
            known = self._given_offset
            jumped = known is None or abs(offset - known) > _LONGEST_GAP
            self._given_offset = offset if jumped or known is None else known + _FOLLOW * (offset - known)
        return self._frame(picture)

    def _early(self, picture: Any) -> float:
        """Seconds until a picture is due. What the network had to be waited for is due when it comes: so a sender whose
        clock runs fast does not fill the line."""
        if picture.pts is None or not picture.time_base:
            return 0.0
        own, now = float(picture.pts * picture.time_base), time.monotonic()
        if self._due_offset is None or self._waited or abs(own + self._due_offset - now) > _LONGEST_GAP:
            self._due_offset, self._waited = now - own, False
        return own + self._due_offset - now

    def _fetch(self, end: float) -> None:
        """Decode the next packet; raises TimeoutError past ``end``."""
        where = self.address
        if self._packets is None or self._container is None:
            raise SourceError(f"{where.name}: is not open")
        asked = time.monotonic()
        try:
            packet = next(self._packets)
            took = time.monotonic() - asked
        except StopIteration:
            if where.kind == "stream":
                raise SourceError(f"{where.name}: the stream has ended") from None
            raise SourceEnd from None
        except av.error.ExitError:  # FFmpeg's word for a time-out
            raise SourceError(f"{where.name}: nothing has come for {self._stall:g} seconds") from None
        except (av.error.FFmpegError, OSError) as error:
            if getattr(error, "errno", None) not in _AGAIN:
                raise SourceError(f"{where.name}: is lost: {reason(error)}") from error
            self._packets = packets_of(self._container)  # a generator that raised is finished
            self._check_patience(time.monotonic(), end)
            time.sleep(_POLL)
            return
        decoded: list[Any] = []
        if packet.stream.index in self._wanted:
            # Of a stream that was joined in the middle, or lost packets: the next key frame mends it.
            with contextlib.suppress(av.error.FFmpegError, ValueError):
                decoded = packet.decode()
        now = time.monotonic()
        if not decoded or packet.stream.index != self._video_index:
            self._check_patience(now, end)
        if packet.stream.index == self._video_index:
            self._waited = took > _AT_ONCE
            self._ready += decoded
        elif self.on_sound is not None and self._given_offset is not None:
            for block in decoded:
                if block.pts is not None and block.time_base:
                    self.on_sound(block, float(block.pts * block.time_base) + self._given_offset)

    def _check_patience(self, now: float, end: float) -> None:
        """Raises SourceError where there has been no picture for too long, TimeoutError past ``end``."""
        if now - self._heard > self._stall:
            raise SourceError(f"{self.address.name}: no picture for {self._stall:g} seconds")
        if now >= end:
            raise TimeoutError

    def _frame(self, picture: Any) -> Frame:
        name = self.address.name
        key = (picture.format.name, picture.width, picture.height)
        plan = self._plans.get(key)
        if plan is None:
            check_dimensions(name, picture.width, picture.height)
            plan = plan_for(*key)
            if plan is None:
                raise UnsupportedMediaError(f"{name}: pixel format {key[0]} is not accepted")
            self._plans[key] = plan
        if picture.interlaced_frame:
            raise UnsupportedMediaError(f"{name}: interlaced pictures: deinterlace them first")
        if picture.color_trc in _HDR:
            raise UnsupportedMediaError(f"{name}: HDR pictures: the students were trained on standard dynamic range")
        full = not plan.from_rgb and (plan.full_range or picture.color_range == ColorRange.JPEG)
        colour = ColourInfo(
            range=ColourRange.FULL if full else ColourRange.LIMITED,
            matrix=matrix_for(picture.width, picture.height) if plan.from_rgb else int(picture.colorspace),
        )
        rotation = round(picture.rotation / 90) * 90 % 360
        if plan.repacked or any(plane.line_size < 0 for plane in picture.planes):
            picture = repack(picture, plan, picture.width, picture.height)
        luma, chroma = planes_of(picture, plan)
        return Frame(
            luma=luma,
            chroma=chroma,
            bit_depth=plan.bit_depth,
            pts=picture.pts,
            time_base=fraction(picture.time_base),
            colour=colour,
            rotation=rotation,
            sample_aspect_ratio=self._aspect,
            backing=picture,
        )

    def close(self) -> None:
        container, self._container = self._container, None
        self._packets, self._ready, self._held = None, [], None
        self._due_offset = self._given_offset = None
        if container is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                container.close()


def _of_platform(table: dict[str, str], what: str) -> str:
    for platform, name in table.items():
        if sys.platform.startswith(platform):
            return name
    raise UsageError(f"{what} are known on Linux, macOS and Windows, not on {sys.platform}")


def _v4l2(which: str, number: int | None) -> str:
    """The device of a camera by number or name, as ``acutance devices`` lists them."""
    from acutance.io.devices import list_devices

    cameras = [device for device in list_devices() if device.kind == "camera"]
    if number is not None:
        return cameras[number].address if number < len(cameras) else f"/dev/video{number}"
    named = [device.address for device in cameras if which.lower() in device.name.lower()]
    if not named:
        raise InputNotFoundError(f"camera {which}: is not there; {_cameras_in_words()}")
    return named[0]


def _nth(number: int) -> str:
    """DirectShow knows cameras by name only."""
    from acutance.io.devices import list_devices

    names = [device.address for device in list_devices() if device.kind == "camera"]
    if number >= len(names):
        raise InputNotFoundError(f"camera {number}: {_cameras_in_words()}")
    return names[number].removeprefix("video=")


def _cameras_in_words() -> str:
    from acutance.io.devices import list_devices

    names = [f"{device.address} ({device.name})" for device in list_devices() if device.kind == "camera"]
    if names:
        return f"there are {', '.join(names)}"
    return "no camera is plugged in; a file, a stream's address or 'screen' can stand in for one"


def _opening_error(where: Address, error: BaseException, stall: float) -> AcutanceError:
    """What to tell whoever wanted to open it, and what they can do."""
    code = getattr(error, "errno", None)
    what = reason(error)
    if where.kind == "camera":
        if code in (errno.EACCES, errno.EPERM):
            hint = "; on Linux, users in the group 'video' may" if sys.platform.startswith("linux") else ""
            return SourceError(f"{where.name}: this program may not use it: allow it in the system's settings{hint}")
        if code == errno.EBUSY:
            return SourceError(f"{where.name}: another program is using it")
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return InputNotFoundError(f"{where.name}: is not there; {_cameras_in_words()}")
        if code == errno.EINVAL:
            asked = ", ".join(f"{k} {v}" for k, v in where.options.items())
            return SourceError(f"{where.name}: does not offer {asked or 'that'}; 'acutance devices' lists what it does")
    if where.kind == "screen":
        return SourceError(
            f"{where.name}: cannot be read ({what}): is {where.url.partition('+')[0]!r} the display, and is it X11? "
            "Wayland lets programs see other windows through XWayland only"
            if where.format == "x11grab"
            else f"{where.name}: cannot be read ({what}): allow screen recording in the system's settings"
        )
    if isinstance(error, av.error.ExitError):
        return SourceError(f"{where.name}: nothing has come within {2 * stall:g} seconds")
    return SourceError(f"{where.name}: cannot be opened: {what}")
