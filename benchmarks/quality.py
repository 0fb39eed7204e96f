"""Quality of the shipped students on the standard sets, beside their peers, their controls and their teachers.

    python benchmarks/quality.py --data FOLDER                      measures, writes benchmarks/results/quality.json
    python benchmarks/quality.py --from-json --update               only rewrites docs/benchmarks/quality.md

FOLDER (or ACUTANCE_DATA) holds ``test/Set5`` and other sets, ``val/cid22`` to choose the unsharp mask on, and
``teachers/*.safetensors``. The conventions are those of ``acutance.evaluate.quality``. Teachers are slow: ``--cache``
keeps their outputs, by the hashes of weights and input.
"""

import argparse
import hashlib
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.cli.exit_codes import exit_code
from acutance.degrade import crop_to_multiple, down_up
from acutance.errors import AcutanceError, InputNotFoundError, UsageError
from acutance.evaluate.quality import SetResult, evaluate_set
from acutance.evaluate.restorers import (
    InputRestorer,
    ReportRestorer,
    ResizeRestorer,
    Restorer,
    Rgb,
    StudentRestorer,
    TeacherRestorer,
)
from acutance.evaluate.sheet import CropCollector, draw_sheet
from acutance.evaluate.table import quality_table, render, set_table, share_table, to_teacher_table
from acutance.evaluate.unsharp import UnsharpRestorer, choose_unsharp
from acutance.students.bundled import bundled_models, find_student
from acutance.students.spec import load_student
from acutance.training.data.folders import ImageFolder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "quality.json"
SETS = ("Set5", "Set14", "B100", "Kodak24", "Urban100_sub15")
FACTORS = (2.0, 1.5, 3.0, 4.0)
TEACHERS = {
    2.0: ("LKDN_x2", "upconv7_photo_plain_x2", "training/teachers/SRResNet_x2"),
    3.0: ("LKDN_x3",),
    4.0: ("LKDN_x4",),
}
"""By factor: in FOLDER/teachers, or trained here."""
CHOOSE_ON = "val/cid22"
CONVENTIONS = (
    "Pictures are cropped to a multiple of 12, scaled down and up with Pillow's bicubic on 8-bit RGB; PSNR and SSIM "
    "are those of Y (BT.601, 16..235, in float, peak 255), a border as wide as the factor left out; mean over pictures"
)
BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"
_SHEET_KINDS = ("input", "student", "report", "teacher")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.from_json:
            report = load_json(options.out)
        else:
            report = measure(options)
            save_json(report, options.out)
            print(f"wrote {options.out}")
            report = load_json(options.out)  # tables are made from what was written, whoever makes them
        text = tables(report)
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
            print(f"updated {options.update}")
    except AcutanceError as error:
        print(f"quality: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--models", nargs="*", help="students, by name or file; all that are bundled where not given")
    parser.add_argument(
        "--control", action="append", default=[], metavar="NAME=FILE",
        help="a student trained without a teacher; those in training/controls where not given",
    )  # fmt: skip
    parser.add_argument("--report", type=Path, metavar="FILE", help="a checkpoint of the report's student: adds x4")
    parser.add_argument("--factors", nargs="*", type=float, default=list(FACTORS), help="of the scaling")
    parser.add_argument("--sets", nargs="*", default=list(SETS), help=f"folders in test/ ({', '.join(SETS)})")
    parser.add_argument("--limit", type=int, help="no more than so many pictures of a set, for a quick look")
    parser.add_argument("--threads", type=int, help="of the students' engine")
    parser.add_argument("--cache", type=Path, help="a folder to keep the teachers' outputs in")
    parser.add_argument(
        "--sheet", type=Path, help="a comparison sheet, PNG, of third-party pictures: not to be committed"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file (benchmarks/results/quality.json)")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add_update_option(parser, "benchmarks/quality.md")
    return parser


# -- measuring ------------------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything; return the content of the JSON file."""
    started = time.monotonic()
    data = _data(options.data)
    students = _students(options)
    weights: dict[str, dict[str, Any]] = {r.name: _provenance(r) for r in students}
    filters, unsharp = _filters_x2(data)
    collector = None
    results = []
    for factor in options.factors:
        methods: list[Restorer] = [InputRestorer(), ResizeRestorer("bilinear"), ResizeRestorer("lanczos")]
        if factor == 2:
            methods = list(filters)
        methods += [s for s in students if factor in s.student.spec.factors]
        for name in TEACHERS.get(factor, ()):
            folder = ROOT if "/" in name else data / "teachers"
            teacher = TeacherRestorer(folder / f"{name}.safetensors", cache=options.cache)
            weights[teacher.name] = {"sha256": teacher.sha256}
            methods.append(teacher)
        if options.report is not None and factor == 4:
            report = ReportRestorer(options.report)
            weights[report.name] = {"sha256": _sha256(options.report)}
            methods.append(report)
        if options.sheet and factor == 2:
            chooser = next((r.name for r in methods if r.kind == "student"), methods[-1].name)
            collector = CropCollector(_columns(methods), after=chooser, rows=8)
        for name in options.sets:
            results.append(_measure_set(data, name, methods, factor, options, collector if factor == 2 else None))
    if collector is not None:
        note = f"Where {chooser} changed the input most. PSNR on luma of the square; best in green."
        draw_sheet(collector.crops, title="x2 bicubic", note=note).save(options.sheet)
    return {
        "command": _command(options),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - started),
        "versions": versions_of(("acutance", "numpy", "pillow", "onnxruntime", "torch")),
        "conventions": CONVENTIONS,
        "unsharp": unsharp,
        "weights": weights,
        "sets": [r.to_dict() for r in results],
    }


