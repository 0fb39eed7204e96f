"""Still pictures: nothing is lost between reading and writing that the format can hold."""

import functools
import io
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from numpy.typing import NDArray

from acutance.errors import (
    CorruptInputError,
    InputNotFoundError,
    NotMediaError,
    OutputError,
    OutputExistsError,
    UnsupportedMediaError,
    UsageError,
)
from acutance.io import Image, VideoReader, read_image, write_image

ALPHA = np.tile(np.arange(128, dtype=np.uint8) * 2, (96, 1))


def deep(seed: int, *shape: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)


def exif(orientation: int = 6) -> bytes:
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Maker"
    return tags.tobytes()


@functools.cache
def icc() -> bytes:
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("with_alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_formats_give_back_every_bit(
    tmp_path: Path, suffix: str, colours: int, with_alpha: bool, dtype: Any
) -> None:
    samples = deep(3, 47, 61, 4).astype(dtype)
    pixels = samples[..., :3] if colours == 3 else samples[..., 0]
    alpha = samples[..., 3].copy() if with_alpha else None
    if alpha is not None:
        alpha[:5] = 0  # invisible colours are kept as well
    path = tmp_path / f"a.{suffix}"
    write_image(Image(pixels, alpha), path)
    got = read_image(path)
    assert got.pixels.dtype == dtype
    assert got.bit_depth == 8 * np.dtype(dtype).itemsize
    grey_in_rgb = suffix == "tiff" and colours == 1 and with_alpha and dtype == np.uint16
    assert np.array_equal(got.pixels, np.dstack([pixels] * 3) if grey_in_rgb else pixels)
    assert (got.alpha is None) == (alpha is None)
    if alpha is not None:
        assert got.alpha is not None
        assert np.array_equal(got.alpha, alpha)


def test_pillow_agrees_with_our_16_bit_files(tmp_path: Path) -> None:
    pixels = deep(4, 20, 30, 3)
    for suffix in ("png", "tiff"):
        write_image(Image(pixels), tmp_path / f"a.{suffix}")
        with PIL.Image.open(tmp_path / f"a.{suffix}") as picture:
            assert picture.size == (30, 20)
            assert np.array_equal(np.asarray(picture), pixels >> 8)


def test_lossless_webp_stays_lossless_with_its_invisible_colours(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    source = PIL.Image.fromarray(np.dstack([picture, ALPHA]))
    source.save(tmp_path / "a.webp", lossless=True, exact=True)
    image = read_image(tmp_path / "a.webp")
    assert image.lossless
    write_image(image, tmp_path / "b.webp")
    got = read_image(tmp_path / "b.webp")
    assert np.array_equal(got.pixels, picture)
    assert got.alpha is not None
    assert np.array_equal(got.alpha, ALPHA)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "avif"])
def test_alpha_is_kept_bit_for_bit(tmp_path: Path, picture: NDArray[np.uint8], suffix: str) -> None:
    rng = np.random.default_rng(2)
    for alpha in (ALPHA, rng.integers(0, 256, (96, 128), dtype=np.uint8), np.zeros((96, 128), np.uint8)):
        write_image(Image(picture, alpha), tmp_path / f"a.{suffix}", overwrite=True)
        got = read_image(tmp_path / f"a.{suffix}")
        assert got.alpha is not None
        assert np.array_equal(got.alpha, alpha)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_lossy_formats_stay_close(tmp_path: Path, picture: NDArray[np.uint8], suffix: str) -> None:
    write_image(Image(picture), tmp_path / f"a.{suffix}")
    error = read_image(tmp_path / f"a.{suffix}").pixels.astype(int) - picture
    assert np.abs(error).mean() < (4 if suffix == "webp" else 2)  # lossy WebP is 4:2:0


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    write_image(Image(picture), tmp_path / "a.jpg")
    with PIL.Image.open(tmp_path / "a.jpg") as jpeg:
        assert [layer[1:3] for layer in jpeg.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_and_profile_are_kept_and_pixels_not_turned(
    tmp_path: Path, picture: NDArray[np.uint8], suffix: str, dtype: Any
) -> None:
    pixels = picture.astype(dtype)
    pixels = pixels * 257 if dtype == np.uint16 else pixels
    for orientation in range(1, 9):
        first, second = tmp_path / f"a{orientation}.{suffix}", tmp_path / f"b{orientation}.{suffix}"
        write_image(Image(pixels, exif=exif(orientation), icc=icc()), first)
        image = read_image(first)
        assert image.pixels.shape == (96, 128, 3)
        assert image.orientation == orientation
        if suffix in ("png", "tiff"):
            assert np.array_equal(image.pixels, pixels)
        assert image.icc == icc()
        write_image(image, second)
        again = read_image(second)
        assert again.orientation == orientation
        assert again.icc == icc()
        tags = PIL.Image.Exif()
        tags.load(again.exif)
        assert tags[0x010F] == "Maker"


def test_png_text_and_gamma_are_kept(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "hello")
    info.add(b"gAMA", struct.pack(">I", 45455))
    PIL.Image.fromarray(picture).save(tmp_path / "a.png", pnginfo=info, dpi=(300, 300))
    write_image(read_image(tmp_path / "a.png"), tmp_path / "b.png")
    with PIL.Image.open(tmp_path / "b.png") as got:
        assert got.text["Comment"] == "hello"  # type: ignore[attr-defined]
        assert got.info["gamma"] == pytest.approx(0.45455)
        assert got.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_palettes_become_colours(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    palette = PIL.Image.fromarray(picture).quantize(16)
    palette.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "b.png", transparency=3)
    got = read_image(tmp_path / "b.png")
    assert got.alpha is not None
    assert np.array_equal(got.alpha == 0, np.asarray(palette) == 3)


def test_a_bitmap_becomes_grey(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.eye(16, dtype=bool)).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, np.eye(16, dtype=np.uint8) * 255)


