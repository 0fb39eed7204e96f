"""Figures of a video or picture: against its truth where there is one, and of sharpened output against its input.

Everything is measured on luma, frame by frame, in 8-bit limited-range code values (black 16, white 235). Full-range and
10-bit video is converted to them. The luma of a picture is that of BT.601. The peak is 255, and no border is left out.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.engine.arithmetic import from_plane
from acutance.errors import UsageError
from acutance.evaluate.quality import MAX_DB, mean_db
from acutance.frame import Frame
from acutance.io import VideoReader, read_image
from acutance.io.files import kind_of
from acutance.luma import luma_from_rgb
from acutance.metrics import (
    Acutance,
    AcutanceMeter,
    Flicker,
    FlickerMeter,
    Overshoot,
    OvershootMeter,
    TruthWindows,
    psnr,
    restored_share,
    sharpness,
    ssim,
)
from acutance.metrics.acutance import WINDOW
from acutance.sharpening.base import BaseSharpener

__all__ = ["ChangeMeasures", "FrameObserver", "FrameQuality", "VideoResult", "evaluate_video"]

Codes = NDArray[np.float32]
"""Luma, H x W, in 8-bit limited-range code values, unrounded."""

FrameObserver = Callable[[str, Codes, Mapping[str, Codes], Codes | None], None]
"""Called for each frame with (place, before, after by model name, truth or None)."""

_FLICKER_BLOCK = 16
_RATE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """How near frames are to their truth.

    Attributes:
        psnr_y: PSNR in dB per frame; a frame that equals its truth counts 100.
        ssim_y: SSIM per frame.
        acutance: Acutance and coherence of all frames; None of frames smaller than 64 x 64.
    """

    psnr_y: tuple[float, ...]
    ssim_y: tuple[float, ...]
    acutance: Acutance | None = None

    @property
    def mean_psnr_y(self) -> float:
        return mean_db(self.psnr_y)

    @property
    def mean_ssim_y(self) -> float:
        return math.fsum(self.ssim_y) / len(self.ssim_y)

    def restored(self, received: "FrameQuality") -> float:
        """Return the share of the lost acutance that is restored; not a number where nothing is known to be lost."""
        if self.acutance is None or received.acutance is None:
            return math.nan
        return restored_share(self.acutance.acutance, received.acutance.acutance)

    def to_dict(self) -> dict[str, Any]:
        """Return figures that fit JSON; what is not a number is None."""
        sharp = self.acutance
        return {
            "acutance": None if sharp is None else _plain(sharp.acutance),
            "coherence": None if sharp is None else _plain(sharp.coherence),
            "natural_acutance": None if sharp is None else _plain(sharp.natural_acutance),
            "power_ratio": None if sharp is None else [_plain(v) for v in sharp.power_ratio],
            "mean_psnr_y": round(self.mean_psnr_y, 5),
            "mean_ssim_y": round(self.mean_ssim_y, 5),
            "psnr_y": [round(v, 5) for v in self.psnr_y],
            "ssim_y": [round(v, 5) for v in self.ssim_y],
        }


@dataclass(frozen=True, slots=True)
class ChangeMeasures:
    """What sharpening changed against its input.

    Attributes:
        psnr_y: PSNR between the two, mean over frames, in dB.
        sharpness_ratio: Gradient energy after to before, over all frames.
        overshoot: Past the local range of the input.
        flicker: Where the input stands still; None for a single frame and for frames that are too small.
    """

    psnr_y: float
    sharpness_ratio: float
    overshoot: Overshoot
    flicker: Flicker | None

    def to_dict(self) -> dict[str, Any]:
        flicker = self.flicker
        return {
            "psnr_y_to_input": _plain(self.psnr_y),
            "sharpness_ratio": _plain(self.sharpness_ratio),
            "overshoot_p99_9": self.overshoot.p99_9,
            "overshoot_largest": self.overshoot.largest,
            "overshoot_share": _plain(self.overshoot.share),
            "flicker_ratio": None if flicker is None else _plain(flicker.ratio),
            "flicker_static_share": None if flicker is None else _plain(flicker.static_share),
        }


@dataclass(frozen=True, slots=True)
class VideoResult:
    """Figures of one video or picture.

    Attributes:
        target: Path of the file.
        reference: Path of its truth, or None.
        width: In pixels.
        height: In pixels.
        frames: How many were measured.
        before: The input against the truth; None without a truth.
        after: The output of each model against the truth; empty without a truth.
        change: The output of each model against its input.
        damaged: What was lost of damaged files, or None.
        notes: One line each.
    """

    target: str
    reference: str | None
    width: int
    height: int
    frames: int
    before: FrameQuality | None
    after: Mapping[str, FrameQuality]
    change: Mapping[str, ChangeMeasures]
    damaged: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return figures that fit JSON; what is not a finite number is None."""
        return {
            "target": self.target,
            "reference": self.reference,
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "before": None if self.before is None else self.before.to_dict(),
            "after": {name: quality.to_dict() for name, quality in self.after.items()},
            "change": {name: change.to_dict() for name, change in self.change.items()},
            "damaged": self.damaged,
            "notes": list(self.notes),
        }


