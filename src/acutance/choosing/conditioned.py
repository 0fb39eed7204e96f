"""Sharpen with conditioned students: the weights follow what each frame went through."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.choosing.condition import KnownFacts
from acutance.choosing.condition_tracker import ConditionTracker, mixture_for
from acutance.choosing.stated import parse_condition
from acutance.engine import TILE_ENGINES, Engine, Session, TileOptions, available_engines, open_engine
from acutance.engine.integer import IntegerNetwork, convert
from acutance.engine.peaks import quick_peaks
from acutance.errors import EngineError, ModelError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame, Plane
from acutance.sharpening.base import BaseSession, BaseSharpener, Choice, check_look
from acutance.sharpening.pictures import Order, Picture, Pixels
from acutance.students.conditioned import LOOKS, ConditionedStudent, Look

__all__ = ["ConditionedModel", "ConditionedSession", "ConditionedSharpener"]

_FULL_RANGE = ColourInfo(range=ColourRange.FULL)
_RGB_BITS = 14  # luma of colour pictures as the engine takes it: 64 steps for each 8-bit code value
_RGB_STEPS = 64
_RATES = (0.01, 0.8)  # bits per pixel: twice as far as training goes. Others, as of lossless video, are not told
_REMEMBERED = 64  # networks of recent mixtures

_log = logging.getLogger(__name__)


@dataclass
class ConditionedModel:
    """A conditioned student, its engine, and the integer networks of recent mixtures.

    Attributes:
        student: The student.
        engine: An engine of the student's shape. Sessions replace its weights.
    """

    student: ConditionedStudent
    engine: Engine
    _networks: dict[tuple[bytes, Look], IntegerNetwork] = field(default_factory=dict)

    @classmethod
    def open(cls, student: ConditionedStudent, engine: str, threads: int | None) -> "ConditionedModel":
        """Open the engine: one of those that compute tile by tile, by name, or the best of them for ``auto``.

        Raises:
            UsageError: If another engine is asked for.
            EngineError: If the engine cannot run here.
        """
        if engine == "auto":
            engine = next(name for name in TILE_ENGINES if name in available_engines())
        if engine.partition(":")[0] not in TILE_ENGINES:
            raise UsageError(
                f"{student.spec.name} changes its weights while it runs, for which the engine is "
                f"{' or '.join(TILE_ENGINES)}, not {engine}; a student for a stated condition runs on any"
            )
        plain = student.student(mixture_for(student, KnownFacts()))
        return cls(student, open_engine(plain, engine, threads=threads))

    def network(self, mixture: NDArray[np.float32], look: Look) -> IntegerNetwork:
        """Return the integer network of a mixture, whose scales are measured on a small picture.

        If there is none, which happens to no mixture of a trained student, the result is the identity: a frame stays as
        it is.
        """
        key = (mixture.tobytes(), look)
        found = self._networks.get(key)
        if found is None:
            found = self._convert(mixture, look)
            if len(self._networks) >= _REMEMBERED:
                self._networks.pop(next(iter(self._networks)))
            self._networks[key] = found
        return found

    def _convert(self, mixture: NDArray[np.float32], look: Look) -> IntegerNetwork:
        student = self.student.student(mixture, look=look)
        try:
            return convert(student, peaks=quick_peaks(student))
        except ModelError as error:
            _log.warning("%s: a mixture has no integer form, frames stay as they are: %s", student.spec.name, error)
        return convert(self.student.student(self.student.identity, look=look))


class ConditionedSharpener(BaseSharpener):
    """Conditioned students of one tier or several, of which a session uses one at a time.

    Args:
        name: What the model is called.
        students: By tier, the most expensive first; one alone may be called ``""``.
        first: The tier that sessions begin with.
        engine: ``auto``, ``native`` or ``numpy``, or a variant of one.
        strength: 0 (the input, bit for bit) to 2; 1 is the look itself.
        look: ``natural`` where None is given.
        threads: For the engine; None for one per core.
        threshold: Tiles of video less active than this pass through. None for each student's own.
        reuse: True if tiles of video that did not change keep their result.

    Raises:
        UsageError: If an option is out of range.
        EngineError: If the engine cannot run here.
    """

    def __init__(
        self,
        name: str,
        students: Mapping[str, ConditionedStudent],
        *,
        first: str,
        engine: str = "auto",
        strength: float = 1.0,
        look: Look | None = None,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        if threshold is not None:
            TileOptions(threshold)  # raises where it is out of range
        super().__init__(strength=strength, look=check_look(look, LOOKS, name))
        self._name, self._students, self._first = name, dict(students), first
        self._stated: KnownFacts | None = None
        self._engine, self._engine_threads = engine, threads
        self.threshold, self.reuse = threshold, reuse
        self._models: dict[str, ConditionedModel] = {}
        self.model(first)  # raises now rather than with the first picture

    @property
    def name(self) -> str:
        """What the model is called."""
        return self._name

    @property
    def engine_name(self) -> str:
        """Name of the engine that runs the students."""
        return self.model(self._first).engine.name

    @property
    def threads(self) -> int:
        """Threads that work on a frame."""
        return self.model(self._first).engine.threads

    @property
    def looks(self) -> tuple[Look, ...]:
        """Both looks."""
        return LOOKS

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers, the most expensive first."""
        return tuple(self._students)

    @property
    def first_tier(self) -> int:
        """Index of the tier that sessions begin with."""
        return self.tiers.index(self._first)

    @property
    def costs(self) -> tuple[float, ...]:
        """Multiply-accumulates for each pixel, of each tier."""
        return tuple(float(student.spec.shape.macs_per_pixel) for student in self._students.values())

    def _pin(self, student: str | None) -> None:
        """Hold a stated condition such as ``x2`` for everything; None follows each frame again."""
        self._stated = None if student is None else parse_condition(student)
        self._choice = (
            None if student is None else Choice(self._name, self._stated_factor, f"{student}, as asked", True)
        )

    @property
    def _stated_factor(self) -> float:
        return 0.0 if self._stated is None or self._stated.factor is None else self._stated.factor

    def mixture_of(self, tracker: ConditionTracker, frame: Frame) -> NDArray[np.float32]:
        """Return the mixture for the next frame of a tracker's stream."""
        if self._stated is not None:
            return mixture_for(tracker.student, self._stated)
        factor = frame.scaled_by if frame.scaled_by > 1 else None
        rate = frame.bits_per_pixel
        known = KnownFacts(factor, rate if rate is not None and _RATES[0] <= rate <= _RATES[1] else None)
        return tracker.look(frame.luma, bit_depth=frame.bit_depth, full_range=frame.full_range, known=known)

    def prepare(self) -> None:
        """Open the engines of this tier and the cheaper ones."""
        for tier in self.tiers[self.first_tier :]:
            model = self.model(tier)
            model.network(model.student.identity, self.look)

    def model(self, tier: str) -> ConditionedModel:
        """Return the student of a tier with its engine, which is opened when it is first asked for.

        Raises:
            UsageError: If there is no such tier.
            EngineError: If the sharpener is closed.
        """
        if tier not in self._students:
            raise UsageError(f"{self._name} has no tier {tier!r}; it has {', '.join(self._students)}")
        if tier not in self._models:
            self._check_open()
            self._models[tier] = ConditionedModel.open(self._students[tier], self._engine, self._engine_threads)
        return self._models[tier]

    def identity(self) -> str:
        """Return the model's name and a digest of the weights of the tier that videos get."""
        student = self._students[self._first]
        found = hashlib.sha256(repr(student.spec.shape).encode())
        sets = [
            part for look in LOOKS for layer in student.looks[look] for part in (layer.weight, layer.bias, layer.slope)
        ]
        own = (student.mean, student.deviation, student.inner, student.inner_bias, student.outer, student.outer_bias)
        for tensor in (*sets, *own):
            found.update(b"" if tensor is None else tensor.tobytes())
        stated = "" if self._stated is None else f" at {self._stated}"
        return f"{self._name} {found.hexdigest()[:16]}{stated}"

    def __call__(
        self, picture: Pixels, *, out: Pixels | None = None, order: Order = "rgb", scaled_by: float = 1.0
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture; see :meth:`acutance.Sharpener.__call__`."""
        self._check_open()
        checked = Picture.of(picture, out, order)
        if self.strength == 0.0:
            return checked.copy()
        if checked.grey:
            frame = Frame(checked.samples, bit_depth=checked.bit_depth, scaled_by=scaled_by, colour=_FULL_RANGE)
            checked.out[...] = self._whole(frame, None)
            return checked.out
        luma = np.asarray(np.rint(checked.luma * np.float32(_RGB_STEPS)), np.uint16)
        sharp = self._whole(Frame(luma, bit_depth=_RGB_BITS, scaled_by=scaled_by), None)
        residual = (sharp.astype(np.int32) - luma).astype(np.float32) / np.float32(_RGB_STEPS)
        return checked.add(residual)

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`acutance.Sharpener.frame`."""
        self._check_open()
        return frame.with_luma(self._whole(frame, out))

    def _whole(self, frame: Frame, out: Plane | None) -> Plane:
        model = self.model(self._first)
        tracker = ConditionTracker(model.student)
        with model.engine.session() as session:
            session.set_network(model.network(self.mixture_of(tracker, frame), self.look))
            if self._stated is None:
                self._choice = _choice(model, self.look)
            return session.process(
                frame.luma, strength=self.strength, bit_depth=frame.bit_depth, full_range=frame.full_range, out=out
            )

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> "ConditionedSession":
        """Open a session on the frames of one video; see :meth:`acutance.Sharpener.session`."""
        self._check_open()
        return ConditionedSession(self, self._first, tile_budget, time_budget)

    def close(self) -> None:
        """Release the engines. May be called twice."""
        super().close()
        for model in self._models.values():
            model.engine.close()


class ConditionedSession(BaseSession):
    """Sharpens the frames of one video, each with the mixture that its condition asks for.

    Made by :meth:`ConditionedSharpener.session`.
    """

    def __init__(
        self, sharpener: ConditionedSharpener, tier: str, tile_budget: float | None, time_budget: float | None
    ) -> None:
        super().__init__()
        self._sharpener, self._tier = sharpener, tier
        self._tile_budget, self._time_budget = tile_budget, time_budget
        self._choices: list[Choice] = []
        self._closed = False
        self._open(tier)

    def _open(self, tier: str) -> None:
        self._tier, self._model = tier, self._sharpener.model(tier)
        self._tracker = ConditionTracker(self._model.student)
        self._session: Session = self._model.engine.session(self._options())
        self._mixture: NDArray[np.float32] | None = None
        self._look: Look | None = None

    def _options(self) -> TileOptions:
        asked = self._sharpener.threshold
        threshold = self._model.student.spec.threshold if asked is None else asked
        return TileOptions(threshold, self._tile_budget, self._time_budget, self._sharpener.reuse)

    @property
    def mixture(self) -> NDArray[np.float32] | None:
        """The share of each weight set in the last frame; None before the first."""
        return self._mixture

    @property
    def choices(self) -> list[Choice]:
        """The students that were used, in order."""
        return list(self._choices)

    @property
    def tier(self) -> str:
        """The tier in use. A new value holds from the next frame on."""
        return self._tier

    @tier.setter
    def tier(self, tier: str) -> None:
        if tier != self._tier:
            self._sharpener.model(tier)  # raises before anything is closed
            self._session.close()
            self._open(tier)

    @property
    def tile_budget(self) -> float | None:
        """Largest share of a frame's tiles that is computed; see :class:`BaseSession`."""
        return self._tile_budget

    @tile_budget.setter
    def tile_budget(self, share: float | None) -> None:
        if share != self._tile_budget:
            TileOptions(tile_budget=share)  # raises before anything is changed
            self._tile_budget = share
            self._session.set_options(self._options())

    @property
    def state(self) -> dict[str, Any]:
        """The choices so far. The condition is no part of it: after :meth:`reset` it is looked at afresh."""
        return {"choices": [asdict(choice) for choice in self._choices]}

    @state.setter
    def state(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._choices = [Choice(**choice) for choice in state["choices"]]

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame; see :meth:`BaseSession.frame`."""
        if self._closed:
            raise EngineError("the session is closed")
        look = self._sharpener.look
        mixture = self._sharpener.mixture_of(self._tracker, frame)
        if look != self._look or not np.array_equal(mixture, self._mixture if self._mixture is not None else ()):
            self._session.set_network(self._model.network(mixture, look))
            self._mixture, self._look = mixture, look
            choice = _choice(self._model, look)
            if not self._choices or choice != self._choices[-1]:
                self._choices.append(choice)
        luma = self._session.process(
            frame.luma,
            strength=self._sharpener.strength,
            bit_depth=frame.bit_depth,
            full_range=frame.full_range,
            out=out,
        )
        self._counts = self._session.counts
        self._totals += self._counts
        return frame.with_luma(luma)

    def reset(self) -> None:
        """Forget the stream, its condition too: the next frame is looked at. ``totals`` keeps counting."""
        self._session.reset()
        self._tracker.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        self._closed = True
        self._session.close()


def _choice(model: ConditionedModel, look: Look) -> Choice:
    name = model.student.spec.name
    return Choice(name, 0.0, f"{name}, {look} look, weights by what each frame went through")
