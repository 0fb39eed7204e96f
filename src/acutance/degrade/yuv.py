"""RGB to planar YUV 4:2:0 and back: BT.601, limited range, chroma sited in the middle of its four pixels.

The conversion is written out here, because codec libraries use defaults that differ. A wrong matrix or range costs half
a decibel and is hard to find. Like senders (libyuv in WebRTC), it averages 2x2 pixels for chroma.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from acutance.degrade.resize import check_picture
from acutance.errors import UsageError

__all__ = ["Yuv420", "check_yuv420", "rgb_from_yuv420", "yuv420_from_rgb"]

# Code values of Y, Cb, Cr for full-range R, G, B (ITU-R BT.601-7, 2.5).
_RGB_TO_YUV = (
    np.array(
        [
            [65.481, 128.553, 24.966],
            [-37.797, -74.203, 112.0],
            [112.0, -93.786, -18.214],
        ],
        np.float64,
    )
    / 255.0
)
_YUV_TO_RGB = np.linalg.inv(_RGB_TO_YUV)
_OFFSETS = np.array([16.0, 128.0, 128.0])


class Yuv420(NamedTuple):
    """A picture of planar YUV 4:2:0, 8 bit, limited range.

    Attributes:
        luma: H x W, uint8, 16 to 235; H and W are even.
        cb: H/2 x W/2, uint8, 16 to 240.
        cr: H/2 x W/2, uint8, 16 to 240.
    """

    luma: NDArray[np.uint8]
    cb: NDArray[np.uint8]
    cr: NDArray[np.uint8]


def check_yuv420(picture: Yuv420) -> None:
    """Raise UsageError unless the planes are uint8, luma has even sides, and chroma is half as large."""
    luma = picture.luma
    if luma.ndim != 2 or luma.size == 0 or luma.shape[0] % 2 or luma.shape[1] % 2:
        raise UsageError(f"4:2:0 luma must be H x W with even sides, not {luma.shape}")
    half = (luma.shape[0] // 2, luma.shape[1] // 2)
    if picture.cb.shape != half or picture.cr.shape != half:
        raise UsageError(f"chroma planes must be {half} beside luma of {luma.shape}")
    if any(plane.dtype != np.uint8 for plane in picture):
        raise UsageError("planes must be uint8")


def yuv420_from_rgb(rgb: NDArray[np.uint8]) -> Yuv420:
    """Convert RGB to planar 4:2:0 (ITU-R BT.601-7), rounded to nearest.

    Args:
        rgb: uint8, H x W x 3, full range, at least 2 x 2. An odd last row or column is cropped.

    Returns:
        The planes.

    Raises:
        UsageError: another type or shape, or a picture that is too small.
    """
    check_picture(rgb)
    if rgb.ndim != 3:
        raise UsageError(f"expected an H x W x 3 picture, not shape {rgb.shape}")
    height, width = (side - side % 2 for side in rgb.shape[:2])
    if not height or not width:
        raise UsageError(f"a picture of {rgb.shape[1]}x{rgb.shape[0]} is too small for 4:2:0")
    even = rgb[:height, :width].astype(np.float32)
    luma = even @ _RGB_TO_YUV[0].astype(np.float32) + np.float32(16.0)
    # The conversion is linear, so averaging first gives the same result for a quarter of the work.
    mean = (even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    chroma = mean @ _RGB_TO_YUV[1:].T.astype(np.float32) + np.float32(128.0)
    # Full-range RGB maps to 16..235 and 16..240, so rounding cannot leave 8 bits.
    codes = np.rint(chroma).astype(np.uint8)
    return Yuv420(
        np.rint(luma).astype(np.uint8),
        np.ascontiguousarray(codes[..., 0]),
        np.ascontiguousarray(codes[..., 1]),
    )


def _twice(plane: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Double the samples along one axis by linear interpolation. Samples sit in the middle; edges are replicated."""
    plane = np.moveaxis(plane, axis, 0)
    padded = np.concatenate([plane[:1], plane, plane[-1:]])
    out = np.empty((2 * plane.shape[0], *plane.shape[1:]), np.float32)
    out[0::2] = np.float32(0.75) * plane + np.float32(0.25) * padded[:-2]
    out[1::2] = np.float32(0.75) * plane + np.float32(0.25) * padded[2:]
    return np.moveaxis(out, 0, axis)


def rgb_from_yuv420(picture: Yuv420) -> NDArray[np.uint8]:
    """Convert planar 4:2:0 (ITU-R BT.601-7) to RGB, with linear interpolation of chroma.

    Args:
        picture: the planes.

    Returns:
        uint8, H x W x 3, full range, rounded and clipped.

    Raises:
        UsageError: the planes do not fit each other.
    """
    check_yuv420(picture)
    planes = [
        picture.luma.astype(np.float32),
        *(_twice(_twice(plane.astype(np.float32), 0), 1) for plane in (picture.cb, picture.cr)),
    ]
    inverse = _YUV_TO_RGB.astype(np.float32)
    offset = (-_YUV_TO_RGB @ _OFFSETS).astype(np.float32)
    rgb = np.stack(planes, axis=-1) @ inverse.T + offset
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)
