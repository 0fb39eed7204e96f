"""Upscalers: the small picture in, the large one out, as arrays, frames and files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acutance import Sharpener
from acutance.cli.main import main
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame
from acutance.io import VideoReader
from acutance.luma import luma_from_rgb
from acutance.students.spec import save_student
from io_clips import make_clip
from small_students import upscaling_student

BICUBIC = Image.Resampling.BICUBIC


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "up3.safetensors"
    save_student(upscaling_student(3), path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def enlarged(picture: np.ndarray, factor: int = 3) -> np.ndarray:
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return np.array(Image.fromarray(picture).resize(size, BICUBIC))


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_strength_zero_is_pillows_enlargement(upscaler: Path, shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    np.testing.assert_array_equal(Sharpener(upscaler, strength=0)(picture, scale=3), enlarged(picture))


def test_only_luma_changes_and_alpha_is_enlarged(upscaler: Path) -> None:
    picture = noise(24, 36, 4) // 4 + 90  # far from black and white, where nothing is clipped
    sharp = Sharpener(upscaler)(picture)
    base = np.stack([enlarged(picture[..., channel]) for channel in range(4)], axis=-1)
    np.testing.assert_array_equal(sharp[..., 3], base[..., 3])
    change = sharp[..., :3].astype(int) - base[..., :3]
    assert np.abs(change).max() > 5
    np.testing.assert_array_equal(change, change[..., :1].repeat(3, axis=2))


def test_the_result_is_sharper_than_the_enlargement(upscaler: Path) -> None:
    picture = enlarged(noise(8, 8, 3))
    sharp, base = Sharpener(upscaler)(picture, scale=3), enlarged(picture)
    assert np.abs(np.diff(luma_from_rgb(sharp))).mean() > 1.1 * np.abs(np.diff(luma_from_rgb(base))).mean()


def test_another_scale_than_the_upscalers_is_refused(upscaler: Path) -> None:
    with pytest.raises(UsageError, match="fast-clean-up3 enlarges by 3, not by 2"):
        Sharpener(upscaler)(noise(8, 8), scale=2)


def test_a_result_goes_where_it_is_asked_to_if_that_has_its_size(upscaler: Path) -> None:
    sharpener, picture = Sharpener(upscaler), noise(8, 10, 3)
    out = np.empty((24, 30, 3), np.uint8)
    assert sharpener(picture, out=out) is out
    np.testing.assert_array_equal(out, sharpener(picture))
    with pytest.raises(UsageError, match=r"out must be an array of shape \(24, 30, 3\)"):
        sharpener(picture, out=np.empty_like(picture))


def test_another_student_sharpens_the_enlargement(student_file: Path) -> None:
    sharpener, picture = Sharpener(student_file), noise(20, 30, 3)
    np.testing.assert_array_equal(sharpener(picture, scale=2), sharpener(enlarged(picture, 2)))
    with pytest.raises(UsageError, match=r"scale must be 1, 1.5, 2, 3 or 4, not 5"):
        sharpener(picture, scale=5)


@pytest.mark.parametrize(("width", "height"), [(32, 24), (31, 23)])
def test_a_frame_keeps_its_chroma_at_half_of_its_luma(upscaler: Path, width: int, height: int) -> None:
    luma, chroma = noise(height, width), noise(-(-height // 2), -(-width // 2))
    frame = Frame(luma, (chroma, chroma))
    for sharp in (Sharpener(upscaler).frame(frame), *Sharpener(upscaler).frames([frame, frame])):
        assert sharp.luma.shape == (3 * height, 3 * width)
        assert sharp.chroma is not None
        rows, columns = -(-3 * height // 2), -(-3 * width // 2)
        np.testing.assert_array_equal(sharp.chroma[1], enlarged(chroma)[:rows, :columns])
        assert sharp.scaled_by == 3


def test_engines_of_others_refuse_upscalers_by_name(upscaler: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(EngineError, match="'onnxruntime' does not run upscalers, such as fast-clean-up3"):
        Sharpener(upscaler, engine="onnxruntime")


@pytest.mark.parametrize("scale", [(), ("--scale", "3")])
def test_the_command_line_enlarges_a_picture(upscaler: Path, tmp_path: Path, scale: tuple[str, ...]) -> None:
    picture = noise(20, 30, 3)
    Image.fromarray(picture).save(tmp_path / "in.png")
    words = ["sharpen", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "-m", str(upscaler), *scale]
    assert main(words) == 0
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out.png")), Sharpener(upscaler)(picture))


def test_the_command_line_refuses_another_scale(
    upscaler: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / "in.png")
    assert main(["sharpen", str(tmp_path / "in.png"), "-m", str(upscaler), "--scale", "2"]) == 2
    assert "fast-clean-up3 enlarges by 3, not by 2" in capsys.readouterr().err


def test_a_video_is_enlarged_frame_by_frame_with_its_chroma(upscaler: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, encoder="ffv1")
    report = Sharpener(upscaler, threshold=0).video(source, target, encoder="ffv1", scale=3)
    with VideoReader(source) as before, VideoReader(target) as after:
        assert (report.width, report.height) == (3 * before.width, 3 * before.height) == (after.width, after.height)
        frames = list(Sharpener(upscaler).frames(before))
        assert len(frames) == report.frames > 1
        for expected, got in zip(frames, after, strict=True):
            np.testing.assert_array_equal(got.luma, expected.luma)
            assert got.chroma is not None
            assert expected.chroma is not None
            np.testing.assert_array_equal(got.chroma[0], expected.chroma[0])


def test_a_split_view_of_an_upscaler_shows_the_enlargement(upscaler: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, encoder="ffv1")
    Sharpener(upscaler).video(source, target, encoder="ffv1", split=True)
    with VideoReader(source) as before, VideoReader(target) as after:
        first, joined = next(iter(before)), next(iter(after))
        half = joined.luma.shape[1] // 2
        np.testing.assert_array_equal(joined.luma[:, :half], enlarged(np.ascontiguousarray(first.luma))[:, :half])
