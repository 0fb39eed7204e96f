"""The student family as torch modules, and the way from there to what ships."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acutance.errors import ConfigError
from acutance.students.spec import Student, StudentShape, StudentSpec
from acutance.training.models.blocks import CollapsibleConv, PlainConv
from acutance.training.models.conv_prelu import conv3x3_prelu

__all__ = ["TIERS", "StudentNet"]

TIERS = {
    "fast": StudentShape(unshuffle=2, channels=8, depth=7),
    "balanced": StudentShape(unshuffle=2, channels=12, depth=7),
    "quality": StudentShape(unshuffle=2, channels=24, depth=7),
}
"""The shapes of the tiers: 1,152, 2,484 and 9,504 multiply-accumulates per pixel."""


class StudentNet(nn.Module):
    """A student being trained.

    Takes and returns luma, N x 1 x H x W float in [0, 1] (8-bit limited-range code values over 255), H and W multiples
    of the unshuffle factor.

    block: ``plain`` or ``collapsible`` (see :mod:`acutance.training.models.blocks`).
    """

    def __init__(self, shape: StudentShape, *, block: str = "collapsible") -> None:
        super().__init__()
        blocks: dict[str, type[PlainConv] | type[CollapsibleConv]] = {
            "plain": PlainConv,
            "collapsible": CollapsibleConv,
        }
        if block not in blocks:
            raise ConfigError(f"student block {block!r} is unknown; accepted: {', '.join(blocks)}")
        self.shape = shape
        self.convs = nn.ModuleList(blocks[block](i, o) for i, o in shape.layer_channels)
        self.slopes = nn.ParameterList(torch.full((o,), 0.25) for _, o in shape.layer_channels[:-1])
        last = self.convs[-1]
        with torch.no_grad():  # start as the identity: the residual is small before it is right
            for parameter in last.parameters():
                parameter.mul_(0.1)

    def features(self, x: Tensor) -> list[Tensor]:
        """The activations behind every hidden layer (N x C x H/r x W/r) and, last, the residual before the shuffle."""
        x = F.pixel_unshuffle(x, self.shape.unshuffle).contiguous(memory_format=torch.channels_last)
        out = []
        slopes: Sequence[Tensor | None] = [*self.slopes, None]
        for (weight, bias), slope in zip(self._folded(), slopes, strict=True):
            x = conv3x3_prelu(x, weight, bias, slope)
            out.append(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return x + F.pixel_shuffle(self.features(x)[-1], self.shape.unshuffle)

    def _folded(self) -> list[tuple[Tensor, Tensor]]:
        """(weight, bias) of each convolution, first to last."""
        return [cast("PlainConv | CollapsibleConv", conv).folded() for conv in self.convs]

    @torch.no_grad()
    def to_student(self, spec: StudentSpec) -> Student:
        """The folded weights as a :class:`Student`, ready to save and run."""
        tensors = {}
        for i, (weight, bias) in enumerate(self._folded()):
            tensors[f"conv{i}.weight"] = weight.detach().cpu().numpy()
            tensors[f"conv{i}.bias"] = bias.detach().cpu().numpy()
        for i, slope in enumerate(self.slopes):
            tensors[f"conv{i}.slope"] = slope.detach().cpu().numpy()
        return Student.from_tensors(spec, tensors, source=spec.name)
