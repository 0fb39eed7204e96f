"""Sharpness of a luma plane: the energy of its gradients.

Tenengrad: the mean squared Sobel gradient (Tenenbaum, Accommodation in Computer Vision, Stanford, 1970; compared with
others in Pertuz, Puig, Garcia, Pattern Recognition 46(5), 2013). Noise and halos increase it too. So it says how much a
picture changed, not whether it became better. Read it together with overshoot and flicker.
"""

import math

import numpy as np

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair, check_picture

__all__ = ["sharpness", "sharpness_ratio"]


def sharpness(luma: Picture) -> float:
    """Return the mean squared gradient of a plane.

    Args:
        luma: H x W, any number type, at least 3 x 3.

    Returns:
        Squared units per pixel; a ramp of 1 per pixel has 1.

    Raises:
        UsageError: another shape or type.
    """
    check_picture(luma, planes=(2,))
    if min(luma.shape) < 3:
        raise UsageError(f"sharpness needs at least 3x3 pixels, not {luma.shape[1]}x{luma.shape[0]}")
    plane = luma.astype(np.float32)
    smooth_rows = plane[:-2] + 2 * plane[1:-1] + plane[2:]
    horizontal = smooth_rows[:, 2:] - smooth_rows[:, :-2]
    smooth_columns = plane[:, :-2] + 2 * plane[:, 1:-1] + plane[:, 2:]
    vertical = smooth_columns[2:] - smooth_columns[:-2]
    # The response of a Sobel kernel to a ramp of 1 is 8.
    energy = np.mean(horizontal * horizontal, dtype=np.float64) + np.mean(vertical * vertical, dtype=np.float64)
    return float(energy) / 64.0


def sharpness_ratio(output: Picture, source: Picture) -> float:
    """Return the sharpness of ``output`` over that of ``source``.

    Args:
        output: H x W.
        source: the same shape and unit.

    Returns:
        1 for no change; infinity if only the source is flat.

    Raises:
        UsageError: the planes do not fit each other.
    """
    check_pair(output, source, planes=(2,))
    after, before = sharpness(output), sharpness(source)
    if before == 0:
        return 1.0 if after == 0 else math.inf
    return after / before
