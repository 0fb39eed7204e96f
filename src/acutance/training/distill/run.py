"""A whole run: prepare data, check the teacher, train, and write the student."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from acutance import __version__
from acutance._util.extras import require
from acutance.degrade import DegradationMix
from acutance.errors import AcutanceError, ConfigError, MissingExtraError, ModelError, OutputError
from acutance.students.spec import StudentShape, StudentSpec, load_student, save_student
from acutance.training.data.pairs import ALIGN, PairSet
from acutance.training.distill.checkpoint import load_checkpoint
from acutance.training.distill.facts import gather_facts, write_facts, write_manifest
from acutance.training.distill.load_pairs import Progress, load_pairs
from acutance.training.distill.loop import TrainResult, train
from acutance.training.distill.options import TAUGHT, RunOptions
from acutance.training.distill.processes import ALONE, Processes
from acutance.training.distill.report import write_report
from acutance.training.distill.task import DistillationTask
from acutance.training.distill.validation import TeacherFigures, check_teacher, codes
from acutance.training.models.quantized import QuantizedStudentNet
from acutance.training.models.report2025 import Report2025
from acutance.training.models.students import TIERS, StudentNet
from acutance.training.models.teachers import TRAINABLE, Teacher, load_teacher, save_teacher

__all__ = ["DistillResult", "build_student", "distill", "student_spec"]

_MUST_BE_EQUAL = "it must be the same on all machines"
_FOR_RANGES = 16
"""Pictures that the ranges of an int8 student's activations are taken from at the start."""

_LEFT_BEHIND = (
    "last.pt",
    "best.pt",
    "log.jsonl",
    "run.json",
    "manifest.jsonl",
    "student.safetensors",
    "teacher.safetensors",
    "curves.png",
    "report.html",
)


@dataclass(frozen=True)
class DistillResult:
    """What a run left.

    Attributes:
        training: the trained network and its quality.
        teacher: figures of the teacher; None in a run without one.
        student_file: the student's file, or the weights of a trained teacher; None for report2025.
        report: the page about the run; None if it could not be made.
    """

    training: TrainResult
    teacher: TeacherFigures | None
    student_file: Path | None
    report: Path | None


def build_student(options: RunOptions) -> nn.Module:
    """Return the network of a run, with weights from the run's seed. Raises ConfigError."""
    torch.manual_seed(options.train.seed)
    tier = options.student.tier
    if tier == "report2025":
        return Report2025()
    if tier in TRAINABLE:
        factors = DegradationMix.from_list(options.data.degradations).factors
        if len(factors) > 1 or not factors[0].is_integer() or factors[0] < 2:
            raise ConfigError(f"{options.name}: a {tier} has one factor, 2, 3 or 4")
        return TRAINABLE[tier](int(factors[0]))
    return StudentNet(student_shape(options), block=options.student.block)


def student_shape(options: RunOptions) -> StudentShape:
    """Return the tier's shape with the run's changes. Raises ConfigError."""
    s = options.student
    if s.tier not in TIERS:
        raise ConfigError(
            f"student.tier {s.tier!r} is unknown; accepted: {', '.join((*TIERS, *TRAINABLE))}, report2025"
        )
    base = TIERS[s.tier]
    try:
        shape = replace(
            base,
            unshuffle=s.unshuffle or base.unshuffle,
            channels=s.channels or base.channels,
            depth=base.depth if s.depth < 0 else s.depth,
            shuffle=s.shuffle,
        )
    except ModelError as error:
        raise ConfigError(f"{options.name}: {error}") from error
    # Training pictures have sides that are multiples of ALIGN, and the network takes and makes whole blocks only.
    if ALIGN % shape.shuffle or options.data.crop % shape.shuffle:
        name = "student.shuffle" if s.shuffle else "student.unshuffle"
        raise ConfigError(
            f"{options.name}: {name} must divide {ALIGN} and data.crop ({options.data.crop}), {shape.shuffle} does not"
        )
    if shape.upscales:
        factors = DegradationMix.from_list(options.data.degradations).factors
        if set(factors) != {shape.scale}:
            found = ", ".join(f"{factor:g}" for factor in sorted(set(factors)))
            raise ConfigError(
                f"{options.name}: an upscaler by {shape.scale:g} learns from pictures of that factor alone, "
                f"not of {found}"
            )
    return shape


