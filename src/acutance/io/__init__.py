"""Sources and sinks of frames: images, video files, Y4M pipes, and the files they live in.

Importing this package loads neither PyAV nor Pillow; each name is resolved when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acutance.io._checks import check_dimensions as check_dimensions
    from acutance.io.files import AtomicOutput as AtomicOutput
    from acutance.io.files import MediaFile as MediaFile
    from acutance.io.files import default_output as default_output
    from acutance.io.files import expand_inputs as expand_inputs
    from acutance.io.images import Image as Image
    from acutance.io.images import read_image as read_image
    from acutance.io.images import write_image as write_image
    from acutance.io.video import VideoInfo as VideoInfo
    from acutance.io.video import VideoReader as VideoReader
    from acutance.io.video_writer import VideoWriter as VideoWriter
    from acutance.io.y4m import Y4MReader as Y4MReader
    from acutance.io.y4m import Y4MWriter as Y4MWriter

_PUBLIC = {
    "AtomicOutput": "acutance.io.files",
    "Image": "acutance.io.images",
    "MediaFile": "acutance.io.files",
    "VideoInfo": "acutance.io.video",
    "VideoReader": "acutance.io.video",
    "VideoWriter": "acutance.io.video_writer",
    "Y4MReader": "acutance.io.y4m",
    "Y4MWriter": "acutance.io.y4m",
    "check_dimensions": "acutance.io._checks",
    "default_output": "acutance.io.files",
    "expand_inputs": "acutance.io.files",
    "read_image": "acutance.io.images",
    "write_image": "acutance.io.images",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'acutance.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
