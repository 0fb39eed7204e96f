"""Teachers: large restoration networks, loaded from weights that others trained."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acutance.errors import InputNotFoundError, TeacherError
from acutance.training.models.cost import Cost, measure_cost
from acutance.training.models.teachers.lkdn import LKDN
from acutance.training.models.teachers.srresnet import SRResNet, is_srresnet, translate_checkpoint
from acutance.training.models.teachers.upconv7 import UpConv7

__all__ = ["LKDN", "TRAINABLE", "SRResNet", "Teacher", "UpConv7", "load_teacher", "save_teacher"]

TRAINABLE: dict[str, type[LKDN] | type[SRResNet]] = {"lkdn": LKDN, "srresnet": SRResNet}
"""Teachers that a run can train, by the name that a recipe gives them as its tier. All are made from their scale; they
have ``features`` and ``reconstruct``."""

_TILE, _HALO = 256, 32  # low-resolution pixels; LKDN's gain from farther away than 32 is not measurable in 8 bits


@dataclass
class Teacher:
    """A network from a low-resolution RGB picture to a sharp one ``scale`` times its size.

    sha256: of the weight file; part of the key under which outputs are cached.
    """

    name: str
    module: nn.Module
    scale: int
    sha256: str
    architecture: str
    _cost: Cost | None = field(default=None, repr=False)

    @property
    def cost(self) -> Cost:
        """Parameters, and multiply-accumulates per output pixel."""
        if self._cost is None:
            self._cost = measure_cost(self.module)
        return self._cost

    @torch.no_grad()
    def restore(self, low: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Restore a picture of any size, tile by tile.

        low: h x w x 3 uint8. Returns sh x sw x 3 float32 in code values 0..255, neither rounded nor clipped.
        """
        height, width = low.shape[:2]
        s = self.scale
        out = np.empty((height * s, width * s, 3), np.float32)
        source = torch.tensor(low).permute(2, 0, 1)[None].float().div_(255)
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                bottom, right = min(top + _TILE, height), min(left + _TILE, width)
                y0, x0 = max(top - _HALO, 0), max(left - _HALO, 0)
                y1, x1 = min(bottom + _HALO, height), min(right + _HALO, width)
                piece = self.module(source[:, :, y0:y1, x0:x1].contiguous(memory_format=torch.channels_last))
                piece = piece[0].permute(1, 2, 0).mul(255).numpy()
                dy, dx = (top - y0) * s, (left - x0) * s
                h, w = (bottom - top) * s, (right - left) * s
                out[top * s : top * s + h, left * s : left * s + w] = piece[dy : dy + h, dx : dx + w]
        return out


def load_teacher(path: str | Path) -> Teacher:
    """Load a teacher from ``.safetensors``, or from ``.pt``/``.pth`` with ``weights_only=True``.

    The architecture is recognised from the names of the tensors; what is not known here is offered to spandrel where
    that is installed. Raises InputNotFoundError, TeacherError, MissingExtraError.
    """
    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such teacher file")
    tensors = _read_tensors(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    module, scale, architecture = _recognise(tensors, path)
    module.eval().requires_grad_(False)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Teacher(path.stem, module, scale, digest, architecture)


def save_teacher(module: nn.Module, path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write weights in half precision, under the names that :func:`load_teacher` knows, whole or not at all."""
    from safetensors.torch import save_file

    tensors = {name: (t.half() if t.is_floating_point() else t).contiguous() for name, t in module.state_dict().items()}
    temporary = path.with_name(f".{path.name}.tmp")
    save_file(tensors, temporary, metadata=dict(metadata))
    temporary.replace(path)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise TeacherError(f"{path}: not a safetensors file: {error}") from error
    else:
        try:
            raw = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises a dozen kinds here, pickle's among them
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TeacherError(f"{path}: cannot be read as weights: {reason[0]}") from error
        for key in ("params_ema", "params", "state_dict", "model", "generator"):
            if isinstance(raw, dict) and isinstance(raw.get(key), dict):
                raw = raw[key]
                break
        if not isinstance(raw, dict) or not all(isinstance(t, Tensor) for t in raw.values()):
            raise TeacherError(f"{path}: holds no state dict of tensors")
        tensors = raw
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TeacherError(f"{path}: tensor {name} holds values that are not finite")
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _recognise(tensors: Mapping[str, Tensor], path: Path) -> tuple[nn.Module, int, str]:
    state = dict(tensors)
    module: nn.Module
    if "B1.atten.depthwise_dilated.weight" in state and "upsampler.0.weight" in state:
        scale = round((state["upsampler.0.weight"].shape[0] / 3) ** 0.5)
        module, architecture = LKDN(scale), "LKDN"
    elif "conv7.weight" in state and tuple(state["conv7.weight"].shape[1:]) == (3, 4, 4):
        module, scale, architecture = UpConv7(), 2, "upconv_7"
    elif is_srresnet(state):
        resnet, state = translate_checkpoint(state, source=str(path))
        module, scale, architecture = resnet, resnet.scale, "SRResNet"
    else:
        from acutance.training.models.teachers.foreign import load_with_spandrel

        return load_with_spandrel(path)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise TeacherError(f"{path}: does not fit {architecture}: {' '.join(str(error).split())[:200]}") from error
    return module, scale, architecture