def student_spec(options: RunOptions, *, steps: int, teacher: TeacherFigures | None) -> StudentSpec:
    """Return the description of a finished student. Its quality is added when it has been measured."""
    mix = DegradationMix.from_list(options.data.degradations)
    return StudentSpec(
        name=options.name,
        tier=options.student.tier,
        task=options.student.task,
        factors=tuple(sorted(set(mix.factors))),
        shape=student_shape(options),
        degradation=mix.describe(),
        data=", ".join((*options.data.train, *options.data.clips)),
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
    processes: Processes = ALONE,
    preparing: Progress | None = None,
    progress: Progress = lambda _done, _total, _what: None,
    say: Callable[[str], None] = lambda _line: None,
    stop_after: int | None = None,
) -> DistillResult:
    """Run a configuration from pictures to a student file in ``out``; goes on from the last checkpoint there.

    Leaves ``student.safetensors``, ``report.html`` and ``curves.png`` there, beside what :func:`train` does,
    ``run.json``, and ``manifest.jsonl``, which says what every pair went through. The report is also made when a run is
    resumed, and when Ctrl-C stops it, which this passes on.

    processes: that share the run, in each of which this is called with the same arguments; rank 0 writes in ``out``,
    one on each machine in ``cache``. Raises PeerError where they do not agree on what to train on.
    fresh: start over, forgetting what is in ``out``. preparing: progress of making pairs; progress: of the steps.
    say: told, a line each, what was found (data, teacher), and why there is no report where there is none.
    Raises ConfigError, InputNotFoundError, TeacherError, OutputError.
    """
    if processes.first:
        _make_room(out, fresh=fresh)
    student = _first_student(options, data_root)
    processes.accept(student, batch=options.data.batch)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task_needs_teacher = any(getattr(options.losses, name) for name in TAUGHT)
    teacher = load_teacher(_weights(data_root, options.teacher.weights)) if task_needs_teacher else None
    task = DistillationTask(
        student,
        options.losses,
        teacher=teacher,
        precision=options.train.precision,
        rounded=options.teacher.rounded,
    )
    training, validation = processes.one_here_first(
        lambda: load_pairs(options, data_root=data_root, cache=cache, teacher=teacher, progress=preparing or progress)
    )
    processes.agree(_what_decides(options, training, validation, teacher), advice=_MUST_BE_EQUAL)
    say(f"{len(training)} training and {len(validation)} validation tiles")
    figures = None
    if teacher is not None:
        figures = check_teacher(teacher.name, validation, margin_db=options.teacher.margin_db, processes=processes)
        cost = teacher.cost
        say(f"{figures}; {cost.parameters:,} parameters, {cost.macs_per_pixel:,.0f} MAC per pixel")
    if isinstance(student, QuantizedStudentNet):
        # Whole pictures: what lies between a picture's darkest and brightest is what ranges are made of.
        for_ranges = [torch.from_numpy(codes(p.degraded)[None] / 255) for p in training.pairs[:_FOR_RANGES]]
        student.calibrate(for_ranges)
    can_report = processes.first
    if processes.first:
        write_manifest(training, validation, out)
        write_facts(gather_facts(options, student, training, validation, teacher=teacher, figures=figures), out)
        try:
            require("matplotlib", extra="train", purpose="the report of a run")
        except MissingExtraError as error:  # said now, while there is time to install it; the run itself is not lost
            say(f"there will be no report: {error}")
            can_report = False

    def report(best: nn.Module | None) -> Path | None:
        return write_report(out, student=best, validation=validation) if can_report else None

    torch.set_num_threads(options.train.threads)  # the same number gives the same bits; the teacher had all cores
    if can_report and (out / "last.pt").exists():
        report(_best_so_far(student, options, out))  # a kill leaves no time for it
    processes.gather(None)  # rank 0 was busy with facts and pages
    try:
        result = train(
            task, training, validation, options, out=out, processes=processes, progress=progress, stop_after=stop_after
        )
    except KeyboardInterrupt:
        with contextlib.suppress(AcutanceError):  # what stopped the run comes first
            if can_report:
                report(_best_so_far(student, options, out))
        raise
    student_file = None
    if not processes.first:
        return DistillResult(result, figures, student_file, None)
    if options.student.tier in TRAINABLE:
        student_file = out / "teacher.safetensors"
        figures_of = {"name": options.name, "config_sha256": options.sha256, "psnr_y": f"{result.best_psnr:.3f}"}
        save_teacher(result.best, student_file, metadata=figures_of)
    if isinstance(result.best, StudentNet):
        student_file = out / "student.safetensors"
        spec = student_spec(options, steps=result.steps, teacher=figures)
        save_student(result.best.to_student(spec), student_file)
    return DistillResult(result, figures, student_file, report(result.best))


