"""What a student is: its shape, its weights, and everything about itself that travels in its file."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import InputNotFoundError, ModelError, OutputError

__all__ = ["ConvLayer", "Student", "StudentShape", "StudentSpec", "load_student", "save_student"]

FORMAT_VERSION = 1
METADATA_KEY = "acutance"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_LARGEST_FACTOR = 64
_LARGEST_FILE = 64 << 20  # a student is kilobytes; refuse to map something else
_MOST_MACS = 1 << 17  # for each output pixel; the largest student that comes with the package needs 9,504
_LONGEST_METADATA = 1 << 20  # characters
_DEEPEST_METADATA = 16
_LONGEST_INTEGER = 18  # digits
_LONGEST_MESSAGE = 300
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')


@dataclass(frozen=True, slots=True)
class StudentShape:
    """The plain form every student has once trained.

    ``pixel_unshuffle(unshuffle) -> conv3x3 -> PReLU -> depth x [conv3x3 -> PReLU] -> conv3x3 ->
    pixel_shuffle(shuffle)``, a residual that is added to the input or, if ``shuffle`` is larger than ``unshuffle``, to
    its bicubic enlargement.

    Attributes:
        unshuffle: 1 to 8.
        channels: 1 to 256.
        depth: 0 to 64.
        shuffle: from ``unshuffle`` to four times as much, at most 8; 0 stands for ``unshuffle``.

    Raises:
        ModelError: a value is out of range, or an output pixel costs more than 131,072 multiply-accumulates.
    """

    unshuffle: int
    channels: int
    depth: int
    shuffle: int = 0

    def __post_init__(self) -> None:
        ranges = (("unshuffle", 1, 8), ("channels", 1, 256), ("depth", 0, 64), ("shuffle", 0, 8))
        for name, low, high in ranges:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ModelError(f"student {name} must be an integer from {low} to {high}, not {value!r}")
        if self.shuffle == 0:
            object.__setattr__(self, "shuffle", self.unshuffle)
        if not self.unshuffle <= self.shuffle <= 4 * self.unshuffle:
            raise ModelError(
                f"student shuffle must be 1 to 4 times unshuffle ({self.unshuffle}), which makes a factor of 1 to 4, "
                f"not {self.shuffle}"
            )
        if self.macs_per_pixel > _MOST_MACS:
            raise ModelError(
                f"a student of shape unshuffle {self.unshuffle}, channels {self.channels}, depth {self.depth} needs "
                f"{self.macs_per_pixel:.0f} multiply-accumulates for each pixel, and {_MOST_MACS} are accepted"
            )

    @property
    def upscales(self) -> bool:
        """Whether the output is larger than the input."""
        return self.shuffle > self.unshuffle

    @property
    def scale(self) -> float:
        """The factor by which the output is larger than the input, 1 to 4."""
        return self.shuffle / self.unshuffle

    def output_length(self, length: int) -> int:
        """Return the output samples of a row or column of ``length`` input samples."""
        return -(-length * self.shuffle // self.unshuffle)

    @property
    def layer_channels(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of each convolution, first to last."""
        inputs, outputs, width = self.unshuffle**2, self.shuffle**2, self.channels
        return [(inputs, width), *[(width, width)] * self.depth, (width, outputs)]

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for each output pixel."""
        return sum(9 * i * o for i, o in self.layer_channels) / self.shuffle**2

    @property
    def parameters(self) -> int:
        """Weights, biases and slopes."""
        convolutions = sum(9 * i * o + o for i, o in self.layer_channels)
        return convolutions + self.channels * (self.depth + 1)

    @property
    def radius(self) -> int:
        """How far, in input pixels, an output pixel depends on the input."""
        return self.unshuffle * (self.depth + 2)


@dataclass(frozen=True, slots=True)
class StudentSpec:
    """A student's description of itself.

    name: ``<tier>-<task>-x<factors>``, such as ``fast-clean-x2``.
    tier: ``fast``, ``balanced`` or ``quality``. task: what its input went through (``clean``, ``call``).
    factors: the upscaling factors it was trained for.
    degradation: the exact chain of its training inputs, in words.
    quality: measured figures, by test set, such as ``{"Set5": {"psnr_y": 36.9, "ssim_y": 0.95}}``.
    threshold: tiles of video less active than this, in 8-bit code values, pass through where nothing else is asked for
    (:class:`acutance.engine.TileOptions`); chosen so that calls lose next to nothing. 0: everything is computed.
    Raises ModelError for what is not so: a name that could not be a file's, factors that are none, figures that are
    not numbers.
    """

    name: str
    tier: str
    task: str
    factors: tuple[float, ...]
    shape: StudentShape
    degradation: str = ""
    data: str = ""
    teacher: str = ""
    config_sha256: str = ""
    steps: int = 0
    licence: str = "Apache-2.0"
    quality: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    threshold: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ModelError(f"student name must be letters, digits, '.', '_' and '-', not {self.name!r}")
        if not self.factors or not all(_is_figure(f) and 0 < f <= _LARGEST_FACTOR for f in self.factors):
            raise ModelError(f"student factors must be numbers above 0, not {list(self.factors)!r}")
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or self.steps < 0:
            raise ModelError(f"student steps must be an integer from 0, not {self.steps!r}")
        for figures in self.quality.values():
            if not all(_is_figure(figure) for figure in figures.values()):
                raise ModelError(f"student quality must be numbers, not {dict(figures)!r}")
        if not isinstance(self.threshold, int) or isinstance(self.threshold, bool) or self.threshold < 0:
            raise ModelError(f"student threshold must be an integer from 0, not {self.threshold!r}")

    def to_json(self) -> str:
        """Return the description as JSON; of a same-size student without ``shuffle``, as older versions wrote it."""
        description = asdict(self)
        if not self.shape.upscales:
            del description["shape"]["shuffle"]
        return json.dumps({"format": FORMAT_VERSION, **description}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> "StudentSpec":
        try:
            _check_extent(text)
            raw: dict[str, Any] = json.loads(text, parse_int=_short_integer)
            if not isinstance(raw, dict):
                raise ModelError("model metadata is not a JSON object")
            version = raw.pop("format")
            if version != FORMAT_VERSION:
                raise ModelError(f"model format {version}, this program reads format {FORMAT_VERSION}")
            unknown = set(raw) - {f.name for f in fields(cls)}
            if unknown:
                raise ModelError(f"unknown model metadata {sorted(unknown)}")
            raw["shape"] = StudentShape(**raw["shape"])
            if not isinstance(raw["factors"], list):
                raise ModelError(f"model metadata 'factors' must be a list, not {raw['factors']!r}")
            raw["factors"] = tuple(float(f) for f in raw["factors"])
            for f in fields(cls):
                if f.type is str and not isinstance(raw.get(f.name, ""), str):
                    raise ModelError(f"model metadata {f.name!r} must be text, not {raw[f.name]!r}")
            quality = raw.get("quality", {})
            if not isinstance(quality, dict) or not all(isinstance(v, dict) for v in quality.values()):
                raise ModelError("model metadata 'quality' must be a table for each test set")
            return cls(**raw)
        except ModelError as error:
            raise ModelError(f"{source}: {_shortened(error)}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{source}: model metadata cannot be read: {_shortened(error)}") from error


def _check_extent(text: str) -> None:
    """Refuse JSON that is far longer or deeper than a description can be, before it is parsed."""
    if len(text) > _LONGEST_METADATA:
        raise ModelError(f"model metadata of {len(text)} characters is too long; {_LONGEST_METADATA} are accepted")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _JSON_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _DEEPEST_METADATA:
            raise ModelError(f"model metadata is nested too deeply; {_DEEPEST_METADATA} levels are accepted")


def _short_integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ModelError(f"model metadata holds an integer of {len(digits)} digits")
    return int(digits)


def _shortened(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."


def _is_figure(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond double precision
        return False


@dataclass(frozen=True, slots=True)
class ConvLayer:
    """A 3x3 convolution with zero padding, and the PReLU behind it.

    weight: outputs x inputs x 3 x 3, float32. bias: outputs. slope: outputs, or None behind the last layer.
    reads: (scale, zero point) of the uint8 codes that an int8 back end reads, ``(code - zero point) * scale``, where
    the student was trained for that; its weights then lie on int8's grid, the largest of each output at 127.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    slope: NDArray[np.float32] | None
    reads: tuple[float, int] | None = None


