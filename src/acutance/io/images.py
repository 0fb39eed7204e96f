"""Still pictures: samples and alpha in, samples and alpha out, and what surrounds them kept."""

import io
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from acutance._util.arguments import whole_number
from acutance._util.plain_files import open_plain
from acutance.errors import (
    AcutanceError,
    CorruptInputError,
    InputNotFoundError,
    NotMediaError,
    UnsupportedMediaError,
    UsageError,
)
from acutance.io import _jpeg, _png, _tiff
from acutance.io._checks import check_dimensions, check_readable, sniff
from acutance.io.files import AtomicOutput, output_error

__all__ = ["Image", "Samples", "format_of", "read_image", "write_image"]

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of a picture: H x W or H x W x channels."""

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "PPM")
_BY_SUFFIX = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".avif": "AVIF", ".bmp": "BMP", ".dib": "BMP",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
}  # fmt: skip
_KEPT_CHUNKS = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
_HEADER_BYTES = 64 << 20  # room for profiles, previews and text beside the samples
_MOST_GARBAGE = 1 << 16  # bytes between the segments of a JPEG, which Pillow passes over one by one
_MOST_SCANS = 500  # of a JPEG; encoders make about ten
_MOST_SCANNED = 1 << 34  # pixels, in all scans of a JPEG together
_MOST_BYTES = 1 << 30  # of a file whose picture's size is not known before all of it is read
_ORIENTATION = 0x0112
_NCLX = b"colrnclx"
_AS_VIDEO = "make it a video first, for example with ffmpeg -i IN OUT.mkv"
_WAYS_OUT = {  # of files that hold several pictures
    "PNG": _AS_VIDEO,
    "AVIF": _AS_VIDEO,
    # FFmpeg's decoder does not take animated WebP.
    "WEBP": "make it a GIF first, which is read as video, for example with python -c "
    "\"from PIL import Image; Image.open('IN').save('OUT.gif', save_all=True)\"",
}
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_UNSAID = (1, 2)  # primaries of sRGB, and none: nothing to carry over


@dataclass(frozen=True, slots=True)
class Image:
    """A still picture as stored, not turned by its orientation tag.

    pixels: H x W (grey) or H x W x 3 (RGB), uint8 or uint16, full range.
    alpha: H x W of the same type, or None. exif, icc, xmp: as stored, or None. format: Pillow's name of it.
    lossless: of a WebP. dpi: dots per inch across and down. png_chunks: others worth keeping in a PNG.
    code_points: colour primaries and transfer as ITU-T H.273 numbers them, where an AVIF or PNG names them.
    notes: what reading could not keep, one line each.
    """

    pixels: Samples
    alpha: Samples | None = None
    exif: bytes | None = field(default=None, repr=False)
    icc: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    format: str = "PNG"
    lossless: bool = False
    dpi: tuple[float, float] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    code_points: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def bit_depth(self) -> int:
        return 8 * self.pixels.dtype.itemsize

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8; 1 is upright."""
        if not self.exif:
            return 1
        tags = PIL.Image.Exif()
        tags.load(self.exif)
        value = tags.get(_ORIENTATION, 1)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1

    def with_pixels(self, pixels: Samples) -> "Image":
        """The same picture with other samples of the same size and type."""
        return replace(self, pixels=pixels)


def read_image(path: str | Path) -> Image:
    """Read a PNG, JPEG, WebP, TIFF or AVIF file: 8 bits, and 16 bits of PNG and TIFF.

    Palettes and bitmaps become grey or RGB. Raises InputNotFoundError, NotMediaError, CorruptInputError (also where
    the file breaks off), UnsupportedMediaError (animated, several pages, CMYK, float samples, absurd size).
    """
    path = Path(path)
    head = check_readable(path)
    known = sniff(head) == "image"
    try:
        data = _contents(path, head)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                check_dimensions(path, picture.width, picture.height)
                return _decoded(path, picture, data)
    except AcutanceError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise UnsupportedMediaError(
            f"{path}: its header announces more pixels than Pillow opens ({PIL.Image.MAX_IMAGE_PIXELS} times two)"
        ) from error
    except PIL.UnidentifiedImageError as error:
        if known:
            raise CorruptInputError(f"{path}: an image whose header cannot be read") from error
        raise NotMediaError(f"{path}: not an image that is known here ({', '.join(_FORMATS)})") from error
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path}: no such file") from error
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's decoders raises kinds of its own
        raise CorruptInputError(f"{path}: the image cannot be decoded: {_one_line(error)}") from error


