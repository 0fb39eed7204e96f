"""Film a still picture: a clip with camera motion, in which every frame is a sharp truth of its own."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.errors import UsageError

__all__ = ["CameraPath", "film"]

_TRIPOD = 0.35  # share of clips without motion, as in many calls
_FASTEST = 3.0  # pixels of the clip from one frame to the next
_SHAKE, _SHAKE_MEMORY = 0.6, 0.7  # of a hand: pixels, and its correlation from frame to frame
_ZOOM = 0.004  # largest logarithmic change of scale between frames


@dataclass(frozen=True, slots=True)
class CameraPath:
    """The position of each frame of a clip in the picture.

    Attributes:
        scale: picture pixels per clip pixel, at least 1, so that every frame is at least as sharp as the picture.
        zoom: factor of ``scale`` from frame to frame.
        centre: centre of the first frame (y, x), in picture pixels.
        pan: motion per frame (y, x), in picture pixels.
        shake: standard deviation of the hand's motion, in picture pixels.
    """

    scale: float
    zoom: float
    centre: tuple[float, float]
    pan: tuple[float, float]
    shake: float

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, ...], *, side: int, frames: int) -> "CameraPath":
        """Draw a random path.

        Args:
            rng: source of the draws.
            shape: shape of the picture, H x W or H x W x 3.
            side: height and width of a frame, in pixels.
            frames: number of frames.

        Returns:
            A path that lies inside the picture in the middle of the clip.

        Raises:
            UsageError: the picture is smaller than a frame.
        """
        height, width = shape[:2]
        largest = min(height, width) / side
        if largest < 1:
            raise UsageError(f"a picture of {width}x{height} cannot be filmed in frames of {side}x{side}")
        # A logarithmic draw gives wide views often. They are sharper than the picture's own pixels.
        scale = math.exp(rng.uniform(0.0, math.log(largest)))
        still = rng.random() < _TRIPOD
        zoom = 1.0 if still or rng.random() < 0.6 else math.exp(rng.uniform(-_ZOOM, _ZOOM))
        speed, angle = (0.0 if still else _FASTEST * rng.random() ** 2 * scale), rng.uniform(0, 2 * math.pi)
        pan = (speed * math.sin(angle), speed * math.cos(angle))
        shake = 0.0 if still else _SHAKE * rng.random() * scale
        centre = [float(rng.uniform(scale * side / 2, length - scale * side / 2)) for length in (height, width)]
        # The drawn centre is that of the middle frame.
        start = [c - p * (frames - 1) / 2 for c, p in zip(centre, pan, strict=True)]
        return cls(scale, zoom, (start[0], start[1]), pan, shake)

    def to_dict(self) -> dict[str, Any]:
        """Return the path as a table for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def film(
    picture: NDArray[np.uint8], path: CameraPath, rng: np.random.Generator, *, side: int, frames: int
) -> Iterator[NDArray[np.uint8]]:
    """Film a picture. Each frame is resampled once, with Pillow's bicubic filter.

    Args:
        picture: H x W x 3, uint8.
        path: the camera's path. The view is kept inside the picture.
        rng: source of the hand's motion.
        side: height and width of a frame, in pixels.
        frames: number of frames.

    Yields:
        side x side x 3, uint8.
    """
    image = Image.fromarray(picture)
    height, width = picture.shape[:2]
    hand = np.zeros(2)
    for number in range(frames):
        hand = _SHAKE_MEMORY * hand + math.sqrt(1 - _SHAKE_MEMORY**2) * path.shake * rng.standard_normal(2)
        view = min(max(side * path.scale * path.zoom**number, side), min(height, width))
        corner = [
            min(max(c + number * p + h - view / 2, 0.0), length - view)
            for c, p, h, length in zip(path.centre, path.pan, hand, (height, width), strict=True)
        ]
        box = (corner[1], corner[0], corner[1] + view, corner[0] + view)
        yield np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))
