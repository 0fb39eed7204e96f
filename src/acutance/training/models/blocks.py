"""Convolutions that train as several branches and run as one.

A linear block keeps its branches apart as parameters only: each forward pass folds them into one 3x3 kernel and runs
that (Bhardwaj et al., "Collapsible Linear Blocks for Super-Efficient Super Resolution", arXiv 2103.09404). So richer
training costs nothing in activations, and what is shipped is, to the bit, what was trained.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CollapsibleConv", "PlainConv"]

SOBEL_X = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))
SOBEL_Y = ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0))
LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


class PlainConv(nn.Module):
    """One 3x3 kernel, trained as it is."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight, a=0.25)

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weight: outputs x inputs x 3 x 3, bias: outputs)."""
        return self.weight, self.bias


class CollapsibleConv(nn.Module):
    """A 3x3 kernel as the sum of a direct one, a wide pair (3x3 then 1x1), edge operators and the identity.

    The edge branches are those of ECBSR (Zhang et al., "Edge-oriented Convolution Block", ACM MM 2021): a 1x1
    convolution behind which each channel is filtered by Sobel or Laplace, scaled.

    inputs, outputs: channels. expansion: channels of the wide pair, per output channel.
    """

    edge_kernels: Tensor

    def __init__(self, inputs: int, outputs: int, *, expansion: int = 4) -> None:
        super().__init__()
        wide = max(inputs, outputs) * expansion
        self.direct = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.expand = nn.Parameter(torch.empty(wide, inputs, 3, 3))
        self.squeeze = nn.Parameter(torch.empty(outputs, wide))
        self.edge_mix = nn.Parameter(torch.empty(3, outputs, inputs))
        self.edge_scale = nn.Parameter(torch.full((3, outputs), 1e-3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("edge_kernels", torch.tensor([SOBEL_X, SOBEL_Y, LAPLACIAN]), persistent=False)
        self.identity = inputs == outputs
        # The branches add up, so each starts with a share of the variance that a single kernel would have.
        nn.init.kaiming_normal_(self.direct, a=0.25)
        nn.init.kaiming_normal_(self.expand, a=1.0)
        nn.init.normal_(self.squeeze, std=wide**-0.5)
        nn.init.normal_(self.edge_mix, std=inputs**-0.5)
        with torch.no_grad():
            self.direct.mul_(0.5)
            self.squeeze.mul_(0.5)

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weight: outputs x inputs x 3 x 3, bias: outputs): the one kernel that equals all branches together."""
        weight = self.direct + torch.einsum("ow,wiyx->oiyx", self.squeeze, self.expand)
        weight = weight + torch.einsum("ko,koi,kyx->oiyx", self.edge_scale, self.edge_mix, self.edge_kernels)
        if self.identity:
            centre = torch.zeros_like(weight)
            index = torch.arange(weight.shape[0])
            centre[index, index, 1, 1] = 1.0
            weight = weight + centre
        return weight, self.bias

    def forward_by_branch(self, x: Tensor) -> Tensor:
        """The plain twin of a convolution with :meth:`folded`: every branch run by itself (for tests)."""
        out = F.conv2d(x, self.direct, self.bias, padding=1)
        out = out + F.conv2d(F.conv2d(x, self.expand, padding=1), self.squeeze[:, :, None, None])
        for mix, scale, kernel in zip(self.edge_mix, self.edge_scale, self.edge_kernels, strict=True):
            mixed = F.conv2d(x, mix[:, :, None, None])
            depthwise = kernel.expand(mixed.shape[1], 1, 3, 3)
            filtered = F.conv2d(mixed, depthwise, padding=1, groups=mixed.shape[1])
            out = out + scale[None, :, None, None] * filtered
        return out + x if self.identity else out
