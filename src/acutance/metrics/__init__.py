"""Measures of quality, sharpness and flicker on numpy arrays.

In every function, the picture is the first argument and the reference or source is the second one.
"""

from acutance.metrics.acutance import (
    Acutance,
    AcutanceMeter,
    TruthWindows,
    acutance,
    acutance_from_sums,
    restored_share,
)
from acutance.metrics.blockiness import blockiness
from acutance.metrics.call import CallMeter, call_figures
from acutance.metrics.flicker import Flicker, FlickerMeter
from acutance.metrics.gmsd import gmsd
from acutance.metrics.overshoot import Overshoot, OvershootMeter, overshoot, overshoot_map
from acutance.metrics.psnr import mse, psnr
from acutance.metrics.quality import ImageQuality, border_of, image_quality, psnr_y, ssim_y
from acutance.metrics.sharpness import sharpness, sharpness_ratio
from acutance.metrics.ssim import ssim

__all__ = [
    "Acutance",
    "AcutanceMeter",
    "CallMeter",
    "Flicker",
    "FlickerMeter",
    "ImageQuality",
    "Overshoot",
    "OvershootMeter",
    "TruthWindows",
    "acutance",
    "acutance_from_sums",
    "blockiness",
    "border_of",
    "call_figures",
    "gmsd",
    "image_quality",
    "mse",
    "overshoot",
    "overshoot_map",
    "psnr",
    "psnr_y",
    "restored_share",
    "sharpness",
    "sharpness_ratio",
    "ssim",
    "ssim_y",
]
