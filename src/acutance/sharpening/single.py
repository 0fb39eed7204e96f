"""Sharpen with one student."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance._util.arguments import whole_number
from acutance.engine import TILE_ENGINES, Engine, Session, TileOptions, open_engine
from acutance.errors import UsageError
from acutance.frame import Frame, Plane
from acutance.luma import add_luma_residual
from acutance.sharpening.base import BaseSession, BaseSharpener, Look, check_look
from acutance.sharpening.pictures import Order, Picture, Pixels
from acutance.students.bundled import find_student
from acutance.students.spec import Student

__all__ = ["FrameSession", "FrameSharpener"]


class FrameSharpener(BaseSharpener):
    """A student and the engine that runs it.

    Args:
        model: A bundled model's name, the path of a student's file, or a loaded Student. A tier's name stands for its
            student for undegraded x2 here; :class:`acutance.choosing.automatic.AutoSharpener` chooses.
        engine: ``auto``, or one by name (:func:`acutance.engine.open_engine`).
        strength: 0 (the input, bit for bit) to 2; 1 is what the student was trained for.
        look: ``faithful``: a student of one weight set has no other. None means the same.
        threads: For the engine; None for one per core.
        threshold: Tiles of video less active than this, in 8-bit code values, pass through as they are. None for the
            student's own, 0 to compute everything.
        reuse: Tiles of video whose input did not change since the frame before keep their result, which is exact.

    An engine without tiles computes everything: ``threshold`` and ``reuse`` say what is in force. Pictures and single
    frames are always computed whole.

    Raises:
        ModelError: If the model is unknown or its file is not a student.
        UsageError: If an option is out of range, or a threshold is given to an engine that has no tiles.
        EngineError: If the engine cannot run here.
    """

    def __init__(
        self,
        model: str | Path | Student = "fast",
        *,
        engine: str = "auto",
        strength: float = 1.0,
        look: Look | None = None,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        if threads is not None:
            threads = whole_number(threads, "threads", low=1, high=1 << 16)
        if threshold is not None:
            threshold = whole_number(threshold, "threshold", low=0, high=1 << 16)
            TileOptions(threshold)  # raises where it is out of range
        self.student = model if isinstance(model, Student) else find_student(model)
        super().__init__(strength=strength, look=check_look(look, ("faithful",), self.student.spec.name))
        self.engine: Engine = open_engine(self.student, engine, threads=threads)
        tiles = self.engine.name in TILE_ENGINES
        if threshold and not tiles:
            self.engine.close()
            raise UsageError(
                f"a threshold of {threshold} needs an engine that computes tile by tile ({', '.join(TILE_ENGINES)}); "
                f"{self.engine.name} computes whole frames"
            )
        self.threshold: int = (self.student.spec.threshold if tiles else 0) if threshold is None else threshold
        self.reuse = reuse and tiles

    @property
    def name(self) -> str:
        """The student's name."""
        return self.student.spec.name

    @property
    def engine_name(self) -> str:
        """Name of the engine that runs the student."""
        return self.engine.name

    @property
    def threads(self) -> int:
        """Threads that work on a frame."""
        return self.engine.threads

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks that the student has."""
        return ("faithful",)

    @property
    def scale(self) -> float:
        """By how much the output is larger than the input: above 1 if the student is an upscaler."""
        return self.student.spec.shape.scale

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the output for an input of that size."""
        shape = self.student.spec.shape
        return shape.output_length(width), shape.output_length(height)

    def enlarged(self, frame: Frame) -> Frame:
        """Return the frame in the size of the output, not sharpened."""
        if self.scale == 1:
            return frame
        luma = self.engine.process(frame.luma, strength=0.0, bit_depth=frame.bit_depth, full_range=frame.full_range)
        return self.finish(frame, luma)

    def identity(self) -> str:
        """Return the student's name and a digest of its weights."""
        found = hashlib.sha256(repr(self.student.spec.shape).encode())
        for name, tensor in self.student.tensors().items():
            found.update(name.encode() + tensor.tobytes())
        return f"{self.name} {found.hexdigest()[:16]}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.engine.name}, strength {self.strength:g}>"

    def __call__(
        self,
        picture: Pixels,
        *,
        out: Pixels | None = None,
        order: Order = "rgb",
        scaled_by: float = 1.0,  # noqa: ARG002 - there is no student to choose
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture; see :meth:`acutance.Sharpener.__call__`."""
        self._check_open()
        checked = Picture.of(picture, out, order, self.student.spec.shape)
        if self.scale > 1:
            return self._upscale(checked)
        if self.strength == 0.0:
            return checked.copy()
        if not checked.grey:
            return checked.add(self.engine.residual(checked.luma) * np.float32(self.strength))
        apart = not np.may_share_memory(checked.samples, checked.out)
        sharp = self.engine.process(
            checked.samples,
            strength=self.strength,
            bit_depth=checked.bit_depth,
            full_range=True,
            out=checked.out if apart else None,
        )
        if not apart:
            checked.out[...] = sharp
        return checked.out

    def _upscale(self, picture: Picture) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Enlarge every channel, and add the student's residual to the colours."""

        def process(plane: Plane, strength: float) -> Plane:
            return self.engine.process(plane, strength=strength, bit_depth=picture.bit_depth, full_range=True)

        if picture.grey:
            picture.out[...] = process(picture.samples, self.strength)
            return picture.out
        for channel in range(picture.samples.shape[2]):
            picture.out[..., channel] = process(picture.samples[..., channel], 0.0)
        if self.strength > 0:
            residual = self.engine.residual(picture.luma) * np.float32(self.strength)
            picture.out[..., :3] = add_luma_residual(picture.out[..., :3], residual)
        return picture.out

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`acutance.Sharpener.frame`."""
        self._check_open()
        luma = self.engine.process(
            frame.luma, strength=self.strength, bit_depth=frame.bit_depth, full_range=frame.full_range, out=out
        )
        return self.finish(frame, luma)

    def finish(self, frame: Frame, luma: Plane) -> Frame:
        """Return the frame with its new luma; an upscaler enlarges the chroma to fit it, by the same bicubic filter."""
        if self.scale == 1 or frame.chroma is None:
            return replace(frame, luma=luma, scaled_by=frame.scaled_by * self.scale)
        planes = []
        for plane in frame.chroma:
            rows, columns = (
                -(-after // round(before / samples))  # 1 or 2 luma samples for each of chroma
                for before, samples, after in zip(frame.luma.shape, plane.shape, luma.shape, strict=True)
            )
            large = self.engine.process(plane, strength=0.0, bit_depth=frame.bit_depth, full_range=True)
            planes.append(large[:rows, :columns])
        return replace(frame, luma=luma, chroma=(planes[0], planes[1]), scaled_by=frame.scaled_by * self.scale)

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> "FrameSession":
        """Open a session on the frames of one video; see :meth:`acutance.Sharpener.session`."""
        self._check_open()
        options = TileOptions(self.threshold, tile_budget, time_budget, self.reuse)
        return FrameSession(self, self.engine.session(options), options)

    def close(self) -> None:
        """Release the engine. May be called twice."""
        super().close()
        self.engine.close()


class FrameSession(BaseSession):
    """Sharpens the frames of one video with one student; made by :meth:`FrameSharpener.session`."""

    def __init__(self, sharpener: FrameSharpener, session: Session, options: TileOptions) -> None:
        super().__init__()
        self._sharpener, self._session, self._options = sharpener, session, options

    @property
    def tile_budget(self) -> float | None:
        """Largest share of a frame's tiles that is computed; see :attr:`BaseSession.tile_budget`."""
        return self._options.tile_budget

    @tile_budget.setter
    def tile_budget(self, share: float | None) -> None:
        if share != self._options.tile_budget:
            options = replace(self._options, tile_budget=share)
            self._session.set_options(options)
            self._options = options

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame; see :meth:`BaseSession.frame`."""
        luma = self._session.process(
            frame.luma,
            strength=self._sharpener.strength,
            bit_depth=frame.bit_depth,
            full_range=frame.full_range,
            out=out,
        )
        self._counts = self._session.counts
        self._totals += self._counts
        return self._sharpener.finish(frame, luma)

    def reset(self) -> None:
        """Forget the last frame. ``totals`` keeps counting."""
        self._session.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        self._session.close()
