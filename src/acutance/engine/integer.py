"""The integer network: a student's weights as integers, the proof that its sums cannot overflow, its file.

docs/engine.md defines what it computes; the plain code that computes it is :mod:`acutance.engine.numpy_engine`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acutance.engine.float_network import convolve, pixel_unshuffle
from acutance.errors import ModelError
from acutance.students.spec import ConvLayer, Student, StudentShape

__all__ = [
    "ACTIVATION_LIMIT",
    "CODE",
    "IntegerLayer",
    "IntegerNetwork",
    "Peaks",
    "calibration_picture",
    "convert",
]

CODE = 64
"""The integer that stands for one 8-bit limited-range code value, in the network's input and its residual."""
UNIT = CODE * 255
"""The integer that stands for 1 in the float network, in its input and its output."""

ACTIVATION_LIMIT = 2**14
"""Activations are smaller than this in size: the sum or difference of two fits in int16, and fast kernels multiply
those."""
LARGEST_WEIGHT = 2**14 - 1
"""Of a kernel's upper and lower row: twice as much fits in int16."""
LARGEST_COLUMN = 2**15 - 1
"""Of the sizes of a kernel's column together: its sum fits in int16 with any signs."""
LEAST_SLOPE = -(2**15) + 2
"""So that no PReLU reaches ``ACTIVATION_LIMIT``: -2**14 times -1 would."""
SUM_LIMIT = 2**30
"""Twice a sum is int32: what ``IntegerLayer.bounds`` must stay below."""
LARGEST_SHIFT = 30

_MAGIC, _VERSION, _VERSION_WITHOUT_SHUFFLE = b"ACUTANCE", 3, 2
_PREFIX = struct.Struct("<8sI")

_HEADROOM = 1  # bits of an activation beyond the largest of the calibration picture
_TILE = 32  # side of one pattern of the calibration picture
_EXTREME = 512  # powers of two beyond which activations count as infinite, or as none
_TYPICAL = 64  # an integer activation of a photograph: what the rounding of weights is multiplied by
_TINY = 1e-200  # keeps divisions by all-zero weights finite

