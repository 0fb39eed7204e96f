"""What exports are calibrated and judged on: sharp pictures that went through the student's own degradation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acutance.degrade import DegradationMix
from acutance.errors import UsageError
from acutance.luma import luma_from_rgb
from acutance.students.spec import StudentSpec

__all__ = ["Example", "calibration_planes", "degradation_of", "examples"]

_SEED = 1
_BITS_PER_PIXEL = (0.05, 0.3)  # what calls have between their poorest and their best


@dataclass(frozen=True, slots=True)
class Example:
    """luma: H x W uint8, limited range, degraded. truth: H x W float32 code values. border: pixels not to be judged."""

    luma: NDArray[np.uint8]
    truth: NDArray[np.float32]
    border: int


def degradation_of(spec: StudentSpec) -> DegradationMix:
    """What a student's input goes through: scaled by its factors and, for calls, encoded and decoded.

    The recipe that a student was trained with is richer; this is its middle, and the same on every machine that has
    the encoder.
    """
    recipe: dict[str, object] = {"factor": list(spec.factors)}
    if spec.task == "call":
        recipe |= {"codec": "h264", "bits_per_pixel": list(_BITS_PER_PIXEL)}
    return DegradationMix.from_list([recipe])


def examples(spec: StudentSpec, pictures: Iterable[NDArray[np.uint8]], *, whole: bool = False) -> Iterator[Example]:
    """Each sharp picture (H x W x 3 uint8 RGB, at least 24 x 24) as a student would meet it.

    whole: else a last row or column is left out of most, so that files are judged on odd sizes too. Raises UsageError.
    """
    mix = degradation_of(spec)
    for number, picture in enumerate(pictures, start=1):
        if min(picture.shape[:2]) < 24:
            raise UsageError(f"picture {number} is {picture.shape[1]}x{picture.shape[0]}: too small to judge by")
        made = mix.apply(picture, seed=_SEED, name=number)
        part = (
            (slice(None), slice(None))
            if whole
            else (slice(made.sharp.shape[0] - number % 2), slice(made.sharp.shape[1] - (number + 1) // 2 % 2))
        )
        luma = np.rint(luma_from_rgb(made.degraded[part])).astype(np.uint8)
        truth = luma_from_rgb(made.sharp[part]).astype(np.float32)
        yield Example(luma, truth, int(np.ceil(float(made.record["factor"]))))


def calibration_planes(
    spec: StudentSpec, pictures: Iterable[NDArray[np.uint8]], *, side: int = 384
) -> list[NDArray[np.uint8]]:
    """Degraded luma of the middles of sharp pictures, ``side`` pixels a side at most, for int8's ranges."""

    def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
        return picture[top : top + side, left : left + side]

    return [example.luma for example in examples(spec, map(middle, pictures), whole=True)]
