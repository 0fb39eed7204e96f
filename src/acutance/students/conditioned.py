"""Students whose weights depend on what a frame went through: weight sets, and the network that mixes them.

A file holds a few weight sets of one shape for each look. A small network reads the features of a frame and returns
the share of each set; the weighted mean of the sets is a plain student, which any engine runs. The first set is the
identity: a frame that needs nothing stays as it is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from acutance.errors import InputNotFoundError, ModelError
from acutance.students.spec import METADATA_KEY, ConvLayer, Student, StudentSpec

__all__ = ["LOOKS", "ConditionedStudent", "Look", "WeightSets", "is_conditioned_file", "load_conditioned"]

Look = Literal["faithful", "natural"]
"""faithful: the least error. natural: as much power in each band as the truth has, where the frame tells of it."""

LOOKS: tuple[Look, ...] = get_args(Look)

_STEPS = 512  # mixtures are rounded to this fraction: equal on every machine, whatever its rounding of exponentials
_SETS = (2, 16)
_LARGEST_HIDDEN = 512
_LARGEST_FILE = 64 << 20
_LARGEST_FEATURE = 8.0  # standard deviations: a feature farther away than that was never seen
_LARGEST_WEIGHT = 1e4

_Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WeightSets:
    """One convolution of every set.

    Attributes:
        weight: sets x outputs x inputs x 3 x 3, float32.
        bias: sets x outputs, float32.
        slope: sets x outputs, float32, of the PReLU behind it; None behind the last layer.
    """

    weight: _Float
    bias: _Float
    slope: _Float | None


@dataclass(frozen=True, slots=True)
class ConditionedStudent:
    """A student ready to be mixed.

    Attributes:
        spec: What the student says of itself.
        looks: The layers of each look.
        mean, deviation: Of the features; float32, one entry a feature.
        inner, inner_bias: First layer of the condition network, hidden x features and hidden.
        outer, outer_bias: Second layer, sets x hidden and sets.
    """

    spec: StudentSpec
    looks: Mapping[Look, tuple[WeightSets, ...]]
    mean: _Float
    deviation: _Float
    inner: _Float
    inner_bias: _Float
    outer: _Float
    outer_bias: _Float

    @property
    def sets(self) -> int:
        """How many weight sets there are."""
        return len(self.outer_bias)

    @property
    def features(self) -> int:
        """How many features the condition network reads."""
        return len(self.mean)

    @property
    def identity(self) -> _Float:
        """The mixture that leaves a frame as it is."""
        mixture = np.zeros(self.sets, np.float32)
        mixture[0] = 1.0
        return mixture

    def mixture(self, features: _Float) -> _Float:
        """Return the share of each set, float32; multiples of 1/512 that add up to 1.

        Args:
            features: float32, :attr:`features` entries, finite.

        Raises:
            ModelError: If the features have another length or are not finite.
        """
        if features.shape != self.mean.shape or not np.isfinite(features).all():
            raise ModelError(f"{self.spec.name} reads {self.features} finite features, not shape {features.shape}")
        standard = np.clip((features - self.mean) / self.deviation, -_LARGEST_FEATURE, _LARGEST_FEATURE)
        hidden = np.tanh(self.inner.astype(np.float64) @ standard + self.inner_bias)
        scores = self.outer.astype(np.float64) @ hidden + self.outer_bias
        shares = np.exp(scores - scores.max())
        return rounded_mixture(shares / shares.sum())

    def student(self, mixture: _Float, *, look: Look | float = "natural") -> Student:
        """Return the plain student of a mixture.

        Args:
            mixture: float32, one share a set, from 0 to 1, adding up to 1.
            look: One of :data:`LOOKS`, or a number from 0 (faithful) to 1 (natural): the line between their weights.

        Raises:
            ModelError: If the mixture or the look is none.
        """
        if mixture.shape != (self.sets,) or not (mixture >= 0).all() or not math.isclose(float(mixture.sum()), 1.0):
            raise ModelError(f"{self.spec.name}: a mixture is {self.sets} shares that add up to 1")
        natural = float(look) if not isinstance(look, str) else float(LOOKS.index(look)) if look in LOOKS else math.nan
        if not 0 <= natural <= 1:
            raise ModelError(f"{self.spec.name}: look must be one of {', '.join(LOOKS)} or from 0 to 1, not {look!r}")
        mixed: list[tuple[_Float, _Float, _Float | None]] = []
        for faithful, other in zip(self.looks["faithful"], self.looks["natural"], strict=True):
            slope = None
            if faithful.slope is not None and other.slope is not None:
                slope = _mixed(mixture, faithful.slope, other.slope, natural)
            weight = _mixed(mixture, faithful.weight, other.weight, natural)
            mixed.append((weight, _mixed(mixture, faithful.bias, other.bias, natural), slope))
        return Student(self.spec, tuple(ConvLayer(weight, bias, slope) for weight, bias, slope in mixed))


def rounded_mixture(shares: NDArray[np.float64]) -> _Float:
    """Round shares to multiples of 1/512 that add up to 1; the largest takes up what rounding leaves."""
    steps = np.rint(shares * _STEPS)
    steps[int(shares.argmax())] += _STEPS - steps.sum()
    return (steps / _STEPS).astype(np.float32)


def _mixed(mixture: _Float, faithful: _Float, natural: _Float, weight: float) -> _Float:
    """Add up sets in their order, so that the bits are the same everywhere."""
    toward, back = np.float32(weight), np.float32(1.0 - weight)
    total = np.zeros(faithful.shape[1:], np.float32)
    for share, one, other in zip(mixture, faithful, natural, strict=True):
        if share:
            total += share * (one if not toward else other if not back else back * one + toward * other)
    return total


def is_conditioned_file(path: Path) -> bool:
    """Return True if a safetensors file holds a conditioned student; only its header is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            return "condition.mean" in file.keys()  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError):
        return False


