"""Measure a student's activations in a millisecond, for weights that change while a stream runs."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from acutance.engine.float_network import pixel_unshuffle
from acutance.engine.integer import calibration_picture
from acutance.students.spec import Student

__all__ = ["quick_peaks"]

_BANDS = (slice(0, 64), slice(64, 128), slice(96, 160))  # rows of the calibration picture: a band stays in the cache
_PRODUCTS = 1 << 18  # below that many, BLAS stays in the calling thread, which is faster and wakes nobody


def quick_peaks(student: Student) -> list[NDArray[np.float64]]:
    """Return the largest size of each output of each layer before its PReLU, on the calibration picture.

    It is run in single precision and in bands, with zeros between them. Scales are powers of two, which hardly notice.

    Args:
        student: The student, of any shape.

    Returns:
        For each layer float64, one entry an output; what :func:`acutance.engine.integer.convert` takes.
    """
    shape = student.spec.shape
    found: list[NDArray[np.float64]] | None = None
    for band in _bands(shape.unshuffle, not shape.upscales):
        peaks = _peaks(student, band)
        found = peaks if found is None else [np.maximum(a, b) for a, b in zip(found, peaks, strict=True)]
    return found or []


def _peaks(student: Student, activations: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    _, height, width = activations.shape
    peaks = []
    for layer in student.layers:
        sums = _convolve(activations, layer.weight) + layer.bias[:, None]
        peaks.append(np.abs(sums).max(axis=1).astype(np.float64))
        if layer.slope is not None:
            sums = np.maximum(sums, 0) + layer.slope[:, None] * np.minimum(sums, 0)
        activations = sums.reshape(-1, height, width)
    return peaks


@cache
def _bands(unshuffle: int, softened: bool) -> list[NDArray[np.float32]]:
    """The picture as the first layer reads it, in bands of inputs x height x width."""
    picture = pixel_unshuffle(calibration_picture(softened=softened), unshuffle) / 255
    rows = [slice(band.start // unshuffle, band.stop // unshuffle) for band in _BANDS]
    return [np.ascontiguousarray(picture[band].transpose(2, 0, 1), np.float32) for band in rows]


def _convolve(x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A 3x3 convolution with zeros beyond the edge: inputs x height x width to outputs x (height * width)."""
    inputs, height, width = x.shape
    outputs, taps = len(weight), 9 * inputs
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    columns = np.empty((inputs, 9, height, width), np.float32)
    for tap in range(9):
        dy, dx = divmod(tap, 3)
        columns[:, tap] = padded[:, dy : dy + height, dx : dx + width]
    flat, kernels = columns.reshape(taps, -1), weight.reshape(outputs, taps)
    out = np.empty((outputs, height * width), np.float32)
    step = max(1, _PRODUCTS // (outputs * taps))
    for start in range(0, height * width, step):
        np.matmul(kernels, flat[:, start : start + step], out=out[:, start : start + step])
    return out
