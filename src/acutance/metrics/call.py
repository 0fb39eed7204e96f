"""Every figure of one call: how near to the truth its output is, how sharp, how steady."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics.acutance import Acutance, AcutanceMeter, TruthWindows, restored_share
from acutance.metrics.flicker import FlickerMeter
from acutance.metrics.psnr import psnr
from acutance.metrics.ssim import ssim

__all__ = ["MAX_PSNR", "SSIM_EVERY", "CallMeter", "call_figures"]

MAX_PSNR = 100.0
"""dB that a frame counts which equals its truth; its own PSNR is infinite."""

SSIM_EVERY = 8
"""SSIM is measured of every eighth frame: it costs more than all the rest."""

_Plane = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating[Any]]


class CallMeter:
    """Compares one output of a call with the truth, frame by frame.

    Args:
        ssim_every: SSIM is measured of the first frame and of each so many frames after it.

    Raises:
        UsageError: ``ssim_every`` is below 1.
    """

    def __init__(self, *, ssim_every: int = SSIM_EVERY) -> None:
        if ssim_every < 1:
            raise UsageError(f"ssim_every must be at least 1, not {ssim_every!r}")
        self._ssim_every = ssim_every
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._acutance = AcutanceMeter()
        self._flicker = FlickerMeter()

    def add(self, output: _Plane, truth: _Plane | TruthWindows) -> None:
        """Add one frame.

        Args:
            output: Luma plane, H x W, any number type, in 8-bit code values, at least 64 x 64.
            truth: Luma plane of the same shape, or its windows where they serve several outputs.

        Raises:
            UsageError: The planes do not fit each other, or are smaller than 64 x 64.
        """
        windows = truth if isinstance(truth, TruthWindows) else TruthWindows(truth)
        self._acutance.add(output, windows)
        if len(self._psnr) % self._ssim_every == 0:
            self._ssim.append(ssim(output, windows.truth))
        self._psnr.append(min(psnr(output, windows.truth), MAX_PSNR))
        self._flicker.add(output, windows.truth)

    @property
    def acutance(self) -> Acutance:
        """Acutance and coherence of all frames so far."""
        return self._acutance.result()

    def figures(self, received: "CallMeter | None" = None) -> dict[str, Any]:
        """Return the figures of all frames so far.

        Args:
            received: The meter of the call's input. With it, ``restored``, ``psnr_gain`` and ``flicker_ratio`` are
                figures of this output against the input.

        Returns:
            Numbers, and lists of eight numbers for ``power_ratio`` and ``band_coherence`` (bands of
            :data:`~acutance.metrics.acutance.BAND_EDGES`). What cannot be told is None.

            ========================  ==============================================================================
            psnr, ssim                Mean over frames, in dB; SSIM of every ``ssim_every``-th frame.
            acutance, coherence       Of the whole call; see :mod:`acutance.metrics.acutance`.
            natural, natural_target   A_nat, and A_nat with H left as it is where C is below 0.3.
            power_ratio               Power over the truth's, by band.
            band_coherence            Coherence by band.
            flicker, flicker_truth    Change from frame to frame, root mean square in code values, on blocks where the
                                      truth stands still: the output's and the truth's own.
            restored                  Share of the lost acutance that is restored.
            psnr_gain                 In dB over the input.
            flicker_ratio             ``flicker`` over the input's.
            ========================  ==============================================================================

        Raises:
            UsageError: No frame was added.
        """
        sharp = self.acutance
        flicker = self._flicker.result() if len(self._psnr) > 1 else None
        table: dict[str, Any] = {
            "psnr": float(np.mean(self._psnr)),
            "ssim": float(np.mean(self._ssim)),
            "acutance": sharp.acutance,
            "coherence": sharp.coherence,
            "natural": sharp.natural_acutance,
            "natural_target": sharp.natural_target,
            "power_ratio": list(sharp.power_ratio),
            "band_coherence": list(sharp.band_coherence),
            "flicker": flicker.output if flicker else None,
            "flicker_truth": flicker.source if flicker else None,
        }
        if received is not None:
            before = received.figures()
            still = before["flicker"]
            table["restored"] = restored_share(sharp.acutance, received.acutance.acutance)
            table["psnr_gain"] = table["psnr"] - before["psnr"]
            table["flicker_ratio"] = table["flicker"] / still if flicker and still else None
        return {name: _known(value) for name, value in table.items()}


def _known(value: Any) -> Any:
    """Return None, or a list with None, in place of what is not a finite number."""
    if isinstance(value, list):
        return [_known(v) for v in value]
    return value if value is not None and math.isfinite(value) else None


def call_figures(
    outputs: Sequence[_Plane], inputs: Sequence[_Plane], truths: Sequence[_Plane], *, ssim_every: int = SSIM_EVERY
) -> dict[str, Any]:
    """Return every figure of one call.

    Args:
        outputs: Luma planes that were restored, H x W, any number type, in 8-bit code values, at least 64 x 64.
        inputs: The planes as received, in step.
        truths: The planes as they were before the call, in step.
        ssim_every: SSIM is measured of each so many frames.

    Returns:
        The figures of :meth:`CallMeter.figures`, the ones against the input among them.

    Raises:
        UsageError: The counts or shapes differ, or there is no frame.
    """
    if not len(outputs) == len(inputs) == len(truths):
        counts = f"{len(outputs)}, {len(inputs)} and {len(truths)}"
        raise UsageError(f"a call has as many outputs as inputs and truths, not {counts}")
    restored, received = CallMeter(ssim_every=ssim_every), CallMeter(ssim_every=ssim_every)
    for output, shown, truth in zip(outputs, inputs, truths, strict=True):
        windows = TruthWindows(truth)
        restored.add(output, windows)
        received.add(shown, windows)
    return restored.figures(received)
