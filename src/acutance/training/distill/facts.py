"""Facts of a run besides its log, kept in ``run.json``. They let a report be made from the folder alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from acutance.errors import ConfigError, OutputError
from acutance.training.data.pairs import PairSet
from acutance.training.distill.options import RunOptions
from acutance.training.distill.validation import TeacherFigures
from acutance.training.models.cost import measure_cost, measure_speed
from acutance.training.models.students import StudentNet
from acutance.training.models.teachers import Teacher

__all__ = [
    "DataFacts",
    "RunFacts",
    "StudentFacts",
    "TeacherFacts",
    "gather_facts",
    "read_facts",
    "write_facts",
    "write_manifest",
]

_FILE = "run.json"


@dataclass(frozen=True)
class DataFacts:
    """The size of a set of pictures.

    Attributes:
        pictures: number of files.
        tiles: number of tiles that were cut from them.
        pixels: of all tiles together.
    """

    pictures: int
    tiles: int
    pixels: int


@dataclass(frozen=True)
class StudentFacts:
    """The size of a student.

    Attributes:
        parameters: of the network that ships.
        trained_parameters: of the network in training, with its branches.
        macs_per_pixel: multiply-accumulates per output pixel.
    """

    parameters: int
    trained_parameters: int
    macs_per_pixel: float


@dataclass(frozen=True)
class TeacherFacts:
    """Quality and cost of a teacher.

    Attributes:
        name: of its weights.
        architecture: of its network.
        psnr_y: PSNR on luma on the validation pictures, in dB.
        psnr_y_input: that of its input, in dB.
        margin_db: how much more it must have, in dB.
        parameters: of the network.
        macs_per_pixel: multiply-accumulates per output pixel.
        fps_1080p: frames a second at 1920x1080, estimated from a smaller picture.
        measured_pixels: output pixels of that picture.
        threads: threads of that measurement.
    """

    name: str
    architecture: str
    psnr_y: float
    psnr_y_input: float
    margin_db: float
    parameters: int
    macs_per_pixel: float
    fps_1080p: float
    measured_pixels: int
    threads: int


@dataclass(frozen=True)
class RunFacts:
    """All facts of a run.

    Attributes:
        options: the recipe, with all defaults.
        config_sha256: hash of the recipe.
        training: size of the training set.
        validation: size of the validation set.
        student: size of the student.
        teacher: quality and cost of the teacher, or None.
    """

    options: dict[str, Any]
    config_sha256: str
    training: DataFacts
    validation: DataFacts
    student: StudentFacts
    teacher: TeacherFacts | None


def gather_facts(
    options: RunOptions,
    student: nn.Module,
    training: PairSet,
    validation: PairSet,
    *,
    teacher: Teacher | None = None,
    figures: TeacherFigures | None = None,
) -> RunFacts:
    """Return the facts of a run. This runs the teacher on a small picture to time it."""
    trained = sum(p.numel() for p in student.parameters())
    if isinstance(student, StudentNet):
        student_facts = StudentFacts(student.shape.parameters, trained, student.shape.macs_per_pixel)
    else:
        student_facts = StudentFacts(trained, trained, measure_cost(student).macs_per_pixel)
    teacher_facts = None
    if teacher is not None and figures is not None:
        speed = measure_speed(teacher.module)
        teacher_facts = TeacherFacts(
            name=teacher.name,
            architecture=teacher.architecture,
            psnr_y=figures.psnr_y,
            psnr_y_input=figures.psnr_y_input,
            margin_db=figures.margin_db,
            parameters=teacher.cost.parameters,
            macs_per_pixel=teacher.cost.macs_per_pixel,
            fps_1080p=speed.fps_1080p,
            measured_pixels=speed.output_pixels,
            threads=speed.threads,
        )
    return RunFacts(options.to_dict(), options.sha256, _data(training), _data(validation), student_facts, teacher_facts)


def write_facts(facts: RunFacts, out: Path) -> None:
    """Write ``run.json`` in ``out``, whole or not at all. Raises OutputError."""
    path = out / _FILE
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(asdict(facts), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def write_manifest(training: PairSet, validation: PairSet, out: Path) -> None:
    """Write ``manifest.jsonl`` in ``out``: one line a pair with its degradation. Raises OutputError."""
    path = out / "manifest.jsonl"
    lines = [
        json.dumps({"set": name, **pair.record}, sort_keys=True) + "\n"
        for name, pairs in (("training", training), ("validation", validation))
        for pair in pairs.pairs
    ]
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def read_facts(out: Path) -> RunFacts:
    """Read ``run.json`` of a run's folder. Raises ConfigError if it cannot be read."""
    path = out / _FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        teacher = raw["teacher"]
        return RunFacts(
            options=raw["options"],
            config_sha256=raw["config_sha256"],
            training=DataFacts(**raw["training"]),
            validation=DataFacts(**raw["validation"]),
            student=StudentFacts(**raw["student"]),
            teacher=None if teacher is None else TeacherFacts(**teacher),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the description of a training run: {error}") from error


def _data(pairs: PairSet) -> DataFacts:
    pictures = {pair.record.get("picture") for pair in pairs.pairs}
    return DataFacts(len(pictures), len(pairs), sum(pair.pixels for pair in pairs.pairs))
