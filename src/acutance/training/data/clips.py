"""Real clips as a source of moving frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance.degrade import Yuv420, resize, rgb_from_yuv420
from acutance.errors import InputNotFoundError, UnsupportedMediaError, UsageError
from acutance.io import VideoReader
from acutance.training.data.download import sha256_of

__all__ = ["ClipFile", "cut_window", "find_clips"]

Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A clip that is not read yet.

    Attributes:
        path: of the file.
        name: as the recipe has it.
    """

    path: Path
    name: str

    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        return sha256_of(self.path)

    def load(self, *, shrink: float) -> Frames:
        """Return all frames, H x W x 3, uint8, RGB.

        Args:
            shrink: factor by which frames are scaled down (bicubic). Clips are compressed, so only smaller frames can
                serve as truth.

        Raises:
            UnsupportedMediaError: the clip is not 8-bit 4:2:0.
        """
        with VideoReader(self.path) as reader:
            if reader.info.pix_fmt not in ("yuv420p", "yuvj420p"):
                raise UnsupportedMediaError(
                    f"{self.path}: clips to train on are 8-bit 4:2:0, not {reader.info.pix_fmt}"
                )
            width, height = (round(length / shrink) // 2 * 2 for length in (reader.width, reader.height))
            frames = []
            for frame in reader:
                if frame.chroma is None:
                    continue
                planes = [np.array(plane, np.uint8) for plane in (frame.luma, *frame.chroma)]
                if frame.full_range:
                    planes[0] = np.rint(planes[0] * np.float32(219 / 255) + 16).astype(np.uint8)
                    planes[1:] = [
                        np.rint((p - np.float32(128)) * np.float32(224 / 255) + 128).astype(np.uint8)
                        for p in planes[1:]
                    ]
                picture = rgb_from_yuv420(Yuv420(*(p[: p.shape[0] // 2 * 2, : p.shape[1] // 2 * 2] for p in planes)))
                frames.append(resize(picture, width, height))
        return frames


def find_clips(root: Path, names: Sequence[str]) -> list[ClipFile]:
    """The clips that a recipe names, relative to the data root. Raises InputNotFoundError."""
    clips = [ClipFile(root / name, name) for name in names]
    for clip in clips:
        if not clip.path.is_file():
            raise InputNotFoundError(f"{clip.path}: no such clip")
    return clips


def cut_window(frames: Frames, rng: np.random.Generator, *, side: int, count: int) -> Frames:
    """``count`` frames in a row of a square at a random place.

    side: of the square; less where the clip is smaller, then the largest multiple of 12. Raises UsageError.
    """
    if len(frames) < count:
        raise UsageError(f"a clip of {len(frames)} frames has no window of {count}")
    height, width = frames[0].shape[:2]
    side = min(side, height - height % 12, width - width % 12)
    first = int(rng.integers(len(frames) - count + 1))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return [frame[y : y + side, x : x + side] for frame in frames[first : first + count]]
