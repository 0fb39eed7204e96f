"""Acutance and coherence: cases whose answer is known, and equality with a plain implementation of the formulas."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics import (
    Acutance,
    AcutanceMeter,
    TruthWindows,
    acutance,
    acutance_from_sums,
    restored_share,
)
from acutance.metrics.acutance import BAND_EDGES, RINGS

Plane = NDArray[np.float64]

CYCLES_PER_DEGREE = np.arange(2, 33) * 56.5 / 64
CSF = CYCLES_PER_DEGREE**0.9 * np.exp(-0.2 * CYCLES_PER_DEGREE)


def weighted(values: NDArray[np.float64]) -> float:
    return float((CSF * values).sum() / CSF.sum())


def spectrum_filter(plane: Plane, gain: NDArray[np.float64] | NDArray[np.bool_]) -> Plane:
    return np.asarray(np.fft.irfft2(np.fft.rfft2(plane) * gain, plane.shape))


def radius(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Spatial frequency of each coefficient of rfft2, in cycles per pixel."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])


@pytest.fixture(scope="module")
def truth() -> Plane:
    """A 384 x 512 plane of noise, as strong at all frequencies, so that no window leaks one ring into another."""
    return 128 + np.random.default_rng(3).normal(0, 20, (384, 512))


@pytest.fixture(scope="module")
def noise(truth: Plane) -> Plane:
    return np.random.default_rng(4).normal(0, 10, truth.shape)


def plainly(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[float, float, float, NDArray[np.float64]]:
    """A, C, A_nat and H from the formulas, coefficient by coefficient, with nothing shared with the package."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, 65) / 65)
    taper = hann[:, None] * hann[None]
    sums = np.zeros((3, 33))
    for top in range(0, truth.shape[0] - 63, 32):
        for left in range(0, truth.shape[1] - 63, 32):
            o, t = (p[top : top + 64, left : left + 64].astype(float) for p in (output, truth))
            if t.std() < 2:
                continue
            o_spectrum, t_spectrum = (np.fft.rfft2((w - w.mean()) * taper) for w in (o, t))
            for row in range(64):
                for column in range(33):
                    ring = round(math.hypot(min(row, 64 - row), column))
                    if 2 <= ring <= 32:
                        a, b = o_spectrum[row, column], t_spectrum[row, column]
                        sums[:, ring] += (a * b.conjugate()).real, abs(a) ** 2, abs(b) ** 2
    in_phase, o_power, t_power = sums[:, 2:]
    transfer, coherence = in_phase / t_power, np.maximum(in_phase, 0) ** 2 / (o_power * t_power)
    return weighted(transfer), weighted(coherence), weighted(np.sqrt(coherence)), transfer


def test_equals_a_plain_implementation_of_the_formulas() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(16, 236, (140, 180)).astype(np.uint8)
    truth[:80, :80] = 128  # a window without detail
    output = np.clip((truth + np.roll(truth, 1, axis=1)) / 2 + rng.normal(0, 9, truth.shape), 0, 255).astype(np.uint8)
    got = acutance(output, truth)
    a, c, natural, transfer = plainly(output, truth)
    assert got.acutance == pytest.approx(a, abs=1e-5)
    assert got.coherence == pytest.approx(c, abs=1e-5)
    assert got.natural_acutance == pytest.approx(natural, abs=1e-5)
    assert got.transfer == pytest.approx(transfer, abs=1e-5)


def test_the_truth_itself_has_one_everywhere(truth: Plane) -> None:
    got = acutance(truth, truth)
    assert (got.acutance, got.coherence, got.natural_acutance) == pytest.approx((1, 1, 1), abs=1e-6)
    assert got.power_ratio == pytest.approx([1] * 8, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.2])
def test_a_gaussian_blur_has_its_analytic_transfer(truth: Plane, sigma: float) -> None:
    blurred = spectrum_filter(truth, np.exp(-2 * (math.pi * sigma * radius(truth.shape)) ** 2))
    got = acutance(blurred, truth)
    analytic = np.exp(-2 * (math.pi * sigma * np.array(RINGS) / 64) ** 2)
    assert got.transfer == pytest.approx(analytic, abs=0.012)
    assert got.acutance == pytest.approx(weighted(analytic), abs=0.008)


