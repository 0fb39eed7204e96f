"""What an engine is: something that runs a student on a luma plane, or, in a session, on the frames of one video."""

import math
import os
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from acutance._util.arguments import finite_number
from acutance._util.closing import Closing
from acutance.errors import EngineError, UsageError
from acutance.frame import Plane
from acutance.students.spec import StudentShape

if TYPE_CHECKING:
    from acutance.engine.integer import IntegerNetwork

__all__ = [
    "TILE_ENGINES",
    "Engine",
    "Session",
    "TileCounts",
    "TileOptions",
    "as_array",
    "check_plane",
    "check_strength",
    "describe",
    "pad_to_multiple",
]

MAX_STRENGTH = 2.0
_LARGEST_SIDE = 65535
TILE_ENGINES = ("native", "numpy")
"""The engines that choose what to compute tile by tile; the others always compute the whole plane."""


@dataclass(frozen=True, slots=True)
class TileOptions:
    """Which tiles of a frame a session computes; the others are passed through as they are. The default computes all.

    threshold: tiles whose activity (:mod:`acutance.engine.tiles`), in 8-bit code values, reaches it are computed.
    tile_budget: no more than this share of a frame's tiles, 0 to 1: the most active ones.
    time_budget: no longer than so many seconds a frame, for engines that measure time.
    reuse: where nothing that a tile depends on has changed since the frame before, its result is taken from there.
    After frames that could reuse hardly anything, a few are computed without comparing (docs/engine.md).
    Raises UsageError for values out of range.
    """

    threshold: int = 0
    tile_budget: float | None = None
    time_budget: float | None = None
    reuse: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int) or self.threshold < 0:
            raise UsageError(f"threshold must be an integer from 0, not {self.threshold!r}")
        if self.tile_budget is not None and not 0.0 <= self.tile_budget <= 1.0:  # also catches NaN
            raise UsageError(f"tile_budget must lie between 0 and 1, not {self.tile_budget!r}")
        if self.time_budget is not None and not 0.0 < self.time_budget < math.inf:
            raise UsageError(f"time_budget must be a positive number of seconds, not {self.time_budget!r}")

    def most(self, tiles: int) -> int:
        """How many of a frame's tiles the tile budget allows, rounded down in double precision."""
        return tiles if self.tile_budget is None else math.floor(self.tile_budget * tiles)


@dataclass(frozen=True, slots=True)
class TileCounts:
    """What became of the tiles of one frame, or of several added up: ``computed + passed + reused == tiles``."""

    tiles: int = 0
    computed: int = 0
    passed: int = 0
    reused: int = 0

    def __add__(self, other: "TileCounts") -> "TileCounts":
        return TileCounts(
            self.tiles + other.tiles,
            self.computed + other.computed,
            self.passed + other.passed,
            self.reused + other.reused,
        )


class Session(Closing):
    """Runs a student on the frames of one video, one after the other. For one thread at a time; a context manager.

    What it remembers of the last frame is forgotten whenever size, bit depth, range or strength change.
    """

    def __init__(self, shape: StudentShape) -> None:
        self.shape = shape
        self._settings: tuple[object, ...] | None = None
        self._counts = TileCounts()
        self._closed = False

    @property
    def counts(self) -> TileCounts:
        """Of the last frame; all zero before the first. Without tiles a frame is one tile."""
        return self._counts

    def process(
        self,
        luma: Plane,
        *,
        strength: float = 1.0,
        bit_depth: int = 8,
        full_range: bool = False,
        out: Plane | None = None,
    ) -> Plane:
        """Sharpen the next frame's luma plane; everything as for :meth:`Engine.process`."""
        if self._closed:
            raise EngineError("the session is closed")
        strength = check_strength(strength)
        luma, out = check_plane(luma, bit_depth, out, self.shape)
        settings = (luma.shape, bit_depth, bool(full_range), strength)
        if settings != self._settings:
            self.reset()
            self._settings = settings
        self._counts = self._sharpen(luma, strength, int(bit_depth), bool(full_range), out)
        return out

    @abstractmethod
    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> TileCounts:
        """What :meth:`process` does, once everything has been checked. Strength may be 0: all tiles are passed then."""

    def set_options(self, options: TileOptions) -> None:
        """Other options from the next frame on; the last frame is remembered.

        Raises UsageError where the engine has none.
        """
        if options != TileOptions():
            raise UsageError("this session has no tile options")

    def set_network(self, network: "IntegerNetwork") -> None:  # noqa: ARG002 - what subclasses take
        """Compute with another integer network of the same shape from the next frame on, in this session alone.

        No frame is dropped. Tiles that did not change keep what the earlier network made of them, and are computed
        again over the next 8 frames (docs/engine.md, Other weights).

        Raises:
            UsageError: If the engine cannot do that, or the network is of another shape.
        """
        raise UsageError(f"other weights need an engine that computes tile by tile: {', '.join(TILE_ENGINES)}")

    def reset(self) -> None:
        """Forget the last frame, as after a cut or a seek."""
        self._settings = None

    def close(self) -> None:
        """Release what is held. May be called twice; ``process`` then raises EngineError."""
        self.reset()
        self._closed = True


