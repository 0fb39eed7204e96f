"""The two base classes: a sharpener holds a model, a session runs it on the frames of one video."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from acutance._util.closing import Closing
from acutance.engine import TileCounts
from acutance.engine.base import check_strength
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame, Plane
from acutance.sharpening.pictures import Order, Pixels
from acutance.students.conditioned import LOOKS, Look

__all__ = ["LOOKS", "BaseSession", "BaseSharpener", "Choice", "Look", "SharpenerOptions", "check_look"]


class SharpenerOptions(TypedDict, total=False):
    """Options that every sharpener takes; :class:`acutance.Sharpener` documents them."""

    engine: str
    strength: float
    look: Look | None
    threads: int | None
    threshold: int | None
    reuse: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What the automatic choice decided for a picture or a part of a video.

    Attributes:
        student: Name of the bundled student, or None where the picture stays as it is.
        factor: By how much the picture was enlarged, as far as can be told; 0 where it cannot.
        reason: The decision in words.
        known: True if the factor is known rather than seen.
    """

    student: str | None
    factor: float
    reason: str
    known: bool = False


class BaseSharpener(Closing):
    """A model that sharpens pictures, single frames and videos; the base of every kind of it.

    Attributes:
        threshold: Tiles of video less active than this, in 8-bit code values, pass through. None for the students' own.
    """

    threshold: int | None

    def __init__(self, *, strength: float, look: Look) -> None:
        self._strength = check_strength(strength)
        self._look: Look = look
        self._choice: Choice | None = None
        self._closed = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's name."""

    @property
    @abstractmethod
    def engine_name(self) -> str:
        """Name of the engine that runs the model."""

    @property
    @abstractmethod
    def threads(self) -> int:
        """Threads that work on a frame."""

    @property
    def strength(self) -> float:
        """How much is sharpened: 0 (the input, bit for bit) to 2. A new value holds from the next picture or frame on.

        Raises:
            UsageError: On setting a value outside 0 to 2, or one that is not finite.
        """
        return self._strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._strength = check_strength(strength)

    @property
    @abstractmethod
    def looks(self) -> tuple[Look, ...]:
        """The looks that the model has."""

    @property
    def look(self) -> Look:
        """The look in force. A new value holds from the next picture or frame on.

        Raises:
            UsageError: On setting a look that does not exist or that the model does not have.
        """
        return self._look

    @look.setter
    def look(self, look: Look) -> None:
        self._look = check_look(look, self.looks, self.name)

    @property
    def choice(self) -> Choice | None:
        """What was chosen for the last picture or single frame; None where there is nothing to choose.

        It may be set to a bundled student's name, which then gets every picture and stream; where the tier has a
        conditioned student, to a condition such as ``x2``. None returns to the automatic choice.

        Raises:
            UsageError: On setting a name where the model is a single student.
            ModelError: On setting a name that is unknown.
        """
        return self._choice

    @choice.setter
    def choice(self, student: str | None) -> None:
        self._pin(student)

    def _pin(self, student: str | None) -> None:
        if student is not None:
            raise UsageError(f"{self.name} is one student: there is nothing to choose")

    @property
    def scale(self) -> float:
        """By how much the output is larger than the input: above 1 if the model is an upscaler."""
        return 1.0

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the output for an input of that size."""
        return width, height

    def enlarged(self, frame: Frame) -> Frame:
        """Return the frame in the size of the output, not sharpened."""
        return frame

    @property
    def tiers(self) -> tuple[str, ...]:
        """Tiers that a session can switch to, the most expensive first; ``("",)`` for a single student."""
        return ("",)

    @property
    def first_tier(self) -> int:
        """Index in :attr:`tiers` of the tier that sessions begin with."""
        return 0

    @property
    def costs(self) -> tuple[float, ...]:
        """Relative cost of each tier of :attr:`tiers`."""
        return (1.0,)

    def prepare(self) -> None:
        """Open everything that a session may switch to now, rather than between two frames."""

    @abstractmethod
    def identity(self) -> str:
        """Return the model's name and a digest of its weights: equal texts give equal frames."""

    @abstractmethod
    def __call__(
        self, picture: Pixels, *, out: Pixels | None = None, order: Order = "rgb", scaled_by: float = 1.0
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture; see :meth:`acutance.Sharpener.__call__`."""

    @abstractmethod
    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`acutance.Sharpener.frame`."""

    @abstractmethod
    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> "BaseSession":
        """Open a session on the frames of one video; see :meth:`acutance.Sharpener.session`."""

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen the frames of one video one by one, as they are asked for, in a session."""
        with self.session() as session:
            for frame in frames:
                yield session.frame(frame)

    def close(self) -> None:
        """Release threads and memory. May be called twice; the next picture then raises EngineError."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"{self.name}: the sharpener is closed")


class BaseSession(Closing):
    """Sharpens the frames of one video one after the other. For one thread at a time; a context manager.

    Another size, format or strength than the last frame's starts afresh.
    """

    def __init__(self) -> None:
        self._counts = self._totals = TileCounts()

    @property
    def counts(self) -> TileCounts:
        """What became of the last frame's tiles; all zero before the first, and where the frame stayed as it was."""
        return self._counts

    @property
    def totals(self) -> TileCounts:
        """The same, added up over all frames so far."""
        return self._totals

    @property
    @abstractmethod
    def tile_budget(self) -> float | None:
        """Largest share of a frame's tiles that is computed, 0 to 1; None for all. It may be set between frames.

        Raises:
            UsageError: On setting a value outside 0 to 1, or any with an engine that has no tiles.
        """

    @tile_budget.setter
    @abstractmethod
    def tile_budget(self, share: float | None) -> None: ...

    @property
    def tier(self) -> str:
        """The tier in use, one of the sharpener's ``tiers``. A new value holds from the next frame on."""
        return ""

    @tier.setter
    def tier(self, tier: str) -> None:
        if tier != "":
            raise UsageError(f"a session of one student has no tier {tier!r}")

    @property
    def choice(self) -> Choice | None:
        """The choice that holds; None before the first frame, and where there is nothing to choose."""
        return self.choices[-1] if self.choices else None

    @property
    def choices(self) -> list[Choice]:
        """Every choice that held for a frame, in order, each once for as long as it held."""
        return []

    @property
    def state(self) -> dict[str, Any] | None:
        """What the next frame depends on after :meth:`reset`, in values that JSON keeps exactly; None for nothing.

        It may be set, to continue where another session was. ``choices`` then begins with those of that session.
        """
        return None

    @state.setter
    def state(self, state: dict[str, Any] | None) -> None: ...

    @abstractmethod
    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen the next frame.

        Args:
            frame: The frame; its luma is H x W, uint8, or uint16 above 8 bits.
            out: Where the new luma goes; same shape and type, not overlapping. A new plane without it.

        Returns:
            A frame with the new luma; everything else is carried over.

        Raises:
            UsageError: If the planes do not fit.
            EngineError: If the session is closed.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget the last frame, as after a seek or a cut that is known. ``totals`` keeps counting."""


def check_look(look: str | None, looks: tuple[Look, ...], name: str | Path) -> Look:
    """Return the look that is meant: the last of ``looks`` where None is given.

    Raises:
        UsageError: If the look does not exist, or the model ``name`` does not have it.
    """
    if look is None:
        return looks[-1]
    for known in looks:
        if look == known:
            return known
    if look in LOOKS:
        raise UsageError(f"{name} has no look {look!r}; it has {', '.join(looks)}")
    raise UsageError(f"look must be {' or '.join(LOOKS)}, not {look!r}")
