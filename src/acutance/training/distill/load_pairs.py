"""Prepare the pairs that a recipe asks for, or take them from the cache."""

from collections.abc import Callable
from pathlib import Path

from acutance.degrade import DegradationMix
from acutance.errors import ConfigError, InputNotFoundError
from acutance.training.data.clips import find_clips
from acutance.training.data.folders import ImageFile, ImageFolder
from acutance.training.data.pairs import Pair, PairSet, prepare_clip_pairs, prepare_pairs
from acutance.training.data.split import split_images
from acutance.training.distill.options import RunOptions
from acutance.training.models.students import TIERS
from acutance.training.models.teachers import Teacher

__all__ = ["Progress", "load_pairs"]

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what)."""


def load_pairs(
    options: RunOptions, *, data_root: Path, cache: Path, teacher: Teacher | None, progress: Progress
) -> tuple[PairSet, PairSet]:
    """Return the training and the validation pairs of a run.

    Args:
        options: the recipe.
        data_root: folder of the recipe's pictures and clips.
        cache: folder of prepared pairs.
        teacher: whose outputs are added to the pairs, or None.
        progress: called for each picture.

    Raises:
        ConfigError: the recipe asks for what does not fit together.
        InputNotFoundError: no picture is as large as a crop.
    """
    data = options.data
    mix = DegradationMix.from_list(data.degradations)
    reads_rgb = options.student.tier not in TIERS
    reads_low = reads_rgb or options.losses.affinity > 0
    if len(mix.factors) > 1 and (reads_low or (teacher is not None and options.teacher.sees != "clean")):
        factors = ", ".join(f"{factor:g}" for factor in mix.factors)
        raise ConfigError(
            f"{options.name}: a run with several factors ({factors}) takes a teacher that sees = 'clean' or none, no "
            "affinity loss and a student of luma; others read pictures of one low resolution"
        )
    pictures = ImageFolder(*(data_root / folder for folder in data.train))
    held_out: ImageFolder
    if data.validation:
        held_out = ImageFolder(*(data_root / folder for folder in data.validation))
    else:
        split = split_images(pictures, fraction=data.validation_share, seed=options.train.seed)
        pictures, held_out = split.train, split.validation
    colour = "rgb" if reads_rgb else "luma"

    seed = data.drawn_with or options.train.seed

    def prepare(files: ImageFolder | list[ImageFile], *, tile: int) -> PairSet:
        return prepare_pairs(
            files, mix, cache=cache, seed=seed, colour=colour, shrink_above=data.shrink_above,
            tile=tile, tiles_per_picture=data.tiles_per_picture, smallest=data.crop,
            teacher=teacher, teacher_sees=options.teacher.sees, progress=progress,
        )  # fmt: skip

    def windows(names: tuple[str, ...]) -> list[Pair]:
        return prepare_clip_pairs(
            find_clips(data_root, names), mix, cache=cache, seed=seed, windows=data.windows_per_clip,
            side=data.window, shrink=data.clip_shrink, colour=colour,
            teacher=teacher, teacher_sees=options.teacher.sees, progress=progress,
        ).pairs  # fmt: skip

    training = PairSet(prepare(pictures, tile=data.tile).pairs + windows(data.clips))
    validation = PairSet(prepare(held_out, tile=data.tile).pairs + windows(data.validation_clips))
    for name, pairs in (("training", training), ("validation", validation)):
        if not len(pairs):
            raise InputNotFoundError(f"no {name} picture is as large as a crop of {data.crop} pixels")
    return training, validation
