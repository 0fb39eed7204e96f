"""``acutance convert``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from acutance.errors import ModelError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acutance.engine.integer import IntegerNetwork
    from acutance.io import AtomicOutput
    from acutance.students.spec import Student
    from acutance.training.data.folders import ImageFile

    Luma = NDArray[np.float32]

__all__ = ["Options", "run"]

_FACTOR = 2.0  # the students' own degradation: bicubic down by this and up again
_STRIP = 256  # rows of which the activations are looked at together: those of a whole photograph would take gigabytes


@dataclass(frozen=True)
class Options:
    """Turn a student into the integer network that is run, and tell what that costs in precision."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """fast, balanced or quality; a model's full name; or a student's file."""
    out: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[OUT.acu]")] = None
    """Write the integer network here, for the C library. Not given: only tell."""
    condition: Annotated[str | None, tyro.conf.arg(metavar="X2[,RATE]")] = None
    """What frames went through, of a conditioned student: x2, or x2,0.05bpp with the bits that are spent on a pixel."""
    look: Literal["faithful", "natural"] | None = None
    """Of a conditioned student; natural where not given."""
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH ...")] = ()
    """Sharp pictures, or folders of them, to measure the loss on: blurred by scaling by 2 (bicubic), then restored. Not
    given: a drawn picture of extreme contrast, which has no truth to compare with."""
    json: bool = False
    """Print JSON instead of tables."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace OUT.acu where it exists."""


@dataclass(frozen=True)
class _LayerUse:
    """One layer: how near its sums can come to overflowing, and how near its activations came to saturating.

    bound: of the proof, over its limit; below 1. largest: sum after the shift, over int16's largest. saturated: values.
    """

    inputs: int
    outputs: int
    shift: int
    bound: float
    largest: float
    saturated: int


@dataclass(frozen=True)
class _Loss:
    """Means over pictures. psnr_outputs: in dB between the float student's luma and the integer one's, unrounded.

    psnr_y_float, psnr_y_integer: against the truth, None without one. delta: what is lost, negative for a gain.
    """

    pictures: int
    psnr_outputs: float
    psnr_y_float: float | None = None
    psnr_y_integer: float | None = None
    delta: float | None = None


def run(options: Options) -> int:
    """Convert, measure, print, and write what was asked for."""
    from acutance.choosing.stated import stated_student
    from acutance.engine.integer import convert
    from acutance.training.data.folders import images_named

    output = _output(options)
    pictures = images_named(options.images)
    student = stated_student(options.model, condition=options.condition, look=options.look)
    try:
        network = convert(student)
    except ModelError as error:
        raise ModelError(f"{options.model}: cannot be run in integers: {error}") from error
    loss, lumas = _measure_pictures(student, pictures) if pictures else _measure_drawn(student)
    layers = _layer_uses(network, lumas)
    if output is not None:
        _write(output, network.to_bytes())
    if options.json:
        report: dict[str, Any] = {"model": student.spec.name, "layers": [asdict(u) for u in layers], **asdict(loss)}
        report |= {"measured_on": list(options.images) or "drawn", "out": options.out}
        print(json.dumps(report, indent=1, allow_nan=False))
    else:
        print(_report(student, layers, loss))
        if output is not None:
            print(f"\n{output.path}: {len(network.to_bytes()):,} bytes")
    return 0


def _output(options: Options) -> "AtomicOutput | None":
    from acutance.io import AtomicOutput

    if options.out is None:
        return None
    if not options.out.lower().endswith(".acu"):
        raise UsageError(f"the integer network is written to a file that ends in .acu, not to {options.out}")
    return AtomicOutput(options.out, overwrite=options.overwrite, inputs=[options.model, *options.images])


# -- measuring ------------------------------------------------------------------------------------------------------


def _measure_pictures(student: "Student", pictures: "Sequence[ImageFile]") -> "tuple[_Loss, list[Luma]]":
    """As ``acutance evaluate`` measures a folder: see :mod:`acutance.evaluate.quality`."""
    import numpy as np

    from acutance.degrade import crop_to_multiple, down_up
    from acutance.engine.numpy_engine import NumpyEngine
    from acutance.evaluate.quality import mean_db
    from acutance.luma import add_luma_residual, luma_from_rgb
    from acutance.metrics import border_of, psnr_y

    shape, factor = student.spec.shape, _factor(student)
    engine, border = NumpyEngine(student), border_of(factor)
    lumas: list[Luma] = []
    floats: list[float] = []
    integers: list[float] = []
    between: list[float] = []
    for picture in pictures:
        try:
            truth = crop_to_multiple(picture.load())
        except UsageError as error:
            raise UsageError(f"{picture.path}: {error}") from error
        low, degraded = down_up(truth, factor)[:2]
        luma = luma_from_rgb(low if shape.upscales else degraded)
        exact, integer = _float_residual(student, luma), engine.residual(luma)
        for residual, found in ((exact, floats), (integer, integers)):
            restored = np.asarray(add_luma_residual(degraded, residual), np.uint8)
            found.append(psnr_y(restored, truth, border=border))
        between.append(_psnr_outputs(luma_from_rgb(degraded), integer, exact))
        lumas.append(luma)
    exact_db, integer_db = mean_db(floats), mean_db(integers)
    return _Loss(len(pictures), mean_db(between), exact_db, integer_db, exact_db - integer_db), lumas


