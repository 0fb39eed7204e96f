"""Quality of RGB pictures against their truth, in the conventions of the super-resolution field.

Luma is BT.601 in 16 to 235, computed in float from 8-bit RGB. The peak is 255. A border of the scale is ignored.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.luma import luma_from_rgb
from acutance.metrics._check import check_pair
from acutance.metrics.psnr import mse, psnr
from acutance.metrics.ssim import ssim

__all__ = ["ImageQuality", "border_of", "image_quality", "psnr_y", "ssim_y"]


def border_of(factor: float) -> int:
    """Return the pixels to ignore on every side of a picture scaled by ``factor``: the factor rounded up."""
    if not factor >= 1:
        raise UsageError(f"a scaling factor must be at least 1, not {factor!r}")
    return math.ceil(factor)


def _lumas(
    rgb: NDArray[np.uint8], truth: NDArray[np.uint8], border: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    a, b = check_pair(rgb, truth, border=border, planes=(3,))
    if a.dtype != b.dtype:
        raise UsageError(f"pictures to compare must have one type, not {a.dtype} and {b.dtype}")
    return luma_from_rgb(a), luma_from_rgb(b)


def psnr_y(rgb: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> float:
    """Return the PSNR of luma.

    Args:
        rgb: H x W x 3, uint8.
        truth: the same shape and type.
        border: pixels to ignore on every side.

    Returns:
        Decibels.

    Raises:
        UsageError: the pictures do not fit each other.
    """
    return psnr(*_lumas(rgb, truth, border))


def ssim_y(rgb: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> float:
    """Return the SSIM of luma.

    Args:
        rgb: H x W x 3, uint8.
        truth: the same shape and type.
        border: pixels to ignore on every side.

    Returns:
        1 for equal pictures.

    Raises:
        UsageError: the pictures do not fit each other.
    """
    return ssim(*_lumas(rgb, truth, border))


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """All measures of a picture against its truth.

    Attributes:
        psnr_y: PSNR of luma in decibels.
        ssim_y: SSIM of luma.
        mse_y: mean squared error of luma, in squared 8-bit code values.
        psnr_rgb: PSNR of RGB in decibels.
        ssim_rgb: SSIM of RGB, mean over the channels.
        mse_rgb: mean squared error of RGB, in squared 8-bit code values.
    """

    psnr_y: float
    ssim_y: float
    mse_y: float
    psnr_rgb: float
    ssim_rgb: float
    mse_rgb: float

    def to_dict(self) -> dict[str, float]:
        """Return the measures as a table for JSON."""
        return asdict(self)


def image_quality(rgb: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> ImageQuality:
    """Return all measures of two RGB pictures.

    Args:
        rgb: H x W x 3, uint8.
        truth: the same shape and type.
        border: pixels to ignore on every side.

    Returns:
        The measures.

    Raises:
        UsageError: the pictures do not fit each other.
    """
    lumas = _lumas(rgb, truth, border)
    return ImageQuality(
        psnr_y=psnr(*lumas),
        ssim_y=ssim(*lumas),
        mse_y=mse(*lumas),
        psnr_rgb=psnr(rgb, truth, border=border),
        ssim_rgb=ssim(rgb, truth, border=border),
        mse_rgb=mse(rgb, truth, border=border),
    )
