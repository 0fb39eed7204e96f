"""JPEG compression of a picture, in memory."""

import io
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.degrade.resize import check_picture
from acutance.errors import UsageError

__all__ = ["ChromaSubsampling", "JpegResult", "jpeg"]

ChromaSubsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma subsampling: none, horizontal, or horizontal and vertical."""


class JpegResult(NamedTuple):
    """A picture after JPEG compression.

    Attributes:
        picture: the decoded picture, same shape as the source, uint8.
        size_bytes: size of the compressed picture.
    """

    picture: NDArray[np.uint8]
    size_bytes: int


def jpeg(picture: NDArray[np.uint8], *, quality: int, subsampling: ChromaSubsampling = "4:2:0") -> JpegResult:
    """Compress a picture as baseline JPEG (ITU-T T.81) and decode it.

    Args:
        picture: uint8, H x W or H x W x 3 (RGB).
        quality: 1 to 100 on libjpeg's scale.
        subsampling: chroma subsampling.

    Returns:
        The decoded picture and its compressed size.

    Raises:
        UsageError: another type, shape, quality or subsampling, or a side above 65500 pixels.
    """
    check_picture(picture)
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise UsageError(f"JPEG quality must be an integer from 1 to 100, not {quality!r}")
    if subsampling not in get_args(ChromaSubsampling):
        raise UsageError(
            f"chroma subsampling must be one of {', '.join(get_args(ChromaSubsampling))}, not {subsampling!r}"
        )
    if max(picture.shape[:2]) > 65500:
        raise UsageError(f"JPEG takes sides of up to 65500, not {picture.shape[1]}x{picture.shape[0]}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    size = buffer.tell()
    with Image.open(buffer) as decoded:
        return JpegResult(np.asarray(decoded), size)
