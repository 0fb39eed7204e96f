"""acutance gives blurred video its sharpness back, in real time, on an ordinary processor.

>>> from acutance import Sharpener
>>> sharper = Sharpener("fast")(image)            # H x W x 3 uint8, or a luma plane H x W
>>> Sharpener("fast").video("call.mp4", "sharp.mp4")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acutance.api import Sharpener as Sharpener
    from acutance.errors import AcutanceError as AcutanceError
    from acutance.frame import ColourInfo as ColourInfo
    from acutance.frame import ColourRange as ColourRange
    from acutance.frame import Frame as Frame
    from acutance.students.bundled import bundled_models as bundled_models
    from acutance.students.spec import Student as Student
    from acutance.students.spec import load_student as load_student

__version__ = "0.1.0"

# Resolved on first use, so that `import acutance` costs next to nothing.
_PUBLIC = {
    "AcutanceError": "acutance.errors",
    "ColourInfo": "acutance.frame",
    "ColourRange": "acutance.frame",
    "Frame": "acutance.frame",
    "Sharpener": "acutance.api",
    "Student": "acutance.students.spec",
    "bundled_models": "acutance.students.bundled",
    "load_student": "acutance.students.spec",
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
