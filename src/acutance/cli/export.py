"""``acutance export``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from acutance.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acutance.export import Export, Limits, Parity
    from acutance.students.spec import Student

    Rgb = NDArray[np.uint8]

__all__ = ["Options", "run"]

_TEST, _TRAIN = Path("test") / "Set5", Path("train") / "cid22"  # below the data root, where there is one
_MOST_CALIBRATION = 32
_DRAWN_APART = 10  # frames of the drawn scene from one picture to the next


@dataclass(frozen=True)
class Options:
    """Write a student as ONNX, OpenVINO IR, ncnn or ONNX for TensorRT. What was written is opened again, compared with
    the student on pictures, and kept only within its limits."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """fast, balanced or quality; a model's full name; or a student's file."""
    out: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[OUT]")] = None
    """The file: .onnx, .xml (OpenVINO) or .param (ncnn). Not given: MODEL-FORMAT-PRECISION in the current folder."""
    condition: Annotated[str | None, tyro.conf.arg(metavar="X2[,RATE]")] = None
    """What frames went through, of a conditioned student: x2, or x2,0.05bpp with the bits that are spent on a pixel."""
    look: Literal["faithful", "natural"] | None = None
    """Of a conditioned student; natural where not given."""
    to: Literal["onnx", "openvino", "ncnn", "tensorrt"] | None = None
    """The format; that of OUT's suffix, or onnx, where not given."""
    precision: Literal["fp32", "fp16", "int8"] | None = None
    """fp16 for openvino and fp32 for the others where not given; int8 for onnx and openvino."""
    pictures: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH ...")] = ()
    """Sharp pictures, or folders of them, to judge by; Set5 where ACUTANCE_DATA has it, else drawn ones."""
    calibration: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH ...")] = ()
    """Sharp pictures, or folders of them, that int8's ranges are taken from, 32 at most; not the ones to judge by."""
    strength: Annotated[float, tyro.conf.arg(aliases=["-s"])] = 1.0
    """0 to 2, fixed in the file."""
    full_range: bool = False
    """For luma of 0 to 255 rather than 16 to 235."""
    limit_db: Annotated[float | None, tyro.conf.arg(metavar="DB")] = None
    """The most that may be lost against the truth; 0.001 for fp32, 0.01 for fp16 and 0.3 for int8 where not given."""
    check: bool = False
    """Write nothing: judge OUT as it is."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None
    """For judging; one per core where not given."""
    json: bool = False
    """As JSON."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace OUT where it exists."""


def run(options: Options) -> int:
    """Export, judge, and print what came out."""
    from acutance.choosing.stated import stated_student
    from acutance.export import FORMATS, LIMITS, check_export, examples, export_student, inspect_export

    if options.threads is not None and options.threads < 1:
        raise UsageError(f"--threads must be at least 1, not {options.threads}")
    student = stated_student(options.model, condition=options.condition, look=options.look)
    to = options.to or _format_of(options.out)
    precision = options.precision or FORMATS[to].precisions[0]
    if options.check and options.out is not None and options.precision is None:
        precision = inspect_export(options.out).precision
    limits = _limits(LIMITS.get(precision), options.limit_db)
    pictures, where = _pictures(options.pictures, _TEST, "--pictures")
    judged = examples(student.spec, pictures)
    if options.check:
        if options.out is None:
            raise UsageError("--check judges a file: name it behind the model")
        found = check_export(
            student, options.out, pictures=judged, strength=options.strength, full_range=options.full_range,
            limits=limits, threads=options.threads,
        )  # fmt: skip
        _print(options, {"path": options.out}, found, where, limits, [])
        return 0
    path = options.out or f"{student.spec.name}-{to}-{precision}{FORMATS[to].suffix}"
    calibration, calibrated_on = _calibration(options, student, precision)
    made = export_student(
        student, path, to=to, pictures=judged, precision=precision, strength=options.strength,
        full_range=options.full_range, calibration=calibration, limits=limits, overwrite=options.overwrite,
        threads=options.threads,
    )  # fmt: skip
    if calibrated_on:
        made.notes.append(f"calibrated on {calibrated_on}")
    facts = {k: v for k, v in asdict(made).items() if k != "parity"} | {"path": str(made.path)}
    _print(options, facts, made.parity, where, limits, _lines(made, FORMATS[to].untested))
    return 0


def _format_of(out: str | None) -> str:
    suffixes = {".xml": "openvino", ".param": "ncnn"}
    return suffixes.get(Path(out).suffix, "onnx") if out is not None else "onnx"


def _limits(limits: "Limits | None", lost: float | None) -> "Limits | None":
    if lost is None or limits is None:
        return limits
    if not 0 <= lost < 100:
        raise UsageError(f"--limit-db lies between 0 and 100, not {lost:g}")
    return replace(limits, lost=lost)


# -- pictures -------------------------------------------------------------------------------------------------------


def _pictures(paths: Sequence[str], below_data: Path, option: str) -> "tuple[Iterator[Rgb], str]":
    """Sharp pictures, and what they are in words."""
    from acutance.training.data.folders import images_named
    from acutance.training.data.places import default_data_root

    places = list(map(Path, paths)) or [default_data_root() / below_data]
    if paths or places[0].is_dir():
        return (file.load() for file in images_named(places)), ", ".join(place.name for place in places)
    return _drawn(below_data), f"drawn pictures ({option} names real ones)"


def _drawn(instead_of: Path) -> "Iterator[Rgb]":
    """Frames of the demonstration's scene: others to judge by than to calibrate with."""
    from acutance.demo.scene import FRAME_RATE, scene

    frames = scene(5 * _DRAWN_APART / FRAME_RATE, seed=1 if instead_of == _TEST else 2)
    return islice(frames, 0, None, _DRAWN_APART)


def _calibration(options: Options, student: "Student", precision: str) -> "tuple[list[NDArray[np.uint8]], str]":
    """What int8's ranges are taken from, and what that is in words; nothing where none are needed."""
    from acutance.export import calibration_planes

    if precision != "int8" or student.quantized:
        if options.calibration:
            raise UsageError("--calibration is for int8 of a student that was not trained for it")
        return [], ""
    pictures, where = _pictures(options.calibration, _TRAIN, "--calibration")
    return calibration_planes(student.spec, islice(pictures, _MOST_CALIBRATION)), where


# -- what comes out -------------------------------------------------------------------------------------------------


def _lines(made: "Export", untested: str) -> list[str]:
    lines = [f"{name}: {size:,} bytes" for name, size in made.files.items()]
    lines += made.notes
    if untested:
        lines.append(f"NOT TESTED: {untested}")
    return [*lines, *(f"to go on: {command}" for command in made.commands)]


def _print(
    options: Options, facts: dict[str, Any], found: "Parity", where: str, limits: "Limits | None", lines: list[str]
) -> None:
    if options.json:
        limit = None if limits is None else asdict(limits)
        print(json.dumps({**facts, "judged_on": where, "parity": found.to_dict(), "limits": limit}, indent=1))
        return
    runtime = f" in {facts['runtime']}" if "runtime" in facts else ""
    between = f"{found.between:.1f} dB" if found.between < float("inf") else "no difference"
    text = [
        f"{facts['path']}: agrees with {options.model}{runtime}, on {found.pictures} picture(s) of {where}",
        f"  largest difference  {found.difference} code value(s)",
        f"  between the two     {between}",
        f"  against the truth   {found.psnr_export:.3f} dB, the student {found.psnr_student:.3f}, "
        f"the input {found.psnr_input:.3f}: {max(0.0, found.lost):.3f} dB lost",
    ]
    print("\n".join([*text, *lines]))
