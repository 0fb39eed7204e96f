"""LKDN: Large Kernel Distillation Network (arXiv 2407.14340), written from the paper.

Its blueprint separable convolutions are those of BSRN (arXiv 2205.05996).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LKDN"]


class _Blueprint(nn.Module):
    """A 1x1 convolution without bias and a 3x3 depthwise convolution, without a skip connection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.dw = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dw(self.pw(x))
        return out


class _LargeKernelAttention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.depthwise_dilated = nn.Conv2d(channels, channels, 5, padding=6, dilation=3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x * self.depthwise_dilated(self.depthwise(self.pointwise(x)))
        return out


class _ChannelNorm(nn.Module):
    """Layer norm over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, eps=1e-6)
        return x.permute(0, 3, 1, 2)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.c1_d, self.c1_r = nn.Conv2d(channels, half, 1), _Blueprint(channels, channels)
        self.c2_d, self.c2_r = nn.Conv2d(channels, half, 1), _Blueprint(channels, channels)
        self.c3_d, self.c3_r = nn.Conv2d(channels, half, 1), _Blueprint(channels, channels)
        self.c4 = _Blueprint(channels, half)
        self.c5 = nn.Conv2d(half * 4, channels, 1)
        self.atten = _LargeKernelAttention(channels)
        self.c6 = nn.Conv2d(channels, channels, 1)
        self.pixel_norm = _ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        refined, distilled = x, []
        for distil, refine in ((self.c1_d, self.c1_r), (self.c2_d, self.c2_r), (self.c3_d, self.c3_r)):
            distilled.append(F.gelu(distil(refined)))
            refined = F.gelu(refine(refined))
        distilled.append(F.gelu(self.c4(refined)))
        out = self.c6(self.atten(self.c5(torch.cat(distilled, 1))))
        normed: Tensor = self.pixel_norm(out)
        return normed + x


class LKDN(nn.Module):
    """RGB N x 3 x H x W in [0, 1] to N x 3 x sH x sW."""

    copies, channels, blocks = 4, 56, 8

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.fea_conv = _Blueprint(3 * self.copies, self.channels)
        for i in range(self.blocks):
            self.add_module(f"B{i + 1}", _Block(self.channels))
        self.c1 = nn.Conv2d(self.channels * self.blocks, self.channels, 1)
        self.c2 = _Blueprint(self.channels, self.channels)
        self.upsampler = nn.Sequential(
            nn.Conv2d(self.channels, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )

    def features(self, x: Tensor) -> Tensor:
        """What the upsampler is given: N x 56 x H x W."""
        first = self.fea_conv(torch.cat([x] * self.copies, 1))
        out, outs = first, []
        for i in range(self.blocks):
            out = self.get_submodule(f"B{i + 1}")(out)
            outs.append(out)
        fused: Tensor = self.c2(F.gelu(self.c1(torch.cat(outs, 1)))) + first
        return fused

    def reconstruct(self, features: Tensor) -> Tensor:
        """The picture that :meth:`features` stand for."""
        out: Tensor = self.upsampler(features)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.reconstruct(self.features(x))