def _plain(value: float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


class _Picture:
    """One frame or picture: its luma, and its sharpened version."""

    def __init__(self, source: Frame | NDArray[Any]) -> None:
        self._source = source
        self.codes = _codes(source)

    def sharpened(self, sharpener: BaseSharpener) -> Codes:
        if isinstance(self._source, Frame):
            return _codes(sharpener.frame(self._source))
        return _codes(sharpener(self._source))


def _codes(source: Frame | NDArray[Any]) -> Codes:
    if isinstance(source, Frame):
        return from_plane(source.luma, source.bit_depth, source.full_range) * np.float32(255)
    if source.ndim == 3:
        return luma_from_rgb(source)
    return from_plane(source, 8 * source.dtype.itemsize, True) * np.float32(255)


class _Opened:
    """An open video or picture file: its size and its frames."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.kind = kind_of(path)
        self._reader: VideoReader | None = None
        self._image_notes: tuple[str, ...] = ()
        self.pictures: Iterator[_Picture]
        if self.kind == "image":
            image = read_image(path)
            self.width, self.height, self.count = image.width, image.height, 1
            self._image_notes = image.notes
            self.pictures = iter([_Picture(image.pixels)])
        else:
            reader = stack.enter_context(VideoReader(path))
            self._reader = reader
            self.width, self.height, self.count = reader.width, reader.height, reader.info.frame_count
            self.pictures = (_Picture(frame) for frame in reader)

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, as far as the file says; None of a picture."""
        return None if self._reader is None else self._reader.info.average_rate

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._reader.notes) if self._reader is not None else self._image_notes

    @property
    def damaged(self) -> str | None:
        return None if self._reader is None else self._reader.damaged


class _TruthMeter:
    """Compares frames with their truth."""

    def __init__(self) -> None:
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._acutance = AcutanceMeter()

    def add(self, codes: Codes, truth: Codes, windows: TruthWindows | None) -> None:
        self._psnr.append(min(psnr(codes, truth), MAX_DB))
        self._ssim.append(ssim(codes, truth))
        if windows is not None:
            self._acutance.add(codes, windows)

    def result(self) -> FrameQuality:
        sharp = self._acutance.result() if self._acutance.windows else None
        return FrameQuality(tuple(self._psnr), tuple(self._ssim), sharp)


class _ChangeMeter:
    def __init__(self, height: int, width: int) -> None:
        self._psnr: list[float] = []
        self._before = self._after = 0.0
        self._overshoot = OvershootMeter()
        self._flicker = FlickerMeter(block=_FLICKER_BLOCK) if min(height, width) >= _FLICKER_BLOCK else None
        self._measure_sharpness = min(height, width) >= 3

    def add(self, after: Codes, before: Codes) -> None:
        self._psnr.append(psnr(after, before))
        if self._measure_sharpness:
            self._before += sharpness(before)
            self._after += sharpness(after)
        self._overshoot.add(_rounded(after), _rounded(before))
        if self._flicker is not None:
            self._flicker.add(after, before)

    def result(self) -> ChangeMeasures:
        steady = self._flicker is not None and len(self._psnr) > 1
        return ChangeMeasures(
            psnr_y=mean_db(self._psnr),
            sharpness_ratio=self._after / self._before if self._before else math.nan,
            overshoot=self._overshoot.result(),
            flicker=self._flicker.result() if self._flicker is not None and steady else None,
        )


def _rounded(codes: Codes) -> NDArray[np.uint8]:
    return np.clip(np.rint(codes), 0, 255).astype(np.uint8)


