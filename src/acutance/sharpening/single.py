"""Sharpen one picture, one frame, or the frames of a video, with one student."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance._util.closing import Closing
from acutance.engine import TILE_ENGINES, Engine, Session, TileCounts, TileOptions, open_engine
from acutance.engine.base import check_strength
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame, Plane
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.students.bundled import find_student
from acutance.students.spec import Student

__all__ = ["FrameSession", "FrameSharpener", "check_picture"]


class FrameSharpener:
    """A student and the engine that runs it.

    model: a bundled model's name, the path of a student's file, or a loaded Student; a tier's name stands for its
    student for undegraded x2 here (:class:`acutance.choosing.automatic.AutoSharpener` chooses).
    engine: ``auto``, or one by name (:func:`acutance.engine.open_engine`).
    strength: 0 (the input, bit for bit) to 2; 1 is what the student was trained for.
    threads: for the engine; None for one per core.

    Two things matter to sequences of frames alone (:meth:`session`, :meth:`frames`, file jobs); pictures and single
    frames are always computed whole:

    threshold: tiles less active than this, in 8-bit code values, pass through as they are
    (:class:`acutance.engine.TileOptions`). None for the student's own, 0 to compute everything.
    reuse: tiles whose input did not change since the frame before keep their result, which is exact.

    An engine without tiles (:data:`acutance.engine.TILE_ENGINES` have them) computes everything; the attributes
    ``threshold`` and ``reuse`` say what is in force.
    Raises ModelError, UsageError, EngineError: also for a threshold above 0 with an engine that has no tiles.
    """

    def __init__(
        self,
        model: str | Path | Student = "fast",
        *,
        engine: str = "auto",
        strength: float = 1.0,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        if threshold is not None:
            TileOptions(threshold)  # raises where it is out of range
        self.strength = check_strength(strength)
        self.student = model if isinstance(model, Student) else find_student(model)
        self.engine: Engine = open_engine(self.student, engine, threads=threads)
        tiles = self.engine.name in TILE_ENGINES
        if threshold and not tiles:
            raise EngineError(
                f"a threshold of {threshold} needs an engine that computes tile by tile ({', '.join(TILE_ENGINES)}), "
                f"and {self.engine.name} is none"
            )
        self.threshold = (self.student.spec.threshold if tiles else 0) if threshold is None else threshold
        self.reuse = reuse and tiles

    @property
    def name(self) -> str:
        """The student's."""
        return self.student.spec.name

    @property
    def engine_name(self) -> str:
        """The back end that runs it."""
        return self.engine.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.engine.name}, strength {self.strength:g}>"

    def __call__(
        self,
        picture: NDArray[np.uint8] | NDArray[np.uint16],
        *,
        scaled_by: float = 1.0,  # noqa: ARG002
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture of full-range code values.

        picture: H x W (grey) or H x W x 3 (RGB), uint8 or uint16 (0..65535). scaled_by: what it is known
        to have been, of interest where there is a student to choose
        (:class:`acutance.choosing.automatic.AutoSharpener`). Returns the same shape and type; of RGB only the luma
        changes. For planes of video, which are mostly limited-range, use :meth:`frame`.
        """
        check_picture(picture)
        if picture.ndim == 2:
            return self.engine.process(picture, strength=self.strength, bit_depth=8 * picture.itemsize, full_range=True)
        if self.strength == 0.0:
            return picture.copy()
        residual = self.engine.residual(luma_from_rgb(picture))
        return add_luma_residual(picture, residual * np.float32(self.strength))

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it.

        Returns a frame with a new luma plane (``out`` where given); all else is carried over.
        """
        luma = self.engine.process(
            frame.luma, strength=self.strength, bit_depth=frame.bit_depth, full_range=frame.full_range, out=out
        )
        return frame.with_luma(luma)

    def session(
        self,
        *,
        tile_budget: float | None = None,
        time_budget: float | None = None,
    ) -> "FrameSession":
        """A session on the frames of one video, which come in order; to be closed, as by ``with``.

        tile_budget: no more than this share of a frame's tiles is computed, 0 to 1: the most active ones.
        time_budget: no longer than so many seconds a frame.
        Raises UsageError for values out of range, EngineError for a budget that the engine does not have.
        """
        options = TileOptions(self.threshold, tile_budget, time_budget, self.reuse)
        return FrameSession(self, self.engine.session(options), options)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen the frames of one video one by one, as they are asked for, in a session."""
        with self.session() as session:
            for frame in frames:
                yield session.frame(frame)


def check_picture(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Raises UsageError for anything but H x W or H x W x 3, uint8 or uint16."""
    if not isinstance(picture, np.ndarray) or picture.dtype not in (np.uint8, np.uint16):
        kind = getattr(picture, "dtype", type(picture).__name__)
        raise UsageError(f"a picture is a uint8 or uint16 array, not {kind}")
    if picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or picture.size == 0:
        raise UsageError(f"a picture is H x W or H x W x 3, not of shape {picture.shape}")


class FrameSession(Closing):
    """Sharpens the frames of one video one after the other; made by :meth:`FrameSharpener.session`.

    For one thread at a time. A change of size, format or of the sharpener's strength begins afresh.
    """

    def __init__(self, sharpener: FrameSharpener, session: Session, options: TileOptions) -> None:
        self._sharpener, self._session, self._options = sharpener, session, options
        self._totals = TileCounts()

    @property
    def tile_budget(self) -> float | None:
        """The largest share of a frame's tiles that is computed, the most active ones; None for all. May be set, and
        holds from the next frame on; setting raises UsageError out of 0 to 1, EngineError for an engine without tiles.
        """
        return self._options.tile_budget

    @tile_budget.setter
    def tile_budget(self, share: float | None) -> None:
        if share != self._options.tile_budget:
            options = replace(self._options, tile_budget=share)
            self._session.set_options(options)
            self._options = options

    @property
    def counts(self) -> TileCounts:
        """What became of the last frame's tiles; all zero before the first."""
        return self._session.counts

    @property
    def totals(self) -> TileCounts:
        """The same of all frames so far."""
        return self._totals

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame: a frame with a new luma plane (``out`` where given); all else is carried over.

        Raises EngineError for planes that do not fit, and once the session is closed.
        """
        luma = self._session.process(
            frame.luma,
            strength=self._sharpener.strength,
            bit_depth=frame.bit_depth,
            full_range=frame.full_range,
            out=out,
        )
        self._totals += self._session.counts
        return frame.with_luma(luma)

    def reset(self) -> None:
        """Forget the last frame, as after a seek. ``totals`` goes on."""
        self._session.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        self._session.close()
