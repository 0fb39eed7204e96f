"""Which student a picture or a video needs, told from what it looks like; or none, where nothing is to be gained.

A network this small is good at what it was trained for and at nothing else: one for pictures scaled up by two spoils
those that were not. So the spectrum of the first frame says by which factor the picture was scaled up
(:mod:`acutance.choosing.factor_classifier`), the student for that factor is taken, and the stream is looked at again
and again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.closing import Closing
from acutance.choosing.factor_classifier import REACH_FACTORS, detail_reach, reach_features, told_factor
from acutance.engine import TileCounts, TileOptions
from acutance.engine.base import check_strength
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame, Plane
from acutance.luma import luma_from_rgb
from acutance.metrics.blockiness import blockiness
from acutance.sharpener import FrameSession, FrameSharpener, check_picture
from acutance.students.bundled import TIERS, factors_of, student_for
from acutance.students.spec import Student

__all__ = ["AUTO", "AutoSession", "AutoSharpener", "Choice", "Chooser", "automatic_tier", "open_sharpener"]

AUTO = "auto"
"""The name of the automatic choice within the tier of :data:`PICTURE_TIER` or :data:`VIDEO_TIER`."""

VIDEO_TIER, PICTURE_TIER = "fast", "quality"

_LOOK_EVERY = 15  # frames
_KEEP = 0.5  # of what was seen before, from look to look
_BLOCKY = 1.6  # the most that pictures without JPEG have is 1.55; at quality 70 most have more
_SURE = 0.7  # the share that another factor needs before the choice changes: two looks in a row


@dataclass(frozen=True, slots=True)
class Choice:
    """student: the name of the bundled one that was chosen, or None: the picture stays as it is.

    factor: by which the picture was scaled up, as far as can be told; 0 where it cannot. reason: in words. known: the
    factor is known rather than seen.
    """

    student: str | None
    factor: float
    reason: str
    known: bool = False


class Chooser:
    """Decides on a student from the planes of one video, and again as it goes on.

    tier: ``fast``, ``balanced`` or ``quality``. task: ``call`` for what came through an encoder, ``clean`` for other
    pictures, where those that show the blocks of one after all get ``call``. scaled_by: what the picture is known to
    have been scaled up by; what is seen can only be more.
    """

    def __init__(self, tier: str, *, task: str = "call", scaled_by: float = 1.0) -> None:
        self._tier, self._task = tier, task
        self._frames = 0
        self._begin(scaled_by)

    def _begin(self, scaled_by: float) -> None:
        """Nothing has been seen yet; all there is to go by is what is known."""
        self._known = scaled_by
        self._seen_task = self._task  # that of the choice: pictures with blocks are calls
        self._shares: NDArray[np.float64] | None = None
        self._choice = (
            _choose(self._tier, self._task, scaled_by, known=True)
            if scaled_by > 1
            else Choice(None, 0.0, "no detail to be seen: left as it is")
        )

    @property
    def choice(self) -> Choice:
        """The latest."""
        return self._choice

    @property
    def state(self) -> dict[str, Any]:
        """All that it knows, in values that JSON keeps to the last bit. May be set, to go on where another was."""
        return {
            "tier": self._tier,
            "frames": self._frames,
            "known": self._known,
            "task": self._seen_task,
            "shares": None if self._shares is None else self._shares.tolist(),
            "choice": asdict(self._choice),
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._tier, self._frames, self._known = state["tier"], state["frames"], state["known"]
        self._seen_task = state["task"]
        self._shares = None if state["shares"] is None else np.array(state["shares"], np.float64)
        self._choice = Choice(**state["choice"])

    @property
    def tier(self) -> str:
        """That students are chosen from. May be set: the choice then is that of the new tier for the same factor."""
        return self._tier

    @tier.setter
    def tier(self, tier: str) -> None:
        if tier != self._tier:
            self._tier = tier
            if self._choice.factor:
                self._choice = _choose(tier, self._seen_task, self._choice.factor, known=self._choice.known)

    def look(
        self, luma: Plane, *, bit_depth: int = 8, full_range: bool = False, scaled_by: float | None = None
    ) -> Choice:
        """Told of every frame, in order; looks at some of them. Returns the choice that holds for this one.

        scaled_by: where it is known of each frame, as of a stream whose coded size changes; another begins afresh.
        """
        if scaled_by is not None and scaled_by != self._known:
            self._begin(scaled_by)
        undecided = self._shares is None
        due = undecided or self._frames % _LOOK_EVERY == 0
        self._frames += 1
        if not due:
            return self._choice
        features = reach_features(luma, bit_depth=bit_depth, full_range=full_range)
        if features is None:
            return self._choice
        seen = detail_reach(features)
        self._shares = seen if self._shares is None else _KEEP * self._shares + (1 - _KEEP) * seen
        told = told_factor(self._shares)
        factor = max(told, self._known)
        sure = self._shares[REACH_FACTORS.index(told)] >= _SURE
        if undecided or (factor != self._choice.factor and sure):
            task = self._task
            if task == "clean" and factor > 1 and blockiness(luma, 8 * factor, bit_depth=bit_depth) >= _BLOCKY:
                task = "call"
            self._seen_task = task
            self._choice = _choose(self._tier, task, factor, known=factor == self._known)
        return self._choice


def _choose(tier: str, task: str, factor: float, *, known: bool = False) -> Choice:
    how = "was" if known else "looks as if it had been"
    seen = f"{how} scaled up by {factor:g}" if factor > 1 else "as sharp as its size allows"
    student = student_for(tier, task, factor)
    if student is None:
        return Choice(None, factor, f"{seen}: left as it is", known)
    trained = factors_of(student)
    nearest = "" if factor in trained else f", the nearest (for {', '.join(f'{f:g}' for f in trained)})"
    return Choice(student, factor, f"{seen}: {student}{nearest}", known)


def automatic_tier(model: object, *, picture: bool = False) -> str | None:
    """The tier in which a model's name asks for an automatic choice: that of ``fast``, and :data:`AUTO`'s own; None for
    the name of one student, and anything else."""
    if model == AUTO:
        return PICTURE_TIER if picture else VIDEO_TIER
    return model if isinstance(model, str) and model in TIERS else None


class AutoSharpener:
    """As :class:`FrameSharpener`, with the students of a tier, of which each picture and stream gets the one it needs.

    model: ``auto`` (``fast`` for video, ``quality`` for pictures), or a tier. The other arguments are those of
    :class:`FrameSharpener`. Raises UsageError where ``model`` names one student, and what that raises.
    """

    def __init__(
        self,
        model: str = AUTO,
        *,
        engine: str = "auto",
        strength: float = 1.0,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        if automatic_tier(model) is None:
            raise UsageError(f"{model!r} is one student: there is nothing to choose")
        self.model = model
        self._make = partial(FrameSharpener, engine=engine, threads=threads, threshold=threshold, reuse=reuse)
        self._strength = strength
        self.threshold = threshold
        """As it was asked for; None: each student's own."""
        first = self._make(self.tier, strength=strength)  # raises now rather than with the first picture
        self._made = {first.name: first}
        self._choice: Choice | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model}>"

    @property
    def name(self) -> str:
        """``auto``, or the tier and ``auto``."""
        return AUTO if self.model == AUTO else f"{self.model}, {AUTO}"

    @property
    def tier(self) -> str:
        """That videos get."""
        return automatic_tier(self.model) or VIDEO_TIER

    @property
    def strength(self) -> float:
        """0 to 2; may be set, and holds from the next picture or frame on. Setting raises UsageError."""
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)
        for sharpener in self._made.values():
            sharpener.strength = strength

    @property
    def choice(self) -> Choice | None:
        """The last that was made for a picture or a single frame; None before the first."""
        return self._choice

    def prepare(self, tiers: Iterable[str] | None = None) -> None:
        """Make the sharpeners of every student that videos may get, in the tier or those named: now rather than between
        two frames."""
        for tier in (self.tier,) if tiers is None else tiers:
            for name in _students_of(tier):
                self.with_student(name)

    @property
    def students(self) -> list[str]:
        """The names of those that videos may get."""
        return _students_of(self.tier)

    @property
    def engine_name(self) -> str:
        """The back end that runs them."""
        return next(iter(self._made.values())).engine.name

    def with_student(self, name: str) -> FrameSharpener:
        """The sharpener with that student, made when it is first asked for."""
        if name not in self._made:
            self._made[name] = self._make(name, strength=self._strength)
        return self._made[name]

    def __call__(
        self, picture: NDArray[np.uint8] | NDArray[np.uint16], *, scaled_by: float = 1.0
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture; see :meth:`FrameSharpener.__call__`. scaled_by: what it is known to have been."""
        check_picture(picture)
        chooser = Chooser(automatic_tier(self.model, picture=True) or self.tier, task="clean", scaled_by=scaled_by)
        if picture.ndim == 2:
            self._choice = chooser.look(picture, bit_depth=8 * picture.itemsize, full_range=True)
        else:
            self._choice = chooser.look(np.asarray(np.rint(luma_from_rgb(picture)), np.uint8))
        return picture.copy() if self._choice.student is None else self.with_student(self._choice.student)(picture)

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`FrameSharpener.frame`."""
        chooser = Chooser(self.tier, scaled_by=frame.scaled_by)
        self._choice = chooser.look(frame.luma, bit_depth=frame.bit_depth, full_range=frame.full_range)
        if self._choice.student is None:
            return _as_it_is(frame, out)
        return self.with_student(self._choice.student).frame(frame, out=out)

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> "AutoSession":
        """A session on the frames of one video; see :meth:`FrameSharpener.session`."""
        TileOptions(0, tile_budget, time_budget)  # raises now rather than with the first frame that is sharpened
        return AutoSession(self, Chooser(self.tier), tile_budget, time_budget)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen the frames of one video one by one, as they are asked for, in a session."""
        with self.session() as session:
            for frame in frames:
                yield session.frame(frame)


def _students_of(tier: str) -> list[str]:
    names = (student_for(tier, "call", factor) for factor in REACH_FACTORS)
    return [*dict.fromkeys(name for name in names if name is not None)]


def open_sharpener(model: str | Path | Student = AUTO, **options: Any) -> FrameSharpener | AutoSharpener:
    """The sharpener that a model's name asks for: an automatic one for ``auto`` and tiers, else that of one student.

    options: those of :class:`FrameSharpener`. Raises what that raises.
    """
    if isinstance(model, str) and automatic_tier(model) is not None:
        return AutoSharpener(model, **options)
    return FrameSharpener(model, **options)


class AutoSession(Closing):
    """Sharpens the frames of one video one after the other, each with the student that holds for it then.

    Made by :meth:`AutoSharpener.session`; for one thread at a time, as :class:`FrameSession`.
    """

    def __init__(
        self,
        sharpener: AutoSharpener,
        chooser: Chooser,
        tile_budget: float | None,
        time_budget: float | None,
    ) -> None:
        self._sharpener, self._chooser = sharpener, chooser
        self._tile_budget, self._time_budget = tile_budget, time_budget
        self._session: FrameSession | None = None
        self._counts = self._totals = TileCounts()
        self._choices: list[Choice] = []
        self._closed = False

    @property
    def counts(self) -> TileCounts:
        """What became of the last frame's tiles; all zero where it stayed as it was."""
        return self._counts

    @property
    def totals(self) -> TileCounts:
        """The same of all frames so far."""
        return self._totals

    @property
    def choice(self) -> Choice | None:
        """The one that holds; None before the first frame."""
        return self._choices[-1] if self._choices else None

    @property
    def tier(self) -> str:
        """That students are chosen from; may be set, and holds from the next frame on."""
        return self._chooser.tier

    @tier.setter
    def tier(self, tier: str) -> None:
        self._chooser.tier = tier

    @property
    def tile_budget(self) -> float | None:
        """See :attr:`FrameSession.tile_budget`; of every student that is chosen."""
        return self._tile_budget

    @tile_budget.setter
    def tile_budget(self, share: float | None) -> None:
        if self._session is not None:
            self._session.tile_budget = share
        self._tile_budget = share

    @property
    def choices(self) -> list[Choice]:
        """Every choice that held for a frame, in order, each once for as long as it held."""
        return list(self._choices)

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame; see :meth:`FrameSession.frame`."""
        if self._closed:
            raise EngineError("the session is closed")
        choice = self._chooser.look(
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
            return _as_it_is(frame, out)
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
        """What the next frame depends on once :meth:`reset` has been called, in values that JSON keeps to the last bit.
        May be set, to go on where another session was: ``choices`` then begins with those of that one."""
        return {"chooser": self._chooser.state, "choices": [asdict(choice) for choice in self._choices]}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._chooser.state = state["chooser"]
        self._choices = [Choice(**choice) for choice in state["choices"]]
        self._open(self._choices[-1].student if self._choices else None)

    def reset(self) -> None:
        """Forget the last frame, as after a seek. The choice holds until the stream is looked at again."""
        if self._session is not None:
            self._session.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        self._closed = True
        if self._session is not None:
            self._session.close()
            self._session = None


def _as_it_is(frame: Frame, out: Plane | None) -> Frame:
    if out is None:
        return frame.with_luma(frame.luma.copy())
    np.copyto(out, frame.luma)
    return frame.with_luma(out)
