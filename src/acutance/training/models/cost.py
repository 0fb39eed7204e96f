"""What a network costs: parameters, multiply-accumulates per output pixel, and time."""

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Cost", "Speed", "count_parameters", "measure_cost", "measure_speed"]

_SIZE = (270, 480)  # of the picture that costs are counted on, large enough for padding not to matter
_SMALL = (48, 48)  # where counting has to run the network


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network.

    Attributes:
        parameters: number of trainable values.
        macs_per_pixel: multiply-accumulates of convolutions and linear layers per output pixel. Products of attention
            are not counted.
    """

    parameters: int
    macs_per_pixel: float

    def gmacs_at(self, width: int, height: int) -> float:
        """Return the multiply-accumulates for a picture of this size, in units of 10^9."""
        return self.macs_per_pixel * width * height / 1e9


@dataclass(frozen=True, slots=True)
class Speed:
    """The time that a network took for a small picture.

    Attributes:
        seconds: for the picture.
        output_pixels: of the picture.
        threads: of torch.
    """

    seconds: float
    output_pixels: int
    threads: int

    @property
    def fps_1080p(self) -> float:
        """Estimate of the frames a second at 1920x1080, if time grows with the pixels."""
        return self.output_pixels / self.seconds / (1920 * 1080)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def measure_cost(module: nn.Module, *, channels: int = 3) -> Cost:
    """Count what the convolutions and linear layers of ``module`` do for a picture.

    The shapes alone are followed, without arithmetic, where the network allows that.
    """
    try:
        macs, pixels = _count(copy.deepcopy(module).to("meta"), channels, _SIZE, "meta")
    except Exception:  # a network of someone else's may look at values, which there are none of
        macs, pixels = _count(module, channels, _SMALL, "cpu")
    return Cost(count_parameters(module), macs / pixels)


def _count(module: nn.Module, channels: int, size: tuple[int, int], device: str) -> tuple[int, int]:
    """(multiply-accumulates, output pixels) of one run."""
    macs = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        if isinstance(layer, nn.Linear):
            macs += output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            positions = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
            macs += (
                positions.shape[-1]
                * positions.shape[-2]
                * kernel
                * (layer.in_channels * layer.out_channels // layer.groups)
            )

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = module.training
    try:
        output = module.eval()(torch.zeros(1, channels, *size, device=device))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return macs, output.shape[-1] * output.shape[-2]


@torch.no_grad()
def measure_speed(module: nn.Module, *, channels: int = 3, size: int = 96, repeats: int = 3) -> Speed:
    """Run ``module`` on a square of ``size`` input pixels: the fastest of ``repeats`` runs after one to warm up."""
    training = module.training
    generator = torch.Generator().manual_seed(0)  # its own: a run's random state is part of its checkpoint
    x = torch.rand(1, channels, size, size, generator=generator).contiguous(memory_format=torch.channels_last)
    times = []
    try:
        output = module.eval()(x)
        for _ in range(repeats):
            started = time.perf_counter()
            output = module(x)
            times.append(time.perf_counter() - started)
    finally:
        module.train(training)
    return Speed(min(times), output.shape[-1] * output.shape[-2], torch.get_num_threads())