def _data(folder: Path | str | None) -> Path:
    if folder is None:
        raise UsageError("name the data folder with --data or ACUTANCE_DATA")
    if not (Path(folder) / "test").is_dir():
        raise InputNotFoundError(f"{folder}: holds no folder test")
    return Path(folder)


def _filters_x2(data: Path) -> tuple[list[Restorer], dict[str, Any]]:
    """Return the methods without a network, the unsharp mask at the setting that is best on the validation pictures."""

    def pairs() -> Iterator[tuple[Rgb, Rgb]]:
        for picture in ImageFolder(data / CHOOSE_ON):
            truth = crop_to_multiple(picture.load())
            yield down_up(truth, 2.0).same_size, truth

    setting = choose_unsharp(pairs(), factor=2.0)
    made = {"chosen_on": CHOOSE_ON, **{k: round(v, 4) for k, v in setting._asdict().items()}}
    filters: list[Restorer] = [InputRestorer(), ResizeRestorer("bilinear"), ResizeRestorer("lanczos")]
    return [*filters, UnsharpRestorer(setting, chosen_on=CHOOSE_ON)], made


def _students(options: argparse.Namespace) -> list[StudentRestorer]:
    """Return the students, each followed by its control."""
    models = list(bundled_models()) if options.models is None else options.models
    controls = _controls(options.control)
    if not models and not controls:
        print("quality: no student is bundled or given; measuring the others", file=sys.stderr)
    made: list[StudentRestorer] = []
    for model in models:
        student = StudentRestorer(find_student(model), threads=options.threads)
        made.append(student)
        for name, control in list(controls.items()):
            if name == f"{student.name}-control" or control.student.spec.name == student.name:
                made.append(controls.pop(name))
    return [*made, *controls.values()]


def _controls(given: Sequence[str]) -> dict[str, StudentRestorer]:
    named = dict(_split(text) for text in given)
    if not named:
        named = {p.stem: p for p in sorted((ROOT / "training" / "controls").glob("*.safetensors"))}
    return {name: StudentRestorer(load_student(path), name=name, kind="control") for name, path in named.items()}


def _split(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"--control is NAME=FILE, not {text!r}")
    return name, Path(path)


