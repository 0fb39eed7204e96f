"""Metrics at their limits: the smallest planes, exact thresholds, and messages that name what was given."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics import (
    FlickerMeter,
    OvershootMeter,
    blockiness,
    border_of,
    gmsd,
    image_quality,
    mse,
    overshoot,
    overshoot_map,
    psnr,
    sharpness,
    sharpness_ratio,
)


def flat(value: int, height: int = 16, width: int = 16) -> NDArray[np.uint8]:
    return np.full((height, width), value, np.uint8)


# -- flicker ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "share"), [(2, 1.0), (3, 0.0)])
def test_a_block_is_static_up_to_a_change_of_two_code_values(change: int, share: float) -> None:
    meter = FlickerMeter()
    for value in (50, 50 + change):
        meter.add(flat(value), flat(value))
    assert meter.result().static_share == share


def test_blocks_of_one_pixel_and_a_threshold_of_zero_are_accepted() -> None:
    meter = FlickerMeter(block=1, threshold=0)
    first, second = flat(9, 2, 2), flat(9, 2, 2)
    second[0, 0] = 10
    for frame in (first, second):
        meter.add(frame, frame)
    assert meter.result().static_share == 0.75


def test_the_threshold_may_lie_between_zero_and_one() -> None:
    meter = FlickerMeter(block=2, threshold=0.5)
    first, second = flat(9, 2, 2), flat(9, 2, 2)
    second[0] = 10  # a mean change of exactly one half
    for frame in (first, second):
        meter.add(frame, frame)
    assert meter.result().static_share == 1.0


def test_only_whole_blocks_are_measured() -> None:
    first, second = flat(50, 19, 21), flat(50, 19, 21)
    second[16:] = second[:, 16:] = 200
    meter = FlickerMeter()
    for frame in (first, second):
        meter.add(frame, frame)
    assert (meter.result().static_share, meter.result().source) == (1.0, 0.0)


def test_flicker_is_the_root_mean_square_over_static_blocks() -> None:
    meter = FlickerMeter(block=2)
    sources = [flat(50, 2, 4), flat(50, 2, 4)]
    sources[1][:, :2] = 51
    outputs = [flat(50, 2, 4), flat(50, 2, 4)]
    outputs[1][:, :2], outputs[1][:, 2:] = 53, 46
    for output, source in zip(outputs, sources, strict=True):
        meter.add(output, source)
    found = meter.result()
    assert found.source == pytest.approx(math.sqrt(0.5))
    assert found.output == pytest.approx(math.sqrt((9 + 16) / 2))
    assert found.ratio == pytest.approx(5.0)
    assert found.static_share == 1.0


def test_flicker_adds_up_over_frames() -> None:
    meter = FlickerMeter()
    for value in (50, 51, 53, 53, 90):
        meter.add(flat(value), flat(value))
    found = meter.result()
    assert found.static_share == 0.75
    assert found.source == pytest.approx(math.sqrt((1 + 4 + 0) / 3))


def test_flicker_says_what_it_cannot_take() -> None:
    with pytest.raises(UsageError, match="block must be at least 1, not 0"):
        FlickerMeter(block=0)
    with pytest.raises(UsageError, match=r"threshold must not be negative, not -0\.5"):
        FlickerMeter(threshold=-0.5)
    with pytest.raises(UsageError, match="frames of 20x12 hold no block of 16"):
        FlickerMeter().add(flat(1, 12, 20), flat(1, 12, 20))
    with pytest.raises(UsageError, match="H x W and not empty"):
        FlickerMeter().add(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))
    meter = FlickerMeter()
    meter.add(flat(1), flat(1))
    with pytest.raises(UsageError, match="two frames"):
        meter.result()
    with pytest.raises(UsageError, match="frame size changed to 48x32"):
        meter.add(flat(1, 32, 48), flat(1, 32, 48))


# -- sharpness --------------------------------------------------------------------------------------------------------


def test_sharpness_takes_three_pixels_and_counts_both_directions() -> None:
    y, x = np.mgrid[0:3, 0:3]
    assert sharpness(x * 2.0) == pytest.approx(4)
    assert sharpness(y * 3.0) == pytest.approx(9)
    assert sharpness(x * 2.0 + y * 3.0) == pytest.approx(13)
    with pytest.raises(UsageError, match="at least 3x3 pixels, not 5x2"):
        sharpness(np.zeros((2, 5)))
    with pytest.raises(UsageError, match="H x W and not empty"):
        sharpness(np.zeros((4, 4, 3)))


def test_sharpness_is_sobels_gradient(picture: NDArray[np.uint8]) -> None:
    plane = picture[..., 1].astype(float)
    kernel = np.outer([1, 2, 1], [-1, 0, 1])
    gradients = [
        sum(k[i, j] * plane[i : plane.shape[0] - 2 + i, j : plane.shape[1] - 2 + j] for i in range(3) for j in range(3))
        for k in (kernel, kernel.T)
    ]
    assert sharpness(plane) == pytest.approx(float((gradients[0] ** 2 + gradients[1] ** 2).mean()) / 64, rel=1e-5)


def test_sharpness_is_compared_between_planes_of_one_shape() -> None:
    ramp = np.tile(np.arange(6.0), (6, 1))
    assert sharpness_ratio(2 * ramp, ramp) == pytest.approx(4)
    assert sharpness_ratio(ramp, np.zeros((6, 6))) == math.inf
    with pytest.raises(UsageError, match="one shape"):
        sharpness_ratio(ramp, ramp[:5])
    with pytest.raises(UsageError, match="H x W and not empty"):
        sharpness_ratio(np.zeros((4, 4, 3)), np.zeros((4, 4, 3)))


# -- overshoot --------------------------------------------------------------------------------------------------------


def test_percentiles_reach_from_nothing_to_the_largest() -> None:
    meter = OvershootMeter()
    output = flat(10, 4, 5)
    output[0, 0], output[3, 4] = 17, 13
    meter.add(output, flat(10, 4, 5))
    assert [meter.percentile(p) for p in (0, 90, 90.1, 95, 95.1, 100)] == [0, 0, 3, 3, 7, 7]
    found = meter.result()
    assert (found.p50, found.p99, found.p99_9, found.largest, found.share) == (0, 7, 7, 7, pytest.approx(0.1))


def test_overshoot_adds_up_frames_whatever_their_largest_value() -> None:
    small, large = flat(10, 2, 2), flat(30, 2, 2)
    for order in ((small, large), (large, small)):
        meter = OvershootMeter(radius=0)
        for output in order:
            meter.add(output, flat(10, 2, 2))
        assert meter.percentile(50) == 0
        assert meter.percentile(51) == 20
        assert meter.result().share == 0.5


def test_the_radius_of_overshoot_is_that_of_its_neighbourhood() -> None:
    source = flat(10, 1, 7)
    source[0, 0] = 90
    output = flat(50, 1, 7)
    assert overshoot_map(output, source, radius=0).tolist() == [[40, 40, 40, 40, 40, 40, 40]]
    assert overshoot_map(output, source, radius=1).tolist() == [[0, 0, 40, 40, 40, 40, 40]]
    assert overshoot_map(output, source).tolist() == [[0, 0, 0, 40, 40, 40, 40]]
    assert overshoot(output, source, radius=1).share == pytest.approx(5 / 7)
    meter = OvershootMeter()
    meter.add(output, source)
    assert meter.result().share == overshoot(output, source).share == pytest.approx(4 / 7)


def test_overshoot_is_that_of_rows_and_columns_above_and_below() -> None:
    source = flat(100, 5, 5)
    source[0], source[:, 0] = 40, 160
    output = source.copy()
    output[4, 4], output[3, 3] = 130, 90
    found = overshoot_map(output, source, radius=1)
    assert found[4, 4] == 30
    assert found[3, 3] == 10
    assert int(found.astype(int).sum()) == 40


def test_overshoot_takes_two_planes_of_one_type() -> None:
    deep = flat(1).astype(np.uint16) * 1000
    assert overshoot_map(deep + 5, deep).dtype == np.uint16
    assert int(overshoot_map(deep + 500, deep).max()) == 500
    with pytest.raises(UsageError, match="uint8 or uint16, not uint8 and uint16"):
        overshoot_map(flat(1), deep)
    with pytest.raises(UsageError, match="uint8 or uint16, not float64 and float64"):
        overshoot_map(flat(1).astype(float), flat(1).astype(float))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="radius must not be negative, not -1"):
        overshoot_map(flat(1), flat(1), radius=-1)
    with pytest.raises(UsageError, match="H x W and not empty"):
        overshoot_map(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_percentiles_outside_their_range_are_refused(percent: float) -> None:
    meter = OvershootMeter()
    with pytest.raises(UsageError, match="frame"):
        meter.percentile(50)
    meter.add(flat(1), flat(1))
    with pytest.raises(UsageError, match=f"0 (and|to) 100, not {percent}"):
        meter.percentile(percent)


# -- GMSD and quality -------------------------------------------------------------------------------------------------


def test_gmsd_takes_six_pixels_and_planes_alone() -> None:
    plane = np.arange(36.0).reshape(6, 6)
    assert gmsd(plane, plane) == 0
    with pytest.raises(UsageError, match="at least 6x6 pixels, not 9x5"):
        gmsd(np.zeros((5, 9)), np.zeros((5, 9)))
    with pytest.raises(UsageError, match="H x W and not empty"):
        gmsd(np.zeros((8, 8, 3)), np.zeros((8, 8, 3)))
    with pytest.raises(UsageError, match="one shape"):
        gmsd(np.zeros((8, 8)), np.zeros((8, 9)))


def test_every_measure_of_a_picture_leaves_the_border_out(picture: NDArray[np.uint8]) -> None:
    spoiled = picture.copy()
    spoiled[:2] = spoiled[:, -2:] = 0
    found = image_quality(spoiled, picture, border=2)
    assert found.to_dict() == {
        "psnr_y": math.inf, "ssim_y": pytest.approx(1), "mse_y": 0,
        "psnr_rgb": math.inf, "ssim_rgb": pytest.approx(1), "mse_rgb": 0,
    }  # fmt: skip
    touched = image_quality(spoiled, picture, border=1)
    assert touched.psnr_rgb == psnr(spoiled, picture, border=1)
    assert touched.mse_rgb == mse(spoiled, picture, border=1)
    assert touched.ssim_rgb < 1
    assert touched.psnr_y < 40


def test_quality_says_what_it_cannot_take(picture: NDArray[np.uint8]) -> None:
    assert border_of(1) == 1
    with pytest.raises(UsageError, match=r"at least 1, not 0\.99"):
        border_of(0.99)
    with pytest.raises(UsageError, match="one type, not uint8 and float64"):
        image_quality(picture, picture.astype(float), border=0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="H x W x 3 and not empty"):
        image_quality(picture[..., 0], picture[..., 0], border=0)


# -- blockiness -------------------------------------------------------------------------------------------------------


def grid(period: int, step: float, size: int, *, rows: bool = True) -> NDArray[np.uint8]:
    """Smooth noise on blocks of random brightness."""
    rng = np.random.default_rng(1)
    count = size // period
    blocks = rng.normal(0, step, (count, count))
    if not rows:
        blocks[:] = blocks[:1]
    plane = np.kron(blocks, np.ones((period, period))) + rng.normal(128, 3, (count * period, count * period))
    return np.clip(plane, 0, 255).astype(np.uint8)


def test_a_grid_stands_out_at_its_own_period_alone() -> None:
    blocky = grid(8, 6, 256)
    assert blockiness(blocky, 8) > 3
    assert blockiness(blocky, 9.5) < 1.5
    assert blockiness(grid(8, 0, 256), 8) < 1.5


def test_blockiness_is_the_mean_over_rows_and_columns() -> None:
    columns_alone = grid(8, 6, 256, rows=False)
    found = blockiness(columns_alone, 8)
    assert blockiness(columns_alone.T, 8) == pytest.approx(found)
    assert 1.5 < found < blockiness(grid(8, 6, 256), 8)


def test_one_strong_edge_does_not_look_like_a_grid() -> None:
    plain = grid(8, 0, 256)
    edge = plain.copy()
    edge[:, 128:] = np.minimum(edge[:, 128:].astype(int) + 100, 255)
    assert blockiness(edge, 8) < 2


def test_the_scale_of_deeper_planes_does_not_count() -> None:
    blocky = grid(8, 6, 256)
    assert blockiness(blocky.astype(np.uint16) * 16, 8, bit_depth=12) == pytest.approx(blockiness(blocky, 8))


def test_blockiness_needs_sixteen_blocks_a_side() -> None:
    blocky = grid(8, 6, 256)
    assert blockiness(blocky[:128, :128], 8) > 2
    assert blockiness(blocky[:127], 8) == 1.0
    assert blockiness(flat(9, 128, 128), 8) == 1.0


def test_blockiness_says_what_it_cannot_take() -> None:
    with pytest.raises(UsageError, match=r"H x W plane, not shape \(16, 16, 3\)"):
        blockiness(np.zeros((16, 16, 3), np.uint8), 8)
    with pytest.raises(UsageError, match=r"at least 8 pixels, not 7\.9"):
        blockiness(flat(1), 7.9)
