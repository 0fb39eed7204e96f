"""Metrics: known values, invariants, and equality with independent implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.luma import luma_from_rgb
from acutance.metrics import (
    FlickerMeter,
    OvershootMeter,
    border_of,
    image_quality,
    mse,
    overshoot,
    overshoot_map,
    psnr,
    psnr_y,
    sharpness,
    sharpness_ratio,
    ssim,
    ssim_y,
)

PLANES = npst.arrays(np.uint8, st.tuples(st.integers(11, 24), st.integers(11, 24)))


@pytest.fixture(scope="module")
def noisy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, 12, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_error_is_the_textbook_figure() -> None:
    black = np.zeros((8, 8), np.uint8)
    assert psnr(black + np.uint8(5), black) == pytest.approx(20 * math.log10(255 / 5))
    assert mse(black + np.uint8(5), black) == 25.0


def test_unsigned_differences_do_not_wrap_around() -> None:
    low, high = np.full((4, 4), 3, np.uint8), np.full((4, 4), 250, np.uint8)
    assert mse(low, high) == mse(high, low) == 247.0**2


def test_equal_pictures_have_infinite_psnr_and_ssim_of_one(picture: NDArray[np.uint8]) -> None:
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1.0, abs=1e-12)


def test_the_border_is_left_out(picture: NDArray[np.uint8]) -> None:
    spoiled = picture.copy()
    spoiled[:3] = spoiled[-3:] = 0
    spoiled[:, :3] = spoiled[:, -3:] = 0
    assert psnr(spoiled, picture, border=3) == math.inf
    assert psnr(spoiled, picture, border=2) < 40


def test_psnr_agrees_with_scikit_image(picture: NDArray[np.uint8], noisy: NDArray[np.uint8]) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    assert psnr(noisy, picture) == pytest.approx(skimage.peak_signal_noise_ratio(picture, noisy), abs=1e-9)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (58, 12), (59, 64), (96, 128)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_ssim_agrees_with_scikit_image(
    picture: NDArray[np.uint8], noisy: NDArray[np.uint8], size: tuple[int, int], dtype: type
) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    a, b = (p[: size[0], : size[1]].astype(dtype) for p in (noisy, picture))
    theirs = skimage.structural_similarity(a.astype(np.float64), b.astype(np.float64), channel_axis=2, **settings)
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-9)
    theirs = skimage.structural_similarity(a[..., 1].astype(float), b[..., 1].astype(float), **settings)
    assert ssim(a[..., 1], b[..., 1]) == pytest.approx(theirs, abs=1e-9)


def test_luma_metrics_agree_with_scikit_image_on_its_own_luma(
    picture: NDArray[np.uint8], noisy: NDArray[np.uint8]
) -> None:
    color = pytest.importorskip("skimage.color")
    skimage = pytest.importorskip("skimage.metrics")
    a, b = (color.rgb2ycbcr(p)[4:-4, 4:-4, 0] for p in (noisy, picture))
    assert psnr_y(noisy, picture, border=4) == pytest.approx(
        skimage.peak_signal_noise_ratio(b, a, data_range=255), abs=1e-4
    )
    theirs = skimage.structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim_y(noisy, picture, border=4) == pytest.approx(theirs, abs=1e-6)


@given(PLANES)
def test_ssim_lies_within_its_bounds_and_is_symmetric(plane: NDArray[np.uint8]) -> None:
    other = plane[::-1].copy()
    value = ssim(plane, other)
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    assert value == pytest.approx(ssim(other, plane), abs=1e-12)


def test_image_quality_gathers_the_single_measures(picture: NDArray[np.uint8], noisy: NDArray[np.uint8]) -> None:
    quality = image_quality(noisy, picture, border=2)
    assert quality.psnr_y == psnr_y(noisy, picture, border=2)
    assert quality.ssim_y == ssim_y(noisy, picture, border=2)
    assert quality.mse_rgb == mse(noisy, picture, border=2)
    assert set(quality.to_dict()) == {"psnr_y", "ssim_y", "mse_y", "psnr_rgb", "ssim_rgb", "mse_rgb"}


@pytest.mark.parametrize(("factor", "border"), [(1, 1), (1.5, 2), (2, 2), (3, 3), (4.0, 4)])
def test_the_border_is_as_wide_as_the_factor(factor: float, border: int) -> None:
    assert border_of(factor) == border


def test_sharpness_of_a_ramp_is_its_squared_slope() -> None:
    ramp = np.tile(np.arange(30, dtype=np.uint8) * 3, (20, 1))
    assert sharpness(ramp) == pytest.approx(9.0)
    assert sharpness(ramp.T) == pytest.approx(9.0)


def test_sharpness_falls_with_blur_and_rises_with_contrast(picture: NDArray[np.uint8]) -> None:
    luma = luma_from_rgb(picture)
    blurred = (luma[:, :-1] + luma[:, 1:]) / 2
    assert sharpness_ratio(blurred, luma[:, :-1].copy()) < 0.9
    assert sharpness_ratio(luma * 2, luma) == pytest.approx(4.0)


def test_sharpness_of_flat_sources_is_compared_without_dividing_by_zero(picture: NDArray[np.uint8]) -> None:
    flat = np.full((96, 128), 9, np.uint8)
    assert sharpness_ratio(flat, flat) == 1.0
    assert sharpness_ratio(picture[..., 0], flat) == math.inf


def test_an_edge_made_steeper_does_not_overshoot_and_a_halo_does() -> None:
    soft = np.tile(np.repeat([50, 80, 120, 150], [10, 1, 1, 10]).astype(np.uint8), (12, 1))
    steep = np.where(soft < 100, 50, 150).astype(np.uint8)
    assert overshoot(steep, soft).largest == 0
    halo = steep.copy()
    halo[:, 9], halo[:, 12] = 43, 161
    assert overshoot_map(halo, soft)[0, 9] == 7
    assert overshoot_map(halo, soft)[0, 12] == 11
    assert overshoot(halo, soft).share == pytest.approx(2 / 22)


@given(PLANES, st.integers(0, 2**31))
def test_overshoot_agrees_with_a_plain_loop(source: NDArray[np.uint8], seed: int) -> None:
    output = np.random.default_rng(seed).integers(0, 256, source.shape).astype(np.uint8)
    expected = np.zeros(source.shape, int)
    for y, x in np.ndindex(source.shape):
        around = source[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].astype(int)
        expected[y, x] = max(0, int(output[y, x]) - around.max(), around.min() - int(output[y, x]))
    assert np.array_equal(overshoot_map(output, source), expected)


def test_percentiles_of_overshoot_are_those_of_all_frames_together() -> None:
    rng = np.random.default_rng(0)
    source = np.full((4, 40, 50), 100, np.uint16)
    output = (source + rng.integers(0, 30, source.shape)).astype(np.uint16)
    meter = OvershootMeter()
    for frame, original in zip(output, source, strict=True):
        meter.add(frame, original)
    result, levels = meter.result(), output.astype(int) - source
    assert result.p50 == np.percentile(levels, 50, method="inverted_cdf")
    assert result.p99 == np.percentile(levels, 99, method="inverted_cdf")
    assert result.p99_9 == np.percentile(levels, 99.9, method="inverted_cdf")
    assert result.largest == levels.max()


def test_a_video_left_alone_does_not_flicker_more() -> None:
    rng = np.random.default_rng(0)
    meter = FlickerMeter()
    for _ in range(5):
        frame = (100 + rng.normal(0, 1, (48, 64))).astype(np.uint8)
        meter.add(frame, frame)
    result = meter.result()
    assert result.ratio == 1.0
    assert result.static_share == 1.0


def test_amplified_noise_is_seen_as_its_factor() -> None:
    rng = np.random.default_rng(0)
    meter = FlickerMeter()
    for _ in range(30):
        noise = rng.normal(0, 1, (48, 64))
        meter.add(100 + 1.5 * noise, 100 + noise)
    assert meter.result().ratio == pytest.approx(1.5, rel=1e-5)
    assert meter.result().source == pytest.approx(math.sqrt(2), rel=0.02)


def test_motion_does_not_count_as_flicker() -> None:
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (64, 96)).astype(np.uint8)
    meter = FlickerMeter()
    for k in range(6):
        frame = np.full((64, 96), 90, np.uint8)
        frame[:, 48:] = np.roll(texture, 3 * k, 1)[:, 48:]
        sharpened = frame.copy()
        sharpened[:, 48:] = 255 - sharpened[:, 48:]
        meter.add(sharpened, frame)
    assert meter.result().static_share == pytest.approx(0.5)
    assert meter.result().output == 0.0
    assert meter.result().ratio == 1.0


def test_flicker_of_a_still_source_is_infinitely_worse_and_without_still_parts_unknown() -> None:
    still = np.full((32, 32), 50, np.uint8)
    meter = FlickerMeter()
    meter.add(still, still)
    meter.add(still + np.uint8(1), still)
    assert meter.result().ratio == math.inf
    moving = FlickerMeter()
    moving.add(still, still)
    moving.add(still, still + np.uint8(90))
    assert moving.result().static_share == 0.0
    assert math.isnan(moving.result().ratio)


def test_a_frame_whose_memory_is_reused_is_remembered() -> None:
    buffer = np.full((32, 32), 50, np.uint8)
    meter = FlickerMeter()
    meter.add(buffer, buffer)
    buffer += 1
    meter.add(buffer, buffer)
    assert meter.result().source == pytest.approx(1.0)


A, B = np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: psnr(A, B),
        lambda: psnr(A, A, border=10),
        lambda: psnr(A, A, border=-1),
        lambda: psnr(A, A, peak=0),
        lambda: psnr(A.tolist(), A),  # type: ignore[arg-type]
        lambda: psnr(A > 0, A),  # type: ignore[arg-type]
        lambda: psnr(np.zeros((0, 4)), np.zeros((0, 4))),
        lambda: ssim(A[:10], A[:10]),
        lambda: ssim(A, A, border=5),
        lambda: ssim(A, A, data_range=-1),
        lambda: psnr_y(A, A, border=0),
        lambda: border_of(0.5),
        lambda: sharpness(A[:2]),
        lambda: sharpness(np.zeros((8, 8, 3))),
        lambda: overshoot(A, A.astype(np.uint16)),
        lambda: overshoot_map(A.astype(np.float32), A.astype(np.float32)),  # type: ignore[arg-type]
        lambda: overshoot_map(A, A, radius=-1),
        lambda: OvershootMeter().result(),
        lambda: FlickerMeter().result(),
        lambda: FlickerMeter(block=0),
        lambda: FlickerMeter(threshold=-1),
        lambda: FlickerMeter().add(A[:8], A[:8]),
        lambda: FlickerMeter().add(A, B),
    ],
)
def test_bad_arguments_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError):
        call()
