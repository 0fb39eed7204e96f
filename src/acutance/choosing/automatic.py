"""The automatic choice of a student for each picture and stream; or of none, where there is nothing to gain."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from acutance._util.arguments import shown
from acutance.choosing.chooser import Chooser
from acutance.choosing.conditioned import ConditionedSharpener
from acutance.choosing.factor_classifier import REACH_FACTORS
from acutance.choosing.stated import is_condition
from acutance.engine import TILE_ENGINES, TileCounts
from acutance.engine.base import check_strength
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame, Plane
from acutance.sharpening.base import BaseSession, BaseSharpener, Choice, Look, SharpenerOptions, check_look
from acutance.sharpening.pictures import Order, Picture, Pixels
from acutance.sharpening.single import FrameSession, FrameSharpener
from acutance.students.bundled import TIERS, conditioned_file, find_student, is_model_path, student_for
from acutance.students.conditioned import LOOKS, ConditionedStudent, is_conditioned_file, load_conditioned
from acutance.students.spec import Student

__all__ = [
    "AUTO",
    "AutoSession",
    "AutoSharpener",
    "ConditionedAutoSharpener",
    "automatic_tier",
    "open_sharpener",
]

AUTO = "auto"
"""The name of the automatic choice within the tier of :data:`PICTURE_TIER` or :data:`VIDEO_TIER`."""

VIDEO_TIER, PICTURE_TIER = "fast", "quality"


def automatic_tier(model: object, *, picture: bool = False) -> str | None:
    """The tier in which a model's name asks for an automatic choice: that of ``fast``, and :data:`AUTO`'s own; None for
    the name of one student, and anything else."""
    if model == AUTO:
        return PICTURE_TIER if picture else VIDEO_TIER
    return model if isinstance(model, str) and model in TIERS else None


class AutoSharpener(BaseSharpener):
    """The students of a tier, of which each picture and each part of a stream gets the one that it needs.

    Args:
        model: ``auto`` (``fast`` for video, ``quality`` for pictures), or a tier. The other arguments are those of
            :class:`acutance.sharpening.single.FrameSharpener`.

    Raises:
        UsageError: If ``model`` names one student, or an option is out of range.
    """

    _LOOKS: tuple[Look, ...] = ("faithful",)

    def __init__(
        self,
        model: str = AUTO,
        *,
        engine: str = "auto",
        strength: float = 1.0,
        look: Look | None = None,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        if automatic_tier(model) is None:
            raise UsageError(f"{model!r} is one student: there is nothing to choose")
        self.model = model
        super().__init__(strength=strength, look=check_look(look, self._LOOKS, model))
        self._make = partial(FrameSharpener, engine=engine, threads=threads, threshold=threshold, reuse=reuse)
        self.threshold = threshold
        first = self._make(self.tier, strength=strength)  # raises now rather than with the first picture
        self._first, self._made = first, {first.name: first}
        self._pinned: Choice | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model}>"

    @property
    def name(self) -> str:
        """``auto``, or the tier and ``auto``."""
        return AUTO if self.model == AUTO else f"{self.model}, {AUTO}"

    @property
    def tier(self) -> str:
        """The tier that videos get."""
        return automatic_tier(self.model) or VIDEO_TIER

    @property
    def engine_name(self) -> str:
        """Name of the engine that runs the students."""
        return self._first.engine_name

    @property
    def threads(self) -> int:
        """Threads that work on a frame."""
        return self._first.threads

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks that the students have."""
        return self._LOOKS

    @property
    def strength(self) -> float:
        """How much is sharpened, 0 to 2; see :attr:`BaseSharpener.strength`."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)
        for sharpener in self._made.values():
            sharpener.strength = strength

    @property
    def pinned(self) -> Choice | None:
        """The choice that was set, which holds for everything; None where each picture and stream gets its own."""
        return self._pinned

    def _pin(self, student: str | None) -> None:
        self._pinned = None if student is None else Choice(self.with_student(student).name, 0.0, f"{student}, as asked")
        self._choice = self._pinned

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers, the most expensive first."""
        return TIERS[::-1]

    @property
    def first_tier(self) -> int:
        """Index of the tier that videos get."""
        return self.tiers.index(self.tier)

    @property
    def costs(self) -> tuple[float, ...]:
        """Multiply-accumulates for each pixel, of each tier."""
        return tuple(float(find_student(tier).spec.shape.macs_per_pixel) for tier in self.tiers)

    def prepare(self) -> None:
        """Open every student that videos may get, in this tier and the cheaper ones."""
        for tier in self.tiers[self.first_tier :]:
            for name in _students_of(tier):
                self.with_student(name)

    @property
    def students(self) -> list[str]:
        """Names of the students that videos may get."""
        if self._pinned is not None and self._pinned.student is not None:
            return [self._pinned.student]
        return _students_of(self.tier)

    def identity(self) -> str:
        """Return the model's name and digests of the students that videos may get."""
        return f"{self.model}, one of {', '.join(self.with_student(name).identity() for name in self.students)}"

    def with_student(self, name: str) -> FrameSharpener:
        """Return the sharpener with that student. It is opened when it is first asked for."""
        self._check_open()
        if name not in self._made:
            self._made[name] = self._make(name, strength=self._strength)
        return self._made[name]

    def __call__(
        self, picture: Pixels, *, out: Pixels | None = None, order: Order = "rgb", scaled_by: float = 1.0
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture; see :meth:`acutance.Sharpener.__call__`."""
        self._check_open()
        checked = Picture.of(picture, out, order)
        if self._pinned is None:
            self._choice = self._look_at(checked, scaled_by)
        if self._choice is None or self._choice.student is None:
            return checked.copy()
        return self.with_student(self._choice.student)(checked.samples, out=checked.out, order=order)

    def _look_at(self, picture: Picture, scaled_by: float) -> Choice:
        chooser = Chooser(automatic_tier(self.model, picture=True) or self.tier, task="clean", scaled_by=scaled_by)
        if picture.grey:
            return chooser.look(picture.samples, bit_depth=picture.bit_depth, full_range=True)
        return chooser.look(np.asarray(np.rint(picture.luma), np.uint8))

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`acutance.Sharpener.frame`."""
        self._check_open()
        if self._pinned is None:
            chooser = Chooser(self.tier, scaled_by=frame.scaled_by)
            self._choice = chooser.look(frame.luma, bit_depth=frame.bit_depth, full_range=frame.full_range)
        if self._choice is None or self._choice.student is None:
            return _unchanged(frame, out)
        return self.with_student(self._choice.student).frame(frame, out=out)

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> BaseSession:
        """Open a session on the frames of one video; see :meth:`acutance.Sharpener.session`."""
        self._check_open()
        self._first.session(tile_budget=tile_budget, time_budget=time_budget).close()  # raises now
        return AutoSession(self, Chooser(self.tier), tile_budget, time_budget)

    def close(self) -> None:
        """Release the engines. May be called twice."""
        super().close()
        for sharpener in self._made.values():
            sharpener.close()


class ConditionedAutoSharpener(AutoSharpener):
    """As :class:`AutoSharpener`, with a conditioned student for video.

    Video gets the conditioned student, whose weights follow each frame. Pictures get the fixed students, which were
    trained for pictures that were scaled and not encoded, and which have the faithful look only.

    Args:
        student: The conditioned student of the tier that videos get.
        model: ``auto``, or that tier. The other arguments are those of :class:`AutoSharpener`.
    """

    _LOOKS = LOOKS

    def __init__(self, student: ConditionedStudent, model: str = AUTO, **options: Unpack[SharpenerOptions]) -> None:
        super().__init__(model, **options)
        video = options.copy()
        video["look"] = self.look
        self._video = ConditionedSharpener(self.name, {self.tier: student}, first=self.tier, **video)

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tier that videos get: the only one that has a conditioned student."""
        return (self.tier,)

    @property
    def costs(self) -> tuple[float, ...]:
        """Multiply-accumulates for each pixel of the conditioned student."""
        return self._video.costs

    def _pin(self, student: str | None) -> None:
        """Hold a bundled student, or a condition such as ``x2``; None follows each frame again."""
        condition = student is not None and is_condition(student)
        super()._pin(None if condition else student)
        self._video.choice = student if condition else None
        if condition:
            self._choice = self._video.choice

    def _follows(self) -> ConditionedSharpener | None:
        """Return what sharpens video, or None if a fixed student was asked for."""
        if self.pinned is not None:
            return None
        if self._video.look != self.look:
            self._video.look = self.look
        if self._video.strength != self.strength:
            self._video.strength = self.strength
        return self._video

    def prepare(self) -> None:
        """Open the engine of the conditioned student, or that of the student that was asked for."""
        video = self._follows()
        if video is None:
            super().prepare()
        else:
            video.prepare()

    def identity(self) -> str:
        """Return the model's name and a digest of the weights that videos get."""
        video = self._follows()
        return super().identity() if video is None else video.identity()

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`acutance.Sharpener.frame`."""
        video = self._follows()
        if video is None:
            return super().frame(frame, out=out)
        self._check_open()
        sharp = video.frame(frame, out=out)
        self._choice = video.choice
        return sharp

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> BaseSession:
        """Open a session on the frames of one video; see :meth:`acutance.Sharpener.session`."""
        video = self._follows()
        if video is None:
            return super().session(tile_budget=tile_budget, time_budget=time_budget)
        self._check_open()
        return video.session(tile_budget=tile_budget, time_budget=time_budget)

    def close(self) -> None:
        """Release the engines. May be called twice."""
        super().close()
        self._video.close()


def _students_of(tier: str) -> list[str]:
    names = (student_for(tier, "call", factor) for factor in REACH_FACTORS)
    return [*dict.fromkeys(name for name in names if name is not None)]


def open_sharpener(
    model: str | Path | Student | ConditionedStudent = AUTO, **options: Unpack[SharpenerOptions]
) -> BaseSharpener:
    """Open the sharpener that a model's name asks for.

    Args:
        model: ``auto`` and tiers choose automatically; other names, paths and Students are one student.
        **options: Those of :class:`acutance.Sharpener`. The look ``natural`` of a tier is that of its conditioned
            student, whose weights follow what each frame went through.

    Raises:
        UsageError: If an option is out of range, or the tier has no look ``natural``.
        ModelError: If the model is unknown, or its file is not a student.
        EngineError: If the engine cannot run here.
    """
    if not isinstance(model, str | Path | Student | ConditionedStudent):
        raise UsageError(f"model must be a name, a path or a student, not {shown(model)}")
    if isinstance(model, str) and (tier := automatic_tier(model)) is not None:
        if options.get("look") == "natural":
            return _open_natural(model, options)
        path = conditioned_file(tier)
        if path is None or options.get("engine", "auto").partition(":")[0] not in ("auto", *TILE_ENGINES):
            return AutoSharpener(model, **options)
        return ConditionedAutoSharpener(load_conditioned(path), model, **options)
    if is_model_path(model) and is_conditioned_file(Path(model)):
        model = load_conditioned(model)
    if isinstance(model, ConditionedStudent):
        return ConditionedSharpener(model.spec.name, {"": model}, first="", **options)
    return FrameSharpener(model, **options)


def _open_natural(model: str, options: SharpenerOptions) -> ConditionedSharpener:
    """Open the bundled conditioned students of ``auto`` or a tier; those alone have the natural look."""
    files = {tier: path for tier in TIERS[::-1] if (path := conditioned_file(tier)) is not None}
    tier = automatic_tier(model) or VIDEO_TIER
    if tier not in files:
        raise UsageError(f"{model} has no look 'natural'; these have: {', '.join(files) or 'none'}")
    students = {name: load_conditioned(path) for name, path in files.items()}
    name = AUTO if model == AUTO else f"{model}, {AUTO}"
    return ConditionedSharpener(name, students, first=tier, **options)


class AutoSession(BaseSession):
    """Sharpens the frames of one video, each with the student that holds for it then.

    Made by :meth:`AutoSharpener.session`.
    """

    def __init__(
        self,
        sharpener: AutoSharpener,
        chooser: Chooser,
        tile_budget: float | None,
        time_budget: float | None,
    ) -> None:
        super().__init__()
        self._sharpener, self._chooser = sharpener, chooser
        self._tile_budget, self._time_budget = tile_budget, time_budget
        self._session: FrameSession | None = None
        self._choices: list[Choice] = []
        self._closed = False

    @property
    def choices(self) -> list[Choice]:
        """Every choice that held for a frame, in order, each once for as long as it held."""
        return list(self._choices)

    @property
    def tier(self) -> str:
        """The tier that students are chosen from. A new value holds from the next frame on."""
        return self._chooser.tier

    @tier.setter
    def tier(self, tier: str) -> None:
        self._chooser.tier = tier

    @property
    def tile_budget(self) -> float | None:
        """Largest share of a frame's tiles that is computed, with every student; see :class:`BaseSession`."""
        return self._tile_budget

    @tile_budget.setter
    def tile_budget(self, share: float | None) -> None:
        if self._session is not None:
            self._session.tile_budget = share
        self._tile_budget = share

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame; see :meth:`BaseSession.frame`."""
        if self._closed:
            raise EngineError("the session is closed")
        choice = self._sharpener.pinned or self._chooser.look(
            frame.luma,
            bit_depth=frame.bit_depth,
            full_range=frame.full_range,
            scaled_by=frame.scaled_by,
        )
        if not self._choices or choice != self._choices[-1]:
            self._choices.append(choice)
            self._open(choice.student)
        if self._session is None:
            self._counts = TileCounts()
            return _unchanged(frame, out)
        sharp = self._session.frame(frame, out=out)
        self._counts = self._session.counts
        self._totals += self._counts
        return sharp

    def _open(self, student: str | None) -> None:
        if self._session is not None:
            self._session.close()
        if student is None:
            self._session = None
        else:
            sharpener = self._sharpener.with_student(student)
            self._session = sharpener.session(tile_budget=self._tile_budget, time_budget=self._time_budget)

    @property
    def state(self) -> dict[str, Any]:
        """The chooser's state and the choices so far, in values that JSON keeps exactly; see :class:`BaseSession`."""
        return {"chooser": self._chooser.state, "choices": [asdict(choice) for choice in self._choices]}

    @state.setter
    def state(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self._chooser.state = state["chooser"]
            self._choices = [Choice(**choice) for choice in state["choices"]]
            self._open(self._choices[-1].student if self._choices else None)

    def reset(self) -> None:
        """Forget all frames, as if the next one was the first: it decides which student is used."""
        self._chooser.restart()
        if self._session is not None:
            self._session.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        self._closed = True
        if self._session is not None:
            self._session.close()
            self._session = None


def _unchanged(frame: Frame, out: Plane | None) -> Frame:
    if out is None:
        return frame.with_luma(frame.luma.copy())
    np.copyto(out, frame.luma)
    return frame.with_luma(out)