def test_added_noise_lowers_coherence_by_its_power_and_leaves_the_transfer(truth: Plane, noise: Plane) -> None:
    got = acutance(truth + noise, truth)
    assert got.acutance == pytest.approx(1, abs=0.02)
    assert got.coherence == pytest.approx(1 / (1 + 10**2 / 20**2), abs=0.02)
    assert got.power_ratio == pytest.approx([1.25] * 8, abs=0.06)


def test_natural_acutance_is_the_root_of_the_coherence(truth: Plane, noise: Plane) -> None:
    got = acutance(truth + noise, truth)
    assert got.natural_acutance == pytest.approx(weighted(np.sqrt(got.ring_coherence)), abs=1e-9)
    assert got.natural_acutance == pytest.approx(math.sqrt(1 / 1.25), abs=0.02)


def test_a_doubled_residual_adds_twice_as_much_transfer(truth: Plane) -> None:
    received = spectrum_filter(truth, np.exp(-8 * radius(truth.shape) ** 2))
    residual = 0.4 * (truth - received)
    before, once, twice = (np.array(acutance(received + k * residual, truth).transfer) for k in (0, 1, 2))
    assert twice - before == pytest.approx(2 * (once - before), abs=1e-6)


def test_doubled_contrast_doubles_acutance_and_leaves_coherence(truth: Plane) -> None:
    got = acutance(128 + 2 * (truth - 128), truth)
    assert got.acutance == pytest.approx(2, abs=1e-5)
    assert got.coherence == pytest.approx(1, abs=1e-5)
    assert got.power_ratio == pytest.approx([4] * 8, abs=1e-4)


def test_brightness_does_not_count(truth: Plane) -> None:
    assert acutance(truth + 40, truth).acutance == pytest.approx(1, abs=1e-5)


def test_detail_of_the_opposite_sign_has_no_coherence(truth: Plane) -> None:
    got = acutance(-truth, truth)
    assert got.acutance == pytest.approx(-1, abs=1e-5)
    assert got.coherence == 0


def test_invented_detail_raises_power_but_not_acutance(truth: Plane, noise: Plane) -> None:
    blurred = spectrum_filter(truth, radius(truth.shape) < 0.25)
    invented = spectrum_filter(2 * noise, radius(truth.shape) >= 0.25)
    before, after = acutance(blurred, truth), acutance(blurred + invented, truth)
    assert after.acutance == pytest.approx(before.acutance, abs=0.01)
    assert after.power_ratio[-1] > 0.9 > 0.01 > before.power_ratio[-1]


def test_bands_hold_their_rings(truth: Plane) -> None:
    """Only what lies between 12.5 and 16.5 cycles per window is kept: the fourth band."""
    frequency = radius(truth.shape) * 64
    got = acutance(spectrum_filter(truth, (frequency >= 12.5) & (frequency < 16.5)), truth)
    assert int(np.argmax(got.power_ratio)) == BAND_EDGES.index(12.5)
    assert got.power_ratio[3] > 0.75
    assert max(got.power_ratio[:2] + got.power_ratio[5:]) < 0.02
    assert got.band_coherence[3] > 0.8


def test_the_natural_target_leaves_rings_of_little_coherence_as_they_are() -> None:
    in_phase, power = np.full(31, 0.9), np.ones(31)
    in_phase[15:] = 0.4  # coherence 0.16
    got = acutance_from_sums(np.stack([in_phase, power, power]))
    assert got.natural_acutance == pytest.approx(weighted(in_phase), abs=1e-12)
    halved = acutance_from_sums(np.stack([in_phase / 2, power / 4, power]))
    assert halved.natural_acutance == pytest.approx(weighted(in_phase), abs=1e-12)
    expected = np.where(np.arange(31) < 15, 0.9, 0.2)
    assert halved.natural_target == pytest.approx(weighted(expected), abs=1e-12)


