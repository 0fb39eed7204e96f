"""Whether anyone can see which tiles were skipped: at their borders, and over time where nothing moves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from _speed.calls import open_session
from _speed.clips import Luma, timing_clip
from _speed.setting import TEST_CLIPS, Section, Setting, clip_path
from acutance.engine.base import TileOptions
from acutance.engine.tiles import tile_side
from acutance.metrics import FlickerMeter

__all__ = ["SeamMeter", "seams"]

_MOST_FRAMES = 120
_SEAM_LIMIT, _FLICKER_LIMIT = 2.0, 1.05

_Tiles = NDArray[np.bool_]


@dataclass
class SeamMeter:
    """Measures the mean absolute step across borders between computed and skipped tiles, in two pictures.

    The pictures tell what happened to a tile: a computed one equals the untiled picture, a skipped one the input. A
    tile that equals both may be either, and its borders are left out.

    Attributes:
        strange: Tiles that equal neither.
        all_tiled: Sum over the borders of all tiles of the tiled picture.
        all_untiled: The same of the untiled picture.
    """

    side: int
    tiled: float = 0.0
    untiled: float = 0.0
    steps: int = 0
    all_tiled: float = 0.0
    all_untiled: float = 0.0
    strange: int = 0
    tiles: int = 0

    def add(self, source: Luma, tiled: Luma, untiled: Luma) -> None:
        is_computed = _all_in_tiles(tiled == untiled, self.side)
        is_passed = _all_in_tiles(tiled == source, self.side)
        self.tiles += is_computed.size
        self.strange += int((~is_computed & ~is_passed).sum())
        for axis in (0, 1):
            seam = _neighbours(is_computed & ~is_passed, is_passed & ~is_computed, axis)
            across = np.repeat(seam, self.side, axis=1 - axis)
            for picture, name in ((tiled, "tiled"), (untiled, "untiled")):
                steps = _border_steps(picture, self.side, axis)
                chosen = steps[across[: steps.shape[0], : steps.shape[1]]]
                setattr(self, name, getattr(self, name) + float(chosen.sum()))
                setattr(self, f"all_{name}", getattr(self, f"all_{name}") + float(steps.sum()))
            self.steps += chosen.size

    @property
    def deviation(self) -> float | None:
        """Return by how many percent the steps of the tiled picture differ; None without a border."""
        return None if not self.untiled else abs(self.tiled / self.untiled - 1) * 100

    @property
    def deviation_of_all(self) -> float:
        """Return the same over the borders of all tiles."""
        return abs(self.all_tiled / self.all_untiled - 1) * 100 if self.all_untiled else 0.0


def _all_in_tiles(same: _Tiles, side: int) -> _Tiles:
    rows = np.logical_and.reduceat(same, np.arange(0, same.shape[0], side), axis=0)
    return np.asarray(np.logical_and.reduceat(rows, np.arange(0, same.shape[1], side), axis=1))


def _neighbours(one: _Tiles, other: _Tiles, axis: int) -> _Tiles:
    """Return where one of two neighbouring tiles is of one kind and the next is of the other."""
    first = [a[:-1] if axis == 0 else a[:, :-1] for a in (one, other)]
    second = [a[1:] if axis == 0 else a[:, 1:] for a in (one, other)]
    return np.asarray((first[0] & second[1]) | (first[1] & second[0]))


def _border_steps(picture: Luma, side: int, axis: int) -> NDArray[np.float64]:
    """Return the absolute step from the last sample of each tile to the first of the next, along ``axis``."""
    rows = picture if axis == 0 else picture.T
    starts = np.arange(side, rows.shape[0], side)
    steps = np.abs(rows[starts].astype(np.float64) - rows[starts - 1])
    return steps if axis == 0 else steps.T


def seams(setting: Setting, section: Section) -> None:
    """Measure seams and flicker with the default threshold on the test clips, for ``fast`` and ``balanced``."""
    worst_seam, worst_of_all, worst_flicker = [], [], []
    for tier in ("fast", "balanced"):
        for name in TEST_CLIPS:
            session = open_session(setting, section, tier, TileOptions(threshold=setting.threshold_of(tier)))
            if session is None:
                continue
            engine = setting.open(tier)
            clip = timing_clip(clip_path(setting, name), setting.size, setting.clip_frames)
            meter = SeamMeter(tile_side(setting.student(tier).spec.shape.unshuffle))
            flicker = {"threshold": FlickerMeter(), "off": FlickerMeter()}
            for source in _first(clip.luma):
                tiled, untiled = np.empty_like(source), np.empty_like(source)
                session.process(source, out=tiled)
                engine.process(source, out=untiled)
                meter.add(source, tiled, untiled)
                flicker["threshold"].add(tiled, source)
                flicker["off"].add(untiled, source)
            ratios = {kind: m.result().ratio for kind, m in flicker.items()}
            if meter.deviation is not None:
                worst_seam.append(meter.deviation)
            worst_of_all.append(meter.deviation_of_all)
            worst_flicker.append(ratios["threshold"])
            section.row(
                tier=tier,
                clip=name,
                threshold=setting.threshold_of(tier),
                frames=min(_MOST_FRAMES, len(clip.frames)),
                border_samples=meter.steps,
                step_tiled=meter.tiled / max(1, meter.steps),
                step_untiled=meter.untiled / max(1, meter.steps),
                deviation_percent=meter.deviation,
                deviation_of_all_borders_percent=meter.deviation_of_all,
                tiles_neither_computed_nor_passed=meter.strange,
                flicker_with_threshold=ratios["threshold"],
                flicker_without=ratios["off"],
                static_share=flicker["off"].result().static_share,
            )
    section.target(
        "seams: gradient across tile borders against the untiled picture's, worst clip",
        max(worst_of_all, default=None), _SEAM_LIMIT, unit="% off", at_least=False,
    )  # fmt: skip
    section.target(
        "seams: gradient across borders of computed and passed tiles alone against the untiled picture's, worst clip",
        max(worst_seam, default=None), _SEAM_LIMIT, unit="% off", at_least=False,
    )  # fmt: skip
    section.target(
        "flicker: deviation over time on static regions against the input's, worst clip",
        max(worst_flicker, default=None), _FLICKER_LIMIT, unit="times", at_least=False,
    )  # fmt: skip


def _first(frames: list[Luma]) -> Iterator[Luma]:
    yield from frames[:_MOST_FRAMES]
