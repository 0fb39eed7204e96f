"""A still picture filmed: a clip with the motion of a camera, of which every frame has its own sharp truth."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.errors import UsageError

__all__ = ["CameraPath", "film"]

_TRIPOD = 0.35  # of the clips the camera stands still, as it does in most calls
_FASTEST = 3.0  # pixels of the clip from one frame to the next
_SHAKE, _SHAKE_MEMORY = 0.6, 0.7  # of a hand: pixels, and how much of it stays from frame to frame
_ZOOM = 0.004  # the most a frame differs from the next in scale


@dataclass(frozen=True, slots=True)
class CameraPath:
    """Where a clip's frames lie in the picture.

    scale: pixels of the picture for one of the clip, 1 or more, so that every frame is as sharp as the picture or
    sharper; zoom: what it is multiplied by from frame to frame. centre, pan: of the first frame, and per frame, in
    pixels of the picture (y, x). shake: standard deviation of the hand's motion, in the same.
    """

    scale: float
    zoom: float
    centre: tuple[float, float]
    pan: tuple[float, float]
    shake: float

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, ...], *, side: int, frames: int) -> "CameraPath":
        """A path within a picture of that shape for frames of side x side pixels. Raises UsageError: too small."""
        height, width = shape[:2]
        largest = min(height, width) / side
        if largest < 1:
            raise UsageError(f"a picture of {width}x{height} cannot be filmed in frames of {side}x{side}")
        # Wide views half of the time where the picture has them: sharper than its own pixels.
        scale = math.exp(rng.uniform(0.0, math.log(largest)))
        still = rng.random() < _TRIPOD
        zoom = 1.0 if still or rng.random() < 0.6 else math.exp(rng.uniform(-_ZOOM, _ZOOM))
        speed, angle = (0.0 if still else _FASTEST * rng.random() ** 2 * scale), rng.uniform(0, 2 * math.pi)
        pan = (speed * math.sin(angle), speed * math.cos(angle))
        shake = 0.0 if still else _SHAKE * rng.random() * scale
        centre = [float(rng.uniform(scale * side / 2, length - scale * side / 2)) for length in (height, width)]
        # The middle of the clip lies where the centre was drawn.
        start = [c - p * (frames - 1) / 2 for c, p in zip(centre, pan, strict=True)]
        return cls(scale, zoom, (start[0], start[1]), pan, shake)

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def film(
    picture: NDArray[np.uint8], path: CameraPath, rng: np.random.Generator, *, side: int, frames: int
) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip: side x side x 3, uint8, each resampled from the picture once (Pillow's bicubic).

    picture: H x W x 3, uint8. The view is kept within it. rng: for the hand's motion.
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
