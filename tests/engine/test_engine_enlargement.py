"""The bicubic enlargement: the bits of Pillow's, for any size, and its integer form for deeper samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from acutance.engine.enlargement import enlarge, enlarged_length, taps

FACTORS = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (2, 6)]


@settings(max_examples=300, deadline=None)
@given(
    factors=st.sampled_from(FACTORS),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    extreme=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_eight_bit_planes_have_the_bits_of_pillow(
    factors: tuple[int, int], height: int, width: int, extreme: bool, seed: int
) -> None:
    unshuffle, shuffle = factors
    plane = np.random.default_rng(seed).integers(0, 256, (height * unshuffle, width * unshuffle), dtype=np.uint8)
    if extreme:
        plane = np.where(plane > 127, 255, 0).astype(np.uint8)  # overshoots are clipped between the two passes
    size = (width * shuffle, height * shuffle)
    expected = np.array(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(enlarge(plane, unshuffle, shuffle, 8), expected)


@pytest.mark.parametrize(("unshuffle", "shuffle"), FACTORS)
def test_every_weight_of_long_lines_is_pillows(unshuffle: int, shuffle: int) -> None:
    """One bright sample at a time, wherever it lies: what it becomes are its weights, rounded to codes."""
    length = 6 * unshuffle
    for position in range(length):
        line = np.zeros((1, length), np.uint8)
        line[0, position] = 255
        size = (length * shuffle // unshuffle, shuffle)
        plane = np.repeat(line, unshuffle, axis=0)
        expected = np.array(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(enlarge(plane, unshuffle, shuffle, 8), expected)


@pytest.mark.parametrize("bit_depth", [8, 10, 16])
@pytest.mark.parametrize(("unshuffle", "shuffle"), [*FACTORS, (3, 4), (5, 7)])
def test_weights_add_up_to_one_and_sums_fit_in_32_bits(unshuffle: int, shuffle: int, bit_depth: int) -> None:
    for length in (1, 2, 3, 50):
        _, weights = taps(length, unshuffle, shuffle, bit_depth)
        assert np.abs(weights.sum(axis=1) - (1 << (30 - bit_depth))).max() <= 2
        largest = np.abs(weights).sum(axis=1).max() * ((1 << bit_depth) - 1) + (1 << (29 - bit_depth))
        assert largest < 2**31


@pytest.mark.parametrize(("length", "expected"), [(1, 2), (2, 3), (5, 8), (6, 9)])
def test_a_line_that_does_not_fit_the_factor_is_rounded_up(length: int, expected: int) -> None:
    assert enlarged_length(length, 2, 3) == expected
    assert enlarge(np.full((length, 1), 9, np.uint8), 2, 3, 8).shape == (expected, 2)


@pytest.mark.parametrize("bit_depth", [10, 12])
def test_deeper_planes_follow_the_eight_bit_ones(bit_depth: int) -> None:
    """Nearly: the sum is rounded once more finely."""
    plane = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    deeper = enlarge(plane.astype(np.uint16) << (bit_depth - 8), 1, 3, bit_depth).astype(float)
    difference = deeper / (1 << (bit_depth - 8)) - enlarge(plane, 1, 3, 8)
    assert np.abs(difference[difference.nonzero()]).max() < 1.5


def test_samples_beyond_the_bit_depth_are_cut_off() -> None:
    plane = np.full((4, 4), 2000, np.uint16)
    assert (enlarge(plane, 1, 2, 10) == 1023).all()
