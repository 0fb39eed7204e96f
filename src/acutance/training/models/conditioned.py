"""A student whose weights are a mixture of a few sets; a small network reads the mixture off the frame.

One network as small as ours is good at one degradation. Convolutions with mixed kernels (Yang et al., "CondConv",
arXiv 1904.04971) keep the cost of one network and have the parameters of several: the sets are averaged first, and one
network of their shape runs. The weights of the average come from the features of the frame
(:mod:`acutance.choosing.condition`), and everything is trained together for the picture that comes out.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from acutance.choosing.condition import FEATURES
from acutance.errors import ConfigError
from acutance.students.spec import StudentShape
from acutance.training.models.blocks import LAPLACIAN, SOBEL_X, SOBEL_Y
from acutance.training.models.conv_prelu import conv3x3_prelu

__all__ = ["ConditionedNet", "ConvSets", "Layers"]

Layers = list[tuple[Tensor, Tensor, Tensor | None]]
"""(weight, bias, slope) of each convolution of one network, first to last."""

_JITTER = 0.1  # of a set's first weights, in units of their deviation: sets that were equal would stay equal
_LARGEST_FEATURE = 8.0  # deviations; a feature farther away than that was never seen


class ConvSets(nn.Module):
    """Several 3x3 kernels of one shape, each trained as branches that fold into one.

    The branches are those of :class:`acutance.training.models.blocks.CollapsibleConv`.

    Every matrix of every set is a parameter of its own, so that the optimiser sees each by itself.

    Args:
        inputs, outputs: Channels.
        sets: How many kernels.
        expansion: Channels of the wide pair of convolutions, per channel.
    """

    edge_kernels: Tensor

    def __init__(self, inputs: int, outputs: int, sets: int, *, expansion: int = 4) -> None:
        super().__init__()
        wide = max(inputs, outputs) * expansion
        direct = nn.init.kaiming_normal_(torch.empty(outputs, inputs, 3, 3), a=0.25) * 0.5
        expand = nn.init.kaiming_normal_(torch.empty(wide, inputs, 3, 3), a=1.0)
        squeeze = nn.init.normal_(torch.empty(outputs, wide), std=wide**-0.5) * 0.5
        edge = nn.init.normal_(torch.empty(outputs, 3 * inputs), std=inputs**-0.5) * 1e-3
        self.direct, self.expand, self.squeeze, self.edge = (
            nn.ParameterList(base + _JITTER * base.std() * torch.randn_like(base) for _ in range(sets))
            for base in (direct, expand, squeeze, edge)
        )
        self.bias = nn.ParameterList(torch.zeros(outputs) for _ in range(sets))
        self.register_buffer("edge_kernels", torch.tensor([SOBEL_X, SOBEL_Y, LAPLACIAN]), persistent=False)
        self.inputs, self.outputs = inputs, outputs

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return (weights, sets x outputs x inputs x 3 x 3; biases, sets x outputs)."""
        expand, squeeze = torch.stack(list(self.expand)), torch.stack(list(self.squeeze))
        edge = torch.stack(list(self.edge)).reshape(-1, self.outputs, 3, self.inputs)
        weight = torch.stack(list(self.direct)) + torch.einsum("kow,kwiyx->koiyx", squeeze, expand)
        weight = weight + torch.einsum("koei,eyx->koiyx", edge, self.edge_kernels)
        if self.inputs == self.outputs:
            centre = torch.zeros(self.outputs, self.inputs, 3, 3)
            index = torch.arange(self.outputs)
            centre[index, index, 1, 1] = 1.0
            weight = weight + centre
        return weight, torch.stack(list(self.bias))