def load_conditioned(path: str | Path) -> ConditionedStudent:
    """Read a conditioned student from a safetensors file.

    Raises:
        InputNotFoundError: If there is no such file.
        ModelError: If it is not a conditioned student, or holds shapes or values that cannot be.
    """
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
    return _Reader(tensors, str(path)).student(spec)


class _Reader:
    """Takes tensors by name, and checks their shapes and values."""

    def __init__(self, tensors: Mapping[str, NDArray[np.floating]], source: str) -> None:
        self._left, self._source = dict(tensors), source

    def student(self, spec: StudentSpec) -> ConditionedStudent:
        sets, hidden = self._rows("condition.outer.bias"), self._rows("condition.inner.bias")
        features = self._rows("condition.mean")
        if not _SETS[0] <= sets <= _SETS[1] or not 1 <= hidden <= _LARGEST_HIDDEN:
            raise ModelError(f"{self._source}: {sets} weight sets and {hidden} hidden units are not accepted")
        deviation = self._take("condition.deviation", (features,))
        if not (deviation > 0).all():
            raise ModelError(f"{self._source}: tensor condition.deviation holds values that are not above 0")
        channels = spec.shape.layer_channels
        looks: dict[Look, tuple[WeightSets, ...]] = {}
        for look in LOOKS:
            looks[look] = tuple(
                WeightSets(
                    self._take(f"{look}.conv{i}.weight", (sets, outputs, inputs, 3, 3)),
                    self._take(f"{look}.conv{i}.bias", (sets, outputs)),
                    self._take(f"{look}.conv{i}.slope", (sets, outputs)) if i + 1 < len(channels) else None,
                )
                for i, (inputs, outputs) in enumerate(channels)
            )
            if looks[look][-1].weight[0].any() or looks[look][-1].bias[0].any():
                raise ModelError(f"{self._source}: the first set of {look} is not the identity")
        student = ConditionedStudent(
            spec,
            looks,
            self._take("condition.mean", (features,)),
            deviation,
            self._take("condition.inner.weight", (hidden, features)),
            self._take("condition.inner.bias", (hidden,)),
            self._take("condition.outer.weight", (sets, hidden)),
            self._take("condition.outer.bias", (sets,)),
        )
        if self._left:
            raise ModelError(f"{self._source}: unknown tensors {', '.join(sorted(self._left)[:5])}")
        return student

    def _rows(self, name: str) -> int:
        if name not in self._left or self._left[name].ndim != 1:
            raise ModelError(f"{self._source}: tensor {name} is missing, or is no vector")
        return len(self._left[name])

    def _take(self, name: str, shape: tuple[int, ...]) -> _Float:
        if name not in self._left:
            raise ModelError(f"{self._source}: tensor {name} is missing")
        array = self._left.pop(name)
        if array.shape != shape:
            raise ModelError(f"{self._source}: tensor {name} has shape {array.shape}, expected {shape}")
        with np.errstate(over="ignore"):
            single = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(single).all() or np.abs(single).max(initial=0.0) > _LARGEST_WEIGHT:
            raise ModelError(f"{self._source}: tensor {name} holds values that are not finite or above 10,000")
        return single
