"""The figures of one call."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics import CallMeter, acutance, call_figures, psnr, ssim

Planes = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def call() -> tuple[Planes, Planes, Planes]:
    """(outputs, inputs, truths) of a still scene, 96 x 128: the input lost half its contrast, the output a quarter."""
    rng = np.random.default_rng(5)
    still = rng.normal(0, 30, (96, 128))

    def frames(contrast: float, noise: float) -> Planes:
        noisy = (128 + contrast * still + rng.normal(0, noise, still.shape) for _ in range(10))
        return [np.clip(plane, 0, 255).astype(np.uint8) for plane in noisy]

    return frames(0.75, 1.0), frames(0.5, 2.0), frames(1.0, 0.5)


def test_each_figure_is_that_of_its_metric(call: tuple[Planes, Planes, Planes]) -> None:
    outputs, inputs, truths = call
    got = call_figures(outputs, inputs, truths)
    sharp = acutance(outputs, truths)
    assert got["acutance"] == sharp.acutance
    assert got["coherence"] == sharp.coherence
    assert got["natural"] == sharp.natural_acutance
    assert got["natural_target"] == sharp.natural_target
    assert got["power_ratio"] == list(sharp.power_ratio)
    assert got["band_coherence"] == list(sharp.band_coherence)
    assert got["psnr"] == pytest.approx(np.mean([psnr(o, t) for o, t in zip(outputs, truths, strict=True)]))
    assert got["ssim"] == pytest.approx(np.mean([ssim(outputs[i], truths[i]) for i in (0, 8)]))


def test_gains_are_against_the_input(call: tuple[Planes, Planes, Planes]) -> None:
    outputs, inputs, truths = call
    got, received = call_figures(outputs, inputs, truths), call_figures(inputs, inputs, truths)
    assert got["restored"] == pytest.approx(0.5, abs=0.02)
    assert received["restored"] == 0
    assert got["psnr_gain"] == pytest.approx(got["psnr"] - received["psnr"])


def test_flicker_is_that_on_static_regions(call: tuple[Planes, Planes, Planes]) -> None:
    got = call_figures(*call)
    assert got["flicker"] == pytest.approx(math.sqrt(2) * 1.0, rel=0.1)
    assert got["flicker_truth"] == pytest.approx(math.sqrt(2) * 0.58, rel=0.1)  # rounding adds to the noise of 0.5
    assert got["flicker_ratio"] == pytest.approx(0.5, abs=0.05)


def test_ssim_can_be_measured_of_every_frame(call: tuple[Planes, Planes, Planes]) -> None:
    outputs, inputs, truths = call
    got = call_figures(outputs, inputs, truths, ssim_every=1)
    assert got["ssim"] == pytest.approx(np.mean([ssim(o, t) for o, t in zip(outputs, truths, strict=True)]))


def test_without_the_input_there_are_no_gains(call: tuple[Planes, Planes, Planes]) -> None:
    meter = CallMeter()
    meter.add(call[0][0], call[2][0])
    assert not {"restored", "psnr_gain", "flicker_ratio"} & set(meter.figures())


def test_what_cannot_be_told_is_none() -> None:
    flat = [np.full((64, 64), 100, np.uint8)]
    got = call_figures(flat, flat, flat)
    assert got["psnr"] == 100
    assert got["acutance"] is got["restored"] is got["flicker"] is got["flicker_ratio"] is None
    assert got["power_ratio"] == [None] * 8


def test_an_input_without_detail_is_a_received_acutance_of_zero() -> None:
    truth = [np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)]
    flat = [np.full((64, 64), 100, np.uint8)]
    assert call_figures(truth, flat, truth)["restored"] == pytest.approx(1)


def test_what_does_not_fit_is_refused(call: tuple[Planes, Planes, Planes]) -> None:
    outputs, inputs, truths = call
    with pytest.raises(UsageError, match="not 9, 10 and 10"):
        call_figures(outputs[:9], inputs, truths)
    with pytest.raises(UsageError, match="ssim_every must be at least 1, not 0"):
        CallMeter(ssim_every=0)
    with pytest.raises(UsageError, match="at least one frame"):
        call_figures([], [], [])
