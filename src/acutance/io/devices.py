"""What is plugged in: cameras, with the sizes they offer, and microphones."""

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from acutance._util.av import av

__all__ = ["Device", "list_devices", "microphone_address"]

_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_MICROPHONES = {"linux": "alsa", "darwin": "avfoundation", "win32": "dshow"}
_ALSA = Path("/usr/share/alsa/alsa.conf")


@dataclass(frozen=True, slots=True)
class Device:
    """kind: what it gives. address: what an option takes. name: as people know it. modes: ``mjpeg 1280x720``, one for
    each that is offered, as far as the system says."""

    kind: Literal["camera", "microphone"]
    address: str
    name: str
    modes: tuple[str, ...] = ()


def list_devices(*, modes: bool = False) -> list[Device]:
    """Cameras and microphones of this machine. modes: also ask each camera what it offers."""
    found = []
    for format_, address, name, kinds in _enumerate():
        if "video" in kinds:
            found.append(Device("camera", address, name, _modes(format_, address) if modes else ()))
        if "audio" in kinds:
            found.append(Device("microphone", address, name))
    return found


def microphone_address(which: str = "") -> tuple[str, str]:
    """FFmpeg's format and address for a microphone: the system's default where empty."""
    format_ = _of_platform(_MICROPHONES)
    if format_ == "alsa":
        _find_alsa()
    if format_ == "avfoundation":
        return format_, which if which.startswith(":") else f":{which or 'default'}"
    if format_ == "dshow":
        name = which or next((d.address for d in list_devices() if d.kind == "microphone"), "default")
        return format_, name if name.startswith("audio=") else f"audio={name}"
    return format_, which or "default"


def _find_alsa() -> bool:
    """Whether there is sound hardware that ALSA knows. PyAV brings a library of its own, which looks for its
    configuration where there is none, and says so on stderr."""
    if _ALSA.exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", str(_ALSA))
    return _ALSA.exists() and Path("/proc/asound").exists()


def _of_platform(table: dict[str, str]) -> str:
    return next((name for platform, name in table.items() if sys.platform.startswith(platform)), "")


def _enumerate() -> list[tuple[str, str, str, list[str]]]:
    """Format, address, name and kinds of media of each device."""
    found = []
    for format_ in dict.fromkeys((_of_platform(_CAMERAS), _of_platform(_MICROPHONES))):
        if format_ == "alsa" and not _find_alsa():
            continue
        try:
            devices = av.device.enumerate_input_devices(format_)
        except (av.error.FFmpegError, OSError, ValueError):
            continue  # a system without such devices
        for device in devices:
            kinds = device.media_types or (["audio"] if format_ == "alsa" else ["video"])
            address = device.name
            if format_ == "dshow":
                address = f"{'audio' if kinds == ['audio'] else 'video'}={device.name}"
            found.append((format_, address, device.description or device.name, list(kinds)))
    return found


def _modes(format_: str, address: str) -> tuple[str, ...]:
    """What a camera offers, from FFmpeg's description of it."""
    option = {"v4l2": ("list_formats", "all"), "dshow": ("list_options", "true")}.get(format_)
    if option is None:
        return ()
    try:
        av.logging.set_level(av.logging.INFO)
        # It lists, and then says that it has nothing to play.
        with av.logging.Capture() as lines, contextlib.suppress(av.error.FFmpegError, OSError):
            av.open(address, format=format_, options=dict([option])).close()
    finally:
        av.logging.set_level(None)
    return parse_modes("\n".join(text for *_, text in lines))


def parse_modes(text: str) -> tuple[str, ...]:
    """``mjpeg 1280x720`` and so on, from what FFmpeg prints for V4L2 and DirectShow cameras; each once, in order."""
    found: list[str] = []
    for line in text.splitlines():
        raw = re.search(r"(?:Raw|Compressed)\s*:\s*(\S+)\s*:.*:((?:\s+\d+x\d+)+)", line)
        if raw:
            found += [f"{raw[1]} {size}" for size in raw[2].split()]
        shown = re.search(r"(?:pixel_format|vcodec)=(\S+)\s+min s=\S+ fps=\S+ max s=(\d+x\d+) fps=(\S+)", line)
        if shown:
            found.append(f"{shown[1]} {shown[2]} at {float(shown[3]):.3g}")
    return tuple(dict.fromkeys(found))