def _contents(path: Path, head: bytes) -> bytes:
    """Read a file that is not larger than a picture of its size can be.

    It is read once: it may be replaced while it is being decoded, and it is decoded up to twice.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        most = _MOST_BYTES
        if size > _HEADER_BYTES and not head.startswith((b"RIFF", b"\xff\xd8")) and head[4:8] != b"ftyp":
            # Of these formats Pillow reads the header alone.
            with PIL.Image.open(file, formats=_FORMATS) as picture:
                check_dimensions(path, picture.width, picture.height)
                most = _HEADER_BYTES + 8 * picture.width * picture.height
            file.seek(0)
        if size > most:
            raise UnsupportedMediaError(
                f"{path}: the file has {size:,} bytes, more than a picture of its size can need ({most:,})"
            )
        data = file.read(_HEADER_BYTES)
        if data.startswith(b"\xff\xd8"):
            _check_jpeg(path, data)
        return data + file.read(most)


def _check_jpeg(path: Path, data: bytes) -> None:
    """Refuse a JPEG on which a decoder would spend minutes."""
    found = _jpeg.survey(data)
    if found.garbage > _MOST_GARBAGE or not found.width:
        raise CorruptInputError(f"{path}: an image whose header cannot be read")
    check_dimensions(path, found.width, found.height)
    if found.scans > _MOST_SCANS or found.scans * found.width * found.height > _MOST_SCANNED:
        raise UnsupportedMediaError(f"{path}: a JPEG of {found.scans} scans takes too long to decode")


def _decoded(path: Path, picture: PIL.Image.Image, data: bytes) -> Image:
    notes: list[str] = []
    count = getattr(picture, "n_frames", 1)
    name = picture.format or "PNG"
    if name == "MPO":
        notes.append(f"the file holds {count} pictures; the first is kept")
        name = "JPEG"
    elif count > 1:
        what = f"a TIFF of {count} pages" if name == "TIFF" else f"an animation of {count} frames"
        way = _WAYS_OUT.get(name, "")
        raise UnsupportedMediaError(f"{path}: {what}; single pictures are accepted{way and f'; {way}'}")
    exif, xmp = _exif(picture, name), picture.info.get("xmp")
    image = Image(
        pixels=np.zeros((1, 1), np.uint8),
        exif=exif,
        icc=picture.info.get("icc_profile") or None,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        format=name,
        lossless=name == "WEBP" and b"VP8L" in _webp_chunks(data),
        dpi=_dpi(picture),
        code_points=_code_points(path, data, name),
        png_chunks=tuple(c for c in _png.chunks(data) if c[0] in _KEPT_CHUNKS) if name == "PNG" else (),
    )
    if name == "AVIF" and _avif_depth(data) > 8:
        notes.append(f"{_avif_depth(data)}-bit AVIF is read as 8-bit")
    deep = _deep_samples(path, picture, data, name)
    samples: NDArray[Any] = _samples(path, picture) if deep is None else deep
    if name == "TIFF" and deep is None:
        samples = _tiff.as_stored(samples, image.orientation)
    colours = 3 if samples.shape[2] >= 3 else 1
    pixels: NDArray[Any] = samples[:, :, :3] if colours == 3 else samples[:, :, 0]
    contiguous: Any = np.ascontiguousarray  # keeps the type, which its annotation does not say
    alpha = contiguous(samples[:, :, colours]) if samples.shape[2] > colours else None
    return replace(image, pixels=contiguous(pixels), alpha=alpha, notes=tuple(notes))


def _deep_samples(path: Path, picture: PIL.Image.Image, data: bytes, name: str) -> NDArray[np.uint16] | None:
    """The samples of a 16-bit file, which Pillow would cut to 8 where there is more than grey; None for others."""
    if name == "PNG" and _png.header_depth(data) == 16:
        if not any(chunk == b"IEND" for chunk, _ in _png.chunks(data)):
            raise CorruptInputError(f"{path}: the image breaks off")
        return _png.decode_deep(data)
    if name == "TIFF" and picture.mode in ("L", "LA", "RGB", "RGBA", "RGBX", "YCbCr"):
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        bits = set(tags.get(258, (1,)))
        if bits == {16} and tags.get(262) in (1, 2) and set(tags.get(339, (1,))) == {1}:
            return _png.decode_deep(data, "tiff")
        if max(bits) > 8:
            raise UnsupportedMediaError(f"{path}: a TIFF of {max(bits)}-bit samples of this kind is not accepted")
    return None


def _samples(path: Path, picture: PIL.Image.Image) -> Samples:
    """H x W x channels by Pillow, of the modes that mean grey or RGB."""
    mode = picture.mode
    if mode.startswith("I;16"):
        deep = np.asarray(picture)
        return deep.astype(np.uint16)[:, :, None]
    see_through = "transparency" in picture.info
    targets = {
        "1": "L", "L": "LA" if see_through else "L", "LA": "LA", "RGB": "RGBA" if see_through else "RGB",
        "RGBA": "RGBA", "RGBX": "RGB", "P": "RGBA" if see_through else "RGB", "PA": "RGBA", "YCbCr": "RGB",
    }  # fmt: skip
    if mode not in targets:
        kinds = {"CMYK": "CMYK (made for print)", "F": "float samples", "I": "32-bit samples", "LAB": "CIE Lab"}
        raise UnsupportedMediaError(f"{path}: {kinds.get(mode, mode)} is not accepted; convert it to RGB first")
    picture.load()
    converted = picture if mode == targets[mode] else picture.convert(targets[mode])
    samples: NDArray[np.uint8] = np.asarray(converted, np.uint8)
    return samples[:, :, None] if samples.ndim == 2 else samples


def _exif(picture: PIL.Image.Image, name: str) -> bytes | None:
    if name != "TIFF":
        stored = picture.info.get("exif")
        if isinstance(stored, bytes) and stored:
            return stored
    tags = picture.getexif()
    if name == "TIFF":
        kept = PIL.Image.Exif()
        for tag in _tiff.KEPT_TAGS:
            if tag in tags:
                kept[tag] = tags[tag]
        for pointer in (0x8769, 0x8825):
            inner = tags.get_ifd(pointer)
            if inner:
                kept.get_ifd(pointer).update(inner)
        tags = kept
    return tags.tobytes() if len(tags) else None


def _dpi(picture: PIL.Image.Image) -> tuple[float, float] | None:
    dpi = picture.info.get("dpi")
    try:
        return (float(dpi[0]), float(dpi[1])) if dpi and float(dpi[0]) > 0 and float(dpi[1]) > 0 else None
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None


def _code_points(path: Path, data: bytes, name: str) -> tuple[int, int] | None:
    """Return primaries and transfer of an AVIF (its ``nclx`` box) or PNG (its ``cICP`` chunk), or None.

    Raises UnsupportedMediaError for HDR, as for video.
    """
    found: tuple[int, int] | None = None
    if name == "AVIF" and (at := data.find(_NCLX, 0, 1 << 16)) >= 0:
        found = struct.unpack_from(">HH", data, at + len(_NCLX))
    elif name == "PNG":
        content = next((c for chunk, c in _png.chunks(data) if chunk == b"cICP" and len(c) == 4), None)
        found = (content[0], content[1]) if content else None
    if found is not None and found[1] in _HDR_TRANSFERS:
        raise UnsupportedMediaError(
            f"{path}: an HDR picture, {_HDR_TRANSFERS[found[1]]}: the students were trained on standard dynamic range; "
            "tone-map it first"
        )
    return None if found is None or found[0] in _UNSAID else found


def _with_code_points(avif: bytes, points: tuple[int, int]) -> bytes:
    """Return an AVIF file with other primaries and transfer; Pillow always writes those of sRGB."""
    at = avif.find(_NCLX, 0, 1 << 16)
    return avif if at < 0 else avif[: at + len(_NCLX)] + struct.pack(">HH", *points) + avif[at + len(_NCLX) + 4 :]


def _webp_chunks(data: bytes) -> list[bytes]:
    """Return the names of a WebP file's chunks, in order: the picture may stand behind a large ICC profile."""
    names: list[bytes] = []
    offset = 12
    while offset + 8 <= len(data):
        names.append(data[offset : offset + 4])
        size = int.from_bytes(data[offset + 4 : offset + 8], "little")
        offset += 8 + size + size % 2
    return names