def _measure_drawn(student: "Student") -> "tuple[_Loss, list[Luma]]":
    import numpy as np

    from acutance.engine.enlargement import enlarge
    from acutance.engine.integer import calibration_picture
    from acutance.engine.numpy_engine import NumpyEngine

    shape = student.spec.shape
    luma = base = calibration_picture(softened=not shape.upscales).astype(np.float32)
    if shape.upscales:
        base = enlarge(luma.astype(np.uint8), shape.unshuffle, shape.shuffle, 8).astype(np.float32)
    exact, integer = _float_residual(student, luma), NumpyEngine(student).residual(luma)
    return _Loss(1, _psnr_outputs(base, integer, exact)), [luma]


def _factor(student: "Student") -> float:
    """By how much pictures are scaled down, and up, to be measured on."""
    shape = student.spec.shape
    return shape.scale if shape.upscales else _FACTOR


def _psnr_outputs(luma: "Luma", residual: "Luma", reference: "Luma") -> float:
    """Clipped: on extreme contrast a residual saturates that reaches far beyond black and white, and nobody sees it."""
    import numpy as np

    from acutance.evaluate.quality import mean_db
    from acutance.metrics import psnr

    return mean_db([psnr(np.clip(luma + residual, 0, 255), np.clip(luma + reference, 0, 255))])


def _float_residual(student: "Student", luma: "Luma") -> "Luma":
    import numpy as np

    from acutance.engine import float_network

    return float_network.residual(student, luma / np.float32(255)) * np.float32(255)


def _layer_uses(network: "IntegerNetwork", lumas: "Sequence[Luma]") -> list[_LayerUse]:
    """Each strip of rows is run as a picture of its own."""
    import numpy as np

    from acutance.engine.float_network import pixel_unshuffle
    from acutance.engine.integer import ACTIVATION_LIMIT, SUM_LIMIT
    from acutance.engine.numpy_engine import activate, input_from_luma, shifted_sums

    largest, saturated = [0] * len(network.layers), [0] * len(network.layers)
    for strip in _strips(lumas):
        x = pixel_unshuffle(input_from_luma(strip), network.shape.unshuffle)
        for number, layer in enumerate(network.layers):
            sums = shifted_sums(x, layer)
            largest[number] = max(largest[number], int(np.abs(sums).max()))
            saturated[number] += int(((sums < -ACTIVATION_LIMIT) | (sums >= ACTIVATION_LIMIT)).sum())
            x = activate(sums, layer)
    return [
        _LayerUse(i, o, layer.shift, int(layer.bounds.max()) / SUM_LIMIT, top / ACTIVATION_LIMIT, clipped)
        for (i, o), layer, top, clipped in zip(
            network.shape.layer_channels, network.layers, largest, saturated, strict=True
        )
    ]


def _strips(lumas: "Sequence[Luma]") -> "Iterator[Luma]":
    for luma in lumas:
        for top in range(0, luma.shape[0], _STRIP):
            yield luma[top : top + _STRIP]


# -- what comes out -------------------------------------------------------------------------------------------------


def _report(student: "Student", layers: Sequence[_LayerUse], loss: _Loss) -> str:
    from acutance.evaluate.table import render

    shape = student.spec.shape
    rows = [
        [
            str(number),
            f"{use.inputs} -> {use.outputs}",
            str(use.shift),
            f"{use.bound * 100:.0f} %",
            f"{use.largest * 100:.1f} %",
            f"{use.saturated:,}",
        ]
        for number, use in enumerate(layers)
    ]
    heads = ["layer", "channels", "shift", "overflow bound", "largest activation", "saturated"]
    where = (
        "on the drawn picture"
        if loss.psnr_y_float is None
        else f"on {loss.pictures} picture(s), x{_factor(student):g} bicubic"
    )
    factors = f"{shape.unshuffle} to {shape.shuffle}" if shape.upscales else f"{shape.unshuffle}"
    lines = [
        f"{student.spec.name}: {factors}, {shape.channels}, {shape.depth} in int16; measured {where}",
        "",
        render(heads, rows),
        "",
        f"PSNR between float and integer outputs: {loss.psnr_outputs:.2f} dB",
    ]
    if layers[-1].saturated:
        lines.append("the last layer saturates at residuals of 256 code values, which nobody can see")
    if loss.delta is not None:
        lines.append(
            f"PSNR-Y: float {loss.psnr_y_float:.4f} dB, integer {loss.psnr_y_integer:.4f} dB, lost {loss.delta:.4f} dB"
        )
    return "\n".join(lines)


def _write(output: "AtomicOutput", data: bytes) -> None:
    from acutance.io.files import output_error

    with output:
        try:
            output.temporary.write_bytes(data)
        except OSError as error:
            raise output_error(output.path, error) from error
