"""The sharpening stage of a live job. Its tier, share of tiles, strength and switch can change at any time."""

from pathlib import Path
from typing import Unpack

from acutance.choosing.automatic import open_sharpener
from acutance.engine import TILE_ENGINES, TileCounts
from acutance.frame import Frame
from acutance.sharpening.base import Choice, SharpenerOptions
from acutance.students.spec import Student

__all__ = ["Stage"]


class Stage:
    """Sharpen one frame after the other in one thread. Settings from other threads apply to the next frame.

    Args:
        model: as for :func:`acutance.choosing.automatic.open_sharpener`.
        **options: those of :class:`acutance.Sharpener`.

    Attributes:
        tiers: tiers that can be used, the most expensive first; one empty name if a single student was given.
        first: index of the requested tier.
        cost: cost of each tier, relative to each other.
        has_tiles: True if the engine can compute a share of the tiles.
        threads: threads of the engine.
        enabled: if False, frames pass through. It can be set.
        tier: index of the tier in use; ``len(tiers)`` and above pass frames through. It can be set.
        share: largest share of a frame's tiles to compute, 0 to 1. It can be set.

    Raises:
        AcutanceError: whatever opening the model raises.
    """

    def __init__(self, model: str | Path | Student = "auto", **options: Unpack[SharpenerOptions]) -> None:
        self._sharpener = open_sharpener(model, **options)
        self._sharpener.prepare()
        self.tiers, self.first, self.cost = self._sharpener.tiers, self._sharpener.first_tier, self._sharpener.costs
        self.has_tiles = self._sharpener.engine_name in TILE_ENGINES
        self.threads = self._sharpener.threads
        self.enabled = True
        self.tier, self.share = self.first, 1.0
        self._session = self._sharpener.session()
        self._counts = TileCounts()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._sharpener.name

    @property
    def strength(self) -> float:
        """Strength of sharpening, 0 (none) to 2. It can be set. Raises UsageError for other values."""
        return self._sharpener.strength

    @strength.setter
    def strength(self, value: float) -> None:
        self._sharpener.strength = value

    @property
    def choice(self) -> Choice | None:
        """The automatic choice of a student; None before the first frame, and if a single student was given."""
        return self._session.choice

    @property
    def counts(self) -> TileCounts:
        """What happened to the tiles of the last frame."""
        return self._counts

    @property
    def passes(self) -> bool:
        """True if frames pass through: sharpening is off, or the tier is below the cheapest."""
        return not self.enabled or self.tier >= len(self.tiers)

    def process(self, frame: Frame) -> Frame:
        """Sharpen a frame.

        Args:
            frame: a frame of any size; uint8 or uint16 planes.

        Returns:
            A frame with new luma, or ``frame`` itself if it passes through.
        """
        if self.passes:
            self._counts = TileCounts()
            return frame
        self._session.tier = self.tiers[self.tier]
        if self.has_tiles:
            self._session.tile_budget = None if self.share >= 1.0 else self.share
        sharp = self._session.frame(frame)
        self._counts = self._session.counts
        return sharp

    def reset(self) -> None:
        """Forget earlier frames. Call it after a source was reopened."""
        self._session.close()
        self._session = self._sharpener.session()

    def close(self) -> None:
        """Close the session and the sharpener. A second call does nothing."""
        self._session.close()
        self._sharpener.close()