def _measure_set(
    data: Path,
    name: str,
    restorers: Sequence[Restorer],
    factor: float,
    options: argparse.Namespace,
    collector: CropCollector | None,
) -> SetResult:
    pictures = ImageFolder(data / "test" / name)[: options.limit]

    def progress(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{name} x{factor:g}: {done} of {total}", end=end, file=sys.stderr, flush=True)

    observe = None if collector is None else collector.add
    result = evaluate_set(pictures, restorers, name=name, factor=factor, observe=observe, progress=progress)
    print(f"{set_table(result)}\n", file=sys.stderr)
    return result


def _columns(restorers: Sequence[Restorer]) -> dict[str, str]:
    shown = [r for r in restorers if r.kind in _SHEET_KINDS or r.name == "unsharp"]
    titles = {"input": "before ({})", "teacher": "{} (teacher)"}
    first = next((r.name for r in shown if r.kind == "teacher"), "")
    return {r.name: titles.get(r.kind, "{}").format(r.name) for r in shown if r.kind != "teacher" or r.name == first}


def _provenance(restorer: Restorer) -> dict[str, Any]:
    """Return how a student was made and a hash of its weights: the figures belong to exactly these."""
    if not isinstance(restorer, StudentRestorer):
        return {}
    spec, digest = restorer.student.spec, hashlib.sha256()
    for name, tensor in sorted(restorer.student.tensors().items()):
        digest.update(name.encode() + tensor.tobytes())
    return {
        "weights_sha256": digest.hexdigest(),
        "steps": spec.steps,
        "config_sha256": spec.config_sha256,
        "teacher": spec.teacher,
        "degradation": spec.degradation,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes these figures. Paths of this machine are left out, because they change nothing."""
    words = ["python", "benchmarks/quality.py", "--data", "DATA"]
    if options.models is not None:
        words += ["--models", *(Path(m).name for m in options.models)]
    for text in options.control:
        name, path = _split(text)
        words += ["--control", f"{name}={path.name}"]
    if options.report is not None:
        words += ["--report", options.report.name]
    if tuple(options.factors) != FACTORS:
        words += ["--factors", *(f"{f:g}" for f in options.factors)]
    if tuple(options.sets) != SETS:
        words += ["--sets", *options.sets]
    if options.limit is not None:
        words += ["--limit", str(options.limit)]
    return shlex.join(words)


# -- tables ---------------------------------------------------------------------------------------------------------


def tables(report: dict[str, Any]) -> str:
    """Return the tables of docs/benchmarks/quality.md."""
    parts: list[str] = []
    try:
        results = [SetResult.from_dict(s) for s in report["sets"]]
        unsharp, date, command = report["unsharp"], report["date"], report["command"]
    except KeyError as error:
        raise UsageError(f"not the results of this benchmark: {error} is missing") from error
    for factor in sorted({r.factor for r in results}):
        sets = [r for r in results if r.factor == factor]
        parts += [f"PSNR in dB / SSIM on luma, x{factor:g} bicubic:", quality_table(sets, markdown=True)]
        kinds = ("student", "control", "report")
        if sets[0].teacher is not None and any(m.kind in kinds for m in sets[0].methods):
            parts += [
                f"Share of the gain of the teacher, {sets[0].teacher}, over the input that each keeps, in PSNR:",
                share_table(sets, kinds=kinds, markdown=True),
                "PSNR on luma between each and the teacher, in dB:",
                to_teacher_table(sets, kinds=kinds, markdown=True),
            ]
    counts = ", ".join(f"{r.name} {len(r.images)}" for r in results if r.factor == results[0].factor)
    mask = f"radius {unsharp['radius']:g}, amount {unsharp['amount']:g}, the best on `{unsharp['chosen_on']}`"
    parts += [
        "What they cost:",
        _costs(results),
        f"Measured {date} by `{command}`. {report['conventions']}: {counts}. Unsharp mask: {mask}, not on these.",
    ]
    return "\n\n".join(parts)


def _costs(results: Sequence[SetResult]) -> str:
    methods = {m.name: m for r in results for m in r.methods if m.parameters is not None}
    rows = [[m.name, m.kind, f"{m.parameters:,}", f"{m.macs_per_pixel:,.0f}"] for m in methods.values()]
    return render(["network", "kind", "parameters", "MAC per output pixel"], rows, markdown=True)


if __name__ == "__main__":
    sys.exit(main())