_FloatLayer = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """A 3x3 convolution in integers, and the PReLU behind it.

    weight: outputs x inputs x 3 x 3, int16; within ``LARGEST_WEIGHT`` (upper and lower row) and ``LARGEST_COLUMN``.
    bias: outputs, int32; half of ``2**shift`` is in it, so that the shift rounds to nearest.
    slope: outputs, int16, at least ``LEAST_SLOPE``, in units of 2**-15; None behind the last layer.
    shift: 0 to 30, what sums are shifted right by.
    """

    weight: NDArray[np.int16]
    bias: NDArray[np.int32]
    slope: NDArray[np.int16] | None
    shift: int

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Of each output, what its sums cannot exceed in size, whatever the input and the order of summing."""
        weights = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3))
        return np.asarray(ACTIVATION_LIMIT * weights + np.abs(self.bias.astype(np.int64)), np.int64)


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """A student in integers. Raises ModelError unless every layer has the right shape and passes the overflow proof."""

    shape: StudentShape
    layers: tuple[IntegerLayer, ...]

    def __post_init__(self) -> None:
        channels = self.shape.layer_channels
        if len(self.layers) != len(channels):
            raise ModelError(f"an integer network of {self.shape} has {len(channels)} layers, not {len(self.layers)}")
        for number, (layer, (inputs, outputs)) in enumerate(zip(self.layers, channels, strict=True)):
            try:
                _check_layer(layer, inputs, outputs, last=number + 1 == len(channels))
            except ModelError as error:
                raise ModelError(f"layer {number} {error}") from error

    def to_bytes(self) -> bytes:
        """The network as a file, little-endian, which the native engine loads.

        8 bytes ``ACUTANCE``; uint32 version, unshuffle, shuffle, channels, depth; then of each layer int32 shift, int16
        weights (outputs x inputs x 3 x 3), int32 biases, int16 slopes (not of the last). Nothing follows.
        """
        shape = self.shape
        header = struct.pack("<4I", shape.unshuffle, shape.shuffle, shape.channels, shape.depth)
        parts = [_PREFIX.pack(_MAGIC, _VERSION), header]
        for layer in self.layers:
            parts += [struct.pack("<i", layer.shift), layer.weight.astype("<i2").tobytes()]
            parts.append(layer.bias.astype("<i4").tobytes())
            if layer.slope is not None:
                parts.append(layer.slope.astype("<i2").tobytes())
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes, *, source: str = "integer network") -> "IntegerNetwork":
        """What :meth:`to_bytes` made. Raises ModelError, naming ``source``, for anything else."""
        try:
            return cls._from_bytes(data)
        except ModelError as error:
            raise ModelError(f"{source}: {error}") from error

    @classmethod
    def _from_bytes(cls, data: bytes) -> "IntegerNetwork":
        if len(data) < _PREFIX.size:
            raise ModelError(f"{len(data)} bytes are too few for an integer network")
        magic, version = _PREFIX.unpack_from(data)
        if magic != _MAGIC:
            raise ModelError("not an integer network")
        if version not in (_VERSION, _VERSION_WITHOUT_SHUFFLE):
            raise ModelError(
                f"integer network of version {version}, this program reads versions {_VERSION_WITHOUT_SHUFFLE} "
                f"and {_VERSION}"
            )
        header = struct.Struct("<4I" if version == _VERSION else "<3I")
        position = _PREFIX.size + header.size
        if len(data) < position:
            raise ModelError(f"{len(data)} bytes are too few for an integer network")
        unshuffle, *shuffle, channels, depth = header.unpack_from(data, _PREFIX.size)
        if shuffle == [0]:
            raise ModelError("student shuffle must be an integer from 1 to 8, not 0")
        shape = StudentShape(unshuffle, channels, depth, *shuffle)  # refuses what is absurd
        edges = shape.layer_channels
        sizes = [4 + 18 * i * o + 4 * o + (2 * o if k + 1 < len(edges) else 0) for k, (i, o) in enumerate(edges)]
        if len(data) != position + sum(sizes):
            raise ModelError(f"{len(data)} bytes, where {shape} takes {position + sum(sizes)}")

        def take(kind: str, count: int) -> NDArray[np.signedinteger]:
            nonlocal position
            array = np.frombuffer(data, np.dtype(kind), count, position)
            position += array.nbytes
            return array

        layers = []
        for number, (inputs, outputs) in enumerate(edges):
            shift = int(take("<i4", 1)[0])
            weight = take("<i2", outputs * inputs * 9).astype(np.int16).reshape(outputs, inputs, 3, 3)
            bias = take("<i4", outputs).astype(np.int32)
            slope = take("<i2", outputs).astype(np.int16) if number + 1 < len(edges) else None
            layers.append(IntegerLayer(weight, bias, slope, shift))
        return cls(shape, tuple(layers))


def _check_layer(layer: IntegerLayer, inputs: int, outputs: int, *, last: bool) -> None:
    expected = {"weight": (np.int16, (outputs, inputs, 3, 3)), "bias": (np.int32, (outputs,))}
    if last != (layer.slope is None):
        raise ModelError("has slopes though it is the last" if last else "has no slopes")
    if not last:
        expected["slope"] = (np.int16, (outputs,))
    for name, (kind, shape) in expected.items():
        array = getattr(layer, name)
        if array.dtype != kind or array.shape != shape:
            found = f"{array.dtype} of shape {array.shape}"
            raise ModelError(f"has a {name} that is {found}, expected {np.dtype(kind)} of shape {shape}")
    if layer.slope is not None and (layer.slope < LEAST_SLOPE).any():
        raise ModelError(f"has a slope of {layer.slope.min()}; the least is {LEAST_SLOPE}")
    size = np.abs(layer.weight.astype(np.int64))
    outer, column = int(size[:, :, ::2].max()), int(size.sum(axis=2).max())
    if outer > LARGEST_WEIGHT:
        raise ModelError(f"has a weight of size {outer} in a kernel's upper or lower row; at most {LARGEST_WEIGHT}")
    if column > LARGEST_COLUMN:
        raise ModelError(f"has weights in a kernel's column whose sizes add up to {column}; at most {LARGEST_COLUMN}")
    if not 0 <= layer.shift <= LARGEST_SHIFT:
        raise ModelError(f"has a shift of {layer.shift}, not of 0 to {LARGEST_SHIFT}")
    worst = int(layer.bounds.argmax())
    if layer.bounds[worst] >= SUM_LIMIT:
        raise ModelError(f"could overflow: sums of output {worst} reach {layer.bounds[worst]} of {SUM_LIMIT}")


Peaks = Sequence[NDArray[np.float64]]
"""For each layer, the largest size of each output before its PReLU, as :mod:`acutance.engine.peaks` finds it."""


def convert(student: Student, *, peaks: Peaks | None = None) -> IntegerNetwork:
    """Convert a student to integers, from its weights alone. The result is deterministic.

    Args:
        student: The student.
        peaks: What scales are chosen by. None runs the student on the whole calibration picture in double precision,
            which takes most of the time. The overflow proof is about the weights and holds for any scales.

    Raises:
        ModelError: If no integer network computes what the student does, such as for a last layer whose weights are too
            large for the activations before it.
    """
    r = student.spec.shape.unshuffle
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        layers = _slopes_within_one(student.layers)
        if peaks is None:
            largest = _largest_sums(layers, calibration_picture(softened=not student.spec.shape.upscales), r)
        else:
            largest = [peak * _beyond_one(layer) for peak, layer in zip(peaks, student.layers, strict=True)]
    scale = np.full(r * r, float(UNIT))  # integers for each unit of the float network
    made = []
    for number, ((weight, bias, slope), peak) in enumerate(zip(layers, largest, strict=True)):
        weight = weight / scale[:, None, None]
        if slope is None:
            weight, bias, exponent = weight * UNIT, bias * UNIT, np.zeros(len(bias), np.int64)
            shift = _last_shift(weight, bias, number)
        else:
            exponent, shift = _exponents(weight, bias, peak)
            scale = np.ldexp(1.0, exponent)
        weight = np.ldexp(weight, (exponent + shift)[:, None, None, None])
        made.append(
            IntegerLayer(
                np.rint(weight).astype(np.int16),
                (np.rint(np.ldexp(bias, exponent + shift)).astype(np.int64) + _half(shift)).astype(np.int32),
                None if slope is None else np.clip(np.rint(slope * 32768), LEAST_SLOPE, 32767).astype(np.int16),
                shift,
            )
        )
    return IntegerNetwork(student.spec.shape, tuple(made))


def calibration_picture(*, softened: bool = True) -> NDArray[np.float64]:
    """Return the drawn picture that scales are chosen on: 160 x 160 code values of 8-bit luma, of extreme contrast.

    Args:
        softened: scale the picture down and up by two, as the inputs of same-size students are. Upscalers read small
            pictures, which are as sharp as the drawing.

    A same-size student reaches several times as much on sharp photographs, which it is not made for. Its activations
    saturate there in places, with any ``_HEADROOM`` that leaves enough bits for what it is made for.
    """
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:_TILE, :_TILE]
    masks = [(y // n + x // n) % 2 for n in (1, 2, 3, 4, 6, 8)]
    masks += [line // n % 2 for n in (1, 2, 3, 5) for line in (y, x, x + y)]
    masks += [line > _TILE // 2 for line in (y, x)]
    masks += [rng.integers(0, 2, (_TILE, _TILE)) for _ in range(3)]
    tiles = [np.where(mask, 235.0, 16.0) for mask in masks]
    tiles += [16 + 219 * x / (_TILE - 1), rng.integers(0, 256, (_TILE, _TILE)).astype(np.float64)]
    picture = np.block([tiles[row : row + 5] for row in range(0, 25, 5)])
    return _softened(_softened(picture).T).T if softened else picture


def _softened(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled down and up by two along the first axis, with binomial filters of four taps."""
    padded = np.pad(picture, ((1, 1), (0, 0)), mode="edge")
    low = (padded[:-3:2] + 3 * padded[1:-2:2] + 3 * padded[2:-1:2] + padded[3::2]) / 8
    padded = np.pad(low, ((1, 1), (0, 0)), mode="edge")
    out = np.empty_like(picture)
    out[::2], out[1::2] = (3 * low + padded[:-2]) / 4, (3 * low + padded[2:]) / 4
    return out


