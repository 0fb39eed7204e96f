"""Pixel formats: which ones are worked on as they are, and what the others become."""

from dataclasses import dataclass

from acutance._util.av import ColorRange, Colorspace, Interpolation, av

__all__ = ["PixelPlan", "plan_for", "repack"]

_NATIVE = {
    **{f"yuv{s}p": ("yuv", 8) for s in ("420", "422", "444")},
    **{f"yuv{s}p{b}le": ("yuv", b) for s in ("420", "422", "444") for b in (10, 12)},
    "gray": ("gray", 8),
    "gray10le": ("gray", 10),
    "gray12le": ("gray", 12),
}
_FULL_RANGE_NAMES = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}

BT709, BT601 = 1, 6
"""Code points of ITU-T H.273 for the matrix that RGB is turned into YUV with."""


@dataclass(frozen=True, slots=True)
class PixelPlan:
    """What is done to frames of one pixel format.

    target: the planar format the planes are given in. bit_depth: of its samples.
    repacked: whether frames go through a conversion at all. full_range: the name says so (``yuvj``).
    from_rgb: the input is RGB and needs a matrix. note: what the user should know, or None.
    """

    target: str
    bit_depth: int
    repacked: bool = False
    full_range: bool = False
    from_rgb: bool = False
    note: str | None = None

    @property
    def grey(self) -> bool:
        return self.target.startswith("gray")


def plan_for(name: str, width: int, height: int) -> PixelPlan | None:
    """The plan for a pixel format by FFmpeg's name, or None where it is not accepted."""
    if name in _NATIVE:
        return PixelPlan(name, _NATIVE[name][1])
    if name in _FULL_RANGE_NAMES:
        return PixelPlan(_FULL_RANGE_NAMES[name], 8, full_range=True)
    try:
        source = av.VideoFormat(name, 64, 64)
    except ValueError:
        return None
    is_float = name.endswith(("f32le", "f32be", "f16le", "f16be"))
    if is_float or name.startswith(("bayer", "xyz")) or not source.components:
        return None
    bits = 8 if source.has_palette else max(component.bits for component in source.components)
    depth = 8 if bits <= 8 else 10 if bits <= 10 else 12
    rgb = source.is_rgb or source.has_palette
    notes: list[str] = []
    if rgb:
        matrix = "BT.709" if matrix_for(width, height) == BT709 else "BT.601"
        notes.append(f"{name} is turned into YUV 4:4:4 ({matrix}, limited range)")
        target = "yuv444p"
    elif name.startswith(("gray", "mono", "ya8", "ya16")):
        target = "gray"
    else:
        horizontal, vertical = 64 // source.chroma_width(64), 64 // source.chroma_height(64)
        shapes = {(2, 2): "yuv420p", (2, 1): "yuv422p", (1, 1): "yuv444p"}
        target = shapes.get((horizontal, vertical), "yuv444p")
        if (horizontal, vertical) not in shapes:
            notes.append(f"{name} is turned into 4:4:4")
    if bits > 12:
        notes.append(f"{bits}-bit samples are reduced to 12 bits")
    if any(component.is_alpha for component in source.components):
        notes.append(f"the alpha channel of {name} is left out")
    if depth > 8:
        target += f"{depth}le"
    return PixelPlan(target, depth, repacked=True, from_rgb=rgb, note="; ".join(notes) or None)


def matrix_for(width: int, height: int) -> int:
    """The matrix players assume for untagged video of this size: BT.601 below high definition, BT.709 from there on."""
    return BT709 if width >= 1280 or height > 576 else BT601


def repack(
    frame: av.VideoFrame, plan: PixelPlan, width: int, height: int, *, full_range: bool | None = None
) -> av.VideoFrame:
    """Return a frame in the plan's format and the given size; the frame itself where nothing is to be done.

    full_range: the range of what is returned; that of the frame where None (limited if it is RGB).

    Ranges and matrices are named on both sides: left to its defaults, the conversion would squeeze full range into
    limited, and take BT.601 for everything.
    """
    quality = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
    if plan.from_rgb:
        matrix = Colorspace.ITU709 if matrix_for(frame.width, frame.height) == BT709 else Colorspace.ITU601
        return frame.reformat(
            width, height, plan.target,
            dst_colorspace=matrix, src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            interpolation=quality,
        )  # fmt: skip
    full = plan.full_range or frame.color_range == ColorRange.JPEG
    source, target = (
        ColorRange.JPEG if is_full else ColorRange.MPEG
        for is_full in (full, full if full_range is None else full_range)
    )
    return frame.reformat(
        width, height, plan.target, src_color_range=source, dst_color_range=target, interpolation=quality
    )
