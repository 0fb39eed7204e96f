import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from acutance.choosing.condition import FEATURES, KnownFacts, condition_features, with_known
from acutance.errors import UsageError

PERIOD_OF_TWO = 1 + 22 + 11  # the place of 60 periods per 120 pixels among those of first differences
PERIOD_OF_THREE = 1 + 22 + 6


def _picture(seed: int, side: int = 264) -> NDArray[np.uint8]:
    """Draw noise that has detail at every scale, as pictures have."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(0, 1, (side, side)))
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    field = np.fft.irfft2(spectrum / (radius + 0.01), (side, side))
    return np.clip(np.rint(field / field.std() * 30 + 126), 16, 235).astype(np.uint8)


def _enlarged(picture: NDArray[np.uint8], factor: float, how: Image.Resampling) -> NDArray[np.uint8]:
    height, width = picture.shape
    small = Image.fromarray(picture).resize((round(width / factor), round(height / factor)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), how))


def _features(picture: NDArray[np.uint8], known: KnownFacts | None = None) -> NDArray[np.float32]:
    features = condition_features(picture, known=known)
    assert features is not None
    assert features.shape == (FEATURES,)
    assert np.isfinite(features).all()
    return features


@pytest.mark.parametrize("how", [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS])
def test_an_enlargement_by_two_shows_its_period_whatever_the_filter(how: Image.Resampling) -> None:
    for seed in range(4):
        picture = _picture(seed)
        assert _features(_enlarged(picture, 2, how))[PERIOD_OF_TWO] > 1.0
        assert _features(picture)[PERIOD_OF_TWO] < 0.7


def test_enlargements_by_three_and_one_and_a_half_share_a_period_of_three() -> None:
    picture = _picture(1)
    for factor in (1.5, 3):
        assert _features(_enlarged(picture, factor, Image.Resampling.BICUBIC))[PERIOD_OF_THREE] > 0.8
    assert _features(picture)[PERIOD_OF_THREE] < 0.6


def test_a_picture_out_of_focus_has_no_period() -> None:
    from PIL import ImageFilter

    soft = np.asarray(Image.fromarray(_picture(2)).filter(ImageFilter.GaussianBlur(1.2)))
    features = _features(soft)
    assert features[PERIOD_OF_TWO] < 0.7
    assert features[PERIOD_OF_THREE] < 0.7


def test_rows_and_columns_are_measured_alike() -> None:
    picture = _enlarged(_picture(3), 2, Image.Resampling.BICUBIC)
    np.testing.assert_allclose(_features(picture), _features(np.ascontiguousarray(picture.T)), atol=0.15)


def test_ten_bits_and_full_range_give_the_features_of_eight_limited_bits() -> None:
    picture = _picture(4)
    deep = condition_features(picture.astype(np.uint16) * 4, bit_depth=10)
    full = condition_features(
        np.rint((picture.astype(np.float64) - 16) * 255 / 219).clip(0, 255).astype(np.uint8), full_range=True
    )
    assert deep is not None
    assert full is not None
    np.testing.assert_allclose(deep, _features(picture), atol=1e-4)
    np.testing.assert_allclose(full, _features(picture), atol=0.35)


@pytest.mark.parametrize("shape", [(16, 16), (63, 500), (500, 63)])
def test_a_frame_smaller_than_64_pixels_has_no_features(shape: tuple[int, int]) -> None:
    assert condition_features(np.full(shape, 90, np.uint8)) is None


@pytest.mark.parametrize("level", [16, 128, 235])
def test_a_flat_frame_has_no_features(level: int) -> None:
    assert condition_features(np.full((240, 320), level, np.uint8)) is None


@pytest.mark.parametrize("shape", [(64, 64), (65, 301), (121, 122), (720, 1280)])
def test_every_size_from_64_pixels_has_features(shape: tuple[int, int]) -> None:
    picture = np.tile(_picture(5), (3, 5))[: shape[0], : shape[1]]
    _features(np.ascontiguousarray(picture))


def test_known_facts_change_their_own_entries_alone() -> None:
    picture = _picture(6)
    known = _features(picture, KnownFacts(factor=2.0, bits_per_pixel=0.1))
    unknown = _features(picture)
    assert (known[:-4] == unknown[:-4]).all()
    np.testing.assert_allclose(known[-4:], [0.0, 1.0, 0.0, 1.0], atol=1e-6)
    assert (unknown[-4:] == 0).all()
    assert (with_known(known, None) == unknown).all()


@pytest.mark.parametrize("factor", [0.5, 0.0, float("nan"), float("inf")])
def test_a_factor_below_one_or_not_finite_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="factor must be 1 or more"):
        KnownFacts(factor=factor)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_positive_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="bits_per_pixel must be above 0"):
        KnownFacts(bits_per_pixel=rate)


def test_a_picture_of_three_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="expected an H x W plane"):
        condition_features(np.zeros((100, 100, 3), np.uint8))
