"""``acutance evaluate``."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from acutance.cli.engines import EngineOption
from acutance.cli.exit_codes import exit_code
from acutance.cli.failures import BatchFailures
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.cli.terminal import complain
from acutance.errors import InputNotFoundError, TruncatedInputWarning, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acutance.evaluate.quality import SetResult
    from acutance.evaluate.restorers import Restorer
    from acutance.evaluate.sheet import CropCollector
    from acutance.evaluate.video import FrameQuality, VideoResult
    from acutance.io import AtomicOutput
    from acutance.sharpening.base import BaseSharpener
    from acutance.training.data.folders import ImageFolder

__all__ = ["Options", "run"]

Filter = Literal["bicubic", "bilinear", "lanczos"]


@dataclass(frozen=True)
class Options:
    """What to measure: a folder of sharp pictures (degraded, restored, compared), or a picture or video as it is."""

    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """A folder of sharp pictures, or one picture or video; before --model and --teacher, which take several values."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """The truth of a picture or video. Without it, what sharpening changes is measured."""
    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["-m"], metavar="MODEL ...")] = ()
    """Students, by tier, name or file. Not given: all that are bundled for a folder, fast for a file without a
    reference, none for a file with one."""
    teacher: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Weight files of teachers; shares are of the first one that fits the factor. For a folder."""
    report: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """A checkpoint of the report's student (4x). For a folder."""
    factor: float = 2.0
    """Pictures of a folder are scaled down and up by this: 1, 1.5, 2, 3 or 4."""
    down: Filter = "bicubic"
    """The filter that scales down."""
    up: Filter = "bicubic"
    """The filter that scales up again."""
    unsharp: bool = False
    """Compare with an unsharp mask at its best setting. For a folder."""
    unsharp_on: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The folder on which that setting is chosen. Not given: the measured pictures themselves, which flatters it."""
    strength: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 1.0
    """Of the students, 0 to 2."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """No more than so many pictures or frames."""
    common: bool = False
    """Where a video and its reference differ in number of frames, compare as many as both have."""
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write every figure here."""
    sheet: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a comparison sheet here: PNG."""
    rows: int = 6
    """Crops on the sheet."""
    cache: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A folder to keep the teachers' outputs in: they are slow."""
    engine: EngineOption = "auto"
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Of the students' engine; one per core where not given."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace outputs that exist."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stderr) or none."""


def run(options: Options) -> int:
    """Measure, print a table, and write what was asked for."""
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit must be at least 1, not {options.limit}")
    target = Path(options.target)
    # Checked first: a long measurement whose result cannot be written would be lost.
    outputs = _outputs(options)
    if target.is_dir():
        if options.reference is not None:
            raise UsageError("--reference is for a picture or video; a folder's sharp pictures are their own truth")
        return _folder(options, target, outputs)
    for given, option in (
        (options.teacher, "--teacher"),
        (options.report, "--report"),
        (options.unsharp, "--unsharp"),
        (options.unsharp_on, "--unsharp-on"),
    ):
        if given:
            raise UsageError(f"{option} is for a folder of sharp pictures; {target} is not a folder")
    return _file(options, target, outputs)


def _outputs(options: Options) -> dict[str, "AtomicOutput"]:
    from acutance.io import AtomicOutput

    if options.sheet is not None and Path(options.sheet).suffix.lower() != ".png":
        raise UsageError(f"--sheet writes PNG; {options.sheet} does not end in .png")
    inputs = [options.target] + ([options.reference] if options.reference else [])
    named = {"json": options.json, "sheet": options.sheet}
    return {
        kind: AtomicOutput(path, overwrite=options.overwrite, inputs=inputs)
        for kind, path in named.items()
        if path is not None
    }


# -- a folder of sharp pictures -------------------------------------------------------------------------------------


def _folder(options: Options, target: Path, outputs: Mapping[str, "AtomicOutput"]) -> int:
    from acutance.evaluate.quality import evaluate_set
    from acutance.evaluate.table import set_table
    from acutance.training.data.folders import ImageFolder

    pictures = ImageFolder(target)[: options.limit]
    with JobProgress(options.progress, json_to=sys.stderr) as progress:
        restorers = _restorers(options, pictures)
        collector = _collector(restorers, options) if "sheet" in outputs else None
        result = evaluate_set(
            pictures,
            restorers,
            name=target.resolve().name,
            factor=options.factor,
            down=options.down,
            up=options.up,
            observe=None if collector is None else collector.add,
            progress=progress.counter(target.name, unit="pictures"),
        )
    blur = options.down if options.down == options.up else f"{options.down} down, {options.up} up"
    heading = f"{result.name}, x{options.factor:g} {blur}, {_count(len(result.images), 'picture')}"
    print(f"{heading}; border of {result.border} left out\n\n{set_table(result)}")
    _notes([*_explained(result), *result.notes])
    if "json" in outputs:
        _write_json(outputs["json"], result.to_dict())
    if collector is not None:
        _write_sheet(outputs["sheet"], collector, heading)
    failures = BatchFailures(total=len(pictures))
    for name, error in result.failed:
        failures.add(target / name, error)
    return failures.summarise()


