"""Sessions that compute only the tiles of a frame that need it: the plain twin of what the native engine does.

A tile is a square of ``tile_side`` pixels, smaller at the right and bottom edge. Its activity is the largest size of
``4c - left - right - up - down`` over its pixels, of code values with neighbours beyond the picture replicated; a tile
that was computed in the frame before counts as a quarter more active, so that one near the threshold does not flicker.
Whatever is computed has the value it has when the whole plane is computed.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acutance.engine.base import Session, TileCounts, TileOptions
from acutance.frame import Plane
from acutance.spec import StudentShape

__all__ = ["TileSession", "choose", "tile_activity", "tile_side", "undisturbed"]

Tiles = NDArray[np.bool_]
"""One truth value for each tile: rows of tiles x columns of tiles."""


class Sharpen(Protocol):
    """Sharpens a whole plane into ``out``; everything has been checked."""

    def __call__(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None: ...


class TileSession(Session):
    """Computes whole planes and keeps the tiles it should; plain rather than fast.

    A tile that is reused would have the same value again: it is only counted as what a fast engine need not compute.
    """

    def __init__(self, sharpen: Sharpen, shape: StudentShape, options: TileOptions) -> None:
        super().__init__()
        self._sharpen_whole, self._options = sharpen, options
        self._side, self._radius = tile_side(shape.unshuffle), shape.radius
        self._last: tuple[Plane, Tiles] | None = None  # the last frame, and which of its tiles were computed

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> TileCounts:
        out[...] = luma
        activity = tile_activity(luma, bit_depth, self._side)
        if strength == 0.0:
            return TileCounts(activity.size, passed=activity.size)
        if self._last is not None:
            activity += np.where(self._last[1], activity >> 2, 0)
        options = self._options
        before = np.zeros(activity.shape, bool) if self._last is None else self._last[1]
        chosen = choose(activity >> (bit_depth - 8), options.threshold, options.most(activity.size), before)
        reused = np.zeros_like(chosen)
        if options.reuse and self._last is not None:
            last, was_chosen = self._last
            changed = _largest_of_tiles((luma != last).astype(np.int32), self._side) > 0
            reused = chosen & was_chosen & undisturbed(changed, self._side, self._radius)
        self._last = luma.copy(), chosen
        if chosen.any():
            whole = np.empty_like(out)
            self._sharpen_whole(luma, strength, bit_depth, full_range, whole)
            np.copyto(out, whole, where=_pixels_of(chosen, self._side, luma.shape))
        computed, skipped = int(chosen.sum()), int(reused.sum())
        return TileCounts(chosen.size, computed - skipped, chosen.size - computed, skipped)

    def set_options(self, options: TileOptions) -> None:
        self._options = options

    def reset(self) -> None:
        super().reset()
        self._last = None


def tile_side(unshuffle: int) -> int:
    """Pixels: the least multiple of the unshuffle factor from 16."""
    return -(-16 // unshuffle) * unshuffle


def tile_activity(luma: Plane, bit_depth: int, side: int) -> NDArray[np.int32]:
    """Activity of each tile, in code values of the plane, before any hysteresis. int32, rows x columns of tiles."""
    codes = np.minimum(luma, (1 << bit_depth) - 1).astype(np.int32)
    c = np.pad(codes, 1, mode="edge")
    return _largest_of_tiles(np.abs(4 * codes - c[:-2, 1:-1] - c[2:, 1:-1] - c[1:-1, :-2] - c[1:-1, 2:]), side)


def choose(level: NDArray[np.int32], threshold: int, most: int, before: Tiles) -> Tiles:
    """The tiles to compute: of those of at least the threshold's level, the ``most`` highest.

    level: of each tile, activity in 8-bit code values. before: the tiles computed in the last frame, which come first
    among those of equal level; then the upper ones, and the left ones.
    """
    order = np.lexsort((~before.ravel(), -level.ravel()))[:most]  # stable: row by row among equals
    chosen = np.zeros(level.size, bool)
    chosen[order] = level.ravel()[order] >= threshold
    return chosen.reshape(level.shape)


def undisturbed(changed: Tiles, side: int, radius: int) -> Tiles:
    """The tiles of which no tile that lies within ``radius`` pixels, and not they themselves, changed."""
    reach = -(-radius // side)
    padded = np.pad(changed, reach)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(~windows.any(axis=(2, 3)))


def _largest_of_tiles(values: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    height, width = values.shape
    rows = np.maximum.reduceat(values, np.arange(0, height, side), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, width, side), axis=1)


def _pixels_of(tiles: Tiles, side: int, shape: tuple[int, ...]) -> Tiles:
    return tiles.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]
