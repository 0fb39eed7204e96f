"""Flicker: how much more a processed video trembles where its source stands still.

Where nothing moves, what changes from frame to frame is noise. A sharpener that amplifies it, or that switches parts
of the picture on and off, shows here as a ratio above 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair

__all__ = ["Flicker", "FlickerMeter"]


@dataclass(frozen=True, slots=True)
class Flicker:
    """Deviation over time on static blocks, root mean square from one frame to the next, in code values.

    source, output: of the two videos. ratio: output to source; 1 where both are still, infinity where only the source
    is. static_share: share of block pairs that counted; where it is 0, the other three are not a number.
    """

    source: float
    output: float
    ratio: float
    static_share: float


class FlickerMeter:
    """Feeds on two videos frame by frame and keeps only the last frame of each.

    block: side of the squares that are static or not; what is left over at the right and bottom is not looked at.
    threshold: a block is static from one frame to the next where the source's mean absolute change does not exceed
    this many code values: above the noise of cameras and codecs, below visible motion.
    """

    def __init__(self, *, block: int = 16, threshold: float = 2.0) -> None:
        if block < 1:
            raise UsageError(f"block must be at least 1, not {block!r}")
        if not threshold >= 0:
            raise UsageError(f"threshold must not be negative, not {threshold!r}")
        self._block = block
        self._threshold = threshold
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        self._source = self._output = 0.0
        self._static = self._blocks = 0

    def add(self, output: Picture, source: Picture) -> None:
        """Take in the next frame of both: luma, H x W, one size throughout, one unit. Raises UsageError."""
        check_pair(output, source, planes=(2,))
        if min(source.shape) < self._block:
            raise UsageError(f"frames of {source.shape[1]}x{source.shape[0]} hold no block of {self._block}")
        height, width = (side - side % self._block for side in source.shape)
        # Copies: a decoder may reuse the memory of a frame for the next one.
        frames = (np.array(source[:height, :width], np.float32), np.array(output[:height, :width], np.float32))
        if self._last is not None:
            if self._last[0].shape != frames[0].shape:
                raise UsageError(f"frame size changed to {source.shape[1]}x{source.shape[0]}")
            changes = tuple(now - before for now, before in zip(frames, self._last, strict=True))
            static = self._blockwise(np.abs(changes[0])) <= self._threshold
            self._source += float(self._blockwise(np.square(changes[0]))[static].sum())
            self._output += float(self._blockwise(np.square(changes[1]))[static].sum())
            self._static += int(static.sum())
            self._blocks += static.size
        self._last = frames

    def _blockwise(self, plane: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean of each block."""
        rows, columns = plane.shape[0] // self._block, plane.shape[1] // self._block
        blocks = plane.reshape(rows, self._block, columns, self._block)
        return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))

    def result(self) -> Flicker:
        """The figures so far. Raises UsageError before two frames were taken in."""
        if not self._blocks:
            raise UsageError("flicker needs at least two frames")
        if not self._static:
            return Flicker(math.nan, math.nan, math.nan, 0.0)
        source, output = (math.sqrt(total / self._static) for total in (self._source, self._output))
        still = math.inf if output else 1.0
        return Flicker(source, output, output / source if source else still, self._static / self._blocks)
