"""Training pairs: pictures that are degraded once, restored by the teacher once, and kept on disk.

Their file names are hashes of everything that decides their content. Crops are copied from memory maps of these files.
"""

import contextlib
import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from acutance.degrade import Degradation, DegradationMix, Triple, crop_to_multiple, down_up, generator_for, resize
from acutance.errors import TeacherError
from acutance.luma import luma_from_rgb
from acutance.training.data.clips import ClipFile, cut_window
from acutance.training.data.folders import ImageFile

__all__ = ["Batch", "Pair", "PairSet", "TeacherLike", "cut_tiles", "prepare_clip_pairs", "prepare_pairs"]

VERSION = 2  # part of every key: raise it when anything here changes what is stored
ALIGN = 12  # crops start at multiples of 12, where low-resolution pixels begin for every factor from 1.5 to 4
_FIXED = 256.0  # pictures are kept as code values in 8.8 fixed point: exact for 8 bits, fine enough for luma


Tile = Callable[[], NDArray[np.uint8]]
"""Returns a tile: H x W x 3, uint8, RGB."""


class TeacherLike(Protocol):
    """A teacher, as far as pairs need it; see :class:`acutance.training.models.teachers.Teacher`."""

    name: str
    scale: int
    sha256: str

    def restore(self, low: NDArray[np.uint8]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Pair:
    """A degraded picture with its truth, memory-mapped.

    Attributes:
        low: the small picture, 3 x h x w, uint16, code values times 256, RGB.
        degraded: what a student reads, C x H x W, uint16, code values times 256; C is 1 for luma and 3 for RGB.
        sharp: the truth, like ``degraded``.
        teacher: the teacher's output minus ``degraded``, C x H x W, float16, in code values; or None. As a difference,
            float16 keeps it to a hundredth of a code value.
        record: the source of the picture and its degradation.
    """

    low: NDArray[np.uint16]
    degraded: NDArray[np.uint16]
    sharp: NDArray[np.uint16]
    teacher: NDArray[np.float16] | None
    record: Mapping[str, Any]

    @property
    def pixels(self) -> int:
        """Pixels of the truth."""
        return int(self.sharp.shape[1] * self.sharp.shape[2])


@dataclass(frozen=True)
class Batch:
    """Crops for one step: float32, pictures as code values over 255, N x C x H x W.

    low: N x 3 x h x w, or None where pictures of several factors are mixed.
    """

    low: NDArray[np.float32] | None
    degraded: NDArray[np.float32]
    sharp: NDArray[np.float32]
    teacher: NDArray[np.float32] | None


class PairSet:
    """Pairs, and reproducible batches from them."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self._cumulative = np.cumsum([p.pixels for p in self.pairs])
        self.factors = sorted({p.sharp.shape[1] / p.low.shape[1] for p in self.pairs})

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def digest(self) -> str:
        """SHA-256 over what every picture is and went through, in order: with (seed, step) it decides every batch."""
        return hashlib.sha256(json.dumps([p.record for p in self.pairs], sort_keys=True).encode()).hexdigest()

    def batch(self, step: int, *, seed: int, size: int, crop: int, part: slice = slice(None)) -> Batch:
        """The crops of one step, a pure function of its arguments, so that a resumed run sees what it would have.

        Pictures are drawn in proportion to their area; each crop is flipped and transposed at random.
        part: of the step's crops, those that are cut; all are drawn, so that they are the same whoever cuts them.
        """
        rng = np.random.default_rng((seed, step))
        rows = [self._cut(*place, crop) for place in [self._draw(rng, crop) for _ in range(size)][part]]

        def stack(arrays: list[NDArray[Any]], scale: float) -> NDArray[np.float32]:
            return np.stack(arrays).astype(np.float32) * np.float32(scale)

        low = stack([r[0] for r in rows], 1 / (_FIXED * 255)) if len(self.factors) == 1 else None
        degraded = stack([r[1] for r in rows], 1 / (_FIXED * 255))
        sharp = stack([r[2] for r in rows], 1 / (_FIXED * 255))
        teachers = [r[3] for r in rows if r[3] is not None]
        teacher = degraded + stack(teachers, 1 / 255) if len(teachers) == len(rows) else None
        return Batch(low, degraded, sharp, teacher)

    def _draw(self, rng: np.random.Generator, crop: int) -> tuple[Pair, int, int, int, bool]:
        pair = self.pairs[int(np.searchsorted(self._cumulative, rng.integers(self._cumulative[-1]), side="right"))]
        height, width = pair.sharp.shape[1:]
        y = ALIGN * int(rng.integers((height - crop) // ALIGN + 1))
        x = ALIGN * int(rng.integers((width - crop) // ALIGN + 1))
        return pair, y, x, int(rng.integers(4)), bool(rng.integers(2))

    def _cut(self, pair: Pair, y: int, x: int, flips: int, transpose: bool, crop: int) -> tuple[Any, Any, Any, Any]:
        height = pair.sharp.shape[1]

        def cut(array: NDArray[Any] | None) -> NDArray[Any] | None:
            if array is None:
                return None
            scale = array.shape[1] / height  # below 1 for the low-resolution picture
            top, left, side = round(y * scale), round(x * scale), round(crop * scale)
            piece = array[:, top : top + side, left : left + side]
            piece = piece[:, :: -1 if flips & 1 else 1, :: -1 if flips & 2 else 1]
            return piece.transpose(0, 2, 1) if transpose else piece

        return cut(pair.low), cut(pair.degraded), cut(pair.sharp), cut(pair.teacher)


def cut_tiles(picture: NDArray[np.uint8], *, side: int, count: int) -> list[tuple[int, int]]:
    """Top-left corners of the ``count`` most detailed tiles on a grid (all, where there are fewer).

    Detail is the mean absolute Laplacian of luma: flat sky teaches nothing.
    """
    height, width = picture.shape[:2]
    rows = _starts(height, side)
    columns = _starts(width, side)
    luma = luma_from_rgb(picture)
    laplacian = np.abs(4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:])
    scored = [(float(laplacian[y : y + side - 2, x : x + side - 2].mean()), y, x) for y in rows for x in columns]
    scored.sort(key=lambda s: (-s[0], s[1], s[2]))
    return [(y, x) for _, y, x in scored[:count]]


def _starts(length: int, side: int) -> list[int]:
    count = max(1, length // side)
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def prepare_pairs(
    files: Iterable[ImageFile],
    mix: DegradationMix,
    *,
    cache: Path,
    seed: int,
    colour: str = "luma",
    shrink_above: int = 0,
    tile: int = 0,
    tiles_per_picture: int = 1,
    smallest: int = 0,
    teacher: TeacherLike | None = None,
    teacher_sees: str = "degraded",
    progress: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> PairSet:
    """Degrade every picture, run the teacher on it, and keep both in ``cache``.

    What the cache holds is not made again, so an interrupted preparation continues.

    Args:
        files: the pictures.
        mix: degradations to draw from.
        cache: folder of prepared pairs.
        seed: of the degradations.
        colour: ``luma`` or ``rgb``: what ``degraded``, ``sharp`` and ``teacher`` of a pair hold.
        shrink_above: longer side in pixels above which a picture is scaled down first; 0 for none.
        tile: side of the tiles that are cut, in pixels; 0 for whole pictures.
        tiles_per_picture: how many tiles are cut from a picture, the most detailed ones.
        smallest: pictures with a shorter side are left out, because a crop would not fit.
        teacher: whose outputs are kept, or None.
        teacher_sees: ``degraded``, or ``clean`` for an undegraded bicubic picture (a privileged teacher). If the
            student's input is nearer to the truth than the output of such a teacher, the truth is kept instead.
        progress: called with (done, total, what) after each picture.
    """
    files = list(files)
    pairs: list[Pair] = []
    for done, file in enumerate(files, start=1):
        digest = file.sha256()
        base = {
            "version": VERSION, "source": digest, "seed": seed, "shrink_above": shrink_above,
            "tile": tile, "tiles": tiles_per_picture,
        }  # fmt: skip
        picture: NDArray[np.uint8] | None = None
        corners = _remembered_corners(cache, base)
        if corners is None:
            picture = _load(file, shrink_above)
            height, width = picture.shape[:2]
            fits = bool(tile) and min(height, width) >= tile
            corners = cut_tiles(picture, side=tile, count=tiles_per_picture) if fits else [(0, 0)]
            _remember_corners(cache, base, corners)
        for y, x in corners:

            def sharp_tile(y: int = y, x: int = x, file: ImageFile = file) -> NDArray[np.uint8]:
                nonlocal picture
                if picture is None:
                    picture = _load(file, shrink_above)
                fits = bool(tile) and min(picture.shape[:2]) >= tile
                piece = picture[y : y + tile, x : x + tile] if fits else picture
                return crop_to_multiple(piece, ALIGN)

            def degrade(recipe: Degradation, rng: np.random.Generator, tile: Tile = sharp_tile) -> Triple:
                return recipe.apply(tile(), rng)

            key = {**base, "corner": [y, x]}
            pair = _pair(degrade, key, file.name, mix, cache, seed, colour, teacher, teacher_sees)
            if min(pair.sharp.shape[1:]) >= smallest:
                pairs.append(pair)
        progress(done, len(files), file.name)
        _allow_open_files(len(pairs))
    return PairSet(pairs)


def prepare_clip_pairs(
    clips: Iterable[ClipFile],
    mix: DegradationMix,
    *,
    cache: Path,
    seed: int,
    windows: int,
    side: int,
    shrink: float,
    colour: str = "luma",
    teacher: TeacherLike | None = None,
    teacher_sees: str = "degraded",
    progress: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> PairSet:
    """Prepare pairs from clips. One frame of each window is a pair; encoders see ``codec_frames`` frames of it.

    Args:
        clips: the clips.
        mix: degradations to draw from.
        cache: folder of prepared pairs.
        seed: of places, times and degradations.
        windows: how many are cut from a clip, at random places and times.
        side: of a window, in pixels; smaller if the clip is smaller.
        shrink: factor by which clips are scaled down first; see :meth:`acutance.training.data.clips.ClipFile.load`.
        colour: as for :func:`prepare_pairs`.
        teacher: as for :func:`prepare_pairs`.
        teacher_sees: as for :func:`prepare_pairs`.
        progress: called with (done, total, what) after each clip.
    """
    clips = list(clips)
    pairs = []
    for done, clip in enumerate(clips, start=1):
        base = {"version": VERSION, "source": clip.sha256(), "seed": seed, "side": side, "shrink": shrink}
        frames: list[NDArray[np.uint8]] = []
        for number in range(windows):

            def degrade(
                recipe: Degradation,
                rng: np.random.Generator,
                clip: ClipFile = clip,
                frames: list[NDArray[np.uint8]] = frames,
            ) -> Triple:
                if not frames:
                    frames += clip.load(shrink=shrink)
                window = cut_window(frames, rng, side=side, count=recipe.codec_frames)
                return recipe.apply_clip(window, rng, record={"clip": clip.name})

            key = {**base, "corner": [number]}
            pairs.append(_pair(degrade, key, clip.name, mix, cache, seed, colour, teacher, teacher_sees))
        progress(done, len(clips), clip.name)
        _allow_open_files(len(pairs))
    return PairSet(pairs)


def _allow_open_files(pairs: int) -> None:
    """Each mapped array keeps a file open, and a process may have 256 (macOS) or 1024 (Linux) unless it asks."""
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 4 * (pairs + 100) + 256  # four arrays for each, and room for those of the next picture and all else
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with contextlib.suppress(OSError, ValueError):  # where it is not allowed, opening the file will say so
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, soft), hard))


def _load(file: ImageFile, shrink_above: int) -> NDArray[np.uint8]:
    rgb = file.load()
    height, width = rgb.shape[:2]
    return resize(rgb, width // 2, height // 2, "lanczos") if 0 < shrink_above < max(width, height) else rgb


def _pair(
    degrade: Callable[[Degradation, np.random.Generator], Triple],
    key: Mapping[str, Any],
    name: str,
    mix: DegradationMix,
    cache: Path,
    seed: int,
    colour: str,
    teacher: TeacherLike | None,
    teacher_sees: str,
) -> Pair:
    # The recipe drawn is part of the key, not the mix it was drawn from: another weight in the mix leaves most pictures
    # as they were, and the teacher need not see them again.
    name_of_draws = f"{key['source']}:{key['corner']}"
    recipe = mix.pick(generator_for(seed, name_of_draws))

    @functools.cache
    def triple() -> Triple:
        rng = generator_for(seed, name_of_draws)
        return degrade(mix.pick(rng), rng)

    folder = cache / "pairs" / _hash({**key, "colour": colour, "recipe": recipe.to_dict()})
    if not (folder / "record.json").exists():  # written last: a folder without it is unfinished
        folder.mkdir(parents=True, exist_ok=True)
        _save(folder / "low.npy", _fixed(triple().low, "rgb"))
        _save(folder / "degraded.npy", _fixed(triple().degraded, colour))
        _save(folder / "sharp.npy", _fixed(triple().sharp, colour))
        record = json.dumps({**triple().record, "picture": name, "key": dict(key)}, sort_keys=True)
        _replace(folder / "record.json", record.encode())
    record = json.loads((folder / "record.json").read_text())
    low = np.load(folder / "low.npy", mmap_mode="r")
    degraded = np.load(folder / "degraded.npy", mmap_mode="r")
    sharp = np.load(folder / "sharp.npy", mmap_mode="r")
    target = None
    if teacher is not None:
        known = {"weights": teacher.sha256, "sees": teacher_sees}
        if teacher_sees == "clean":
            known["unless"] = "worse than the input"
        path = folder / f"teacher-{_hash(known)}.npy"
        if not path.exists():
            taught = _teach(teacher, teacher_sees, low, degraded, lambda: triple().sharp, colour)
            truth = (sharp.astype(np.float32) - degraded) / np.float32(_FIXED)
            if teacher_sees == "clean" and np.square(taught - truth).mean() > np.square(truth).mean():
                # A teacher that does not see the input cannot know that it is better than what it has to give.
                taught = truth.astype(np.float16)
            _save(path, taught)
        target = np.load(path, mmap_mode="r")
    return Pair(low, degraded, sharp, target, record)


def _teach(
    teacher: TeacherLike,
    sees: str,
    low: NDArray[np.uint16],
    degraded: NDArray[np.uint16],
    sharp: Tile,
    colour: str,
) -> NDArray[np.float16]:
    if sees == "clean":
        source, _ = down_up(sharp(), teacher.scale)
    else:
        source = np.ascontiguousarray((low.astype(np.float32) / _FIXED).astype(np.uint8).transpose(1, 2, 0))
    restored = teacher.restore(source)
    if restored.shape[:2] != degraded.shape[1:]:
        raise TeacherError(
            f"teacher {teacher.name} upscales by {teacher.scale}: its output is {restored.shape[1]}x"
            f"{restored.shape[0]}, the pictures are {degraded.shape[2]}x{degraded.shape[1]}; "
            "choose a teacher of the run's factor, or teacher.sees = 'clean'"
        )
    picture = luma_from_rgb(restored)[None] if colour == "luma" else restored.transpose(2, 0, 1)
    return (picture - degraded.astype(np.float32) / _FIXED).astype(np.float16)


def _fixed(rgb: NDArray[np.uint8], colour: str) -> NDArray[np.uint16]:
    if colour == "luma":
        return np.asarray(np.rint(luma_from_rgb(rgb)[None] * _FIXED), np.uint16)
    return np.asarray(np.ascontiguousarray(rgb.transpose(2, 0, 1)).astype(np.uint16) * np.uint16(_FIXED), np.uint16)


def _hash(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def _remembered_corners(cache: Path, base: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    path = cache / "tiles" / f"{_hash(base)}.json"
    return [(int(y), int(x)) for y, x in json.loads(path.read_text())] if path.exists() else None


def _remember_corners(cache: Path, base: Mapping[str, Any], corners: list[tuple[int, int]]) -> None:
    path = cache / "tiles" / f"{_hash(base)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(corners).encode())


def _save(path: Path, array: NDArray[Any]) -> None:
    temporary = _beside(path)
    np.save(temporary, array)
    saved = temporary if temporary.exists() else temporary.with_name(temporary.name + ".npy")
    saved.replace(path)


def _replace(path: Path, content: bytes) -> None:
    temporary = _beside(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def _beside(path: Path) -> Path:
    """A name of its own: several machines may share the folder, and have processes of one number."""
    return path.with_name(f".{secrets.token_hex(4)}-{path.name}")
