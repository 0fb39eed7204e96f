"""Quality of RGB pictures against their truth, by the conventions of the super-resolution field.

On luma of BT.601 in 16..235, computed in float from 8-bit RGB, peak 255, a border as wide as the scale left out.
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
    """Pixels to leave out on every side for pictures scaled by ``factor``: the factor, rounded up."""
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
    """PSNR in decibels on the luma of two RGB pictures, H x W x 3, uint8. Raises UsageError."""
    return psnr(*_lumas(rgb, truth, border))


def ssim_y(rgb: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> float:
    """SSIM on the luma of two RGB pictures, H x W x 3, uint8. Raises UsageError."""
    return ssim(*_lumas(rgb, truth, border))


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """How near a picture is to its truth. PSNR in decibels, MSE in squared 8-bit code values."""

    psnr_y: float
    ssim_y: float
    mse_y: float
    psnr_rgb: float
    ssim_rgb: float
    mse_rgb: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def image_quality(rgb: NDArray[np.uint8], truth: NDArray[np.uint8], *, border: int) -> ImageQuality:
    """Every measure at once, for two RGB pictures, H x W x 3, uint8. Raises UsageError."""
    lumas = _lumas(rgb, truth, border)
    return ImageQuality(
        psnr_y=psnr(*lumas),
        ssim_y=ssim(*lumas),
        mse_y=mse(*lumas),
        psnr_rgb=psnr(rgb, truth, border=border),
        ssim_rgb=ssim(rgb, truth, border=border),
        mse_rgb=mse(rgb, truth, border=border),
    )
