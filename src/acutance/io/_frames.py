"""Frames of this program and pictures of FFmpeg: one out of the other, and one format or size out of another."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from acutance._util.av import ColorRange, Interpolation, av, plane_view
from acutance.errors import UnsupportedMediaError
from acutance.frame import ColourRange, Frame, Plane
from acutance.io._pixels import PixelPlan

__all__ = ["converted", "picture_of", "pix_fmt_of", "planes_of", "rgb_of", "upright"]

_SUBSAMPLINGS = ("444", "422", "420")


Chroma = tuple[Plane, Plane] | None


def planes_of(picture: av.VideoFrame, plan: PixelPlan) -> tuple[Plane, Chroma]:
    """Luma and chroma of a picture in the plan's format, on its own memory, read-only: decoders predict later frames
    from these very samples, and writing there would spoil the rest of the video."""
    planes = [plane_view(picture, i, bit_depth=plan.bit_depth) for i in range(1 if plan.grey else 3)]
    for plane in planes:
        plane.flags.writeable = False
    return planes[0], _chroma(planes)


def _chroma(planes: list[Plane]) -> Chroma:
    return (planes[1], planes[2]) if len(planes) == 3 else None


def pix_fmt_of(frame: Frame) -> str:
    """FFmpeg's name for the planes of a frame. Raises UnsupportedMediaError for chroma that no format has."""
    deep = "" if frame.bit_depth == 8 else f"{frame.bit_depth}le"
    if frame.chroma is None:
        return f"gray{deep}"
    height, width = frame.luma.shape
    half_width, half_height = -(-width // 2), -(-height // 2)
    shapes = ((height, width), (height, half_width), (half_height, half_width))
    for name, shape in zip(_SUBSAMPLINGS, shapes, strict=True):
        if frame.chroma[0].shape == shape:
            return f"yuv{name}p{deep}"
    raise UnsupportedMediaError(f"chroma of {frame.chroma[0].shape} beside luma of {frame.luma.shape} is not accepted")


def picture_of(frame: Frame) -> av.VideoFrame:
    """A picture with a copy of a frame's planes, tagged with its range and matrix."""
    picture = av.VideoFrame(frame.width, frame.height, pix_fmt_of(frame))
    for index, plane in enumerate((frame.luma, *(frame.chroma or ()))):
        np.copyto(plane_view(picture, index, bit_depth=frame.bit_depth), plane, casting="no")
    picture.color_range = ColorRange.JPEG if frame.full_range else ColorRange.MPEG
    picture.colorspace = frame.colour.matrix
    return picture


def converted(
    frame: Frame, width: int, height: int, pix_fmt: str = "yuv420p", *, full_range: bool | None = None
) -> Frame:
    """The frame in that size, 8-bit planar format and range (None: its own); the frame itself where it has them."""
    full = frame.full_range if full_range is None else full_range
    if (frame.width, frame.height, frame.full_range) == (width, height, full) and pix_fmt_of(frame) == pix_fmt:
        return frame
    source, target = (ColorRange.JPEG if is_full else ColorRange.MPEG for is_full in (frame.full_range, full))
    picture = picture_of(frame).reformat(
        width, height, pix_fmt, src_color_range=source, dst_color_range=target, interpolation=Interpolation.BILINEAR
    )
    luma, chroma = planes_of(picture, PixelPlan(pix_fmt, 8))
    colour = replace(frame.colour, range=ColourRange.FULL if full else ColourRange.LIMITED)
    return replace(frame, luma=luma, chroma=chroma, bit_depth=8, colour=colour, backing=picture)


def upright(frame: Frame) -> Frame:
    """The frame turned as a player would turn it; the frame itself where there is nothing to turn."""
    turns = frame.rotation // 90 % 4
    if not turns:
        return frame
    planes: list[Plane] = [
        np.ascontiguousarray(np.rot90(plane, turns)) for plane in (frame.luma, *(frame.chroma or ()))
    ]
    return replace(frame, luma=planes[0], chroma=_chroma(planes), rotation=0, backing=None)


def rgb_of(frame: Frame) -> NDArray[np.uint8]:
    """The frame as players show it: H x W x 3, uint8, turned upright."""
    straight = upright(converted(frame, frame.width, frame.height, "yuv444p"))
    return np.asarray(picture_of(straight).to_ndarray(format="rgb24"), np.uint8)
