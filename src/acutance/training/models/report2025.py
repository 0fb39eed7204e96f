"""The student of the report this project grew from, kept as the baseline to beat.

4x, RGB, 944,323 parameters: 3 -> 32 -> 64 -> 64, four residual blocks of two 64-channel convolutions, 64 -> 1024,
pixel_shuffle(4), 64 -> 3, all 3x3, tanh at the end.
"""

from torch import Tensor, nn

__all__ = ["Report2025"]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Report2025(nn.Module):
    """Low-resolution RGB in [0, 1], N x 3 x H x W, to RGB N x 3 x 4H x 4W in (-1, 1)."""

    scale = 4

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            *[_Residual(64) for _ in range(4)],
            nn.Conv2d(64, 1024, 3, padding=1),
            nn.PixelShuffle(4),
            nn.Conv2d(64, 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out
