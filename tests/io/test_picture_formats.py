"""Picture formats: what they cannot hold is said, what needs no change is copied, odd sizes find a way."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import features

from acutance.errors import ModelError, UnsupportedMediaError
from acutance.io import Image, VideoReader, VideoWriter, read_image, write_image
from acutance.io.files import expand_inputs
from acutance.jobs.pipeline import sharpen_image
from acutance.sharpening.single import FrameSharpener
from acutance.students.bundled import find_student
from io_clips import make_clip


@pytest.mark.parametrize("suffix", [".bmp", ".dib", ".ppm"])
def test_bitmaps_are_read_and_written(tmp_path: Path, picture: NDArray[np.uint8], suffix: str) -> None:
    name = "PPM" if suffix == ".ppm" else "BMP"
    PillowImage.fromarray(picture).save(tmp_path / f"a{suffix}", name)
    assert [file.kind for file in expand_inputs([tmp_path])] == ["image"]
    assert write_image(read_image(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}") == []
    np.testing.assert_array_equal(read_image(tmp_path / f"b{suffix}").pixels, picture)


@pytest.mark.parametrize("suffix", [".jpg", ".ppm"])
def test_alpha_is_laid_on_white_where_a_format_has_none(tmp_path: Path, suffix: str) -> None:
    colours = np.zeros((16, 16, 4), np.uint8)
    colours[:, :8, 3] = 255
    PillowImage.fromarray(colours).save(tmp_path / "a.png")
    notes = write_image(read_image(tmp_path / "a.png"), tmp_path / f"b{suffix}")
    assert notes == [f"{suffix[1:].upper()} holds no alpha channel: the picture is laid on white"]
    found = np.asarray(PillowImage.open(tmp_path / f"b{suffix}").convert("L"))
    assert found[8, 2] < 10
    assert found[8, 13] > 245


def test_a_lossless_webp_behind_a_large_profile_stays_lossless(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    PillowImage.fromarray(picture).save(tmp_path / "a.webp", lossless=True, icc_profile=os.urandom(9000))
    image = read_image(tmp_path / "a.webp")
    assert image.lossless
    write_image(image, tmp_path / "b.webp")
    np.testing.assert_array_equal(read_image(tmp_path / "b.webp").pixels, picture)


def test_a_lossy_webp_is_not_taken_for_lossless(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    PillowImage.fromarray(picture).save(tmp_path / "a.webp", quality=80, icc_profile=b"VP8L" * 100)
    assert not read_image(tmp_path / "a.webp").lossless


def test_a_jpeg_that_is_left_as_it_is_is_copied(tmp_path: Path, picture: NDArray[np.uint8], student_file: Path) -> None:
    PillowImage.fromarray(picture).save(tmp_path / "a.jpg", quality=60)
    sharpen_image(FrameSharpener(student_file, strength=0.0), tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_a_model_that_is_misspelt_is_told_of_the_tiers() -> None:
    with pytest.raises(ModelError, match="auto, fast, balanced, quality"):
        find_student("bset")


@pytest.mark.parametrize("suffix", [".mov", ".ts"])
def test_an_odd_size_that_no_encoder_takes_is_extended(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "a.mkv", size=(65, 49), encoder="ffv1", pix_fmt="yuv422p")
    with VideoReader(source) as reader, VideoWriter(tmp_path / f"b{suffix}", reader, crf=0) as writer:
        for frame in reader:
            out = writer.new_frame(frame)
            assert out.luma.shape == (49, 65)
            out.luma[:] = frame.luma
            writer.write(out)
    assert [n for n in writer.notes if "65 x 49 is repeated to 66 x 50" in n]
    with VideoReader(source) as one, VideoReader(tmp_path / f"b{suffix}") as two:
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(b.luma[:49, :65], a.luma)
            np.testing.assert_array_equal(b.luma[:49, 65], a.luma[:, 64])
            np.testing.assert_array_equal(b.luma[49], b.luma[48])


def test_an_alpha_channel_of_webm_is_named_and_its_tag_removed(tmp_path: Path) -> None:
    from acutance._util.av import av

    with av.open(str(tmp_path / "a.webm"), "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for index in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 4), 60 + index, np.uint8), format="rgba")
            output.mux(stream.encode(frame.reformat(format="yuva420p")))
        output.mux(stream.encode(None))
    with VideoReader(tmp_path / "a.webm") as reader, VideoWriter(tmp_path / "b.webm", reader) as writer:
        for frame in reader:
            writer.write(frame)
    assert [n for n in reader.notes if "alpha channel is left out" in n]
    with av.open(str(tmp_path / "b.webm")) as container:
        assert not [key for key in container.streams.video[0].metadata if key.lower() == "alpha_mode"]


def _avif(path: Path, picture: NDArray[np.uint8], points: tuple[int, int]) -> Path:
    """Write an AVIF that says it has these primaries and this transfer."""
    PillowImage.fromarray(picture).save(path, "AVIF", quality=90)
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + struct.pack(">HH", *points) + data[at + 4 :])
    return path


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_pictures_are_refused_like_hdr_video(tmp_path: Path, picture: NDArray[np.uint8], transfer: int) -> None:
    with pytest.raises(UnsupportedMediaError, match="HDR picture"):
        read_image(_avif(tmp_path / "a.avif", picture, (9, transfer)))
    write_image(Image(picture, png_chunks=((b"cICP", bytes((9, transfer, 0, 1))),)), tmp_path / "a.png")
    with pytest.raises(UnsupportedMediaError, match="HDR picture"):
        read_image(tmp_path / "a.png")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("target", ["b.avif", "b.png"])
def test_display_p3_is_kept(tmp_path: Path, picture: NDArray[np.uint8], target: str) -> None:
    image = read_image(_avif(tmp_path / "a.avif", picture, (12, 13)))
    assert image.code_points == (12, 13)
    assert write_image(image, tmp_path / target) == []
    assert read_image(tmp_path / target).code_points == (12, 13)
    notes = write_image(image, tmp_path / "b.jpg")
    assert [note for note in notes if "colour primaries (12)" in note]
