"""What an engine is: something that runs a student on a luma plane."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from acutance.errors import EngineError, UsageError
from acutance.frame import Plane

__all__ = ["Engine", "check_plane", "check_strength", "pad_to_multiple"]

MAX_STRENGTH = 2.0


class Engine(ABC):
    """Runs one student. Safe to call from several threads.

    name: the back end, such as ``numpy`` or ``onnxruntime``.
    """

    name: str

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

        luma: H x W, uint8 (bit_depth 8) or uint16 (9 to 16), any strides, any size from 1 x 1.
        strength: 0 to 2; the residual is multiplied by it. 0 returns the input bit for bit.
        full_range: black is 0 and white the largest value, rather than 16 and 235 (times 4 for 10 bit).
        out: written to and returned where given; same shape and type as ``luma``, not overlapping it.
        Raises UsageError for values out of range, EngineError for planes that do not fit.
        """
        strength = check_strength(strength)
        out = check_plane(luma, bit_depth, out)
        if strength == 0.0:
            out[...] = luma
        else:
            self._sharpen(luma, strength, bit_depth, full_range, out)
        return out

    @abstractmethod
    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the student adds at strength 1, for pictures that are not planes of integers.

        luma: H x W float32, 8-bit limited-range code values (16 black, 235 white), unrounded.
        Returns H x W float32 in the same unit.
        """

    @abstractmethod
    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        """What :meth:`process` does, once everything has been checked."""


def check_strength(strength: float) -> float:
    """Raises UsageError outside 0 to 2."""
    if not 0.0 <= strength <= MAX_STRENGTH:  # also catches NaN
        raise UsageError(f"strength must lie between 0 and {MAX_STRENGTH:g}, not {strength}")
    return float(strength)


def check_plane(luma: Plane, bit_depth: int, out: Plane | None) -> Plane:
    """Validate a plane and where its result goes; returns ``out``, made where it was None."""
    if not isinstance(luma, np.ndarray) or luma.ndim != 2 or luma.size == 0:
        raise EngineError(f"a luma plane is a two-dimensional array that is not empty, not {_describe(luma)}")
    if not 8 <= bit_depth <= 16:
        raise EngineError(f"bit depth must lie between 8 and 16, not {bit_depth}")
    expected = np.uint8 if bit_depth == 8 else np.uint16
    if luma.dtype != expected:
        raise EngineError(f"a plane of {bit_depth} bits is {np.dtype(expected)}, not {luma.dtype}")
    if out is None:
        return np.empty_like(luma, order="C", subok=False)
    if not isinstance(out, np.ndarray) or out.shape != luma.shape or out.dtype != luma.dtype:
        raise EngineError(f"out must be {_describe(luma)}, not {_describe(out)}")
    if not out.flags.writeable:
        raise EngineError("out is read-only")
    if np.may_share_memory(luma, out):
        raise EngineError("out overlaps the input")
    return out


def pad_to_multiple(luma: NDArray[np.generic], multiple: int) -> NDArray[np.generic]:
    """Replicate the last row and column up to a multiple of the unshuffle factor."""
    down, right = -luma.shape[0] % multiple, -luma.shape[1] % multiple
    return np.pad(luma, ((0, down), (0, right)), mode="edge") if down or right else luma


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return type(value).__name__
