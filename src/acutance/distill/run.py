"""A whole run: data, teacher check, training, and the student at the end of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from acutance.data.folders import ImageFile, ImageFolder
from acutance.data.pairs import PairSet, prepare_pairs
from acutance.data.split import split_images
from acutance.degrade import DegradationMix
from acutance.distill.loop import TrainResult, train
from acutance.distill.options import RunOptions
from acutance.distill.task import DistillationTask
from acutance.distill.validation import TeacherFigures, check_teacher
from acutance.errors import ConfigError, InputNotFoundError, OutputError
from acutance.models.report2025 import Report2025
from acutance.models.students import TIERS, StudentNet
from acutance.models.teachers import Teacher, load_teacher
from acutance.spec import StudentShape, StudentSpec, save_student

__all__ = ["DistillResult", "build_student", "distill", "student_spec"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class DistillResult:
    """teacher: its figures, or None in a run without one. student_file: what ships, or None for report2025."""

    training: TrainResult
    teacher: TeacherFigures | None
    student_file: Path | None


def build_student(options: RunOptions) -> nn.Module:
    """The network of a run, with weights from the run's seed."""
    torch.manual_seed(options.train.seed)
    if options.student.tier == "report2025":
        return Report2025()
    return StudentNet(student_shape(options), block=options.student.block)


def student_shape(options: RunOptions) -> StudentShape:
    """The tier's shape with the run's overrides."""
    s = options.student
    if s.tier not in TIERS:
        raise ConfigError(f"student.tier {s.tier!r} is unknown; accepted: {', '.join(TIERS)}, report2025")
    base = TIERS[s.tier]
    return replace(
        base,
        unshuffle=s.unshuffle or base.unshuffle,
        channels=s.channels or base.channels,
        depth=base.depth if s.depth < 0 else s.depth,
    )


def student_spec(options: RunOptions, *, steps: int, teacher: TeacherFigures | None) -> StudentSpec:
    """What a finished student says of itself; quality is added when it has been measured."""
    mix = DegradationMix.from_list(options.data.degradations)
    return StudentSpec(
        name=options.name,
        tier=options.student.tier,
        task=options.student.task,
        factors=tuple(sorted(set(mix.factors))),
        shape=student_shape(options),
        degradation=mix.describe(),
        data=", ".join(options.data.train),
        teacher=teacher.teacher if teacher else "",
        config_sha256=options.sha256,
        steps=steps,
    )


def distill(
    options: RunOptions,
    *,
    data_root: Path,
    cache: Path,
    out: Path,
    fresh: bool = False,
    progress: Progress = lambda _done, _total, _what: None,
    say: Callable[[str], None] = lambda _line: None,
    stop_after: int | None = None,
) -> DistillResult:
    """Run a configuration from pictures to a student file in ``out``; goes on from the last checkpoint there.

    fresh: start over, forgetting what is in ``out``. say: told once what was found (data, teacher).
    Raises ConfigError, InputNotFoundError, TeacherError, OutputError.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    if fresh:
        for name in ("last.pt", "best.pt", "log.jsonl", "student.safetensors"):
            (out / name).unlink(missing_ok=True)
    student = build_student(options)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task_needs_teacher = any((options.losses.teacher_l1, options.losses.teacher_mse, options.losses.affinity))
    teacher = load_teacher(data_root / options.teacher.weights) if task_needs_teacher else None
    task = DistillationTask(student, options.losses, teacher=teacher)
    training, validation = load_pairs(options, data_root=data_root, cache=cache, teacher=teacher, progress=progress)
    say(f"{len(training)} training and {len(validation)} validation tiles")
    figures = None
    if teacher is not None:
        figures = check_teacher(teacher.name, validation, margin_db=options.teacher.margin_db)
        cost = teacher.cost
        say(f"{figures}; {cost.parameters:,} parameters, {cost.macs_per_pixel:,.0f} MAC per pixel")
    torch.set_num_threads(options.train.threads)  # the same number gives the same bits; the teacher had all cores
    result = train(task, training, validation, options, out=out, progress=progress, stop_after=stop_after)
    student_file = None
    if isinstance(result.best, StudentNet):
        student_file = out / "student.safetensors"
        spec = student_spec(options, steps=result.steps, teacher=figures)
        save_student(result.best.to_student(spec), student_file)
    return DistillResult(result, figures, student_file)


def load_pairs(
    options: RunOptions, *, data_root: Path, cache: Path, teacher: Teacher | None, progress: Progress
) -> tuple[PairSet, PairSet]:
    """The training and the validation pairs of a run."""
    data = options.data
    mix = DegradationMix.from_list(data.degradations)
    pictures = ImageFolder(*(data_root / folder for folder in data.train))
    held_out: ImageFolder
    if data.validation:
        held_out = ImageFolder(*(data_root / folder for folder in data.validation))
    else:
        split = split_images(pictures, fraction=data.validation_share, seed=options.train.seed)
        pictures, held_out = split.train, split.validation
    colour = "rgb" if options.student.tier == "report2025" else "luma"

    def prepare(files: ImageFolder | list[ImageFile], *, tile: int) -> PairSet:
        return prepare_pairs(
            files, mix, cache=cache, seed=options.train.seed, colour=colour, shrink_above=data.shrink_above,
            tile=tile, tiles_per_picture=data.tiles_per_picture, smallest=data.crop,
            teacher=teacher, teacher_sees=options.teacher.sees, progress=progress,
        )  # fmt: skip

    training = prepare(pictures, tile=data.tile)
    validation = prepare(held_out, tile=data.tile)
    for name, pairs in (("training", training), ("validation", validation)):
        if not len(pairs):
            raise InputNotFoundError(f"no {name} picture is as large as a crop of {data.crop} pixels")
    return training, validation
