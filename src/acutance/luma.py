"""Luma of RGB pictures (ITU-R BT.601), and what a change of luma means for R, G and B."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["RGB_PER_LUMA", "add_luma_residual", "luma_from_rgb"]

_BT601 = np.array([65.481, 128.553, 24.966], np.float32) / np.float32(255.0)

RGB_PER_LUMA = 255.0 / 219.0
"""One code value of limited-range luma, in code values of full-range R, G and B."""


def luma_from_rgb(rgb: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating]) -> NDArray[np.float32]:
    """Limited-range luma of an RGB picture: BT.601, as the super-resolution field measures it.

    rgb: ... x 3, uint8 (0..255), uint16 (0..65535), or float in units of 8-bit code values (0..255).
    Returns float32, the same shape without the last axis, 16 for black and 235 for white, unrounded.
    """
    scale = np.float32(1.0 / 257.0) if rgb.dtype == np.uint16 else np.float32(1.0)
    return np.asarray(rgb.astype(np.float32) @ (_BT601 * scale) + np.float32(16.0), np.float32)


def add_luma_residual(
    rgb: NDArray[np.uint8] | NDArray[np.uint16], residual: NDArray[np.floating]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Add a change of limited-range luma to R, G and B alike; clip and round once. Chroma stays as it is.

    rgb: H x W x 3, uint8 or uint16. residual: H x W, in 8-bit limited-range code values.
    """
    if rgb.dtype == np.uint16:
        scale, top = np.float32(RGB_PER_LUMA * 257.0), 65535
    else:
        scale, top = np.float32(RGB_PER_LUMA), 255
    out = np.rint(rgb.astype(np.float32) + (residual.astype(np.float32) * scale)[..., None])
    clipped = np.clip(out, 0, top)
    return clipped.astype(np.uint16) if rgb.dtype == np.uint16 else clipped.astype(np.uint8)
