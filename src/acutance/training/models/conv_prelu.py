"""A 3x3 convolution with PReLU for training narrow networks on the processor.

With 8 to 32 channels torch's own convolution and PReLU leave half or more of a core unused: a layer has too little
work per pixel for general kernels. ``conv_prelu.cpp`` does the layer, and its gradients, in one pass each. It is
compiled at the first use (torch's extension cache keeps it) and, where that fails, torch's own operators take over.
"""

import contextlib
import functools
import os
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from acutance._util.machine import cache_folder
from acutance.errors import ConfigError

__all__ = ["conv3x3_prelu", "native_available"]

_VARIABLE = "ACUTANCE_TRAIN_KERNEL"
_LONGEST_BUILD = 300.0  # seconds
_CHOICES = ("auto", "native", "torch")


def _choice() -> str:
    choice = os.environ.get(_VARIABLE, "auto")
    if choice not in _CHOICES:
        raise ConfigError(f"{_VARIABLE}={choice!r} is not accepted; accepted: {', '.join(_CHOICES)}")
    return choice


@functools.cache
def _build() -> str | None:
    """Compile and load the kernel; returns why that was not possible, or None."""
    try:
        # Imported here: it needs setuptools, which whoever uses torch's operators can do without.
        from torch.utils import cpp_extension

        flags = ["-O3", "-march=native", "-ffp-contract=fast", "-Wno-psabi"]
        compiler = cpp_extension.get_cxx_compiler()  # type: ignore[no-untyped-call]
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        # torch brings GCC's OpenMP runtime with it. Clang would need another beside it, and two runtimes disagree about
        # the number of threads: without the flag, at::parallel_for runs on the calling thread.
        if "clang" not in version.lower():
            flags.append("-fopenmp")
        # A home folder may be shared by different machines; what -march=native built on one must not run on the other.
        level = torch.backends.cpu.get_cpu_capability().lower()
        name = f"acutance_conv_prelu_{level}"
        folder = cache_folder() / "kernels" / f"{name}_torch{torch.__version__}"
        folder.mkdir(parents=True, exist_ok=True)
        _forget_stale_lock(folder / "lock")
        cpp_extension.load(
            name=name,
            build_directory=str(folder),
            sources=[str(Path(__file__).with_suffix(".cpp"))],
            extra_cflags=flags,
            is_python_module=False,
        )
    except Exception as error:  # whatever stopped it - no compiler, no ninja, a read-only cache -, torch still works
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]}"
    return None


def _forget_stale_lock(lock: Path) -> None:
    """torch waits for this file to go without end; a process killed while it compiled leaves it behind."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > _LONGEST_BUILD:
            lock.unlink()


def native_available() -> bool:
    """Whether the compiled kernel can be used here; the first call compiles it (about half a minute)."""
    return _build() is None


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"the training kernel could not be built, torch's own operators take over ({reason})",
        RuntimeWarning,
        stacklevel=4,
    )


def _use_native() -> bool:
    choice = _choice()
    if choice == "torch":
        return False
    reason = _build()
    if reason is None:
        return True
    if choice == "native":
        raise ConfigError(f"{_VARIABLE}=native, but the training kernel could not be built ({reason})")
    _warn_once(reason)
    return False


class _ConvPReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor | None) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        weight = weight.contiguous()
        y, z = torch.ops.acutance_train.conv3x3_prelu(x, weight, bias, slope)
        # Where every slope is positive the gradients follow from y, which the next layer keeps anyway: half the memory.
        # Otherwise y does not tell the sign of the value before the PReLU, and the kernel returns that as z.
        ctx.save_for_backward(x, weight, z if z.numel() else y, slope)
        return cast(Tensor, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        x, weight, z, slope = ctx.saved_tensors
        need_x, need_weight, need_bias, need_slope = ctx.needs_input_grad
        gx, gw, gb, gs = torch.ops.acutance_train.conv3x3_prelu_backward(
            gy.contiguous(memory_format=torch.channels_last), x, weight, z, slope, need_x, need_weight
        )
        return (
            gx if need_x else None,
            gw if need_weight else None,
            gb if need_bias else None,
            gs if need_slope else None,
        )


def conv3x3_prelu(x: Tensor, weight: Tensor, bias: Tensor, slope: Tensor | None) -> Tensor:
    """A 3x3 convolution (stride 1, zero padding 1) and, unless ``slope`` is None, a PReLU behind it.

    x: N x I x H x W float32; fastest in ``torch.channels_last`` memory, which other tensors are copied to.
    weight: O x I x 3 x 3 float32. bias: O float32. slope: O float32, one per channel, of any sign.

    Returns N x O x H x W float32 in ``torch.channels_last`` memory (with the torch fallback: in whatever memory format
    torch chooses). Differentiable once in every argument; a gradient nobody needs is not computed. The compiled kernel
    returns the same bits whatever the number of threads. It is used for float32 on the processor, torch's operators for
    everything else; ``ACUTANCE_TRAIN_KERNEL`` set to ``native`` or ``torch`` insists on one of them (``auto``: the
    kernel where it can be built, else one warning and torch).

    Raises ValueError for shapes that do not fit together, and ConfigError for an unknown ``ACUTANCE_TRAIN_KERNEL``, or
    where it insists on a kernel that cannot be built.
    """
    fits = x.dim() == 4 and weight.dim() == 4 and tuple(weight.shape[1:]) == (x.shape[1], 3, 3)
    channels = weight.shape[:1]
    if not fits or bias.shape != channels or (slope is not None and slope.shape != channels):
        raise ValueError(
            "conv3x3_prelu takes x N x I x H x W, weight O x I x 3 x 3, bias O and slope O, not "
            + ", ".join(str(tuple(t.shape)) for t in (x, weight, bias, slope) if t is not None)
        )
    tensors = [t for t in (x, weight, bias, slope) if t is not None]
    plain = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    if plain and x.numel() > 0 and _use_native():
        return cast(Tensor, _ConvPReLU.apply(x, weight, bias, slope))  # type: ignore[no-untyped-call]
    y = functional.conv2d(x, weight, bias, padding=1)
    return y if slope is None else functional.prelu(y, slope)
