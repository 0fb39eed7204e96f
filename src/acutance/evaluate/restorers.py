"""Methods that restore a degraded picture: the input itself, filters, students, teachers."""

import hashlib
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import require
from acutance.degrade import ResizeMethod, resize
from acutance.errors import InputNotFoundError, ModelError
from acutance.sharpening.single import FrameSharpener
from acutance.students.spec import Student

if TYPE_CHECKING:
    from acutance.training.models.teachers import Teacher

__all__ = [
    "InputRestorer",
    "ReportRestorer",
    "ResizeRestorer",
    "Restorer",
    "Rgb",
    "StudentRestorer",
    "TeacherRestorer",
]

Rgb = NDArray[np.uint8]
"""H x W x 3, full range."""

_CACHE_VERSION = 1  # raise it when the code of a teacher computes something else


class Restorer(ABC):
    """One method.

    Attributes:
        name: Unique within a comparison.
        kind: ``input``, ``filter``, ``student``, ``control``, ``report`` or ``teacher``.
        detail: What a reader of the figures must know about it, in words.
        parameters: Of its network; None where it has none.
        macs_per_pixel: Multiply-accumulates per pixel; None where it has no network.
    """

    name: str
    kind: str
    detail: str = ""
    parameters: int | None = None
    macs_per_pixel: float | None = None

    def misfit(self, factor: float) -> str | None:  # noqa: ARG002 - most methods fit every factor
        """Return why this method cannot restore pictures scaled by ``factor``, or None where it can."""
        return None

    def caution(self, factor: float) -> str | None:  # noqa: ARG002
        """Return a caution about its figures at ``factor``, or None."""
        return None

    @abstractmethod
    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:
        """Restore a picture.

        Args:
            low: The small picture, h x w x 3, uint8.
            degraded: The same, scaled up to the size of the truth, H x W x 3, uint8.

        Returns:
            H x W x 3, uint8.
        """


class InputRestorer(Restorer):
    """Returns the input, which every other method has to beat. It is named after the filter that scaled it up.

    Args:
        up: Name of that filter.
    """

    kind = "input"

    def __init__(self, up: str = "bicubic") -> None:
        self.name = up
        self.detail = "the input itself"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:  # noqa: ARG002
        return degraded


class ResizeRestorer(Restorer):
    """Scales the small picture up by another filter.

    Args:
        method: The filter.
    """

    kind = "filter"

    def __init__(self, method: ResizeMethod) -> None:
        self.name = method
        self._method: ResizeMethod = method

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:
        return resize(low, degraded.shape[1], degraded.shape[0], self._method)


class StudentRestorer(Restorer):
    """Runs a student on the degraded picture, or an upscaler on the small one.

    Args:
        model: Name, tier, file or student, as for :class:`FrameSharpener`.
        name: Its own name where it is not given.
        kind: ``student``, or ``control`` for one that was trained without a teacher.
        engine: As for :class:`FrameSharpener`.
        strength: 0 to 2.
        threads: As many as there are cores where it is None.

    Raises:
        ModelError: There is no such student.
        InputNotFoundError: Its file is missing.
        UsageError: An option is out of range.
    """

    def __init__(
        self,
        model: str | Path | Student,
        *,
        name: str | None = None,
        kind: str = "student",
        engine: str = "auto",
        strength: float = 1.0,
        threads: int | None = None,
    ) -> None:
        self.sharpener = FrameSharpener(model, engine=engine, strength=strength, threads=threads)
        spec = self.sharpener.student.spec
        self.student = self.sharpener.student
        self.name = name or spec.name
        self.kind = kind
        self.detail = f"engine {self.sharpener.engine.name}"
        if strength != 1.0:
            self.detail += f", strength {strength:g}"
        self.parameters, self.macs_per_pixel = spec.shape.parameters, spec.shape.macs_per_pixel

    def caution(self, factor: float) -> str | None:
        trained = self.student.spec.factors
        if not trained or any(math.isclose(factor, f) for f in trained):
            return None
        return f"{self.name} was trained for x{', x'.join(f'{f:g}' for f in trained)}; this is x{factor:g}"

    def misfit(self, factor: float) -> str | None:
        """Return why an upscaler cannot restore pictures scaled by another factor than its own, or None."""
        shape = self.student.spec.shape
        if not shape.upscales or math.isclose(factor, shape.scale):
            return None
        return f"{self.name} enlarges by {shape.scale:g}, and the pictures are scaled by {factor:g}"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:
        """Return the restored picture, in the size of ``degraded``."""
        return np.asarray(self.sharpener(low if self.student.spec.shape.upscales else degraded), np.uint8)