def _make_room(out: Path, *, fresh: bool) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    if fresh:
        for name in _LEFT_BEHIND:
            (out / name).unlink(missing_ok=True)


def _what_decides(
    options: RunOptions, training: PairSet, validation: PairSet, teacher: Teacher | None
) -> dict[str, str]:
    """Return the facts that must be the same in every process of a run, by name."""
    return {
        "the version of acutance": __version__,
        "the version of torch": str(torch.__version__),
        # Vectors of another length are summed in another order: weights would drift apart by rounding.
        "the instruction set": torch.backends.cpu.get_cpu_capability(),
        "the recipe": options.sha256,
        "the training pictures": training.digest,
        "the validation pictures": validation.digest,
        "the teacher": "" if teacher is None else teacher.sha256,
    }


def _weights(data_root: Path, name: str) -> Path:
    """Return the path of weights below the data root; if they are not there, below the current folder."""
    path = data_root / name
    return Path(name) if not path.exists() and Path(name).exists() else path


def _first_student(options: RunOptions, data_root: Path) -> nn.Module:
    """Return the network before the first step, with weights from the seed or from ``student.start``."""
    if not options.student.start:
        return build_student(options)
    start = _weights(data_root, options.student.start)
    if options.train.precision == "int8":
        trained = load_student(start)
        if trained.spec.shape != student_shape(options):
            raise ConfigError(f"{options.name}: {options.student.start} has another shape than {options.student.tier}")
        mix = DegradationMix.from_list(options.data.degradations)
        if (trained.spec.task, trained.spec.factors) != (options.student.task, tuple(sorted(set(mix.factors)))):
            raise ConfigError(f"{options.name}: {options.student.start} was trained for another degradation")
        return QuantizedStudentNet(trained)
    student = build_student(options)
    _begin_with(student, load_teacher(start), options)
    return student


def _begin_with(student: nn.Module, source: Teacher, options: RunOptions) -> None:
    if type(source.module) is not type(student) or source.scale != student.scale:
        raise ConfigError(
            f"{options.name}: {options.student.start} is {source.architecture} x{source.scale}, which this run does "
            "not train"
        )
    student.load_state_dict(source.module.state_dict())


def _best_so_far(student: nn.Module, options: RunOptions, out: Path) -> nn.Module | None:
    """Return the student of the best validation; None before the first."""
    if not (out / "best.pt").exists():
        return None
    best = copy.deepcopy(student).eval().requires_grad_(False)
    best.load_state_dict(load_checkpoint(out / "best.pt", options).average)
    return best
