"""Sharp moving pictures for training calls: stretches of clips, filmed photographs, drawn slides."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from acutance.degrade import Yuv420, yuv420_from_rgb
from acutance.degrade.camera import CameraPath, film
from acutance.errors import UnsupportedMediaError
from acutance.io import VideoReader
from acutance.training.data.call_recipes import scaled

__all__ = ["draw_slide", "film_photograph", "read_stretch"]

_MULTIPLE = 24  # of a truth's sides: factors from 1.5 to 4 then leave even sides
_SHRINK = (1.34, 2.0)  # clips are compressed themselves, and are truth only when they are smaller than they came
_LONGEST = (720, 1000)  # pixels of a truth's longer side where a clip is larger
_FASTEST = 40.0  # frames per second above which every second frame may be left out
_PHOTO_SIDES = (384, 456, 528, 600)
_WORDS = (
    "the frame rate of a call stays even quality",
    "network meeting Monday 42% Q3 def return import € budget plan",
)


def read_stretch(path: Path, *, frames: int, rng: np.random.Generator) -> list[Yuv420]:
    """Read frames in a row from a random place of a clip, scaled down to be truth.

    Args:
        path: Clip of 8-bit 4:2:0.
        frames: How many.
        rng: Source of the place and the size.

    Returns:
        Frames with sides that are multiples of 24; fewer than asked for where the clip is shorter.

    Raises:
        UnsupportedMediaError: If the clip has other samples than 8-bit 4:2:0.
        AcutanceError: If the clip cannot be read.
    """
    with VideoReader(path) as reader:
        if reader.info.pix_fmt not in ("yuv420p", "yuvj420p"):
            raise UnsupportedMediaError(f"{path}: clips to train on are 8-bit 4:2:0, not {reader.info.pix_fmt}")
        total = reader.info.frame_count or 120
        step = 2 if float(reader.info.average_rate or 30) > _FASTEST and rng.random() < 0.5 else 1
        first = int(rng.integers(0, max(1, total - frames * step - 2)))
        width, height = _truth_size(reader.width, reader.height, rng)
        taken: list[Yuv420] = []
        for number, frame in enumerate(reader):
            if number < first or (number - first) % step or frame.chroma is None:
                continue
            picture = _limited(frame.luma, frame.chroma, full_range=frame.full_range)
            taken.append(scaled(picture, width, height, "bicubic"))
            if len(taken) == frames:
                break
    return taken


def film_photograph(picture: NDArray[np.uint8], *, frames: int, rng: np.random.Generator) -> list[Yuv420]:
    """Film a photograph: pan, zoom and the shake of a hand, or from a tripod.

    Args:
        picture: H x W x 3, uint8, RGB, sides of at least 384 pixels.
        frames: How many.
        rng: Source of the camera's path and the size.

    Returns:
        Square frames.
    """
    side = min(picture.shape[:2]) // _MULTIPLE * _MULTIPLE
    side = min(side, int(rng.choice(_PHOTO_SIDES)))
    path = CameraPath.draw(rng, picture.shape, side=side, frames=frames)
    return [yuv420_from_rgb(frame) for frame in film(picture, path, rng, side=side, frames=frames)]


def draw_slide(rng: np.random.Generator, width: int, height: int) -> Yuv420:
    """Draw text and shapes, as a shared screen shows them."""
    dark = rng.random() < 0.4
    back = tuple(int(v) for v in (rng.integers(0, 50, 3) if dark else rng.integers(215, 256, 3)))
    image = Image.new("RGB", (width, height), back)
    draw = ImageDraw.Draw(image)
    y = int(rng.integers(4, 30))
    while y < height - 12:
        size = int(rng.choice([9, 11, 12, 13, 14, 16, 18, 24, 36]))
        font = ImageFont.load_default(size)
        fore = tuple(int(v) for v in (rng.integers(150, 256, 3) if dark else rng.integers(0, 110, 3)))
        x = int(rng.integers(4, width // 3))
        while x < width - 40:
            if rng.random() < 0.05:
                x = _draw_shape(draw, rng, x, y, fore)
                continue
            word = str(rng.choice(" ".join(_WORDS).split()))
            draw.text((x, y), word, fill=fore, font=font)
            x += int(draw.textlength(word, font=font)) + size // 3
            if rng.random() < 0.04:
                break
        y += int(size * rng.uniform(1.2, 2.0))
    return yuv420_from_rgb(np.asarray(image))


def _draw_shape(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: int, y: int, fore: tuple[int, ...]) -> int:
    """Draw a box, an ellipse or a line, and return where its right end is."""
    right, bottom = x + int(rng.integers(10, 120)), y + int(rng.integers(10, 80))
    kind = rng.integers(3)
    if kind == 0:
        draw.rectangle((x, y, right, bottom), outline=fore, fill=None if rng.random() < 0.5 else fore)
    elif kind == 1:
        draw.ellipse((x, y, right, bottom), outline=fore, width=int(rng.integers(1, 4)))
    else:
        draw.line((x, y, right, bottom), fill=fore, width=int(rng.integers(1, 4)))
    return right


def _truth_size(width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    shrink = float(rng.uniform(*_SHRINK))
    longest = max(width, height) / shrink
    if longest > _LONGEST[1]:
        shrink *= longest / float(rng.uniform(*_LONGEST))
    return (
        max(_MULTIPLE * 6, int(width / shrink) // _MULTIPLE * _MULTIPLE),
        max(_MULTIPLE * 6, int(height / shrink) // _MULTIPLE * _MULTIPLE),
    )


def _limited(
    luma: NDArray[np.integer], chroma: tuple[NDArray[np.integer], NDArray[np.integer]], *, full_range: bool
) -> Yuv420:
    """Copy the planes, cropped to even sides, in limited range."""
    height, width = luma.shape[0] // 2 * 2, luma.shape[1] // 2 * 2
    planes = [luma[:height, :width], *(plane[: height // 2, : width // 2] for plane in chroma)]
    if not full_range:
        return Yuv420(*(np.array(plane, np.uint8) for plane in planes))
    y = np.rint(planes[0] * np.float32(219 / 255) + 16).astype(np.uint8)
    c = [np.rint((p - np.float32(128)) * np.float32(224 / 255) + 128).astype(np.uint8) for p in planes[1:]]
    return Yuv420(y, *c)