class ConditionedNet(nn.Module):
    """Weight sets of one shape, and the condition network that mixes them.

    The last layer of set 0 is zero: a frame that needs nothing gets that set, and stays as it is to the bit.

    Args:
        shape: Of the student.
        sets: How many weight sets.
        hidden: Units of the condition network.
        mean, deviation: Of the features; float32 of length FEATURES.

    Raises:
        ConfigError: If there are fewer than two sets.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        shape: StudentShape,
        *,
        sets: int = 7,
        hidden: int = 48,
        mean: NDArray[np.float32] | None = None,
        deviation: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        if sets < 2:
            raise ConfigError(f"a conditioned student has at least 2 weight sets, not {sets}")
        self.shape, self.sets = shape, sets
        self.convs = nn.ModuleList(ConvSets(i, o, sets) for i, o in shape.layer_channels)
        self.slopes = nn.ParameterList(torch.full((sets, o), 0.25) for _, o in shape.layer_channels[:-1])
        with torch.no_grad():  # start near the identity: the residual is small before it is right
            for parameter in self.convs[-1].parameters():
                parameter.mul_(0.1)
        self.register_buffer("mean", torch.zeros(FEATURES) if mean is None else torch.from_numpy(mean))
        self.register_buffer("deviation", torch.ones(FEATURES) if deviation is None else torch.from_numpy(deviation))
        self.inner, self.outer = nn.Linear(FEATURES, hidden), nn.Linear(hidden, sets)
        with torch.no_grad():
            self.outer.weight.mul_(0.5)

    def condition_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the condition network."""
        return [*self.inner.parameters(), *self.outer.parameters()]

    def mixture(self, features: Tensor) -> Tensor:
        """Return the share of each set: groups x FEATURES to groups x sets; each row adds up to 1."""
        standard = ((features - self.mean) / self.deviation).clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)
        return torch.softmax(self.outer(torch.tanh(self.inner(standard))), dim=-1)

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Return (weights, biases) of all sets, layer by layer."""
        folded = [conv.folded() for conv in self.convs if isinstance(conv, ConvSets)]
        weight, bias = folded[-1]
        keep = torch.ones(self.sets)
        keep[0] = 0.0
        folded[-1] = (weight * keep[:, None, None, None, None], bias * keep[:, None])
        return folded

    def mixed(self, mixture: Tensor, folded: list[tuple[Tensor, Tensor]] | None = None) -> list[Layers]:
        """Return one network for each row of a mixture (groups x sets)."""
        networks: list[Layers] = [[] for _ in range(len(mixture))]
        for i, (weight, bias) in enumerate(self.folded() if folded is None else folded):
            weights, biases = torch.einsum("gk,koiyx->goiyx", mixture, weight), mixture @ bias
            slopes = mixture @ self.slopes[i] if i < len(self.slopes) else None
            for g, network in enumerate(networks):
                network.append((weights[g], biases[g], None if slopes is None else slopes[g]))
        return networks

    def run(self, x: Tensor, network: Layers) -> Tensor:
        """Run one network on N x 1 x H x W luma in [0, 1]."""
        y = F.pixel_unshuffle(x, self.shape.unshuffle).contiguous(memory_format=torch.channels_last)
        for weight, bias, slope in network:
            y = conv3x3_prelu(y, weight, bias, slope)
        return x + F.pixel_shuffle(y, self.shape.unshuffle)

    def forward(self, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Sharpen crops of several frames.

        Args:
            x: N x 1 x H x W, luma in [0, 1]; N a multiple of the number of groups, crops of one frame in a row.
            features: groups x FEATURES.

        Returns:
            (sharpened, as ``x``; mixture, groups x sets).
        """
        mixture = self.mixture(features)
        networks = self.mixed(mixture)
        per_group = len(x) // len(networks)
        parts = [self.run(x[g * per_group : (g + 1) * per_group], network) for g, network in enumerate(networks)]
        return torch.cat(parts), mixture

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Return the folded sets and the condition network, under the names of a conditioned student's file."""
        out: dict[str, Tensor] = {}
        for i, (weight, bias) in enumerate(self.folded()):
            out[f"conv{i}.weight"], out[f"conv{i}.bias"] = weight, bias
            if i < len(self.slopes):
                out[f"conv{i}.slope"] = self.slopes[i].detach()
        return out

    @torch.no_grad()
    def condition_tensors(self) -> dict[str, Tensor]:
        """Return the condition network, under the names of a conditioned student's file."""
        return {
            "condition.mean": self.mean,
            "condition.deviation": self.deviation,
            "condition.inner.weight": self.inner.weight.detach(),
            "condition.inner.bias": self.inner.bias.detach(),
            "condition.outer.weight": self.outer.weight.detach(),
            "condition.outer.bias": self.outer.bias.detach(),
        }


def write_conditioned(
    faithful: ConditionedNet, natural: ConditionedNet, path: Path, *, metadata: dict[str, str]
) -> None:
    """Write both looks of a student into one safetensors file, whole or not at all.

    Args:
        faithful, natural: Networks of one shape; the condition network is that of ``faithful``, and the same.
        path: The file.
        metadata: Texts that travel with it.

    Raises:
        ConfigError: If the two differ in shape or condition network.
    """
    from safetensors.torch import save_file

    condition = faithful.condition_tensors()
    same = all(torch.equal(value, natural.condition_tensors()[name]) for name, value in condition.items())
    if faithful.shape != natural.shape or faithful.sets != natural.sets or not same:
        raise ConfigError("the looks of a student share their shape and their condition network")
    tensors = {f"faithful.{name}": t.half() for name, t in faithful.tensors().items()}
    tensors |= {f"natural.{name}": t.half() for name, t in natural.tensors().items()}
    tensors |= {name: t.float() for name, t in condition.items()}
    temporary = path.with_name(f".{path.name}.tmp")
    save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, metadata=metadata)
    temporary.replace(path)
