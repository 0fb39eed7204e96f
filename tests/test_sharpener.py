"""One object for pictures, frames and files."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Frame, Sharpener
from acutance.errors import AcutanceError, ModelError, UsageError
from acutance.luma import add_luma_residual, luma_from_rgb


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file)


def test_a_picture_keeps_its_chroma(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    out = sharpener(picture)
    assert out.shape == picture.shape
    assert out.dtype == picture.dtype
    change = out.astype(int) - picture
    inside = ((out > 0) & (out < 255)).all(axis=2)
    assert np.abs(change).max() > 5
    assert np.abs(change[inside] - change[inside][:, :1]).max() <= 1  # R, G and B move alike


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(11, 17), (11, 17, 3)])
def test_strength_zero_is_the_identity(student_file: Path, dtype: type, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    np.testing.assert_array_equal(Sharpener(student_file, strength=0)(image), image)


def test_sixteen_bits_are_sharpened_as_eight(sharpener: Sharpener, picture: NDArray[np.uint8]) -> None:
    deep = sharpener(picture.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - sharpener(picture).astype(float)).max() <= 0.51


def test_twice_the_strength_is_twice_the_change(student_file: Path, picture: NDArray[np.uint8]) -> None:
    grey = picture[..., 0] // 2 + 60  # far from black and white, so that nothing clips
    once = Sharpener(student_file)(grey).astype(int) - grey
    sharper = Sharpener(student_file, strength=2)(grey)
    twice = sharper.astype(int) - grey
    unclipped = (sharper > 0) & (sharper < 255)
    assert unclipped.mean() > 0.5
    assert np.abs(twice - 2 * once)[unclipped].max() <= 2


def test_frames_carry_everything_but_the_luma_over(sharpener: Sharpener) -> None:
    luma = np.random.default_rng(0).integers(16, 236, (24, 32)).astype(np.uint8)
    chroma = (np.full((12, 16), 90, np.uint8), np.full((12, 16), 160, np.uint8))
    frame = Frame(luma, chroma, pts=7, time_base=Fraction(1, 30), rotation=90, sample_aspect_ratio=Fraction(4, 3))
    (out,) = sharpener.frames([frame])
    assert (out.pts, out.time_base, out.rotation, out.sample_aspect_ratio) == (7, Fraction(1, 30), 90, Fraction(4, 3))
    assert out.chroma is not None
    assert all(a is b for a, b in zip(out.chroma, chroma, strict=True))
    assert (out.luma != luma).any()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32), np.zeros(4, np.uint8), "picture.png"]
)
def test_what_is_not_a_picture_is_refused(sharpener: Sharpener, bad: object) -> None:
    with pytest.raises(AcutanceError):
        sharpener(bad)  # type: ignore[arg-type]


def test_an_unknown_model_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelError, match="unknown model 'sharpest'; bundled are fast-clean-x2, balanced-clean-x2"):
        Sharpener("sharpest")
    with pytest.raises(UsageError, match="threads"):
        Sharpener("fast", threads=0)


@pytest.mark.parametrize("tier", ["fast", "balanced", "quality"])
def test_every_tier_is_bundled_and_restores_a_blurred_picture(tier: str, picture: NDArray[np.uint8]) -> None:
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.metrics import psnr_y

    sharp = crop_to_multiple(picture)
    blurred = down_up(sharp, 2).same_size
    gain = psnr_y(Sharpener(tier)(blurred), sharp, border=2) - psnr_y(blurred, sharp, border=2)
    assert gain > 1.0


def test_luma_of_known_colours() -> None:
    rgb = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.uint8)
    np.testing.assert_allclose(luma_from_rgb(rgb), [16.0, 235.0, 81.481], atol=1e-3)
    np.testing.assert_allclose(luma_from_rgb(rgb.astype(np.uint16) * 257), luma_from_rgb(rgb), atol=1e-3)


def test_a_change_of_luma_changes_luma_by_that(picture: NDArray[np.uint8]) -> None:
    middle = picture // 2 + 64
    step = 12 * 219 / 255  # twelve code values of R, G and B: nothing to round
    changed = add_luma_residual(middle, np.full(middle.shape[:2], step))
    np.testing.assert_allclose(luma_from_rgb(changed) - luma_from_rgb(middle), step, atol=1e-3)
