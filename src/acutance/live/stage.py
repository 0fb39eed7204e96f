"""Sharpening as a stage of a live job: one session, whose tier, share of tiles, strength and switch may change."""

from pathlib import Path
from typing import Any

from acutance.choosing.automatic import AutoSession, AutoSharpener, Choice, open_sharpener
from acutance.engine import TILE_ENGINES, TileCounts
from acutance.engine.base import check_strength
from acutance.frame import Frame
from acutance.sharpener import FrameSession
from acutance.students.bundled import TIERS, find_student
from acutance.students.spec import Student

__all__ = ["Stage"]


class Stage:
    """Sharpens frame after frame, for one thread; what it is told from others holds from the next frame on.

    model: as for :func:`acutance.choosing.automatic.open_sharpener`. tiers: those there are to step through, the
    dearest first; one that has no name where a single student was asked for. first: the one that was asked for.
    options: those of :class:`acutance.sharpener.FrameSharpener`. Raises what that raises.
    """

    def __init__(self, model: str | Path | Student = "auto", **options: Any) -> None:
        self._sharpener = open_sharpener(model, **options)
        self.tiers: tuple[str, ...] = ("",)
        self.first = 0
        if isinstance(self._sharpener, AutoSharpener):
            self.tiers = TIERS[::-1]
            self.first = self.tiers.index(self._sharpener.tier)
            self._sharpener.prepare(self.tiers[self.first :])
            first = self._sharpener.with_student(find_student(self._sharpener.tier).spec.name)
            self.cost = tuple(float(find_student(tier).spec.shape.macs_per_pixel) for tier in self.tiers)
        else:
            first, self.cost = self._sharpener, (1.0,)
        self.has_tiles = first.engine.name in TILE_ENGINES
        self.threads = getattr(first.engine, "threads", 1)
        self.enabled = True
        self.tier, self.share = self.first, 1.0
        self._session: FrameSession | AutoSession = self._sharpener.session()
        self._counts = TileCounts()

    @property
    def name(self) -> str:
        return self._sharpener.name

    @property
    def strength(self) -> float:
        return self._sharpener.strength

    @strength.setter
    def strength(self, value: float) -> None:
        self._sharpener.strength = check_strength(value)

    @property
    def choice(self) -> Choice | None:
        """What the automatic choice says of the stream; None where one student was asked for, and before the first
        frame."""
        return self._session.choice if isinstance(self._session, AutoSession) else None

    @property
    def counts(self) -> TileCounts:
        """What became of the last frame's tiles."""
        return self._counts

    @property
    def passes(self) -> bool:
        """Whether frames are passed through: below the cheapest tier, or switched off."""
        return not self.enabled or self.tier >= len(self.tiers)

    def process(self, frame: Frame) -> Frame:
        """The frame with new luma; the frame itself where it is passed through."""
        if self.passes:
            self._counts = TileCounts()
            return frame
        if isinstance(self._session, AutoSession):
            self._session.tier = self.tiers[self.tier]
        if self.has_tiles:
            self._session.tile_budget = None if self.share >= 1.0 else self.share
        sharp = self._session.frame(frame)
        self._counts = self._session.counts
        return sharp

    def reset(self) -> None:
        """Forget what was, as after a source was lost."""
        self._session.close()
        self._session = self._sharpener.session()

    def close(self) -> None:
        self._session.close()
