"""Checkpoints: everything that a run needs to continue exactly where it stopped."""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from acutance._util.extras import first_line
from acutance.errors import ConfigError, ModelError, OutputError

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]


class Recipe(Protocol):
    """What a checkpoint needs to know of a run's options."""

    @property
    def sha256(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass
class Checkpoint:
    """The state of a run after a step.

    Batches depend only on the seed, the step and the pictures, so no state of a data loader is needed.

    Attributes:
        step: steps done.
        student: weights.
        average: weights of the moving average.
        optimizer: state of the optimiser.
        torch_rng: state of torch's random numbers.
        best_psnr: PSNR on luma of the best validation so far, in dB.
        best_epoch: epoch of that validation.
        stale: epochs since then.
        finished: True if patience has run out.
        data_sha256: names the training pictures.
    """

    step: int
    student: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    torch_rng: Tensor
    best_psnr: float = float("-inf")
    best_epoch: int = -1
    stale: int = 0
    finished: bool = False
    data_sha256: str = ""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of all values, to the bit."""
        digest = hashlib.sha256()
        _add(digest, vars(self))
        return digest.hexdigest()


def save_checkpoint(path: Path, checkpoint: Checkpoint, options: Recipe) -> None:
    """Write a checkpoint atomically: if the process is killed, the previous one stays. Raises OutputError."""
    temporary = path.with_name(f".{path.name}.tmp")
    # Not asdict: it would copy every tensor.
    content = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    try:
        torch.save({**content, "options": options.to_dict(), "config_sha256": options.sha256}, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError on a full disk
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {first_line(error)}") from error


def load_checkpoint(path: Path, options: Recipe) -> Checkpoint:
    """Read a checkpoint of the same run. Raises ModelError (not a checkpoint), ConfigError (of another run)."""
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
        digest = raw.pop("config_sha256")
        stored = raw.pop("options")
        checkpoint = Checkpoint(**raw)
    except Exception as error:  # torch raises a dozen kinds here
        raise ModelError(f"{path}: not a checkpoint of a training run: {first_line(error)}") from error
    if digest != options.sha256:
        changed = _differences(stored, options.to_dict())
        raise ConfigError(f"{path}: is of a run with other options ({changed})").offering("out", "fresh")
    return checkpoint


def _add(digest: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            digest.update(repr(key).encode())
            _add(digest, item)
    elif isinstance(value, list | tuple):
        for item in value:
            _add(digest, item)
    elif isinstance(value, Tensor):
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    else:
        digest.update(repr(value).encode())


def _differences(old: Any, new: Any, prefix: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        found = (_differences(old.get(k), new.get(k), f"{prefix}{k}.") for k in sorted({*old, *new}))
        return ", ".join(text for text in found if text)
    return "" if old == new else f"{prefix.rstrip('.')}: {old} -> {new}"