def _avif_depth(data: bytes) -> int:
    at = data.find(b"av1C", 0, 1 << 16)
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def write_image(
    image: Image,
    path: str | Path,
    *,
    quality: int = 95,
    overwrite: bool = False,
    source: str | Path | None = None,
) -> list[str]:
    """Write a picture in the format that the suffix of ``path`` names, with its alpha, EXIF, ICC profile and XMP.

    quality: 1 to 100, of JPEG (4:4:4), WebP and AVIF (4:4:4); a WebP that was lossless stays so. 16-bit samples stay
    so in PNG and TIFF (grey with alpha becomes RGB with alpha in a TIFF), and are rounded to 8 bits elsewhere.
    Alpha keeps every bit; in PNG, TIFF and WebP so do colours where nothing shows, as far as the format is lossless.
    source: the file the picture was read from; the output must not be it.
    Returns what was lost on the way, one line each: a format without alpha gets the picture on white.
    Raises UsageError (unknown suffix, a quality out of range), OutputExistsError, OutputError.
    """
    path = Path(path)
    try:
        name = _BY_SUFFIX[path.suffix.lower()]
    except KeyError:
        accepted = ", ".join(_BY_SUFFIX)
        raise UsageError(f"{path}: images are written as {accepted}; not {path.suffix or 'without a suffix'}") from None
    quality = whole_number(quality, "quality", low=1, high=100)
    notes: list[str] = []
    if name in ("JPEG", "PPM") and image.alpha is not None:
        notes.append(f"{path.suffix.lower()[1:].upper()} holds no alpha channel: the picture is laid on white")
        image = _on_white(image)
    if image.code_points and not image.icc and name not in ("AVIF", "PNG"):
        notes.append(f"{name} without an ICC profile cannot name the colour primaries ({image.code_points[0]})")
    samples = _joined(image)
    inputs = [] if source is None else [source]
    with AtomicOutput(path, overwrite=overwrite, inputs=inputs) as output:
        try:
            # Through memory: given a file, Pillow takes a short write, as on a full disk, for a whole one.
            output.temporary.write_bytes(_encoded(image, samples, name, quality))
        except AcutanceError:
            raise
        except (OSError, ValueError, RuntimeError, KeyError, struct.error) as error:
            raise output_error(path, error) from error
    return notes


