"""Whether a file is all there, by what its own container says of its length."""

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["missing_part"]

_EBML_SEGMENT = 0x18538067


def missing_part(path: Path) -> str | None:
    """What is missing at the end of an MP4, MOV, Matroska, WebM or AVI file, in words; None where nothing is.

    Demuxers end such a file as if it were complete; only the lengths in the container tell.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return _mp4(file, size)
            if head[:4] == b"\x1aE\xdf\xa3":
                return _matroska(file, size)
            if head[:4] == b"RIFF" and 8 + int.from_bytes(head[4:8], "little") > size + 1:
                return _short(8 + int.from_bytes(head[4:8], "little") - size)
    except OSError:
        pass
    return None


def _short(missing: int) -> str:
    return f"the file breaks off, {missing} bytes before its announced end"


def _mp4(file: BinaryIO, size: int) -> str | None:
    offset, kinds = 0, set()
    while offset + 8 <= size:
        file.seek(offset)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        kinds.add(kind)
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            break  # reaches to the end of the file
        if length < 8:
            break
        offset += length
        if offset > size:
            return _short(offset - size) + ("" if b"moov" in kinds else "; its index (moov) is not there")
    return None if b"moov" in kinds else "its index (moov) is not there: the recording was never finished"


def _matroska(file: BinaryIO, size: int) -> str | None:
    file.seek(0, os.SEEK_SET)
    offset = 0
    for _ in range(8):
        file.seek(offset)
        header = file.read(12)
        if not header or header[0] == 0:
            return None
        id_length = 9 - header[0].bit_length()
        identity = int.from_bytes(header[:id_length], "big")
        rest = header[id_length:]
        if not rest or rest[0] == 0:
            return None
        size_length = 9 - rest[0].bit_length()
        length = int.from_bytes(rest[:size_length], "big") & ((1 << 7 * size_length) - 1)
        if length == (1 << 7 * size_length) - 1:
            return None  # of unknown length, as live recordings are
        offset += id_length + size_length + length
        if identity == _EBML_SEGMENT:
            return _short(offset - size) if offset > size else None
    return None