def _restorers(options: Options, pictures: "ImageFolder") -> list["Restorer"]:
    from acutance.evaluate.restorers import (
        InputRestorer,
        ReportRestorer,
        ResizeRestorer,
        StudentRestorer,
        TeacherRestorer,
    )
    from acutance.students.bundled import bundled_models, factors_of

    restorers: list[Restorer] = [InputRestorer(options.up)]
    filters: tuple[Filter, ...] = ("bilinear", "lanczos")
    restorers += [ResizeRestorer(f) for f in filters if f != options.up]
    if options.unsharp or options.unsharp_on is not None:
        restorers.append(_unsharp(options, pictures))
    # Those for this factor; where there is none, all, each with a caution.
    fitting = tuple(m for m in bundled_models() if options.factor in factors_of(m))
    models = options.model or fitting or tuple(bundled_models())
    restorers += [
        StudentRestorer(m, engine=options.engine, strength=options.strength, threads=options.threads) for m in models
    ]
    _distinguish(restorers, models)
    if options.report is not None:
        restorers.append(ReportRestorer(options.report))
    cache = None if options.cache is None else Path(options.cache)
    restorers += [TeacherRestorer(weights, cache=cache) for weights in options.teacher]
    return restorers


def _distinguish(restorers: Sequence["Restorer"], models: Sequence[str]) -> None:
    """Students whose files say one name, such as several steps of one training, go by their paths."""
    students = [r for r in restorers if r.kind == "student"]
    names = [r.name for r in students]
    for restorer, model in zip(students, models, strict=True):
        if names.count(restorer.name) > 1:
            restorer.name = model


def _unsharp(options: Options, pictures: "ImageFolder") -> "Restorer":
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.evaluate.unsharp import UnsharpRestorer, choose_unsharp
    from acutance.training.data.folders import ImageFolder

    chosen_on = pictures if options.unsharp_on is None else ImageFolder(options.unsharp_on)

    def pairs() -> Iterator[tuple["NDArray[np.uint8]", "NDArray[np.uint8]"]]:
        for picture in chosen_on:
            sharp = picture.load()
            if min(sharp.shape[:2]) >= 24:
                truth = crop_to_multiple(sharp)
                yield down_up(truth, options.factor, down=options.down, up=options.up).same_size, truth

    where = "these very pictures" if options.unsharp_on is None else Path(options.unsharp_on).name
    return UnsharpRestorer(choose_unsharp(pairs(), factor=options.factor), chosen_on=where)


def _explained(result: "SetResult") -> list[str]:
    notes = [f"{m.name}: {m.detail}" for m in result.methods if m.name == "unsharp"]
    if result.teacher is not None:
        notes.append(f"the teacher whose gain is shared is {result.teacher}")
    return notes


def _collector(restorers: Sequence["Restorer"], options: Options) -> "CropCollector":
    from acutance.evaluate.sheet import CropCollector

    columns = {
        r.name: r.name
        for r in restorers
        if r.name == "unsharp" or r.kind in ("student", "control", "report", "teacher")
    }
    chooser = next((r.name for r in restorers if r.kind == "student"), None) or next(iter(columns), None)
    if chooser is None:
        raise UsageError("--sheet needs a student or a teacher to show")
    before = restorers[0].name
    columns = {before: f"before ({before})"} | columns
    columns |= {r.name: f"{r.name} (teacher)" for r in restorers if r.kind == "teacher"}
    return CropCollector(columns, after=chooser, rows=options.rows)


# -- a picture or video ---------------------------------------------------------------------------------------------


def _file(options: Options, target: Path, outputs: Mapping[str, "AtomicOutput"]) -> int:
    from acutance.evaluate.video import evaluate_video

    if not target.exists():
        raise InputNotFoundError(f"{target}: no such file or folder")
    models = options.model or (() if options.reference is not None else ("auto",))
    sharpeners = _sharpeners(options, models)
    collector = _file_collector(options, sharpeners) if "sheet" in outputs else None
    with JobProgress(options.progress, json_to=sys.stderr) as progress:
        result = evaluate_video(
            target,
            reference=options.reference,
            sharpeners=sharpeners,
            common=options.common,
            limit=options.limit,
            observe=None if collector is None else _as_grey(collector),
            progress=progress.counter(target.name, unit="frames"),
        )
    print(_file_report(result))
    _notes(result.notes)
    if "json" in outputs:
        _write_json(outputs["json"], result.to_dict())
    if collector is not None:
        _write_sheet(outputs["sheet"], collector, f"{target.name}, luma")
    if result.damaged:
        complain(f"warning: {result.damaged}; what could be read was measured")
        return exit_code(TruncatedInputWarning)
    return 0


