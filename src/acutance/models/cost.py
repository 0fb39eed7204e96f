"""What a network costs: parameters and multiply-accumulates per output pixel."""

from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Cost", "count_parameters", "measure_cost"]


@dataclass(frozen=True, slots=True)
class Cost:
    """parameters: trainable numbers. macs_per_pixel: multiply-accumulates of convolutions per output pixel."""

    parameters: int
    macs_per_pixel: float

    def gmacs_at(self, width: int, height: int) -> float:
        """Thousands of millions of multiply-accumulates for one picture of that size."""
        return self.macs_per_pixel * width * height / 1e9


def count_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def measure_cost(module: nn.Module, *, channels: int = 3, size: int = 48) -> Cost:
    """Run ``module`` once on a small picture and count what its convolutions do (nothing else counts in practice)."""
    macs = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        kernel = layer.kernel_size[0] * layer.kernel_size[1]
        positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        channels_per_position = layer.in_channels * layer.out_channels // layer.groups
        macs += positions.shape[-1] * positions.shape[-2] * channels_per_position * kernel

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = module.training
    try:
        output = module.eval()(torch.zeros(1, channels, size, size))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return Cost(count_parameters(module), macs / (output.shape[-1] * output.shape[-2]))
