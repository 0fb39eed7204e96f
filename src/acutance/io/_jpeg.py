"""JPEG by its markers: how large the picture is and how many scans it has, before a decoder spends time on it."""

import re
from dataclasses import dataclass

__all__ = ["JpegSurvey", "survey"]

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # stuffed bytes and restart markers belong to the scan
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9


@dataclass(frozen=True, slots=True)
class JpegSurvey:
    """What the markers of a JPEG say (ITU-T T.81, annex B).

    Attributes:
        width, height: Of the picture, 0 where no frame header was found.
        scans: How often a decoder goes over the picture.
        garbage: Bytes between the segments before the first scan, which belong to none.
    """

    width: int
    height: int
    scans: int
    garbage: int


def survey(data: bytes) -> JpegSurvey:
    """Walk over the markers of a JPEG file, or of its beginning."""
    width = height = scans = garbage = 0
    offset = 2
    while (found := (_AFTER_SCAN if scans else _MARKER).search(data, offset)) is not None:
        if not scans:
            garbage += found.start() - offset
        marker, offset = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _NO_LENGTH:
            continue
        length = int.from_bytes(data[offset : offset + 2], "big")
        if marker in _SIZES and not width and len(data) >= offset + 7:
            height = int.from_bytes(data[offset + 3 : offset + 5], "big")
            width = int.from_bytes(data[offset + 5 : offset + 7], "big")
        scans += marker == _SCAN
        offset += max(2, length)
    else:
        garbage += 0 if scans else max(0, len(data) - offset)
    return JpegSurvey(width, height, scans, garbage)
