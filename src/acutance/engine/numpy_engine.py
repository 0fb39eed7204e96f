"""The plain twin: a student in as few lines of numpy as it takes. Slow, and what the others are tested against."""

import numpy as np
from numpy.typing import NDArray

from acutance.engine.arithmetic import from_plane, to_plane
from acutance.engine.base import Engine, pad_to_multiple
from acutance.frame import Plane
from acutance.spec import ConvLayer, Student

__all__ = ["NumpyEngine"]

_BAND = 64  # rows computed at a time, so that activations stay in cache


class NumpyEngine(Engine):
    """Runs a student in float32 numpy."""

    name = "numpy"

    def __init__(self, student: Student) -> None:
        self._student = student

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        residual = self._residual(from_plane(luma, bit_depth, full_range))
        out[...] = to_plane(luma, residual, strength, bit_depth, full_range)

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._residual(luma.astype(np.float32) / np.float32(255)) * np.float32(255)

    def _residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """Band by band: each is computed with as many rows around it as the network sees."""
        shape = self._student.spec.shape
        r, halo = shape.unshuffle, shape.depth + 2
        padded = pad_to_multiple(luma, r)
        height, width = padded.shape[0] // r, padded.shape[1] // r
        x = padded.reshape(height, r, width, r).transpose(0, 2, 1, 3).reshape(height, width, r * r).astype(np.float32)
        out = np.empty((height, width, r * r), np.float32)
        for top in range(0, height, _BAND):
            first, last = max(0, top - halo), min(height, top + _BAND + halo)
            band = x[first:last]
            for layer in self._student.layers:
                band = _conv_prelu(band, layer)
            stop = min(height, top + _BAND)
            out[top:stop] = band[top - first : stop - first]
        out = out.reshape(height, width, r, r).transpose(0, 2, 1, 3).reshape(height * r, width * r)
        return out[: luma.shape[0], : luma.shape[1]]


def _conv_prelu(x: NDArray[np.float32], layer: ConvLayer) -> NDArray[np.float32]:
    """H x W x inputs to H x W x outputs: nine shifted matrix products on a zero-padded picture."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.broadcast_to(layer.bias, (height, width, layer.bias.size)).copy()
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + height, dx : dx + width] @ layer.weight[:, :, dy, dx].T
    return out if layer.slope is None else np.where(out > 0, out, out * layer.slope)
