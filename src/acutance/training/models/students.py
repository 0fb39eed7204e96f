"""The student family as torch modules, and the way from there to what ships."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acutance.errors import ConfigError, UsageError
from acutance.students.spec import Student, StudentShape, StudentSpec
from acutance.training.models.blocks import CollapsibleConv, PlainConv
from acutance.training.models.conv_prelu import conv3x3_prelu

__all__ = ["TIERS", "UPSCALERS", "StudentNet"]

TIERS = {
    "fast": StudentShape(unshuffle=2, channels=8, depth=7),
    "balanced": StudentShape(unshuffle=2, channels=12, depth=7),
    "quality": StudentShape(unshuffle=2, channels=24, depth=7),
}
"""The shapes of the tiers: 1,152, 2,484 and 9,504 multiply-accumulates per pixel."""

UPSCALERS = {
    "fast": {
        1.5: StudentShape(unshuffle=2, channels=12, depth=7, shuffle=3),
        2.0: StudentShape(unshuffle=1, channels=8, depth=7, shuffle=2),
        3.0: StudentShape(unshuffle=1, channels=12, depth=7, shuffle=3),
        4.0: StudentShape(unshuffle=1, channels=16, depth=7, shuffle=4),
    },
    "balanced": {
        1.5: StudentShape(unshuffle=2, channels=16, depth=8, shuffle=3),
        2.0: StudentShape(unshuffle=1, channels=12, depth=7, shuffle=2),
        3.0: StudentShape(unshuffle=1, channels=16, depth=9, shuffle=3),
        4.0: StudentShape(unshuffle=1, channels=24, depth=7, shuffle=4),
    },
}
"""The shapes of upscalers, by tier and factor: what takes the time of the tier's same-size student per output pixel,
enlargement included (``benchmarks/upscalers.py``)."""


class StudentNet(nn.Module):
    """A student being trained.

    It takes and returns luma, N x 1 x H x W float in [0, 1] (8-bit limited-range code values over 255), H and W
    multiples of the unshuffle factor. An upscaler also takes the enlarged picture, which its residual is added to.

    Args:
        shape: the student's shape.
        block: ``plain`` or ``collapsible`` (:mod:`acutance.training.models.blocks`).
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

    def residual(self, features: Sequence[Tensor]) -> Tensor:
        """Return the residual of what :meth:`features` returned, N x 1 x H x W in the size of the output."""
        return F.pixel_shuffle(features[-1], self.shape.shuffle)

    def forward(self, x: Tensor, enlarged: Tensor | None = None) -> Tensor:
        """Sharpen luma.

        Args:
            x: the input, N x 1 x H x W.
            enlarged: of an upscaler, the bicubic enlargement of ``x`` to the output's size (:mod:`acutance.engine`
                makes it in integers, as Pillow does).

        Returns:
            The output, in the size of ``enlarged`` or else of ``x``.

        Raises:
            UsageError: an upscaler gets no enlargement, or another student gets one.
        """
        if (enlarged is None) == self.shape.upscales:
            raise UsageError(f"a student of {self.shape} takes {'an' if enlarged is None else 'no'} enlarged picture")
        return (x if enlarged is None else enlarged) + self.residual(self.features(x))

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
