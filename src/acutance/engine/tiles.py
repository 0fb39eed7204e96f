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
from acutance.engine.enlargement import enlarge
from acutance.engine.integer import IntegerNetwork
from acutance.errors import UsageError
from acutance.frame import Plane

__all__ = ["TileSession", "choose", "tile_activity", "tile_side", "undisturbed"]

CELL = 4
"""Pixels: the side of the squares in which a session looks for changes."""
POOR_FRAMES, REST_FRAMES, POOR_SHARE = 2, 8, 16
"""After so many frames in a row that could reuse less than a 16th of what they needed, so many are not compared."""

RENEWAL_FRAMES = 8
"""After a change of weights, a kept tile is computed again within so many frames."""

Tiles = NDArray[np.bool_]
"""One truth value for each tile: rows of tiles x columns of tiles."""


class RunNetwork(Protocol):
    """Sharpens a whole plane into ``out`` with a network; everything has been checked."""

    def __call__(
        self, network: IntegerNetwork, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane
    ) -> None: ...


class TileSession(Session):
    """Computes whole planes and keeps the tiles it should; plain rather than fast.

    A tile that is reused would have the same value again, unless the network was changed: then it keeps its old value
    until it is computed again.
    """

    def __init__(self, network: IntegerNetwork, run: RunNetwork, options: TileOptions) -> None:
        super().__init__(network.shape)
        self._network, self._run, self._options = network, run, options
        self._side, self._radius = tile_side(network.shape.unshuffle), network.shape.radius
        self._out_side = self._side // network.shape.unshuffle * network.shape.shuffle
        self._computed: Tiles | None = None  # which tiles of the last frame were
        self._last: Plane | None = None  # the last frame, where it is remembered
        self._last_out: Plane | None = None  # what was made of it
        self._compared = False  # whether this frame was compared with it
        self._poor = self._rest = 0
        self._renewal = RENEWAL_FRAMES  # frames that were compared since the network changed

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> TileCounts:
        if self.shape.upscales:
            out[...] = enlarge(luma, self.shape.unshuffle, self.shape.shuffle, bit_depth)
        else:
            out[...] = luma
        activity = tile_activity(luma, bit_depth, self._side)
        if strength == 0.0:
            self._computed = None
            return TileCounts(activity.size, passed=activity.size)
        before = np.zeros(activity.shape, bool) if self._computed is None else self._computed
        activity += np.where(before, activity >> 2, 0)
        options = self._options
        chosen = choose(activity >> (bit_depth - 8), options.threshold, options.most(activity.size), before)
        reused = self._reuse(luma, chosen & before)
        self._computed = chosen
        if chosen.any():
            whole = np.empty_like(out)
            self._run(self._network, luma, strength, bit_depth, full_range, whole)
            np.copyto(out, whole, where=_pixels_of(chosen, self._out_side, out.shape))
        if self._last_out is not None and reused.any():
            np.copyto(out, self._last_out, where=_pixels_of(reused, self._out_side, out.shape))
        self._last_out = None if self._last is None else out.copy()
        needed, skipped = int(chosen.sum()), int(reused.sum())
        if self._compared:
            self._rest_or_not(skipped, needed)
        return TileCounts(chosen.size, needed - skipped, chosen.size - needed, skipped)

    def _reuse(self, luma: Plane, again: Tiles) -> Tiles:
        """Those of the tiles that were and are to be computed whose input is that of the last frame."""
        last = self._last
        self._last, self._compared = None, False
        if not self._options.reuse:
            return np.zeros_like(again)
        if self._rest > 0:
            self._rest -= 1
            return np.zeros_like(again)
        self._last = luma.copy()
        if last is None:
            return np.zeros_like(again)
        self._compared = True
        again = again & ~self._renewed(again.shape)
        return again & undisturbed(luma != last, self._side, self._radius)

    def _renewed(self, shape: tuple[int, ...]) -> Tiles:
        """The tiles that are computed again in this frame though nothing changed: spread over the picture."""
        if self._renewal >= RENEWAL_FRAMES:
            return np.zeros(shape, bool)
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        self._renewal += 1
        return np.asarray((columns + 3 * rows) % RENEWAL_FRAMES == self._renewal - 1)

    def set_network(self, network: IntegerNetwork) -> None:
        if network.shape != self._network.shape:
            raise UsageError("a model of another shape than the engine's")
        self._network, self._renewal = network, 0

    def _rest_or_not(self, reused: int, needed: int) -> None:
        """Where hardly anything is ever the same, comparing is left out most of the time."""
        self._poor = self._poor + 1 if reused * POOR_SHARE < needed else 0
        if self._poor >= POOR_FRAMES:
            self._rest, self._poor = REST_FRAMES, POOR_FRAMES - 1

    def set_options(self, options: TileOptions) -> None:
        self._options = options

    def reset(self) -> None:
        super().reset()
        self._computed, self._last, self._compared = None, None, False
        self._poor = self._rest = 0
        self._renewal, self._last_out = RENEWAL_FRAMES, None


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


def undisturbed(changed: NDArray[np.bool_], side: int, radius: int) -> Tiles:
    """The tiles without a changed pixel within ``radius`` pixels, in whole cells. changed: of each pixel."""
    height, width = changed.shape
    cells = _largest_of_tiles(changed.astype(np.int32), CELL) > 0

    def seen(start: int) -> slice:
        return slice(max(0, start - radius) // CELL, (start + side + radius - 1) // CELL + 1)

    rows, columns = range(0, height, side), range(0, width, side)
    return np.array([[not cells[seen(y), seen(x)].any() for x in columns] for y in rows], bool)


def _largest_of_tiles(values: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    height, width = values.shape
    rows = np.maximum.reduceat(values, np.arange(0, height, side), axis=0)
    return np.maximum.reduceat(rows, np.arange(0, width, side), axis=1)


def _pixels_of(tiles: Tiles, side: int, shape: tuple[int, ...]) -> Tiles:
    return tiles.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]
