"""PNG by its chunks: what Pillow does not keep when it saves, and 16 bits in colour, which it does not read."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["chunks", "decode_deep", "encode_deep", "header_depth", "make_chunk", "with_chunks"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FORMATS = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG file, (name, content); a broken one ends it early."""
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        end = offset + 12 + length
        if end > len(data):
            return
        yield data[offset + 4 : offset + 8], data[offset + 8 : end - 4]
        offset = end


def header_depth(data: bytes) -> int | None:
    """Bits of a sample as a PNG header says; None for anything else."""
    return data[24] if data.startswith(SIGNATURE) and len(data) > 25 and data[12:16] == b"IHDR" else None


def make_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunks(data: bytes, extra: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG file with more chunks, right behind its header, where every ancillary kind may stand."""
    end = len(SIGNATURE) + 25
    return data[:end] + b"".join(make_chunk(name, content) for name, content in extra) + data[end:]


def decode_deep(data: bytes, codec: str = "png") -> NDArray[np.uint16]:
    """The samples of a 16-bit PNG (or, with ``codec="tiff"``, TIFF) file, H x W x (1 to 4), uint16.

    Raises ValueError where it does not decode.
    """
    from acutance._util.av import av, reason

    context: Any = av.CodecContext.create(codec, "r")
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except av.error.FFmpegError as error:
        raise ValueError(reason(error)) from error
    if not frames:
        raise ValueError("no picture in it")
    frame = frames[0]
    name = frame.format.name
    base, big = (name[:-2] + "be", name.endswith("be"))
    if base not in _FORMATS:
        raise ValueError(f"its samples ({name}) are not 16-bit grey or RGB")
    plane = frame.planes[0]
    samples = np.frombuffer(memoryview(plane), ">u2" if big else "<u2").reshape(frame.height, plane.line_size // 2)
    count = _FORMATS[base]
    return samples[:, : frame.width * count].reshape(frame.height, frame.width, count).astype(np.uint16)


def encode_deep(samples: NDArray[np.uint16]) -> bytes:
    """A PNG file of 16-bit samples, H x W x (1 to 4)."""
    from acutance._util.av import av

    height, width, count = samples.shape
    name = next(name for name, channels in _FORMATS.items() if channels == count)
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, name, Fraction(1, 25)
    context.options = {"pred": "mixed", "compression_level": "6"}
    frame = av.VideoFrame(width, height, name)
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), ">u2").reshape(height, plane.line_size // 2)
    rows[:, : width * count] = samples.reshape(height, width * count)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