def test_sixteen_bits_are_rounded_where_the_format_holds_eight(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), 200 * 257, np.uint16)
    write_image(Image(pixels), tmp_path / "a.webp", quality=100)
    assert abs(int(read_image(tmp_path / "a.webp").pixels.mean()) - 200) <= 1


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_cmyk_is_refused_with_what_to_do(tmp_path: Path) -> None:
    PIL.Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(UnsupportedMediaError, match=r"a\.jpg: CMYK .*convert it to RGB"):
        read_image(tmp_path / "a.jpg")


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UnsupportedMediaError, match=r"a\.tiff: float"):
        read_image(tmp_path / "a.tiff")


@pytest.mark.parametrize("suffix", ["webp", "png", "avif"])
def test_animations_are_refused(tmp_path: Path, suffix: str) -> None:
    pictures = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:])
    with pytest.raises(UnsupportedMediaError, match="an animation of 2 frames"):
        read_image(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["webp", "png", "avif"])
def test_the_command_that_the_refusal_of_an_animation_gives_makes_video_that_is_read(
    tmp_path: Path, suffix: str
) -> None:
    pictures = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "white")]
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:], duration=100)
    with pytest.raises(UnsupportedMediaError) as refused:
        read_image(tmp_path / f"a.{suffix}")
    command = shlex.split(str(refused.value).partition("for example with ")[2])
    program = {"python": sys.executable}.get(command[0]) or shutil.which(command[0])
    if program is None:
        pytest.skip(f"needs {command[0]}")
    (output,) = re.findall(r"OUT\.\w+", " ".join(command))
    words = [word.replace("IN", f"a.{suffix}") for word in command[1:]]
    subprocess.run([program, *words], cwd=tmp_path, check=True, capture_output=True)
    with VideoReader(tmp_path / output) as reader:
        assert len(list(reader)) == 3


def test_a_tiff_of_several_pages_is_refused(tmp_path: Path) -> None:
    pictures = [PIL.Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a.tiff", save_all=True, append_images=pictures[1:])
    with pytest.raises(UnsupportedMediaError, match="2 pages"):
        read_image(tmp_path / "a.tiff")


@pytest.mark.parametrize(("width", "height"), [(1 << 30, 1 << 30), (17000, 8), (16384, 16385), (60000, 60000)])
@pytest.mark.parametrize("depth", [8, 16])
def test_absurd_dimensions_are_refused_by_the_header(tmp_path: Path, width: int, height: int, depth: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c))
        for n, c in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b""))
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    with pytest.raises(UnsupportedMediaError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_missing_empty_and_text_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "zero.png").touch()
    with pytest.raises(NotMediaError, match=r"zero\.png: the file is empty"):
        read_image(tmp_path / "zero.png")
    (tmp_path / "text.png").write_text("hello, world " * 20)
    with pytest.raises(NotMediaError, match=r"text\.png: not an image"):
        read_image(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_truncated_image_is_corrupt(
    tmp_path: Path, picture: NDArray[np.uint8], suffix: str, share: float, dtype: Any
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_image(Image(picture.astype(dtype)), path)
    data = path.read_bytes()
    path.write_bytes(data[: max(16, int(len(data) * share))])
    with pytest.raises(CorruptInputError, match=rf"a\.{suffix}: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_unknown_suffix_quality_and_shape_are_usage_errors(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match=r"images are written as \.png"):
        write_image(Image(picture), tmp_path / "a.xyz")
    with pytest.raises(UsageError, match=r"quality .* from 1 to 100"):
        write_image(Image(picture), tmp_path / "a.jpg", quality=0)
    with pytest.raises(UsageError, match="pixels must be"):
        write_image(Image(picture.astype(np.float32)), tmp_path / "a.png")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="alpha must be"):
        write_image(Image(picture, ALPHA[:3]), tmp_path / "a.png")


def test_existing_and_same_files_are_safe(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    path = tmp_path / "a.png"
    write_image(Image(picture), path)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="exists already"):
        write_image(Image(picture), path)
    with pytest.raises(OutputExistsError, match="is the input"):
        write_image(Image(picture), path, source=path, overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_full_disk_is_an_output_error_and_leaves_no_file(
    tmp_path: Path, picture: NDArray[np.uint8], suffix: str
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OutputError, match=rf"a\.{suffix}: cannot be written"):
            write_image(Image(picture), tmp_path / f"a.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_phone_picture_with_a_second_one_keeps_the_first(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    first = PIL.Image.fromarray(picture)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[PIL.Image.new("RGB", (16, 16))], quality=95)
    got = read_image(tmp_path / "a.jpg")
    assert got.format == "JPEG"
    assert got.pixels.shape == picture.shape
    assert "2 pictures" in got.notes[0]


def test_the_depth_of_an_avif_is_recognised() -> None:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (16, 16)).save(buffer, "AVIF")
    data = bytearray(buffer.getvalue())
    data[data.index(b"av1C") + 6] |= 0x40
    from acutance.io.images import _avif_depth

    assert _avif_depth(bytes(data)) == 10
    assert _avif_depth(buffer.getvalue()) == 8
