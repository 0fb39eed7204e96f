"""Students as files for other programs. Each file is compared with its student before it gets its name."""

from acutance.export.files import FORMATS, Export, Format, check_export, export_student
from acutance.export.inspection import Inspected, inspect_export
from acutance.export.parity import LIMITS, Limits, Parity, parity
from acutance.export.pictures import calibration_planes, examples
from acutance.export.running import Exported, open_exported

__all__ = [
    "FORMATS",
    "LIMITS",
    "Export",
    "Exported",
    "Format",
    "Inspected",
    "Limits",
    "Parity",
    "calibration_planes",
    "check_export",
    "examples",
    "export_student",
    "inspect_export",
    "open_exported",
    "parity",
]