@dataclass(frozen=True, slots=True)
class Student:
    """A student ready to run: its spec and its layers.

    The network works on luma in [0, 1], which is 8-bit limited-range code values divided by 255, and returns a residual
    in the same unit.
    """

    spec: StudentSpec
    layers: tuple[ConvLayer, ...]

    @property
    def quantized(self) -> bool:
        """Whether it was trained for int8; other back ends run its weights as they run any."""
        return all(layer.reads is not None for layer in self.layers)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The weights under the names they have in a file: ``conv0.weight``, ``conv0.bias``, ``conv0.slope``, and of a
        quantised student ``conv0.reads``; ``conv1.weight``, ..."""
        out = {}
        for i, layer in enumerate(self.layers):
            out[f"conv{i}.weight"] = layer.weight
            out[f"conv{i}.bias"] = layer.bias
            if layer.slope is not None:
                out[f"conv{i}.slope"] = layer.slope
            if layer.reads is not None:
                out[f"conv{i}.reads"] = np.array(layer.reads, np.float32)
        return out

    @classmethod
    def from_tensors(cls, spec: StudentSpec, tensors: Mapping[str, NDArray[np.floating]], *, source: str) -> "Student":
        """Check names, shapes and values, and build the layers. Raises ModelError naming ``source``."""
        left = dict(tensors)

        def take(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
            if name not in left:
                raise ModelError(f"{source}: tensor {name} is missing")
            array = left.pop(name)
            if array.shape != shape:
                raise ModelError(f"{source}: tensor {name} has shape {array.shape}, expected {shape}")
            with np.errstate(over="ignore"):
                single = np.ascontiguousarray(array, np.float32)
            if not np.isfinite(single).all():
                raise ModelError(f"{source}: tensor {name} holds values that are not finite in single precision")
            return single

        def codes(name: str) -> tuple[float, int]:
            scale, zero = (float(value) for value in take(name, (2,)))
            if scale <= 0 or not zero.is_integer() or not 0 <= zero <= 255:
                raise ModelError(f"{source}: tensor {name} is no scale above 0 and zero point from 0 to 255")
            return scale, int(zero)

        channels = spec.shape.layer_channels
        quantized = any(name.endswith(".reads") for name in left)
        layers = tuple(
            ConvLayer(
                weight=take(f"conv{i}.weight", (outputs, inputs, 3, 3)),
                bias=take(f"conv{i}.bias", (outputs,)),
                slope=take(f"conv{i}.slope", (outputs,)) if i + 1 < len(channels) else None,
                reads=codes(f"conv{i}.reads") if quantized else None,
            )
            for i, (inputs, outputs) in enumerate(channels)
        )
        if left:
            raise ModelError(f"{source}: unknown tensors {', '.join(sorted(left)[:5])}")
        if quantized:
            _check_grid(layers, source)
        return cls(spec, layers)


def _check_grid(layers: tuple[ConvLayer, ...], source: str) -> None:
    """That what a student says of int8 is so: its weights lie on int8's grid, and it reads luma in its own codes."""
    if layers[0].reads != (float(np.float32(1 / 255)), 0):
        raise ModelError(f"{source}: its first layer does not read 8-bit luma as it is")
    for i, layer in enumerate(layers):
        steps = np.maximum(np.abs(layer.weight).max(axis=(1, 2, 3), keepdims=True) / 127, 1e-12)
        if np.abs(layer.weight / steps - np.rint(layer.weight / steps)).max() > 1e-3:
            raise ModelError(f"{source}: tensor conv{i}.weight is not on int8's grid, and its reads say that it is")


def load_student(path: str | Path) -> Student:
    """Read a student from a safetensors file. Raises InputNotFoundError or ModelError."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such model file")
    if path.stat().st_size > _LARGEST_FILE:
        raise ModelError(f"{path}: {path.stat().st_size} bytes is too large for a student")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if METADATA_KEY not in metadata:
                raise ModelError(f"{path}: a safetensors file, but not an acutance student")
            spec = StudentSpec.from_json(metadata[METADATA_KEY], source=str(path))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file: {error}") from error
    except TypeError as error:  # numpy has no bfloat16, nor the eight-bit floats
        raise ModelError(f"{path}: holds a tensor of a type that is not accepted: {error}") from error
    return Student.from_tensors(spec, tensors, source=str(path))


def save_student(student: Student, path: str | Path) -> None:
    """Write a student to a safetensors file; what :func:`load_student` reads back is equal."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    if not math.isfinite(sum(float(np.abs(t).sum()) for t in student.tensors().values())):
        raise ModelError(f"{path}: refused to save a student whose weights are not finite")
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")  # a full disk must not cost the student that was there
    try:
        save_file(student.tensors(), str(temporary), metadata={METADATA_KEY: student.spec.to_json()})
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error}") from error
