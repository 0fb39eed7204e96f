"""Between code values and what a student works on. Every engine computes exactly this."""

import numpy as np
from numpy.typing import NDArray

from acutance.frame import Plane, luma_limits

__all__ = ["code_per_unit", "from_plane", "to_plane"]

# A student works on 8-bit limited-range code values over 255: black is 16/255, white 235/255.
_BLACK, _SPAN = 16.0 / 255.0, 219.0 / 255.0


def code_per_unit(bit_depth: int, full_range: bool) -> tuple[float, float]:
    """(scale, offset) such that ``unit = code * scale + offset``."""
    black, white = luma_limits(bit_depth, full_range=full_range)
    scale = _SPAN / (white - black)
    return scale, _BLACK - black * scale


def from_plane(luma: Plane, bit_depth: int, full_range: bool) -> NDArray[np.float32]:
    """Code values to the student's unit, float32."""
    scale, offset = code_per_unit(bit_depth, full_range)
    return luma.astype(np.float32) * np.float32(scale) + np.float32(offset)


def to_plane(luma: Plane, residual: NDArray[np.float32], strength: float, bit_depth: int, full_range: bool) -> Plane:
    """Input code values plus the residual (in the student's unit) times ``strength``, rounded once (half to even) and
    clipped to what the samples hold. Values outside the nominal range stay where they were."""
    scale, _ = code_per_unit(bit_depth, full_range)
    out = np.rint(luma.astype(np.float32) + residual * np.float32(strength / scale))
    clipped = np.clip(out, 0, (1 << bit_depth) - 1)
    return clipped.astype(np.uint8) if luma.dtype == np.uint8 else clipped.astype(np.uint16)
