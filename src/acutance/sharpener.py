"""Sharpen one picture or one frame with one student."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance.engine import Engine, open_engine
from acutance.engine.base import check_strength
from acutance.errors import UsageError
from acutance.frame import Frame, Plane
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.spec import Student
from acutance.zoo import DEFAULT_MODEL, find_student

__all__ = ["FrameSharpener"]


class FrameSharpener:
    """A student and the engine that runs it.

    model: a tier (``fast``), a bundled model's name, the path of a student's file, or a loaded Student.
    engine: ``auto`` (the fastest available), ``onnxruntime`` or ``numpy``.
    strength: 0 (the input, bit for bit) to 2; 1 is what the student was trained for.
    threads: for the engine; None for one per core.
    Raises ModelError, EngineError, UsageError.
    """

    def __init__(
        self,
        model: str | Path | Student = DEFAULT_MODEL,
        *,
        engine: str = "auto",
        strength: float = 1.0,
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        self.strength = check_strength(strength)
        self.student = model if isinstance(model, Student) else find_student(model)
        self.engine: Engine = open_engine(self.student, engine, threads=threads)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.student.spec.name} on {self.engine.name}, strength {self.strength:g}>"

    def __call__(self, picture: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture of full-range code values.

        picture: H x W (grey) or H x W x 3 (RGB), uint8 or uint16 (0..65535). Returns the same shape and type; of RGB
        only the luma changes. For planes of video, which are mostly limited-range, use :meth:`frame`.
        """
        if not isinstance(picture, np.ndarray) or picture.dtype not in (np.uint8, np.uint16):
            kind = getattr(picture, "dtype", type(picture).__name__)
            raise UsageError(f"a picture is a uint8 or uint16 array, not {kind}")
        if picture.ndim == 2:
            return self.engine.process(picture, strength=self.strength, bit_depth=8 * picture.itemsize, full_range=True)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            raise UsageError(f"a picture is H x W or H x W x 3, not of shape {picture.shape}")
        if self.strength == 0.0:
            return picture.copy()
        residual = self.engine.residual(luma_from_rgb(picture))
        return add_luma_residual(picture, residual * np.float32(self.strength))

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame: a frame with a new luma plane (``out`` where given); all else is carried over."""
        luma = self.engine.process(
            frame.luma, strength=self.strength, bit_depth=frame.bit_depth, full_range=frame.full_range, out=out
        )
        return frame.with_luma(luma)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen frames one by one, as they are asked for."""
        return map(self.frame, frames)