def format_of(path: str | Path) -> str | None:
    """Return Pillow's name of the format that a file name asks for, or None."""
    return _BY_SUFFIX.get(Path(path).suffix.lower())


def _on_white(image: Image) -> Image:
    """Return the picture without its alpha channel, laid on white."""
    pixels, alpha = image.pixels, image.alpha
    if alpha is None:
        return image
    top = int(np.iinfo(pixels.dtype).max)
    weight = alpha.astype(np.float64) / top
    weight = weight if pixels.ndim == 2 else weight[:, :, None]
    mixed: Any = np.rint(pixels * weight + top * (1 - weight)).astype(pixels.dtype)
    return replace(image, pixels=mixed, alpha=None)


def _joined(image: Image) -> Samples:
    """H x W x (1 to 4). Raises UsageError where the parts do not fit."""
    pixels, alpha = image.pixels, image.alpha
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not shaped or pixels.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"pixels must be H x W or H x W x 3 of uint8 or uint16, not {pixels.shape} of {pixels.dtype}")
    parts = [pixels[:, :, None] if pixels.ndim == 2 else pixels]
    if alpha is not None:
        if alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype:
            raise UsageError(f"alpha must be {pixels.shape[:2]} of {pixels.dtype}, not {alpha.shape} of {alpha.dtype}")
        parts.append(alpha[:, :, None])
    joined: NDArray[Any] = np.concatenate(parts, axis=2)
    return joined


