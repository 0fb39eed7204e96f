"""How good, how sharp, how steady: measures on numpy arrays. Pictures first, the reference or source second."""

from acutance.metrics.blockiness import blockiness
from acutance.metrics.flicker import Flicker, FlickerMeter
from acutance.metrics.gmsd import gmsd
from acutance.metrics.overshoot import Overshoot, OvershootMeter, overshoot, overshoot_map
from acutance.metrics.psnr import mse, psnr
from acutance.metrics.quality import ImageQuality, border_of, image_quality, psnr_y, ssim_y
from acutance.metrics.sharpness import sharpness, sharpness_ratio
from acutance.metrics.ssim import ssim

__all__ = [
    "Flicker",
    "FlickerMeter",
    "ImageQuality",
    "Overshoot",
    "OvershootMeter",
    "blockiness",
    "border_of",
    "gmsd",
    "image_quality",
    "mse",
    "overshoot",
    "overshoot_map",
    "psnr",
    "psnr_y",
    "sharpness",
    "sharpness_ratio",
    "ssim",
    "ssim_y",
]