def evaluate_video(
    target: str | Path,
    *,
    reference: str | Path | None = None,
    sharpeners: Mapping[str, BaseSharpener] | None = None,
    common: bool = False,
    limit: int | None = None,
    observe: FrameObserver | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> VideoResult:
    """Measure a video or picture, frame by frame.

    Args:
        target: Path of the file.
        reference: Path of its truth, of the same size and number of frames.
        sharpeners: Models by name; their output is measured too.
        common: Compare as many frames as both files have, where the numbers differ.
        limit: Measure at most so many frames.
        observe: Called for each frame.
        progress: Called with (frames done, number of frames or 0 where it is not known).

    Raises:
        UsageError: The two files do not match, or there is nothing to measure.
        AcutanceError: A file cannot be read.
    """
    sharpeners = sharpeners or {}
    if reference is None and not sharpeners:
        raise UsageError(f"{target}: nothing to measure without a reference or a model")
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, not {limit}")
    with ExitStack() as stack:
        opened = _Opened(Path(target), stack)
        truth = None if reference is None else _Opened(Path(reference), stack)
        if truth is not None and (truth.width, truth.height) != (opened.width, opened.height):
            raise UsageError(
                f"{opened.path} is {opened.width}x{opened.height} and its reference {truth.path} is "
                f"{truth.width}x{truth.height}: they must have one size"
            )
        if truth is not None:
            _check_rates(opened, truth)
        if truth is not None and min(opened.width, opened.height) < 11:
            raise UsageError(f"{opened.path}: {opened.width}x{opened.height} is too small; SSIM needs 11x11")
        total = min((c for c in (opened.count, truth.count if truth else 0, limit or 0) if c), default=0)
        before = _TruthMeter()
        after = {name: _TruthMeter() for name in sharpeners}
        change = {name: _ChangeMeter(opened.height, opened.width) for name in sharpeners}
        notes: list[str] = []
        done = 0
        for picture, wanted in _pairs(opened, truth, limit=limit, common=common, notes=notes):
            outputs = {name: picture.sharpened(s) for name, s in sharpeners.items()}
            if wanted is not None:
                windows = TruthWindows(wanted) if min(wanted.shape) >= WINDOW else None
                before.add(picture.codes, wanted, windows)
                for name, output in outputs.items():
                    after[name].add(output, wanted, windows)
            for name, output in outputs.items():
                change[name].add(output, picture.codes)
            if observe is not None:
                place = opened.path.name if opened.kind == "image" else f"frame {done}"
                observe(place, picture.codes, outputs, wanted)
            done += 1
            progress(done, total)
        if not done:
            raise UsageError(f"{opened.path}: no frame was measured")
        files: Sequence[_Opened] = [opened] if truth is None else [opened, truth]
        damage = [f"{f.path}: {f.damaged}" for f in files if f.damaged]
        notes += [f"{f.path}: {note}" for f in files for note in f.notes]
        return VideoResult(
            target=str(target),
            reference=None if reference is None else str(reference),
            width=opened.width,
            height=opened.height,
            frames=done,
            before=None if truth is None else before.result(),
            after={} if truth is None else {name: meter.result() for name, meter in after.items()},
            change={name: meter.result() for name, meter in change.items()},
            damaged="; ".join(damage) or None,
            notes=tuple(notes),
        )


def _check_rates(target: _Opened, truth: _Opened) -> None:
    """Raises UsageError where two videos have other frame rates: their frames do not show the same moments."""
    ours, theirs = target.rate, truth.rate
    if ours and theirs and abs(ours / theirs - 1) > _RATE_TOLERANCE:
        raise UsageError(
            f"{target.path} has {float(ours):.4g} frames a second and its reference {truth.path} has "
            f"{float(theirs):.4g}: frames of the same number show other moments; give both one rate first"
        )


def _pairs(
    target: _Opened, truth: _Opened | None, *, limit: int | None, common: bool, notes: list[str]
) -> Iterator[tuple[_Picture, Codes | None]]:
    """Yield frames with their truth, in step. Raise UsageError at the end if one has more of them than the other."""
    if truth is None:
        yield from ((picture, None) for picture in itertools.islice(target.pictures, limit))
        return
    done = 0
    while limit is None or done < limit:
        ours, theirs = next(target.pictures, None), next(truth.pictures, None)
        if ours is None and theirs is None:
            return
        if ours is None or theirs is None:
            # Count by decoding: the number in a container is often an estimate.
            more = 1 + sum(1 for _ in (target if theirs is None else truth).pictures)
            counts = (done + more, done) if theirs is None else (done, done + more)
            differ = f"{target.path} has {counts[0]} frames and its reference {truth.path} has {counts[1]}"
            if not common:
                raise UsageError(f"{differ}: they must match, unless only the common part is to be compared")
            notes.append(f"{differ}: the first {done} were compared")
            return
        yield ours, theirs.codes
        done += 1