def _encoded(image: Image, samples: Samples, name: str, quality: int) -> bytes:
    channels = samples.shape[2]
    if samples.dtype == np.uint16 and name == "TIFF" and channels != 1:
        # Pillow takes no TIFF of 16-bit grey with alpha for one, so it is written as RGB with alpha.
        return _tiff.encode_deep(
            samples[:, :, [0, 0, 0, 1]] if channels == 2 else samples,
            exif=image.exif,
            icc=image.icc,
            xmp=image.xmp,
            dpi=image.dpi,
        )
    if name == "PNG":
        return _png_file(image, samples)
    options: dict[str, Any] = {}
    if image.exif:
        options["exif"] = image.exif
    if image.icc:
        options["icc_profile"] = image.icc
    if image.xmp and name in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = image.xmp
    if image.dpi and name in ("JPEG", "TIFF"):
        options["dpi"] = image.dpi
    if name == "JPEG":
        options |= {"quality": quality, "subsampling": "4:4:4", "optimize": True}
    elif name == "WEBP":
        options |= {"exact": True, "method": 4, "use_sharp_yuv": True}  # lossy WebP is 4:2:0 and nothing else
        options |= {"lossless": True, "quality": 100} if image.lossless else {"quality": quality, "alpha_quality": 100}
    elif name == "AVIF":
        options |= {"quality": quality, "subsampling": "4:4:4"}
        if channels in (2, 4):
            options["advanced"] = {"alpha:lossless": "1"}
    elif name == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    if samples.dtype == np.uint16 and name != "TIFF":
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if name == "BMP" and channels == 2:
        samples = samples[:, :, [0, 0, 0, 1]]  # Pillow writes no bitmap of grey with alpha
    buffer = io.BytesIO()
    _pillow(samples).save(buffer, name, **options)
    data = buffer.getvalue()
    return _with_code_points(data, image.code_points) if name == "AVIF" and image.code_points else data


def _pillow(samples: Samples) -> PIL.Image.Image:
    if samples.dtype == np.uint16:
        return PIL.Image.fromarray(np.ascontiguousarray(samples[:, :, 0]))
    channels = samples.shape[2]
    if channels == 2:
        grey = PIL.Image.fromarray(np.ascontiguousarray(samples[:, :, 0]))
        return PIL.Image.merge("LA", (grey, PIL.Image.fromarray(np.ascontiguousarray(samples[:, :, 1]))))
    return PIL.Image.fromarray(np.ascontiguousarray(samples[:, :, 0] if channels == 1 else samples))


def _png_file(image: Image, samples: Samples) -> bytes:
    if samples.dtype == np.uint16:
        data = _png.encode_deep(np.asarray(samples, np.uint16))
    else:
        buffer = io.BytesIO()
        _pillow(samples).save(buffer, "PNG")
        data = buffer.getvalue()
    extra = list(image.png_chunks)
    if image.code_points and not any(chunk == b"cICP" for chunk, _ in extra):
        extra.insert(0, (b"cICP", bytes((*image.code_points, 0, 1))))
    if image.icc:
        extra.insert(0, (b"iCCP", b"icc\0\0" + zlib.compress(image.icc)))
        extra = [chunk for chunk in extra if chunk[0] != b"sRGB"]  # the standard allows one of the two
    if image.exif:
        extra.append((b"eXIf", image.exif.removeprefix(b"Exif\0\0")))
    names = {name for name, _ in extra}
    if image.dpi and b"pHYs" not in names:
        extra.append((b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in image.dpi), 1)))
    if image.xmp and not any(n == b"iTXt" and c.startswith(b"XML:com.adobe.xmp") for n, c in extra):
        extra.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + image.xmp))
    return _png.with_chunks(data, extra)
