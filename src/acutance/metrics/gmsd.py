"""Gradient magnitude similarity deviation (Xue, Zhang, Mou, Bovik, IEEE TIP 23(2), 2014)."""

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair

__all__ = ["gmsd"]

_C = 170.0  # for code values of 0..255


def gmsd(output: Picture, reference: Picture) -> float:
    """Return the deviation of gradient similarity, as published: 2 x 2 means, Prewitt gradients, c = 170.

    Args:
        output: H x W in 8-bit code values, at least 6 x 6.
        reference: H x W, the same size.

    Returns:
        0 for equal pictures; larger is worse; 0.1 is clearly visible.

    Raises:
        UsageError: the pictures do not fit each other or are too small.
    """
    check_pair(output, reference, planes=(2,))
    if min(output.shape) < 6:
        raise UsageError(f"GMSD needs at least 6x6 pixels, not {output.shape[1]}x{output.shape[0]}")
    first, second = (_gradient(_halved(plane.astype(np.float32))) for plane in (output, reference))
    similarity = (2 * first * second + _C) / (first * first + second * second + _C)
    return float(similarity.std(dtype=np.float64))


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = (side // 2 * 2 for side in plane.shape)
    return np.asarray(plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)), np.float32)


def _gradient(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    columns = plane[:, 2:] - plane[:, :-2]
    rows = plane[2:] - plane[:-2]
    dx = (columns[:-2] + columns[1:-1] + columns[2:]) / 3
    dy = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 3
    return np.asarray(np.hypot(dx, dy), np.float32)