class Engine(Closing):
    """Runs one student. Safe to call from several threads; a context manager.

    Attributes:
        name: The back end, such as ``numpy`` or ``onnxruntime``.
        shape: The student's shape.
    """

    name: str
    shape: StudentShape
    _closed = False

    @property
    def threads(self) -> int:
        """Threads that work on a frame; 1 where the engine cannot say."""
        return 1

    def close(self) -> None:
        """Release threads and memory. May be called twice; ``process`` then raises EngineError."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(f"the engine {self.name!r} is closed")

    def process(
        self,
        luma: Plane,
        *,
        strength: float = 1.0,
        bit_depth: int = 8,
        full_range: bool = False,
        out: Plane | None = None,
    ) -> Plane:
        """Sharpen a luma plane.

        luma: H x W, uint8 (bit_depth 8) or uint16 (9 to 16), any strides, any size from 1 x 1: a numpy array, or what
            has the buffer protocol or DLPack. It is read where it lies.
        strength: 0 to 2; the residual is multiplied by it. 0 returns the input bit for bit.
        full_range: black is 0 and white the largest value, rather than 16 and 235 (times 4 for 10 bit).
        out: written to and returned where given; same shape and type as ``luma``, not overlapping it.
        Returns ``out`` as a numpy array.
        Raises UsageError for values out of range and planes that do not fit, EngineError once the engine is closed.
        """
        self._check_open()
        strength = check_strength(strength)
        luma, out = check_plane(luma, bit_depth, out, self.shape)
        if strength == 0.0 and not self.shape.upscales:
            out[...] = luma
        else:
            self._sharpen(luma, strength, int(bit_depth), bool(full_range), out)
        return out

    def session(self, options: TileOptions = TileOptions()) -> Session:
        """A session on the frames of one video. Raises UsageError for options that this engine does not have."""
        if options != TileOptions():
            raise UsageError(f"the engine {self.name!r} has no tile options; these have: {', '.join(TILE_ENGINES)}")
        return _WholeSession(self)

    @abstractmethod
    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the student adds at strength 1, for pictures that are not planes of integers.

        luma: H x W float32, 8-bit limited-range code values (16 black, 235 white), unrounded.
        Returns H x W float32 in the same unit.
        """

    @abstractmethod
    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        """What :meth:`process` does, once everything has been checked."""


class _WholeSession(Session):
    """Frame by frame what the engine does anyway."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.shape)
        self._engine = engine

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> TileCounts:
        self._engine.process(luma, strength=strength, bit_depth=bit_depth, full_range=full_range, out=out)
        return TileCounts(1, passed=1) if strength == 0.0 else TileCounts(1, computed=1)


def usable_cores() -> int:
    """Cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows cannot say
        return os.cpu_count() or 1


def check_strength(strength: float) -> float:
    """Raises UsageError outside 0 to 2."""
    return finite_number(strength, "strength", low=0.0, high=MAX_STRENGTH)


def as_array(value: object) -> object:
    """Return an array of another library as a numpy array on the same memory: the buffer protocol or DLPack.

    Anything else is returned as it is, for the caller to refuse.
    """
    if isinstance(value, np.matrix | np.ma.MaskedArray):
        return None  # their slices and sums mean something else than those of arrays
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(memoryview(value))  # type: ignore[arg-type]
    except TypeError:
        pass
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError):
            return value
    return value


def check_plane(luma: object, bit_depth: int, out: object, shape: StudentShape) -> tuple[Plane, Plane]:
    """Validate a plane and where its result goes; returns both as arrays, the second made where it was None."""
    luma = as_array(luma)
    if not isinstance(luma, np.ndarray) or luma.ndim != 2 or luma.size == 0:
        raise UsageError(f"a luma plane is a two-dimensional array that is not empty, not {describe(luma)}")
    if not isinstance(bit_depth, int | np.integer) or not 8 <= bit_depth <= 16:
        raise UsageError(f"bit depth must be an integer from 8 to 16, not {bit_depth}")
    expected = np.uint8 if bit_depth == 8 else np.uint16
    if luma.dtype != expected:
        raise UsageError(f"a plane of {bit_depth} bits is {np.dtype(expected)}, not {luma.dtype}")
    size = (shape.output_length(luma.shape[0]), shape.output_length(luma.shape[1]))
    if max(size) > _LARGEST_SIDE:
        raise UsageError(f"an output of {size[1]} x {size[0]} samples is too large; a side has at most {_LARGEST_SIDE}")
    if out is None:
        return luma, np.empty_like(luma, order="C", subok=False, shape=size)
    out = as_array(out)
    if not isinstance(out, np.ndarray) or out.shape != size or out.dtype != luma.dtype:
        raise UsageError(f"out must be an array of shape {size} and type {luma.dtype}, not {describe(out)}")
    if not out.flags.writeable:
        raise UsageError("out is read-only")
    if _overlap(luma, out):
        raise UsageError("out overlaps the input")
    return luma, out


def _overlap(luma: Plane, out: Plane) -> bool:
    """Exact where that is cheap: the halves of one buffer may be interleaved row by row."""
    try:
        return np.shares_memory(luma, out, max_work=10_000)  # type: ignore[arg-type] # any number is allowed
    except np.exceptions.TooHardError:
        return True


def pad_to_multiple(luma: NDArray[np.generic], multiple: int) -> NDArray[np.generic]:
    """Replicate the last row and column up to a multiple of the unshuffle factor."""
    down, right = -luma.shape[0] % multiple, -luma.shape[1] % multiple
    return np.pad(luma, ((0, down), (0, right)), mode="edge") if down or right else luma


def describe(value: object) -> str:
    """Return what a value is, for messages: an array's shape and type, or the name of the value's type."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return type(value).__name__
