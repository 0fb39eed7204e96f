"""Structural dissimilarity (Wang et al., IEEE TIP 2004) as a loss."""

import torch
from torch import Tensor
from torch.nn import functional as F

from acutance.training.distill.losses.base import Prediction

__all__ = ["ssim"]

_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


def _blur(x: Tensor) -> Tensor:
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=x.dtype)
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(x, window, groups=x.shape[1])
    return F.conv2d(x, window.transpose(2, 3), groups=x.shape[1])


def ssim(p: Prediction) -> Tensor:
    """1 - SSIM with an 11 x 11 Gaussian window, over pictures of at least 11 x 11 in [0, 1]."""
    x, y = p.output, p.truth
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return 1 - (numerator / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean()
