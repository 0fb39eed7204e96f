"""The clips of the call test: their roles, and their frames as truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from _calls.text import PAGES, draw_page
from acutance.degrade import Yuv420, resize, yuv420_from_rgb
from acutance.errors import InputNotFoundError, UnsupportedMediaError
from acutance.io import VideoReader

__all__ = ["CLIPS", "LEFT_OUT", "ROLES", "Clip", "Luma", "Source", "find_clip", "read_source"]

Luma = NDArray[np.uint8]

Role = Literal["test", "val", "train", "text"]
ROLES: tuple[Role, ...] = ("test", "val", "train", "text")
LEFT_OUT: tuple[Role, ...] = ("test", "val")
"""Roles of clips that nothing is trained on."""


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: The file's name without its suffix, or that of a drawn page of text.
        role: What the clip may be used for; ``text``: a page of text that the program draws.
        soft: The clip has less detail than its size says, so its truth is half of its size.
        fast: It has 29 frames per second or more, and may lose every second one.
    """

    name: str
    role: Role
    soft: bool = False
    fast: bool = False


@dataclass(frozen=True)
class Source:
    """Frames of a clip at the size of the truth, limited range, so many a second."""

    frames: list[Yuv420]
    rate: float


_TRAIN = (
    "sam2_blocks_720p",
    "bbb_720p_10s",
    "book",
    "woman_with_cup_dim_room_720p",
    "pupils_at_table_daylight_720p",
    "pupils_show_drawings_720p",
    "father_child_toys_bookcase_720p",
    "teacher_pupils_blackboard_720p",
    "laptop_over_shoulder_1080p",
    "hand_fingerspelling_plain_620x1080",
    "meeting_five_people_dark_1080p",
    "woman_glasses_keyboard_bright_540p",
    "meeting_flipchart_older_woman_540p",
    "man_microphone_dark_room_1080x1920",
    "woman_curly_hair_plain_wall_540p",
    "bearded_man_white_wall_720p",
    "man_burger_outdoors_720x1280",
    "woman_long_hair_desk_monitors_720p",
    "woman_laptop_dark_bookshelves_720p",
    "students_round_tablet_540p",
    "typing_code_screens_dark_720p",
    "screen_editor_with_webcam_1078p",
)
_VAL = (
    "brother",
    "students_by_window_backlit_720p",
    "woman_thumb_up_black_wall_720p",
    "woman_webcam_plants_960x720",
    "meeting_flipchart_backlit_1080p",
    "man_dark_skin_cafe_office_720p",
    "screen_web_page_scroll_1080p",
)
_TEST = (
    "mixkit_call_720p",
    "latentsync_demo1_1080x1920",
    "latentsync_demo2_1080x1920",
    "liveportrait_s18_720p",
)
_SOFT = (
    "woman_glasses_keyboard_bright_540p",
    "students_round_tablet_540p",
    "meeting_flipchart_older_woman_540p",
    "man_dark_skin_cafe_office_720p",
    "meeting_flipchart_backlit_1080p",
)
_FAST = (
    "sam2_blocks_720p",
    "book",
    "pupils_at_table_daylight_720p",
    "pupils_show_drawings_720p",
    "woman_glasses_keyboard_bright_540p",
    "man_microphone_dark_room_1080x1920",
    "bearded_man_white_wall_720p",
    "man_burger_outdoors_720x1280",
    "woman_laptop_dark_bookshelves_720p",
    "screen_editor_with_webcam_1078p",
    "brother",
    "woman_webcam_plants_960x720",
    "screen_web_page_scroll_1080p",
    "liveportrait_s18_720p",
)

CLIPS: tuple[Clip, ...] = tuple(
    Clip(name, role, name in _SOFT, name in _FAST)
    for role, names in (
        ("test", _TEST),
        ("val", _VAL),
        ("train", _TRAIN),
        ("text", [f"text_page_{number}" for number in range(PAGES)]),
    )
    for name in names
)  # type: ignore[misc]  # the roles are literals
"""Every clip. ``carphone`` is left out: at 176 x 144 it is smaller than any call of today."""

_START = 1.0  # second
_LONGEST = 960  # pixels of a truth's longer side
_SHRINK = 4 / 3  # at least: clips are compressed, and are truth only when they are smaller than they came
_MULTIPLE = 24  # of a truth's sides: every factor from 1.5 to 4 then leaves even sides
_PAGE_RATE = 15.0  # frames per second of a shared screen


def find_clip(data: Path, clip: Clip) -> Path:
    """Return a clip's file.

    Raises:
        InputNotFoundError: The data folder does not hold it.
    """
    for folder in (data / "clips", data / "clips" / "more"):
        for path in sorted(folder.glob(f"{clip.name}.*")):
            return path
    raise InputNotFoundError(f"{data}: holds no clip {clip.name}")


def read_source(data: Path, clip: Clip, *, frames: int, step: int = 1) -> Source:
    """Read a clip as truth: scaled down (Pillow's bicubic) to at most 960 pixels, from its second second on.

    Args:
        data: The data folder.
        clip: The clip; pages of text are drawn, and stand still.
        frames: How many, fewer where the clip ends before.
        step: Take each so many frames: 2 halves the frame rate.

    Raises:
        InputNotFoundError: The clip is missing.
        UnsupportedMediaError: It is not 8-bit 4:2:0.
    """
    if clip.role == "text":
        page = yuv420_from_rgb(draw_page(int(clip.name.removeprefix("text_page_")))[0])
        return Source([page] * frames, _PAGE_RATE / step)
    path = find_clip(data, clip)
    with VideoReader(path, start=_START) as reader:
        rate = float(reader.info.average_rate or 25) / step
        taken = [_limited(frame, path) for frame in islice(reader, 0, frames * step, step)]
    return Source([_shrunk(frame, soft=clip.soft) for frame in taken], rate)


def _limited(frame: Any, path: Path) -> Yuv420:
    if frame.chroma is None or frame.bit_depth != 8:
        raise UnsupportedMediaError(f"{path}: a clip of the call test is 8-bit 4:2:0")
    luma, cb, cr = (np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma))
    if frame.full_range:
        luma = np.rint(luma * np.float32(219 / 255) + 16).astype(np.uint8)
        cb, cr = (np.rint((p - np.float32(128)) * np.float32(224 / 255) + 128).astype(np.uint8) for p in (cb, cr))
    return Yuv420(luma, cb, cr)


def _shrunk(frame: Yuv420, *, soft: bool) -> Yuv420:
    height, width = frame.luma.shape
    shrink = max(2.0 if soft else _SHRINK, max(height, width) / _LONGEST)
    size = _rounded(width / shrink), _rounded(height / shrink)
    # The crop keeps the proportions: what is cut off is less than a multiple on each side.
    scale = min(width / size[0], height / size[1])
    left, top = (int((whole - side * scale) / 4) * 2 for whole, side in zip((width, height), size, strict=True))
    return Yuv420(*(_cut(plane, left, top, scale, size, part) for plane, part in zip(frame, (1, 2, 2), strict=True)))


def _rounded(side: float) -> int:
    return max(_MULTIPLE, int(side + 0.5) // _MULTIPLE * _MULTIPLE)


def _cut(plane: Luma, left: int, top: int, scale: float, size: Sequence[int], part: int) -> Luma:
    width, height = (round(side * scale / part) for side in size)
    inner = plane[top // part : top // part + height, left // part : left // part + width]
    return resize(np.ascontiguousarray(inner), size[0] // part, size[1] // part)
