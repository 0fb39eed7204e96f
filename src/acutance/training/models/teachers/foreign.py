"""Any architecture that spandrel knows, as a teacher. Optional: spandrel needs torchvision."""

from pathlib import Path

from torch import nn

from acutance._util.extras import require
from acutance.errors import TeacherError

__all__ = ["load_with_spandrel"]


def load_with_spandrel(path: Path) -> tuple[nn.Module, int, str]:
    """(module, scale, architecture) of a checkpoint file. Raises MissingExtraError or TeacherError."""
    spandrel = require("spandrel", extra="spandrel", purpose=f"the teacher {path.name}")
    try:
        descriptor = spandrel.ModelLoader(device="cpu").load_from_file(path)
    except Exception as error:  # spandrel raises whatever the architecture's code raises
        raise TeacherError(f"{path}: spandrel cannot load it: {error}") from error
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        raise TeacherError(f"{path}: not a network from one picture to one picture")
    if descriptor.input_channels != 3 or descriptor.output_channels != 3:
        raise TeacherError(f"{path}: takes {descriptor.input_channels} channels, teachers take RGB")
    module: nn.Module = descriptor.model
    return module, int(descriptor.scale), str(descriptor.architecture.name)
