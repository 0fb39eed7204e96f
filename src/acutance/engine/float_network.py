"""The plain float student: what training made, in as few lines of numpy as it takes.

The reference that ONNX Runtime and the integer network are compared with, and the parts of a network in numpy that the
integer twin is made of too.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from acutance.engine.base import pad_to_multiple
from acutance.students.spec import ConvLayer, Student

__all__ = ["convolve", "pixel_shuffle", "pixel_unshuffle", "residual", "run_layers"]

_BAND = 64  # rows of activations computed at a time, so that they stay in cache and a large picture fits in memory

Layer = TypeVar("Layer")
Number = TypeVar("Number", bound=np.number[Any])


def residual(student: Student, luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a student adds at strength 1.

    luma: H x W float32 in the student's unit, 8-bit limited-range code values over 255.
    Returns the residual in that unit: H x W, or the enlarged size of an upscaler.
    """
    shape = student.spec.shape
    x = pixel_unshuffle(luma.astype(np.float32, copy=False), shape.unshuffle)
    height, width = (shape.output_length(length) for length in luma.shape)
    return pixel_shuffle(run_layers(x, student.layers, _conv_prelu), shape.shuffle)[:height, :width]


def _conv_prelu(x: NDArray[np.float32], layer: ConvLayer) -> NDArray[np.float32]:
    out = convolve(x, layer.weight) + layer.bias
    return out if layer.slope is None else np.where(out > 0, out, out * layer.slope)


def run_layers(
    x: NDArray[Number],
    layers: Sequence[Layer],
    run_layer: Callable[[NDArray[Number], Layer], NDArray[Number]],
) -> NDArray[Number]:
    """``run_layer`` for one layer after the other, by bands of rows: equal to running whole.

    x: height x width x inputs. Returns height x width x outputs of the last layer.
    """
    height, halo = x.shape[0], len(layers)  # a 3x3 layer sees one row more on each side
    bands = []
    for top in range(0, height, _BAND):
        first, bottom = max(0, top - halo), min(height, top + _BAND)
        band = x[first : bottom + halo]
        for layer in layers:
            band = run_layer(band, layer)
        bands.append(band[top - first : bottom - first])
    return np.concatenate(bands)


def convolve(x: NDArray[Number], weight: NDArray[Number]) -> NDArray[Number]:
    """A 3x3 convolution with zeros beyond the edge, as nine shifted matrix products.

    x: height x width x inputs. weight: outputs x inputs x 3 x 3, the same type. Returns height x width x outputs.
    """
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, weight.shape[0]), x.dtype)
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + height, dx : dx + width] @ weight[:, :, dy, dx].T
    return out


def pixel_unshuffle(plane: NDArray[Number], r: int) -> NDArray[Number]:
    """H x W to ceil(H / r) x ceil(W / r) x r*r: channel ``dy * r + dx`` is pixel ``(r*y + dy, r*x + dx)``.

    The last row and column are replicated up to a multiple of ``r``.
    """
    padded = pad_to_multiple(plane, r)
    height, width = padded.shape[0] // r, padded.shape[1] // r
    blocks = padded.reshape(height, r, width, r).transpose(0, 2, 1, 3)
    return np.asarray(blocks.reshape(height, width, r * r), plane.dtype)


def pixel_shuffle(x: NDArray[Number], r: int) -> NDArray[Number]:
    """The inverse of :func:`pixel_unshuffle`; what was replicated there is still there."""
    height, width, _ = x.shape
    return x.reshape(height, width, r, r).transpose(0, 2, 1, 3).reshape(height * r, width * r)
