"""Stills that are filmed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance.degrade.camera import CameraPath, film
from acutance.errors import UsageError

STILL = CameraPath(scale=1.0, zoom=1.0, centre=(48.0, 64.0), pan=(0.0, 0.0), shake=0.0)


def clip(picture: NDArray[np.uint8], path: CameraPath, *, seed: int = 0, side: int = 48) -> list[NDArray[np.uint8]]:
    return list(film(picture, path, np.random.default_rng(seed), side=side, frames=5))


def test_a_camera_on_a_tripod_shows_the_picture_unchanged(picture: NDArray[np.uint8]) -> None:
    for frame in clip(picture, STILL):
        np.testing.assert_array_equal(frame, picture[24:72, 40:88])


def test_a_pan_moves_the_view(picture: NDArray[np.uint8]) -> None:
    frames = clip(picture, replace(STILL, pan=(1.0, -2.0)))
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, picture[24 + number : 72 + number, 40 - 2 * number : 88 - 2 * number])


def test_shake_depends_on_the_seed_only(picture: NDArray[np.uint8]) -> None:
    shaken = replace(STILL, shake=0.8)
    frames = clip(picture, shaken, seed=1)
    assert len({frame.tobytes() for frame in frames}) == 5
    assert [f.tobytes() for f in frames] == [f.tobytes() for f in clip(picture, shaken, seed=1)]
    assert [f.tobytes() for f in frames] != [f.tobytes() for f in clip(picture, shaken, seed=2)]


@settings(max_examples=60, deadline=None)
@given(height=st.integers(24, 90), width=st.integers(24, 90), frames=st.integers(1, 40), seed=st.integers(0, 999))
def test_a_drawn_path_stays_within_the_picture(height: int, width: int, frames: int, seed: int) -> None:
    """Beyond it Pillow raises."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = CameraPath.draw(rng, picture.shape, side=24, frames=frames)
    assert 1 <= path.scale <= min(height, width) / 24 + 1e-9
    made = list(film(picture, path, rng, side=24, frames=frames))
    assert len(made) == frames
    assert all(frame.shape == (24, 24, 3) for frame in made)


def test_about_a_third_of_the_paths_stand_still() -> None:
    rng = np.random.default_rng(0)
    paths = [CameraPath.draw(rng, (100, 100, 3), side=48, frames=10) for _ in range(300)]
    still = [path for path in paths if path.pan == (0.0, 0.0) and path.shake == 0 and path.zoom == 1]
    assert 70 < len(still) < 140


def test_a_picture_smaller_than_a_frame_is_refused() -> None:
    with pytest.raises(UsageError, match="40x30 cannot be filmed in frames of 36x36"):
        CameraPath.draw(np.random.default_rng(0), (30, 40, 3), side=36, frames=3)
