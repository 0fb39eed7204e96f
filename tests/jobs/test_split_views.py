"""A split view shows "before" on the left, however a player turns what is stored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from acutance.io import VideoReader
from acutance.jobs.pipeline import sharpen_image, sharpen_video
from acutance.sharpening.single import FrameSharpener
from io_clips import make_clip


@pytest.fixture
def strong(student_file: Path) -> FrameSharpener:
    return FrameSharpener(student_file, strength=2.0, threshold=0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_split_as_they_are_shown(tmp_path: Path, strong: FrameSharpener, orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    tags = Image.Exif()
    tags[0x112] = orientation
    Image.fromarray(rng.integers(0, 255, (48, 80, 3), np.uint8)).save(tmp_path / "a.png", exif=tags)
    sharpen_image(strong, tmp_path / "a.png", tmp_path / "b.png", split=True)
    before, after = (np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"{n}.png"))) for n in "ab")
    middle = before.shape[1] // 2
    np.testing.assert_array_equal(after[:, :middle], before[:, :middle])
    assert (after[:, middle + 1 :] != before[:, middle + 1 :]).any()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_video_is_split_as_it_is_shown(tmp_path: Path, strong: FrameSharpener, rotation: int) -> None:
    source = make_clip(tmp_path / "a.mp4", rotation=rotation or None)
    sharpen_video(strong, source, tmp_path / "b.mp4", split=True, crf=0, preset="ultrafast")
    with VideoReader(source) as one, VideoReader(tmp_path / "b.mp4") as two:
        for a, b in zip(one, two, strict=True):
            assert b.rotation == rotation
            before, after = (np.rot90(frame.luma, rotation // 90) for frame in (a, b))
            middle = before.shape[1] // 2
            np.testing.assert_array_equal(after[:, :middle], before[:, :middle])
            assert (after[:, middle] == 235).all()
            assert (after[:, middle + 1 :] != before[:, middle + 1 :]).any()
