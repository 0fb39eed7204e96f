"""Training calls: frames with their truth and the features of what they went through, kept on disk, and batches."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.choosing.condition import FEATURES, KnownFacts, condition_features, with_known
from acutance.errors import AcutanceError, InputNotFoundError
from acutance.training.data.call_recipes import CallRecipe, draw_recipe, send, soften
from acutance.training.data.call_sources import draw_slide, film_photograph, read_stretch
from acutance.training.data.clips import ClipFile
from acutance.training.data.folders import ImageFile

__all__ = ["Call", "CallBatch", "CallSet", "CallTeacher", "prepare_calls"]

VERSION = 1  # part of every key: raise it when anything here or in the features changes what is stored
FRAMES = 24
TAKEN = (0, 1, 11, 12, 22, 23)  # the key frame, and neighbours in pairs
_KEPT = 480  # pixels a side of the window that is kept of each frame
_GRID = 12  # windows and crops start at multiples of it, where pixels of the coded size begin
_SMALLEST_PHOTO = 400  # pixels
_SLIDE = (768, 528)
_KINDS = "ccccccppps"  # of ten calls: clips, photographs, a slide
_KINDS_WITHOUT_SLIDES = "ccccccccpp"
_FIRST_SOFT = 10_000  # number of the first call of a soft source
_TRIES = 2  # places that are looked at for a crop; the more detailed is taken
_FACTOR_KNOWN, _RATE_KNOWN = 0.35, 0.6  # shares of the batches that are told


class CallTeacher(Protocol):
    """What is needed of a teacher for one factor (see acutance.training.models.teachers.Teacher)."""

    sha256: str

    def restore(self, low: NDArray[np.uint8]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Call:
    """Some frames of one call, memory-mapped.

    Attributes:
        planes: frames x 2 x H x W, uint8 luma of limited range: what is shown, and its truth.
        features: frames x FEATURES, float32, of the whole shown frame; nothing is known.
        teacher: frames x H x W, float16 code values, where a teacher restored them; else None.
        record: What the call did, and where it came from.
    """

    planes: NDArray[np.uint8]
    features: NDArray[np.float32]
    teacher: NDArray[np.float16] | None
    record: Mapping[str, Any]


@dataclass(frozen=True)
class CallBatch:
    """The crops of one step, in groups that share a frame, and so a condition.

    Attributes:
        degraded, sharp, teacher: N x 1 x H x W, float32, limited-range luma over 255. Where no teacher restored a
            frame, ``teacher`` is the truth.
        features: groups x FEATURES, float32.
        records: What each group's call did.
    """

    degraded: NDArray[np.float32]
    sharp: NDArray[np.float32]
    teacher: NDArray[np.float32]
    features: NDArray[np.float32]
    records: list[Mapping[str, Any]]


class CallSet:
    """Calls, and reproducible batches from them."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = list(calls)

    def __len__(self) -> int:
        return len(self.calls)

    @property
    def digest(self) -> str:
        """SHA-256 over what every call is, in order: with (seed, step) it decides every batch."""
        return hashlib.sha256(json.dumps([call.record for call in self.calls], sort_keys=True).encode()).hexdigest()

    @property
    def statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each feature; those of known facts are taken as they are."""
        features = np.concatenate([call.features for call in self.calls])
        mean, deviation = features.mean(axis=0), features.std(axis=0) + np.float32(1e-3)
        mean[-4:], deviation[-4:] = 0.0, 1.0
        return mean.astype(np.float32), deviation.astype(np.float32)

    def batch(self, step: int, *, seed: int, groups: int, size: int, crop: int) -> CallBatch:
        """Cut the crops of one step, a pure function of the arguments.

        Args:
            step: Number of the step.
            seed: Seed of the run.
            groups: Frames that crops are cut from.
            size: Crops in all, a multiple of ``groups``.
            crop: Side of a crop, a multiple of 12, at most that of the smallest frame.
        """
        rng = np.random.default_rng((seed, step))
        shown: list[NDArray[Any]] = []
        truth: list[NDArray[Any]] = []
        taught: list[NDArray[Any]] = []
        features, records = [], []
        for _ in range(groups):
            call = self.calls[int(rng.integers(len(self.calls)))]
            k = int(rng.integers(len(call.planes)))
            features.append(with_known(call.features[k], _facts(call.record, rng)))
            records.append(call.record)
            for _ in range(size // groups):
                place = _detailed_place(call.planes[k, 1], rng, crop)
                turn = int(rng.integers(8))
                shown.append(_turned(call.planes[k, 0][place], turn))
                truth.append(_turned(call.planes[k, 1][place], turn))
                target = call.planes[k, 1] if call.teacher is None else call.teacher[k]
                taught.append(_turned(target[place], turn))

        def stack(crops: list[NDArray[Any]]) -> NDArray[np.float32]:
            return np.stack(crops)[:, None].astype(np.float32) / np.float32(255)

        return CallBatch(stack(shown), stack(truth), stack(taught), np.stack(features), records)


def prepare_calls(
    clips: Sequence[ClipFile],
    pictures: Sequence[ImageFile],
    *,
    count: int,
    seed: int,
    cache: Path,
    soft: int = 0,
    slides: bool = True,
    teachers: Mapping[float, CallTeacher] | None = None,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> CallSet:
    """Make calls of clips, photographs and slides; those that lie in the cache already are not made again.

    Args:
        clips: Clips of 8-bit 4:2:0 with at least 24 frames.
        pictures: Photographs; those below 400 pixels a side are left out.
        count: How many calls to draw beside the soft ones. Some cannot be made
            (short clips, small pictures) and are left out.
        seed: Seed of every draw.
        cache: Folder that keeps what is made.
        soft: How many calls of soft sources to draw (see call_recipes.soften).
        slides: Whether one in ten calls shows a drawn slide.
        teachers: By factor; each restores the frames of calls that were scaled by it and not encoded, from the
            scaled-down truth.
        progress: Called with (done, total, what) after each call.

    Raises:
        InputNotFoundError: If there is nothing to make calls of.
    """
    if not clips or not pictures:
        raise InputNotFoundError("training calls need clips and photographs")
    sources = hashlib.sha256(json.dumps([clip.sha256() for clip in clips] + [p.sha256() for p in pictures]).encode())
    key = {"version": VERSION, "features": FEATURES, "seed": seed, "slides": slides, "sources": sources.hexdigest()}
    folder = cache / "calls" / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    calls = []
    numbers = [*range(count), *range(_FIRST_SOFT, _FIRST_SOFT + soft)]
    for done, number in enumerate(numbers, start=1):
        path = folder / f"{number:05d}"
        if not path.with_suffix(".json").exists():  # written last: a call without it is unfinished
            _make(number, path, clips, pictures, seed, slides=slides)
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if not record.get("left_out"):
            planes = np.load(path.with_suffix(".npy"), mmap_mode="r")
            taught = _teach(path, planes, record, teachers or {})
            calls.append(Call(planes, np.load(path.with_suffix(".features.npy")), taught, record))
        progress(done, len(numbers), str(record.get("source", "")))
    if not calls:
        raise InputNotFoundError("not one training call could be made of these clips and photographs")
    return CallSet(calls)


def _make(
    number: int, path: Path, clips: Sequence[ClipFile], pictures: Sequence[ImageFile], seed: int, *, slides: bool
) -> None:
    soft = number >= _FIRST_SOFT
    rng = np.random.default_rng((3 * seed if soft else seed, number))
    kind = (_KINDS if slides else _KINDS_WITHOUT_SLIDES)[number % 10]
    source = "slide"
    try:
        if kind == "c":
            clip = clips[(number // 10 * 6 + number % 10) % len(clips)]
            source, recipe = clip.name, _drawn(rng, still=False, soft=soft)
            frames = read_stretch(clip.path, frames=FRAMES, rng=rng)
        elif kind == "p":
            file = pictures[int(rng.integers(len(pictures)))]
            source, recipe = file.name, _drawn(rng, still=True, soft=soft)
            picture = file.load()
            if min(picture.shape[:2]) < _SMALLEST_PHOTO:
                frames = []
            else:
                frames = film_photograph(picture, frames=FRAMES if recipe.codec else 2, rng=rng)
        else:
            recipe = _drawn(rng, still=True, soft=soft)
            frames = [draw_slide(rng, *_SLIDE)] * (FRAMES if recipe.codec else 2)
        needed = FRAMES if recipe.codec or kind == "c" else 2
        record = _record(path, frames, recipe, rng) if len(frames) >= needed else {"left_out": "too short or too small"}
    except AcutanceError as error:  # one clip that cannot be read must not cost the others
        record = {"left_out": str(error)}
    path.with_suffix(".json").write_text(json.dumps({"source": source, "number": number, **record}), encoding="utf-8")


def _drawn(rng: np.random.Generator, *, still: bool, soft: bool) -> CallRecipe:
    recipe = draw_recipe(rng, still=still)
    return soften(recipe, rng) if soft else recipe


def _record(path: Path, frames: list[Any], recipe: CallRecipe, rng: np.random.Generator) -> dict[str, Any]:
    if recipe.codec is None:
        frames = frames[:2]
    truth, shown, facts = send(frames, recipe, rng)
    taken = [k for k in TAKEN if k < len(truth)]
    features = [condition_features(shown[k].luma) for k in taken]
    if any(f is None for f in features):
        return {"left_out": "nothing to see"}
    rows, columns = _window(truth[taken[-1]].luma, rng)
    planes = [np.stack([shown[k].luma[rows, columns], truth[k].luma[rows, columns]]) for k in taken]
    np.save(path.with_suffix(".features.npy"), np.stack([f for f in features if f is not None]))
    np.save(path.with_suffix(".npy"), np.stack(planes))
    return {**recipe.to_dict(), **facts, "taken": taken}


def _window(truth: NDArray[np.uint8], rng: np.random.Generator) -> tuple[slice, slice]:
    """Return the most detailed of three windows."""
    height, width = (min(_KEPT, side) for side in truth.shape)
    best = (-1.0, 0, 0)
    for _ in range(3):
        y, x = (
            _GRID * int(rng.integers((side - kept) // _GRID + 1))
            for side, kept in zip(truth.shape, (height, width), strict=True)
        )
        piece = truth[y : y + height : 2, x : x + width].astype(np.float32)
        best = max(best, (float(np.abs(np.diff(piece, axis=1)).mean()), y, x))
    return slice(best[1], best[1] + height), slice(best[2], best[2] + width)


def _teach(
    path: Path, planes: NDArray[np.uint8], record: Mapping[str, Any], teachers: Mapping[float, CallTeacher]
) -> NDArray[np.float16] | None:
    """Return the teacher's outputs, from the cache where they are there.

    The teacher reads the scaled-down truth as a grey picture. It is good at pictures that were scaled alone, so only
    calls without an encoder are taught.
    """
    teacher = teachers.get(record["factor"]) if record["codec"] is None else None
    if teacher is None:
        return None
    kept = path.with_name(f"{path.name}.{teacher.sha256[:12]}.npy")
    if not kept.exists():
        factor = int(record["factor"])
        outputs: list[NDArray[np.float16]] = []
        for k in range(len(planes)):
            if k and np.array_equal(planes[k, 1], planes[0, 1]):
                outputs.append(outputs[0])
                continue
            truth = planes[k, 1]
            full = np.clip((truth.astype(np.float32) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)
            size = (truth.shape[1] // factor, truth.shape[0] // factor)
            low = np.asarray(Image.fromarray(full).resize(size, Image.Resampling.BICUBIC))
            restored = teacher.restore(np.repeat(low[:, :, None], 3, axis=2))
            outputs.append((restored.mean(axis=2) * 219 / 255 + 16).astype(np.float16))
        unfinished = kept.with_suffix(".part.npy")
        np.save(unfinished, np.stack(outputs))
        unfinished.replace(kept)
    taught: NDArray[np.float16] = np.load(kept, mmap_mode="r")
    return taught


def _facts(record: Mapping[str, Any], rng: np.random.Generator) -> KnownFacts:
    """Draw what a batch is told of a call; what is told is what a job may know of such a stream."""
    factor = rate = None
    if record["codec"] is not None and record["again"] is not None:
        if rng.random() < 0.5:
            rate = record["again"]  # a recording is decoded at its own rate, and nothing tells what it shows
    elif record["factor"] > 1:
        if rng.random() < _FACTOR_KNOWN:
            factor = record["factor"]
            if record["bits_per_pixel"] and rng.random() < _RATE_KNOWN:
                rate = record["bits_per_pixel"]
    elif record["bits_per_pixel"] and rng.random() < 0.5:
        rate = record["bits_per_pixel"]
    return KnownFacts(factor, rate)


def _detailed_place(truth: NDArray[np.uint8], rng: np.random.Generator, crop: int) -> tuple[slice, slice]:
    height, width = truth.shape
    best = (-1.0, 0, 0)
    for _ in range(_TRIES):
        y, x = (_GRID * int(rng.integers((side - crop) // _GRID + 1)) for side in (height, width))
        piece = truth[y : y + crop, x : x + crop]
        score = float(np.abs(np.diff(piece[::3].astype(np.int16), axis=1)).mean())
        if score > best[0]:
            best = (score, y, x)
    return slice(best[1], best[1] + crop), slice(best[2], best[2] + crop)


def _turned(piece: NDArray[Any], turn: int) -> NDArray[Any]:
    """Flip and transpose by the three bits of ``turn``."""
    piece = piece[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
    return piece.T if turn & 4 else piece