class TeacherRestorer(Restorer):
    """Runs a teacher on the small picture and rounds its output to 8 bits.

    Args:
        weights: Its file.
        name: Its own name where it is not given.
        cache: Folder where outputs are kept as PNG, under a hash of weights and input; None: nothing is kept.

    Raises:
        InputNotFoundError: The file is missing.
        TeacherError: The file is not a teacher.
        MissingExtraError: torch is not installed.
    """

    kind = "teacher"

    def __init__(self, weights: str | Path, *, name: str | None = None, cache: Path | None = None) -> None:
        if not Path(weights).is_file():
            raise InputNotFoundError(f"{weights}: no such teacher file")
        require("torch", extra="train", purpose=f"the teacher {Path(weights).name}")
        from acutance.training.models.teachers import load_teacher

        self._teacher: Teacher = load_teacher(weights)
        self._cache = None if cache is None else cache / f"{self._teacher.name}-{self._teacher.sha256[:12]}"
        if self._cache is not None:
            self._cache.mkdir(parents=True, exist_ok=True)
        cost = self._teacher.cost
        self.name = name or self._teacher.name
        self.detail = self._teacher.architecture
        self.scale = self._teacher.scale
        self.sha256 = self._teacher.sha256
        self.parameters, self.macs_per_pixel = cost.parameters, cost.macs_per_pixel

    def misfit(self, factor: float) -> str | None:
        return None if factor == self.scale else f"{self.name} restores x{self.scale}, not x{factor:g}"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:
        if self._cache is None:
            return self._run(low)
        from PIL import Image

        low = np.ascontiguousarray(low)
        key = hashlib.sha256(f"{_CACHE_VERSION} {low.shape} ".encode() + low.tobytes()).hexdigest()
        file = self._cache / f"{key[:32]}.png"
        try:
            with Image.open(file) as stored:
                out: Rgb = np.array(stored.convert("RGB"))
            if out.shape == degraded.shape:
                return out
        except (OSError, SyntaxError):
            pass  # it is missing, or its writing was cut short: compute it again
        out = self._run(low)
        temporary = file.with_name(f".{file.name}.tmp")
        Image.fromarray(out).save(temporary, "PNG")
        temporary.replace(file)
        return out

    def _run(self, low: Rgb) -> Rgb:
        return np.clip(np.rint(self._teacher.restore(low)), 0, 255).astype(np.uint8)


class ReportRestorer(Restorer):
    """Runs the student (4x, RGB) of the report that this project grew from.

    Args:
        checkpoint: ``.safetensors``, a state dict, or a ``best.pt`` or ``last.pt`` of a training run (its averaged
            weights).

    Raises:
        InputNotFoundError: The file is missing.
        ModelError: It does not hold the student's weights.
        MissingExtraError: torch is not installed.
    """

    name = "report2025"
    kind = "report"
    detail = "the report's own student"

    def __init__(self, checkpoint: str | Path) -> None:
        path = Path(checkpoint)
        if not path.is_file():
            raise InputNotFoundError(f"{path}: no such checkpoint")
        require("torch", extra="train", purpose=f"the report's student {path.name}")
        from acutance.training.models.cost import measure_cost
        from acutance.training.models.report2025 import Report2025

        self._net = Report2025()
        self.scale = self._net.scale
        try:
            self._net.load_state_dict(_report_state(path))
        except (RuntimeError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path}: not weights of the report's student: {reason}") from error
        self._net.eval()
        cost = measure_cost(self._net)
        self.parameters, self.macs_per_pixel = cost.parameters, cost.macs_per_pixel

    def misfit(self, factor: float) -> str | None:
        return None if factor == self.scale else f"{self.name} restores x{self.scale}, not x{factor:g}"

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:  # noqa: ARG002
        import torch

        with torch.no_grad():
            x = torch.tensor(low).permute(2, 0, 1)[None].float().div(255)
            y: NDArray[np.float32] = self._net(x)[0].permute(1, 2, 0).mul(255).numpy()
        return np.clip(np.rint(y), 0, 255).astype(np.uint8)


def _report_state(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path}: not a safetensors file: {error}") from error
    import torch

    try:
        raw: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds here, pickle's among them
        raise ModelError(f"{path}: not a checkpoint: {' '.join(str(error).split())[:200]}") from error
    for key in ("average", "student", "state_dict", "model"):
        if isinstance(raw, dict) and isinstance(raw.get(key), dict):
            return dict(raw[key])
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: holds no state dict")
    return raw
