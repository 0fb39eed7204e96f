"""Write an export to a temporary file, open and judge it, and only then give it its name."""

import contextlib
import hashlib
import io
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import require
from acutance._util.work_folder import ForeignFolderError, WorkFolder
from acutance.engine.base import check_strength
from acutance.engine.onnx_graph import METADATA_KEY, OPSET, frozen_graph
from acutance.engine.openvino_engine import last_line, read_openvino
from acutance.errors import AcutanceError, OutputError, OutputExistsError, UsageError
from acutance.export.companion import companion
from acutance.export.ncnn_file import write_ncnn
from acutance.export.parity import LIMITS, Limits, Parity, parity
from acutance.export.pictures import Example
from acutance.export.running import open_exported
from acutance.io.files import output_error
from acutance.students.spec import Student

__all__ = ["FORMATS", "Export", "Format", "check_export", "export_student"]

Planes = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Job:
    student: Student
    precision: str
    strength: float
    full_range: bool
    calibration: Planes


@dataclass(frozen=True, slots=True)
class Format:
    """A file format for exports.

    Attributes:
        suffix: suffix of the file.
        precisions: precisions that the format supports; the first is the default.
        write: writes the file and returns notes for the reader.
        libraries: modules that write and judge the file.
        weights_beside: True if the weights are in a ``.bin`` file beside it.
        untested: what has not been tried; empty if nothing.
    """

    suffix: str
    precisions: tuple[str, ...]
    write: Callable[[_Job, Path], list[str]]
    libraries: tuple[str, ...]
    weights_beside: bool = False
    untested: str = ""


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes:
        path: the file.
        format: name of the format in :data:`FORMATS`.
        precision: ``fp32``, ``fp16`` or ``int8``.
        files: the file and its companion, with their sizes in bytes.
        parity: comparison with the student.
        runtime: library that ran the file, with its version.
        notes: what a reader must know, one line each.
        commands: commands to continue with, one line each.
    """

    path: Path
    format: str
    precision: str
    files: dict[str, int]
    parity: Parity
    runtime: str
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def _write_onnx(job: _Job, path: Path) -> list[str]:
    eight_bits = job.precision == "int8" and job.student.quantized
    model = frozen_graph(
        job.student,
        strength=job.strength,
        full_range=job.full_range,
        half=job.precision == "fp16",
        eight_bits=eight_bits,
    )
    notes = [f"ONNX operators of version {OPSET}; luma and sharp: N x 1 x H x W uint8 of any size"]
    if job.precision == "int8":
        notes.append(_how_quantized(job))
        if not eight_bits:
            model = _calibrate(model, job, [n.name for n in model.graph.node])
            _drop_shapes(model)
    path.write_bytes(model.SerializeToString())
    return notes


def _write_tensorrt(job: _Job, path: Path) -> list[str]:
    # TensorRT reads bytes only before a Cast, and takes sizes as ranges, so the graph has no padding.
    model = frozen_graph(job.student, strength=job.strength, full_range=job.full_range, any_size=False)
    path.write_bytes(model.SerializeToString())
    r = job.student.spec.shape.unshuffle
    return [
        f"luma and sharp: N x 1 x H x W uint8, H and W multiples of {r}; TensorRT 8.6 or newer for uint8",
        "checked with ONNX Runtime on the processor; TensorRT itself, and float16 in it, were not tried",
    ]


def _write_openvino(job: _Job, path: Path) -> list[str]:
    openvino = require("openvino", extra="openvino", purpose="an OpenVINO export")
    eight_bits = job.precision == "int8" and job.student.quantized
    graph = frozen_graph(job.student, strength=job.strength, full_range=job.full_range, eight_bits=eight_bits)
    model = read_openvino(graph.SerializeToString())
    notes = ["luma and sharp: N x 1 x H x W uint8 of any size"]
    if job.precision == "int8":
        notes.append(_how_quantized(job))
        if not eight_bits:
            model = _calibrate(model, job, [op.get_friendly_name() for op in model.get_ordered_ops()])
    elif job.precision == "fp16":
        notes.append("weights in float16; what it is calculated in is the device's choice")
    model.set_rt_info(job.student.spec.to_json(), [METADATA_KEY])
    openvino.save_model(model, str(path), compress_to_fp16=job.precision == "fp16")
    return notes


def _write_ncnn(job: _Job, path: Path) -> list[str]:
    write_ncnn(job.student, path, strength=job.strength, full_range=job.full_range, half=job.precision == "fp16")
    r = job.student.spec.shape.unshuffle
    return [f"luma and sharp: 1 x H x W float code values, 0 to 255, H and W multiples of {r}; sharp is rounded"]


FORMATS = {
    "onnx": Format(".onnx", ("fp32", "fp16", "int8"), _write_onnx, ("onnx", "onnxruntime")),
    "openvino": Format(".xml", ("fp16", "fp32", "int8"), _write_openvino, ("onnx", "openvino"), weights_beside=True),
    "ncnn": Format(".param", ("fp32", "fp16"), _write_ncnn, ("ncnn",), weights_beside=True),
    "tensorrt": Format(
        ".onnx",
        ("fp32",),
        _write_tensorrt,
        ("onnx", "onnxruntime"),
        untested="never run on TensorRT or a graphics card",
    ),
}
"""Formats by name."""


def export_student(
    student: Student,
    path: str | Path,
    *,
    to: str,
    pictures: Iterable[Example],
    precision: str | None = None,
    strength: float = 1.0,
    full_range: bool = False,
    calibration: Planes = (),
    limits: Limits | None = None,
    overwrite: bool = False,
    threads: int | None = None,
) -> Export:
    """Write a student for another program, and compare the file with the student.

    Args:
        student: the student; upscalers cannot be exported.
        path: the file; its suffix must be that of the format.
        to: a name in :data:`FORMATS`.
        pictures: pictures to judge by (:func:`examples`).
        precision: ``fp32``, ``fp16`` or ``int8``; None for the default of the format.
        strength: strength of sharpening, 0 to 2, fixed in the file.
        full_range: True for luma in 0 to 255, False for 16 to 235.
        calibration: degraded planes, H x W, uint8. A student that was not trained for int8 needs them for int8.
        limits: what the file may differ by; None for the limits of its precision.
        overwrite: replace a file that exists.
        threads: threads of the library that judges; None for one per usable core.

    Returns:
        What was written and how it compares.

    Raises:
        UsageError: an argument is invalid.
        MissingExtraError: a library is missing.
        OutputExistsError: a file exists and ``overwrite`` is False.
        OutputError: the file cannot be written.
        ModelError: the file exceeds a limit. Then no file with the name exists.
    """
    kind = _format(to)
    path = Path(path)
    precision = precision or kind.precisions[0]
    if student.spec.shape.upscales:
        raise UsageError(f"{student.spec.name} is an upscaler; only same-size students are exported")
    if precision not in kind.precisions:
        raise UsageError(f"{to} is exported in {', '.join(kind.precisions)}, not in {precision}")
    if path.suffix != kind.suffix:
        raise UsageError(f"{path}: an export to {to} ends in {kind.suffix}")
    if precision == "int8" and not student.quantized and not len(calibration):
        raise UsageError(f"{student.spec.name} was not trained for int8: it takes pictures to calibrate with")
    for library in kind.libraries:  # fail before the first picture is computed
        require(library, extra="export", purpose=f"an export to {to}")
    job = _Job(student, precision, check_strength(strength), full_range, _mapped(calibration, full_range))
    targets = [path, companion(path)] if kind.weights_beside else [path]
    with _workplace(path) as folder:
        _check_targets(targets, kind, overwrite)
        made = folder / path.name
        try:
            notes = kind.write(job, made)
        except RuntimeError as error:  # OpenVINO and NNCF raise it, also for a full disk
            if isinstance(error, AcutanceError):
                raise
            raise OutputError(f"{path}: cannot be written: {last_line(error)}") from error
        exported = open_exported(made, threads=threads)
        found = parity(student, exported, pictures, strength=strength, full_range=full_range)
        found.check(limits or LIMITS[precision], name=str(path))
        runtime = exported.runtime
        del exported  # Windows cannot rename an open file
        files = {target.name: (folder / target.name).stat().st_size for target in targets}
        if len(targets) > 1:
            path.unlink(missing_ok=True)  # an old description must not lie beside new weights
        for target in reversed(targets):  # the description comes last: the weights alone are no model
            (folder / target.name).replace(target)
    return Export(path, to, precision, files, found, runtime, notes, _commands(to, path))


@contextlib.contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """Make a hidden folder beside ``path`` for one export at a time, and remove it at the end.

    Files that a killed export left there are removed first.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}")
    folder = path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.acutance-export"
    own = re.compile("|".join(re.escape(name) for name in (path.name, companion(path).name)))
    try:
        with WorkFolder(folder, own=own) as place:
            place.clear()
            try:
                yield folder
            finally:
                place.remove()
    except BlockingIOError as error:
        raise OutputError(f"{path}: another export is writing it") from error
    except ForeignFolderError as error:
        raise OutputError(f"{path}: {error}") from error
    except OSError as error:
        if isinstance(error, AcutanceError):
            raise
        raise output_error(path, error) from error