def _slopes_within_one(layers: Sequence[ConvLayer]) -> list[_FloatLayer]:
    """The layers in float64, PReLUs with a slope beyond 1 in size turned inside out (docs/engine.md, Conversion)."""
    out: list[_FloatLayer] = []
    sign = np.ones(layers[0].weight.shape[1])
    for layer in layers:
        weight, bias = layer.weight.astype(np.float64) * sign[:, None, None], layer.bias.astype(np.float64)
        slope = None
        if layer.slope is not None:
            slope = layer.slope.astype(np.float64)
            beyond = np.abs(slope) > 1
            factor = np.where(beyond, -np.abs(slope), 1.0)
            weight, bias = weight * factor[:, None, None, None], bias * factor
            sign = np.where(slope > 1, -1.0, 1.0)
            slope = np.divide(1.0, slope, out=slope.copy(), where=beyond)
        out.append((weight, bias, slope))
    return out


def _beyond_one(layer: ConvLayer) -> NDArray[np.float64]:
    """Return by how much :func:`_slopes_within_one` multiplies each output of a layer, in size."""
    if layer.slope is None:
        return np.ones(len(layer.bias))
    return np.maximum(np.abs(layer.slope.astype(np.float64)), 1.0)


def _largest_sums(layers: Sequence[_FloatLayer], picture: NDArray[np.float64], r: int) -> list[NDArray[np.float64]]:
    """Of each output of each layer, the largest size before its PReLU. Raises ModelError beyond double precision."""
    x = pixel_unshuffle(picture, r) / 255
    found = []
    for number, (weight, bias, slope) in enumerate(layers):
        x = convolve(x, weight) + bias
        found.append(np.abs(x).max(axis=(0, 1)))
        if not (found[-1] < 2.0**_EXTREME).all():
            raise ModelError(f"layer {number}: activations reach {found[-1].max():.3g}: too large for integers")
        x = x if slope is None else np.where(x > 0, x, x * slope)
    return found


