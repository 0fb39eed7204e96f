"""The bicubic enlargement that an upscaler adds its residual to: the plain twin of what the native engine does.

docs/engine.md, section "Enlargement", defines it. 8-bit planes get the bits of Pillow's ``resize`` with ``BICUBIC``.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from acutance.frame import Plane

__all__ = ["enlarge", "enlarged_length", "taps"]

_SUM_BITS = 30  # of samples and weights together, so that sums fit in 32 bits


def enlarged_length(length: int, unshuffle: int, shuffle: int) -> int:
    """Return the samples that ``length`` samples become: ``ceil(length * shuffle / unshuffle)``."""
    return -(-length * shuffle // unshuffle)


def enlarge(plane: Plane, unshuffle: int, shuffle: int, bit_depth: int) -> Plane:
    """Enlarge a plane by ``shuffle / unshuffle`` with Keys' bicubic filter (a = -0.5), in integers.

    Args:
        plane: H x W samples, uint8 or uint16; larger values than ``bit_depth`` holds are cut off.
        unshuffle: the denominator of the factor, 1 to 8.
        shuffle: its numerator, from ``unshuffle``.
        bit_depth: 8 to 16.

    Returns:
        The enlarged plane, of the type of ``plane``.
    """
    top = (1 << bit_depth) - 1
    rows = np.minimum(plane, top).astype(np.int64)
    for _ in range(2):  # first along the rows, then along the columns
        index, weights = taps(rows.shape[1], unshuffle, shuffle, bit_depth)
        sums = (rows[:, index] * weights).sum(axis=2) + (1 << (_SUM_BITS - bit_depth - 1))
        rows = np.clip(sums >> (_SUM_BITS - bit_depth), 0, top).T
    return cast("Plane", np.ascontiguousarray(rows, plane.dtype))


def taps(length: int, unshuffle: int, shuffle: int, bit_depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices and the integer weights of the four samples that each sample of an enlarged line is made of.

    Both are of shape outputs x 4. A sample outside of the line has a weight of zero and an index inside.
    """
    centre = (2 * np.arange(enlarged_length(length, unshuffle, shuffle), dtype=np.int64)[:, None] + 1) * unshuffle
    index = (centre - 3 * shuffle) // (2 * shuffle) + np.arange(4)
    distance, unit = np.abs(centre - (2 * index + 1) * shuffle), 2 * shuffle
    near = 3 * distance**3 - 5 * distance**2 * unit + 2 * unit**3
    far = -(distance**3) + 5 * distance**2 * unit - 8 * distance * unit**2 + 4 * unit**3
    exact = np.where(distance < unit, near, np.where(distance < 2 * unit, far, 0))
    exact[(index < 0) | (index >= length)] = 0
    total = exact.sum(axis=1, keepdims=True)
    weights = np.sign(exact) * ((2 * np.abs(exact) * (1 << (_SUM_BITS - bit_depth)) + total) // (2 * total))
    return index.clip(0, length - 1), weights
