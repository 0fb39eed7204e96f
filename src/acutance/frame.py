"""What a frame is: planes of samples plus everything that must survive processing."""

import enum
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColourInfo", "ColourRange", "Frame", "Plane", "luma_limits"]

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of samples, H x W: uint8 for 8-bit video, uint16 (low bits used) above."""


class ColourRange(enum.Enum):
    """Which code values mean black and white (ITU-T H.273, VideoFullRangeFlag)."""

    LIMITED = "limited"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ColourInfo:
    """How code values mean colours.

    ``matrix``, ``primaries`` and ``transfer`` are the code points of ITU-T H.273 as the container or bit stream gave
    them (2 means unspecified), so that they can be written back unchanged.
    """

    range: ColourRange = ColourRange.LIMITED
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    chroma_location: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video.

    luma: H x W, uint8 or uint16; may be a strided view on a decoder's buffer and must then not be written to.
    chroma: the two subsampled planes, passed through untouched, or None for grey.
    bit_depth: bits used of each sample (8, 10, 12).
    pts, time_base: presentation time is ``pts * time_base`` seconds; both None for a picture without a clock.
    rotation: degrees counter-clockwise that a player must turn the picture, a multiple of 90.
    sample_aspect_ratio: width to height of one sample; None where unknown.
    scaled_by: how many times as large as coded the picture was made by whoever read it; 1 where it was left as it is.
    backing: whatever owns the memory of the planes; kept so that it outlives them.
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
    backing: object = field(default=None, repr=False, compare=False)

    @property
    def height(self) -> int:
        return int(self.luma.shape[0])

    @property
    def width(self) -> int:
        return int(self.luma.shape[1])

    @property
    def full_range(self) -> bool:
        return self.colour.range is ColourRange.FULL

    @property
    def time(self) -> float | None:
        """Presentation time in seconds, or None without a clock."""
        if self.pts is None or self.time_base is None:
            return None
        return float(self.pts * self.time_base)

    def with_luma(self, luma: Plane) -> "Frame":
        """The same frame with another luma plane of the same size and type."""
        return replace(self, luma=luma)


def luma_limits(bit_depth: int, *, full_range: bool) -> tuple[int, int]:
    """Code values of black and white: (16, 235) for 8-bit limited range, (0, 1023) for 10-bit full range."""
    if full_range:
        return 0, (1 << bit_depth) - 1
    return 16 << (bit_depth - 8), 235 << (bit_depth - 8)