def _exponents(
    weight: NDArray[np.float64], bias: NDArray[np.float64], peak: NDArray[np.float64]
) -> tuple[NDArray[np.int64], int]:
    """The power of two of each output's scale, and the shift, that together lose least.

    A larger shift means finer weights, but where the proof allows an output no larger ones, its scale must fall, and
    its activations are rounded more coarsely. That weighs more, so that the shift is nearly always the largest that
    costs no output its scale; it is larger where one output alone would hold all others back.
    """
    active = peak > 2.0**-_EXTREME
    # The largest of the picture fits, and more. Of a channel that is never active the scale is huge, and what it is
    # multiplied by in the next layer small.
    wanted = np.where(active, 14 - _HEADROOM - np.frexp(peak)[1], _EXTREME).astype(np.int64)
    taps = weight[0].size
    shifts = np.arange(LARGEST_SHIFT + 1)
    exponents = np.minimum(wanted, _largest_exponents(weight, bias, shifts) - shifts[:, None])
    coarser = np.where(active, np.minimum(wanted - exponents, 250), 0)  # keeps the sum below finite
    losses = np.ldexp(1.0, 2 * coarser).sum(axis=1) * (1 + taps * _TYPICAL**2 * np.ldexp(1.0, -2 * shifts))
    best = int(losses.argmin())  # the smallest of equals
    return exponents[best], best


def _last_shift(weight: NDArray[np.float64], bias: NDArray[np.float64], number: int) -> int:
    """The largest shift at which the proof holds; the scale of the last layer's outputs is given."""
    shifts = np.arange(LARGEST_SHIFT + 1)
    holds = (_largest_exponents(weight, bias, shifts) >= shifts[:, None]).all(axis=1)
    if holds.any():
        return int(shifts[holds].max())
    size = ACTIVATION_LIMIT * np.abs(weight).sum(axis=(1, 2, 3)) + np.abs(bias)
    worst = int(size.argmax())
    raise ModelError(
        f"layer {number} could overflow: sums of output {worst} reach {size[worst]:.4g} of {SUM_LIMIT} in integers"
    )


def _largest_exponents(
    weight: NDArray[np.float64], bias: NDArray[np.float64], shifts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the largest power of two that each output's weights and bias may be multiplied by and pass the proof.

    shifts: those to try. Returns shifts x outputs.
    """
    halves = np.array([_half(int(shift)) for shift in shifts], np.float64)
    # Less what rounding may add.
    room = SUM_LIMIT - 1 - halves - ACTIVATION_LIMIT * ((weight[0].size + 1) // 2)
    size = ACTIVATION_LIMIT * np.abs(weight).sum(axis=(1, 2, 3)) + np.abs(bias)
    outer = np.abs(weight[:, :, ::2]).max(axis=(1, 2, 3))
    column = np.abs(weight).sum(axis=2).max(axis=(1, 2))
    of_kernels = np.minimum(LARGEST_WEIGHT / np.maximum(outer, _TINY), (LARGEST_COLUMN - 2) / np.maximum(column, _TINY))
    factor = np.minimum(room[:, None] / np.maximum(size, _TINY), of_kernels)
    return np.asarray(np.frexp(factor)[1] - 1, np.int64)  # frexp's mantissa is from 0.5 to 1


def _half(shift: int) -> int:
    return (1 << shift) >> 1
