"""TIFF beyond what Pillow does with it: 16 bits in colour, and pictures left lying as they are stored."""

import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

__all__ = ["KEPT_TAGS", "as_stored", "encode_deep"]

# Tags of a TIFF that describe the picture and not how its samples lie in the file.
KEPT_TAGS = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 316, 33432)


def as_stored(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo what Pillow does to a TIFF: it turns it upright by its tag, which is kept here and would turn it twice."""
    if orientation in (5, 7):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 4):
        return np.flip(samples, 1 if orientation == 2 else 0)
    return np.rot90(samples, {3: 2, 6: 1, 7: 2, 8: -1}.get(orientation, 0))


def encode_deep(
    samples: NDArray[Any],
    *,
    exif: bytes | None,
    icc: bytes | None,
    xmp: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """A TIFF of 16-bit RGB or with alpha, which Pillow reads only in part and does not write at all (TIFF 6.0)."""
    height, width, channels = samples.shape
    packed = zlib.compress(np.ascontiguousarray(samples, "<u2").tobytes(), 6)
    directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    if exif:
        tags = PIL.Image.Exif()
        tags.load(exif)
        for tag in KEPT_TAGS:
            if tag in tags:
                directory[tag] = tags[tag]
        for pointer in (0x8769, 0x8825):
            if tags.get_ifd(pointer):
                directory[pointer] = tags.get_ifd(pointer)
    directory[256], directory[257] = width, height
    directory[258] = (16,) * channels
    directory[259] = 8  # Deflate
    directory[262] = 2  # RGB
    directory[277], directory[278] = channels, height
    directory[279], directory[284] = len(packed), 1
    if channels == 4:
        directory[338] = (2,)  # alpha that is not multiplied into the colours
    if dpi:
        directory[282], directory[283], directory[296] = dpi[0], dpi[1], 2
    if xmp:
        directory.tagtype[700] = 1
        directory[700] = xmp
    if icc:
        directory.tagtype[34675] = 7
        directory[34675] = icc
    header = b"II*\0" + struct.pack("<I", 8)
    directory[273] = 0  # counted from the directory's end; Pillow adds where that is
    return header + directory.tobytes(8) + packed
