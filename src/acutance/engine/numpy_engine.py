"""The plain twin of the integer network: docs/engine.md in as few lines of numpy as it takes.

Slow, and what the native engine is tested against, bit by bit.
"""

import numpy as np
from numpy.typing import NDArray

from acutance.engine.base import Engine, Session, TileOptions
from acutance.engine.enlargement import enlarge
from acutance.engine.float_network import convolve, pixel_shuffle, pixel_unshuffle, run_layers
from acutance.engine.integer import ACTIVATION_LIMIT, CODE, IntegerLayer, IntegerNetwork, convert
from acutance.engine.tiles import TileSession
from acutance.errors import UsageError
from acutance.frame import Plane
from acutance.students.spec import Student

__all__ = ["NumpyEngine", "activate", "add_residual", "input_from_luma", "input_from_plane", "shifted_sums"]

Integers = NDArray[np.int32]


class NumpyEngine(Engine):
    """Runs a student in integers, or an integer network as it is.

    network: what it runs. Raises ModelError for a student that no integer network represents.
    """

    name = "numpy"

    def __init__(self, model: Student | IntegerNetwork) -> None:
        self.network = model if isinstance(model, IntegerNetwork) else convert(model)
        self.shape = self.network.shape

    def session(self, options: TileOptions = TileOptions()) -> Session:  # noqa: B008 - frozen
        if options.time_budget is not None:
            raise UsageError("the engine 'numpy' measures no time: time_budget is for the native one")
        return TileSession(self.network, run_network, options)

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        return _residual(self.network, input_from_luma(luma)).astype(np.float32) / np.float32(CODE)

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        run_network(self.network, luma, strength, bit_depth, full_range, out)


def run_network(
    network: IntegerNetwork, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane
) -> None:
    """Sharpen a whole plane into ``out``; everything has been checked."""
    shape = network.shape
    base = enlarge(luma, shape.unshuffle, shape.shuffle, bit_depth) if shape.upscales else luma
    residual = _residual(network, input_from_plane(luma, bit_depth, full_range))
    out[...] = add_residual(base, residual, strength, bit_depth, full_range)


def _residual(network: IntegerNetwork, q: Integers) -> Integers:
    shape = network.shape
    x = run_layers(pixel_unshuffle(q, shape.unshuffle), network.layers, _run_layer)
    height, width = (shape.output_length(length) for length in q.shape)
    return pixel_shuffle(x, shape.shuffle)[:height, :width]


def input_from_plane(luma: Plane, bit_depth: int, full_range: bool) -> Integers:
    """H x W samples to the network's input, ``CODE`` for each 8-bit limited-range code value."""
    top = (1 << bit_depth) - 1
    code = np.minimum(luma, top).astype(np.int32)
    v = code << (14 - bit_depth) if bit_depth < 14 else code >> (bit_depth - 14)
    if not full_range:
        return v
    gain = round(32768 * 219 * CODE / (top * 2.0 ** (14 - bit_depth)))
    return _mulr(v, np.array(gain, np.int32)) + np.int32(16 * CODE)


def input_from_luma(luma: NDArray[np.float32]) -> Integers:
    """H x W float luma, in 8-bit limited-range code values, to the network's input."""
    q = np.rint(luma * np.float32(CODE))
    return np.asarray(np.clip(q, 1 - ACTIVATION_LIMIT, ACTIVATION_LIMIT - 1), np.int32)


def add_residual(luma: Plane, residual: Integers, strength: float, bit_depth: int, full_range: bool) -> Plane:
    """H x W samples plus the network's residual times ``strength``, rounded once; the samples' type."""
    top = (1 << bit_depth) - 1
    unit = top / 219 if full_range else 2.0 ** (bit_depth - 8)
    k = 15 if bit_depth <= 13 else 28 - bit_depth
    m = round(strength * unit * 2**k / CODE)
    code = np.minimum(luma, top).astype(np.int64)
    change = (residual.astype(np.int64) * m + (1 << (k - 1))) >> k
    out: Plane = np.clip(code + change, 0, top).astype(luma.dtype)
    return out


def shifted_sums(x: Integers, layer: IntegerLayer) -> Integers:
    """``sum >> shift`` of a layer, not yet saturated. x: height x width x inputs, of int16's range."""
    # In float64 numpy multiplies matrices with BLAS, many times as fast as in integers, and exactly: products of two
    # int16 summed stay below 2**31, far from the 2**53 where float64 begins to round.
    sums = convolve(x.astype(np.float64), layer.weight.astype(np.float64)) + layer.bias
    return sums.astype(np.int32) >> np.int32(layer.shift)


def activate(s: Integers, layer: IntegerLayer) -> Integers:
    """Saturate what :func:`shifted_sums` returns, and PReLU."""
    s = np.clip(s, -ACTIVATION_LIMIT, ACTIVATION_LIMIT - 1)
    return s if layer.slope is None else np.maximum(s, _mulr(s, layer.slope.astype(np.int32)))


def _run_layer(x: Integers, layer: IntegerLayer) -> Integers:
    return activate(shifted_sums(x, layer), layer)


def _mulr(a: Integers, b: Integers) -> Integers:
    return (a * b + np.int32(1 << 14)) >> np.int32(15)
