"""Luma of RGB pictures (ITU-R BT.601), and changes of luma applied to RGB."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["RGB_PER_LUMA", "add_luma_residual", "luma_from_rgb"]

_BT601 = np.array([65.481, 128.553, 24.966], np.float32) / np.float32(255.0)

RGB_PER_LUMA = 255.0 / 219.0
"""One code value of limited-range luma, in code values of full-range R, G and B."""


def luma_from_rgb(rgb: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the limited-range luma of RGB (ITU-R BT.601), as the super-resolution field measures it.

    Args:
        rgb: ... x 3, uint8 (0 to 255), uint16 (0 to 65535), or float in 8-bit code values (0 to 255).

    Returns:
        float32, the shape without the last axis, 16 for black and 235 for white, not rounded.
    """
    scale = np.float32(1.0 / 257.0) if rgb.dtype == np.uint16 else np.float32(1.0)
    return np.asarray(rgb.astype(np.float32) @ (_BT601 * scale) + np.float32(16.0), np.float32)


def add_luma_residual(
    rgb: NDArray[np.uint8] | NDArray[np.uint16], residual: NDArray[np.floating]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Add a change of luma to R, G and B alike, so that chroma does not change. Clip and round once.

    Args:
        rgb: H x W x 3, uint8 or uint16.
        residual: H x W, change of luma in 8-bit limited-range code values.

    Returns:
        A new array with the shape and type of ``rgb``.
    """
    if rgb.dtype == np.uint16:
        scale, top = np.float32(RGB_PER_LUMA * 257.0), 65535
    else:
        scale, top = np.float32(RGB_PER_LUMA), 255
    out = np.rint(rgb.astype(np.float32) + (residual.astype(np.float32) * scale)[..., None])
    clipped = np.clip(out, 0, top)
    return clipped.astype(np.uint16) if rgb.dtype == np.uint16 else clipped.astype(np.uint8)
