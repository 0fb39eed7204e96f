"""Frames: planes of samples with the metadata that must survive processing."""

import enum
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColourInfo", "ColourRange", "Frame", "Plane", "luma_limits"]

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""A plane of samples, H x W: uint8 for 8-bit video, uint16 with the value in the low bits above."""


class ColourRange(enum.Enum):
    """The code values of black and white (ITU-T H.273, VideoFullRangeFlag)."""

    LIMITED = "limited"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ColourInfo:
    """The meaning of code values, as the container or bit stream states it.

    Attributes:
        range: limited or full.
        matrix: code point of ITU-T H.273; 2 is unspecified.
        primaries: code point of ITU-T H.273; 2 is unspecified.
        transfer: code point of ITU-T H.273; 2 is unspecified.
        chroma_location: position of chroma samples, in FFmpeg's numbers; 0 is unspecified.
    """

    range: ColourRange = ColourRange.LIMITED
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    chroma_location: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of a video.

    Attributes:
        luma: H x W, uint8 or uint16. It may be a strided view on a decoder's memory. Do not write to such a view.
        chroma: the two subsampled planes, which processing does not change; None for grey.
        bit_depth: bits used of each sample: 8, 10 or 12.
        pts: presentation time in units of ``time_base``; None for a picture without a clock.
        time_base: seconds per unit of ``pts``; None for a picture without a clock.
        colour: meaning of the code values.
        rotation: degrees to turn the picture for display, counter-clockwise, a multiple of 90.
        sample_aspect_ratio: width over height of a sample; None if unknown.
        scaled_by: the factor by which the reader has enlarged the coded picture; 1 if it has not.
        duration: how long the picture is to be seen, in units of ``time_base``; None if unknown.
        interlaced: the picture is two fields of different moments. File jobs pass it through, as its lines would tear.
        bits_per_pixel: bits that the stream spends on a pixel of its coded size, on average; None if unknown.
        backing: the owner of the planes' memory, which must live as long as the planes.
    """

    luma: Plane
    chroma: tuple[Plane, Plane] | None = None
    bit_depth: int = 8
    pts: int | None = None
    time_base: Fraction | None = None
    colour: ColourInfo = ColourInfo()
    rotation: int = 0
    sample_aspect_ratio: Fraction | None = None
    scaled_by: float = 1.0
    duration: int | None = None
    interlaced: bool = False
    bits_per_pixel: float | None = None
    backing: object = field(default=None, repr=False, compare=False)

    @property
    def height(self) -> int:
        """Rows of luma."""
        return int(self.luma.shape[0])

    @property
    def width(self) -> int:
        """Columns of luma."""
        return int(self.luma.shape[1])

    @property
    def full_range(self) -> bool:
        """True if code values have full range."""
        return self.colour.range is ColourRange.FULL

    @property
    def time(self) -> float | None:
        """Presentation time in seconds; None without a clock."""
        if self.pts is None or self.time_base is None:
            return None
        return float(self.pts * self.time_base)

    def with_luma(self, luma: Plane) -> "Frame":
        """Return the same frame with another luma plane of the same size and type."""
        return replace(self, luma=luma)


def luma_limits(bit_depth: int, *, full_range: bool) -> tuple[int, int]:
    """Return the code values of black and white.

    Args:
        bit_depth: bits of a sample, 8 to 16.
        full_range: True for full range, False for limited range.

    Returns:
        For example (16, 235) for 8-bit limited range, (0, 1023) for 10-bit full range.
    """
    if full_range:
        return 0, (1 << bit_depth) - 1
    return 16 << (bit_depth - 8), 235 << (bit_depth - 8)