def check_export(
    student: Student,
    path: str | Path,
    *,
    pictures: Iterable[Example],
    strength: float = 1.0,
    full_range: bool = False,
    limits: Limits | None = None,
    threads: int | None = None,
) -> Parity:
    """Compare a file that exists with its student.

    Args:
        student: the student.
        path: the exported file.
        pictures: pictures to judge by (:func:`examples`).
        strength: strength that the file was exported with, 0 to 2.
        full_range: True if the file takes luma in 0 to 255.
        limits: what the file may differ by; None for the limits of its precision.
        threads: threads of the library; None for one per usable core.

    Returns:
        The comparison.

    Raises:
        InputNotFoundError: there is no such file.
        ModelError: the file is not an export of a student, or exceeds a limit.
        MissingExtraError: the library is missing.
    """
    exported = open_exported(path, threads=threads)
    found = parity(student, exported, pictures, strength=strength, full_range=full_range)
    found.check(limits or LIMITS[exported.precision], name=str(path))
    return found


# -- details --------------------------------------------------------------------------------------------------------


def _format(to: str) -> Format:
    if to not in FORMATS:
        raise UsageError(f"there is no export to {to!r}; known: {', '.join(FORMATS)}")
    return FORMATS[to]


def _check_targets(targets: Sequence[Path], kind: Format, overwrite: bool) -> None:
    path = targets[0]
    for target in targets:
        if target.is_dir():
            raise OutputError(f"{target}: is a folder, not a file name")
        if os.path.lexists(target) and not overwrite:
            raise OutputExistsError(f"{target}: exists already").offering("overwrite")
        if target.exists() and not path.exists():
            raise OutputExistsError(f"{target}: exists, and does not belong to {path.name}; choose another name")
    for other in FORMATS.values():
        if kind.weights_beside and other.weights_beside and other.suffix != kind.suffix:
            owner = path.with_suffix(other.suffix)
            if owner.exists():
                raise OutputExistsError(f"{companion(path)}: belongs to {owner.name}; choose another name")


