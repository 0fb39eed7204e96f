"""upconv_7, the network of waifu2x: six unpadded 3x3 convolutions and a transposed one that doubles the size."""

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["UpConv7"]


class UpConv7(nn.Module):
    """RGB N x 3 x H x W in [0, 1] to N x 3 x 2H x 2W."""

    scale = 2
    widths = (3, 16, 32, 64, 128, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        for i, (inputs, outputs) in enumerate(zip(self.widths, self.widths[1:], strict=False), start=1):
            self.add_module(f"conv{i}", nn.Conv2d(inputs, outputs, 3))
        self.conv7 = nn.ConvTranspose2d(256, 3, 4, stride=2, padding=3)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer is given of the picture itself: N x 256 x H x W."""
        return self._padded_features(x)[..., 1:-1, 1:-1]

    def _padded_features(self, x: Tensor) -> Tensor:
        """What the last layer is given: N x 256 x (H + 2) x (W + 2)."""
        x = F.pad(x, (7, 7, 7, 7), mode="replicate")
        for i in range(1, 7):
            x = F.leaky_relu(self.get_submodule(f"conv{i}")(x), 0.1)
        return x

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv7(self._padded_features(x))
        return out