def test_windows_without_detail_do_not_count(truth: Plane) -> None:
    rng = np.random.default_rng(1)
    flat, busy = (128 + rng.normal(0, deviation, (64, 64)) for deviation in (1.8, 2.2))
    assert TruthWindows(flat).count == 0
    assert TruthWindows(busy).count == 1
    assert TruthWindows(truth).count == (384 // 32 - 1) * (512 // 32 - 1)


def test_a_flat_truth_gives_no_figures() -> None:
    got = acutance(np.zeros((80, 80), np.uint8), np.full((80, 80), 50, np.uint8))
    assert got.windows == 0
    assert all(math.isnan(v) for v in (got.acutance, got.coherence, got.natural_acutance, got.natural_target))
    assert all(math.isnan(v) for v in got.power_ratio)


def test_an_output_without_detail_has_zero(truth: Plane) -> None:
    got = acutance(np.full(truth.shape, 90.0), truth)
    assert (got.acutance, got.coherence) == pytest.approx((0, 0), abs=1e-6)


def test_rings_in_which_the_truth_has_no_power_do_not_count() -> None:
    power = np.ones(31)
    power[10:] = 0
    got = acutance_from_sums(np.stack([0.5 * power, power, power]))
    assert got.acutance == pytest.approx(0.5)
    assert got.coherence == pytest.approx(0.25)


def test_a_clip_is_the_sum_of_its_frames(truth: Plane, noise: Plane) -> None:
    outputs, truths = [truth + noise, truth * 0.5 + noise], [truth, truth[::-1] * 2]
    meter, sums = AcutanceMeter(), np.zeros((3, 31))
    for output, wanted in zip(outputs, truths, strict=True):
        meter.add(output, wanted)
        one = AcutanceMeter()
        one.add(output, TruthWindows(wanted))
        sums += one.sums
    assert meter.result() == acutance(outputs, truths)
    assert acutance_from_sums(sums).acutance == pytest.approx(meter.result().acutance, abs=1e-12)
    assert meter.result().windows == 2 * TruthWindows(truth).count


def test_the_sums_that_are_handed_out_are_a_copy(truth: Plane) -> None:
    meter = AcutanceMeter()
    meter.add(truth, truth)
    meter.sums[:] = 0
    assert meter.result().acutance == pytest.approx(1, abs=1e-6)


def test_one_window_is_enough_and_less_is_refused() -> None:
    plane = np.random.default_rng(2).normal(100, 20, (64, 64))
    assert acutance(plane, plane).acutance == pytest.approx(1, abs=1e-6)
    with pytest.raises(UsageError, match="at least 64x64 pixels, not 64x63"):
        acutance(plane[:63], plane[:63])


def test_what_does_not_fit_is_refused(truth: Plane) -> None:
    with pytest.raises(UsageError, match="one shape"):
        acutance(truth[:128], truth)
    with pytest.raises(UsageError, match="H x W"):
        TruthWindows(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="not 2 and 1"):
        acutance([truth, truth], [truth])
    with pytest.raises(UsageError, match="at least one frame"):
        AcutanceMeter().result()
    with pytest.raises(UsageError, match=r"shape \(3, 31\), not \(3, 30\)"):
        acutance_from_sums(np.zeros((3, 30)))


def test_the_restored_share_runs_from_the_input_to_the_truth() -> None:
    assert restored_share(0.6, 0.6) == 0
    assert restored_share(1, 0.6) == pytest.approx(1)
    assert restored_share(0.7, 0.6) == pytest.approx(0.25)
    assert restored_share(0.5, 0.6) == pytest.approx(-0.25)
    assert math.isnan(restored_share(1.1, 1.0))


def test_figures_are_plain_numbers(truth: Plane) -> None:
    table = acutance(truth, truth).to_dict()
    assert set(table) == set(Acutance.__dataclass_fields__)
    assert isinstance(table["acutance"], float)
    assert len(table["transfer"]) == len(RINGS) == 31