def _sharpeners(options: Options, models: Sequence[str]) -> dict[str, "BaseSharpener"]:
    from acutance.choosing.automatic import open_sharpener

    made = [
        open_sharpener(m, engine=options.engine, strength=options.strength, threads=options.threads) for m in models
    ]
    names = [s.name for s in made]
    return {(model if names.count(name) > 1 else name): s for model, name, s in zip(models, names, made, strict=True)}


def _file_collector(options: Options, sharpeners: Mapping[str, "BaseSharpener"]) -> "CropCollector":
    from acutance.evaluate.sheet import CropCollector

    if not sharpeners:
        raise UsageError("--sheet needs a --model to show")
    columns = {"before": "before", **{name: name for name in sharpeners}}
    return CropCollector(columns, after=next(iter(sharpeners)), rows=options.rows)


def _as_grey(collector: "CropCollector") -> Any:
    """Shows luma as grey: video is measured on luma, so that is what there is to see."""
    import numpy as np

    def grey(codes: "NDArray[np.float32]") -> "NDArray[np.uint8]":
        full = np.clip(np.rint((codes - 16) * np.float32(255 / 219)), 0, 255).astype(np.uint8)
        return np.repeat(full[..., None], 3, axis=2)

    def observe(
        place: str,
        before: "NDArray[np.float32]",
        after: Mapping[str, "NDArray[np.float32]"],
        truth: "NDArray[np.float32] | None",
    ) -> None:
        shown = {"before": before, **after}
        collector.add(
            place, grey(before), {n: grey(c) for n, c in shown.items()}, None if truth is None else grey(truth)
        )

    return observe


def _truth_row(name: str, quality: "FrameQuality", received: "FrameQuality | None") -> list[str]:
    """Return a row of figures against the truth; with gains where the input's figures are given."""
    sharp = quality.acutance
    row = [name, f"{quality.mean_psnr_y:.2f}", f"{quality.mean_ssim_y:.4f}"]
    row += ["–", "–"] if sharp is None else [f"{sharp.acutance:.3f}", f"{sharp.coherence:.3f}"]
    if received is None:
        return [*row, "", ""]
    share = quality.restored(received)
    gain = quality.mean_psnr_y - received.mean_psnr_y
    return [*row, f"{gain:+.2f} dB", "–" if math.isnan(share) else f"{100 * share:.0f} %"]


def _file_report(result: "VideoResult") -> str:
    from acutance.evaluate.table import render

    parts = [f"{Path(result.target).name}, {result.width}x{result.height}, {_count(result.frames, 'frame')}, on luma"]
    if result.before is not None:
        rows = [_truth_row("as it is", result.before, None)]
        rows += [_truth_row(name, quality, result.before) for name, quality in result.after.items()]
        heads = ["against the reference", "PSNR", "SSIM", "acutance", "coherence", "gain", "restored"]
        parts += ["", render(heads, rows)]
        parts += ["", "restored: share of the lost acutance"] if result.after else []
    if result.change:
        rows = []
        for name, change in result.change.items():
            flicker = "–" if change.flicker is None else f"{change.flicker.ratio:.3f}"
            rows.append(
                [
                    name,
                    f"{change.psnr_y:.2f}",
                    f"{change.sharpness_ratio:.3f}",
                    f"{change.overshoot.p99_9:.0f}",
                    f"{change.overshoot.share * 100:.1f} %",
                    flicker,
                ]
            )
        heads = ["against the input", "PSNR", "sharpness", "overshoot p99.9", "pixels with any", "flicker"]
        parts += ["", render(heads, rows)]
        parts += ["", "sharpness and flicker: ratios to the input; overshoot: code values past its 5x5 range"]
    return "\n".join(parts)


# -- what comes out -------------------------------------------------------------------------------------------------


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _notes(notes: Sequence[str]) -> None:
    if notes:
        print()
    for note in notes:
        print(note)


def _write_json(output: "AtomicOutput", table: Mapping[str, Any]) -> None:
    from acutance.io.files import output_error

    with output:
        try:
            text = json.dumps(table, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
            output.temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise output_error(output.path, error) from error


def _write_sheet(output: "AtomicOutput", collector: "CropCollector", heading: str) -> None:
    from acutance.evaluate.sheet import draw_sheet
    from acutance.io.files import output_error

    note = "The square that changed most, of the pictures that changed most. PSNR on luma of the square; best in green."
    if any(not crop.psnr_y for crop in collector.crops):
        note = "The square that changed most, of the pictures that changed most."
    sheet = draw_sheet(collector.crops, title=heading, note=note)
    with output:
        try:
            sheet.save(output.temporary, "PNG", optimize=True)
        except OSError as error:
            raise output_error(output.path, error) from error
    print(f"\n{output.path}: {sheet.width}x{sheet.height}")
