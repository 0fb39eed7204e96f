"""acutance gives blurred video its sharpness back, in real time, on an ordinary processor.

>>> from acutance import Sharpener
>>> sharper = Sharpener("fast")(image)            # H x W x 3 uint8, or a grey picture H x W
>>> Sharpener("fast").video("call.mp4", "sharp.mp4")
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acutance.api import Sharpener as Sharpener
    from acutance.engine import open_engine as open_engine
    from acutance.errors import AcutanceError as AcutanceError
    from acutance.errors import Cancelled as Cancelled
    from acutance.errors import ConfigError as ConfigError
    from acutance.errors import CorruptInputError as CorruptInputError
    from acutance.errors import DownloadError as DownloadError
    from acutance.errors import EngineError as EngineError
    from acutance.errors import InputNotFoundError as InputNotFoundError
    from acutance.errors import MissingExtraError as MissingExtraError
    from acutance.errors import ModelError as ModelError
    from acutance.errors import NotMediaError as NotMediaError
    from acutance.errors import OutputError as OutputError
    from acutance.errors import OutputExistsError as OutputExistsError
    from acutance.errors import PeerError as PeerError
    from acutance.errors import ResumeError as ResumeError
    from acutance.errors import SourceError as SourceError
    from acutance.errors import TeacherError as TeacherError
    from acutance.errors import TruncatedInputWarning as TruncatedInputWarning
    from acutance.errors import UnsupportedMediaError as UnsupportedMediaError
    from acutance.errors import UsageError as UsageError
    from acutance.frame import ColourInfo as ColourInfo
    from acutance.frame import ColourRange as ColourRange
    from acutance.frame import Frame as Frame
    from acutance.io import VideoReader as VideoReader
    from acutance.io import VideoWriter as VideoWriter
    from acutance.live import LiveJob as LiveJob
    from acutance.live import Stage as Stage
    from acutance.live import open_source as open_source
    from acutance.sharpening.base import BaseSession as BaseSession
    from acutance.sharpening.base import Choice as Choice
    from acutance.sharpening.stream import PixelStream as PixelStream
    from acutance.students.bundled import bundled_models as bundled_models
    from acutance.students.bundled import find_student as find_student
    from acutance.students.spec import Student as Student
    from acutance.students.spec import load_student as load_student

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless the program asks

# Resolved on first use, so that `import acutance` costs next to nothing.
_PUBLIC = {
    name: module
    for module, names in {
        "acutance.api": ("Sharpener",),
        "acutance.engine": ("open_engine",),
        "acutance.errors": (
            "AcutanceError",
            "Cancelled",
            "ConfigError",
            "CorruptInputError",
            "DownloadError",
            "EngineError",
            "InputNotFoundError",
            "MissingExtraError",
            "ModelError",
            "NotMediaError",
            "OutputError",
            "OutputExistsError",
            "PeerError",
            "ResumeError",
            "SourceError",
            "TeacherError",
            "TruncatedInputWarning",
            "UnsupportedMediaError",
            "UsageError",
        ),
        "acutance.frame": ("ColourInfo", "ColourRange", "Frame"),
        "acutance.io": ("VideoReader", "VideoWriter"),
        "acutance.live": ("LiveJob", "Stage", "open_source"),
        "acutance.sharpening.base": ("BaseSession", "Choice"),
        "acutance.sharpening.stream": ("PixelStream",),
        "acutance.students.bundled": ("bundled_models", "find_student"),
        "acutance.students.spec": ("Student", "load_student"),
    }.items()
    for name in names
}

__all__ = [
    "__version__",
    *_PUBLIC,
]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'acutance' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
