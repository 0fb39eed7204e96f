"""Flicker: changes from frame to frame in static regions, relative to the source.

In a static region, only noise changes from frame to frame. A sharpener that amplifies it, or that switches parts of the
picture on and off, has a ratio above 1.
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
    """Root mean square change from frame to frame on static blocks.

    Attributes:
        source: change of the source, in code values.
        output: change of the output, in code values.
        ratio: output over source; 1 if neither changes, infinity if only the output does.
        static_share: share of the blocks that are static, 0 to 1. If it is 0, the other values are not a number.
    """

    source: float
    output: float
    ratio: float
    static_share: float


class FlickerMeter:
    """Measure the flicker of two videos frame by frame. It keeps only the last frame of each.

    Args:
        block: side of a block in pixels. Incomplete blocks at the right and bottom are ignored.
        threshold: a block is static if the mean absolute change of the source is at most this many code values. The
            default is above the noise of cameras and codecs and below visible motion.

    Raises:
        UsageError: an argument is out of range.
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
        """Add the next frame of both videos.

        Args:
            output: luma, H x W.
            source: luma of the same size and unit.

        Raises:
            UsageError: the size differs from before, or is below one block.
        """
        check_pair(output, source, planes=(2,))
        if min(source.shape) < self._block:
            raise UsageError(f"frames of {source.shape[1]}x{source.shape[0]} hold no block of {self._block}")
        height, width = (side - side % self._block for side in source.shape)
        # Copy the frames, because a decoder may reuse their memory.
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
        """Return the mean of each block."""
        rows, columns = plane.shape[0] // self._block, plane.shape[1] // self._block
        blocks = plane.reshape(rows, self._block, columns, self._block)
        return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))

    def result(self) -> Flicker:
        """Return the flicker so far. Raises UsageError before the second frame."""
        if not self._blocks:
            raise UsageError("flicker needs at least two frames")
        if not self._static:
            return Flicker(math.nan, math.nan, math.nan, 0.0)
        source, output = (math.sqrt(total / self._static) for total in (self._source, self._output))
        still = math.inf if output else 1.0
        return Flicker(source, output, output / source if source else still, self._static / self._blocks)