def _mapped(planes: Planes, full_range: bool) -> Planes:
    if not full_range:
        return planes
    return [np.clip(np.rint((p.astype(np.float32) - 16) * (255 / 219)), 0, 255).astype(np.uint8) for p in planes]


def _how_quantized(job: _Job) -> str:
    if job.student.quantized:
        return "int8 as the student was trained for it"
    return f"int8 by NNCF's post-training quantisation, calibrated with {len(job.calibration)} degraded picture(s)"


_CORE = ("conv", "act", "x0", "weight", "read")  # prefixes of the operators of the network


def _calibrate(model: Any, job: _Job, names: Sequence[str]) -> Any:
    """Quantise only the network: a residual of eight bits would make steps in the picture."""
    nncf = require("nncf", extra="export", purpose="int8 of a student that was not trained for it", minimum="2.14")
    nncf.set_log_level(40)
    around = [name for name in names if not name.startswith(_CORE)]
    inputs: list[Any] = [plane[None, None] for plane in job.calibration]
    if type(model).__module__.startswith("onnx"):
        inputs = [{"luma": plane} for plane in inputs]
    dataset = nncf.Dataset(inputs)
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF prints progress bars
        return nncf.quantize(
            model,
            dataset,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=around, validate=False),
        )


def _drop_shapes(model: Any) -> None:
    """Remove the shapes of NNCF's calibration pictures: other runtimes would accept no other shape."""
    del model.graph.value_info[:]


def _commands(to: str, path: Path) -> list[str]:
    if to == "tensorrt":
        engine = path.with_suffix(".engine")
        sizes = [f"--{which}Shapes=luma:1x1x{size}" for which, size in
                 (("min", "180x320"), ("opt", "1080x1920"), ("max", "2160x3840"))]  # fmt: skip
        return [
            " ".join(
                ["trtexec", shlex.quote(f"--onnx={path}"), shlex.quote(f"--saveEngine={engine}"), "--fp16", *sizes]
            ),
            f"onnxruntime.InferenceSession({str(path)!r}, providers=[('TensorrtExecutionProvider', "
            "{'trt_fp16_enable': True, 'trt_engine_cache_enable': True, 'trt_engine_cache_path': '.', "
            "'trt_profile_min_shapes': 'luma:1x1x180x320', 'trt_profile_opt_shapes': 'luma:1x1x1080x1920', "
            "'trt_profile_max_shapes': 'luma:1x1x2160x3840'}), 'CUDAExecutionProvider', 'CPUExecutionProvider'])",
        ]
    return []
