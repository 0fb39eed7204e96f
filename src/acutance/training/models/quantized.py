"""Students that learn to live with eight bits: quantisation is played in every forward pass (QAT).

Weights: int8, symmetric, one scale for each output channel. What a convolution reads: uint8, one scale and zero point
for each layer, learned with the weights through straight-through rounding (Esser et al., "Learned Step Size
Quantization", arXiv 1902.08153). Sums, biases and slopes stay as they are, as int8 back ends keep them.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acutance.errors import ConfigError
from acutance.students.spec import Student, StudentSpec
from acutance.training.models.students import StudentNet

__all__ = ["QuantizedStudentNet"]

_CODES = 255  # uint8; a picture's own code values are what the first layer reads, exactly
_LARGEST_WEIGHT = 127


class QuantizedStudentNet(StudentNet):
    """A plain student, begun from a trained one, whose arithmetic is that of int8 back ends.

    Takes and returns what :class:`StudentNet` does; H and W multiples of the unshuffle factor.
    student: what it begins as; any quantisation it has is forgotten. To be used after :meth:`calibrate`.
    """

    def __init__(self, student: Student) -> None:
        super().__init__(student.spec.shape, block="plain")
        hidden = len(student.layers) - 1
        self.log_low = nn.Parameter(torch.zeros(hidden))
        self.log_high = nn.Parameter(torch.zeros(hidden))
        with torch.no_grad():
            for conv, layer in zip(self.convs, student.layers, strict=True):
                cast(Tensor, conv.weight).copy_(torch.from_numpy(layer.weight))
                cast(Tensor, conv.bias).copy_(torch.from_numpy(layer.bias))
            for slope, layer in zip(self.slopes, student.layers, strict=False):
                slope.copy_(torch.from_numpy(layer.slope))

    @torch.no_grad()
    def calibrate(self, pictures: Iterable[Tensor]) -> None:
        """Set the ranges of activations to those that unquantised layers have on these pictures, 1 x 1 x H x W each.

        Raises ConfigError where a layer gives the same for every pixel.
        """
        found = [(0.0, 0.0)] * len(self.slopes)
        for picture in pictures:
            activations = StudentNet.features(self, picture)[:-1]
            found = [
                (min(low, float(x.min())), max(high, float(x.max())))
                for (low, high), x in zip(found, activations, strict=True)
            ]
        for i, (low, high) in enumerate(found):
            if not low < high:
                raise ConfigError(f"layer {i} gives the same for every pixel of the calibration pictures")
            # Both ends beyond zero, which must be a code of its own: it is what lies around the picture.
            smallest = (high - low) / _CODES
            self.log_low[i] = max(-low, smallest)
            self.log_high[i] = max(high, smallest)
        self.log_low.log_()
        self.log_high.log_()

    def features(self, x: Tensor) -> list[Tensor]:
        """As :meth:`StudentNet.features`, in the arithmetic of int8."""
        x = F.pixel_unshuffle(x, self.shape.unshuffle)
        x = _round(x.clamp(0, 1) * _CODES) / _CODES
        scales, zeros = self._scales()
        out = []
        for i, (weight, bias) in enumerate(self._folded()):
            x = F.conv2d(x, _quantized_weight(weight), bias, padding=1)
            if i < len(scales):
                x = F.prelu(x, self.slopes[i])
                x = ((_round(x / scales[i]) + zeros[i]).clamp(0, _CODES) - zeros[i]) * scales[i]
            out.append(x)
        return out

    def _scales(self) -> tuple[Tensor, Tensor]:
        """(scale, zero point) of what each convolution after the first reads."""
        low, high = self.log_low.exp(), self.log_high.exp()
        scale = (low + high) / _CODES
        return scale, _round(low / scale)

    @torch.no_grad()
    def to_student(self, spec: StudentSpec) -> Student:
        """Weights on their grid of 255 values, with the scales and zero points that belong to them."""
        student = super().to_student(spec)
        scales, zeros = self._scales()
        reads = [(1.0 / _CODES, 0), *zip(scales.tolist(), (int(z) for z in zeros), strict=True)]
        layers = tuple(
            replace(layer, weight=_quantized_weight(torch.from_numpy(layer.weight)).numpy(), reads=read)
            for layer, read in zip(student.layers, reads, strict=True)
        )
        return replace(student, layers=layers)


def _quantized_weight(weight: Tensor) -> Tensor:
    scale = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) / _LARGEST_WEIGHT
    return _round(weight / scale) * scale


def _round(x: Tensor) -> Tensor:
    """Half to even; gradients pass straight through."""
    return x + (x.round() - x).detach()
