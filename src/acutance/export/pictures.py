"""Pictures to calibrate and judge exports: sharp ones after the degradation of the student."""

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
_BITS_PER_PIXEL = (0.05, 0.3)  # range of calls


@dataclass(frozen=True, slots=True)
class Example:
    """A degraded picture with its truth.

    Attributes:
        luma: H x W, uint8, limited range, degraded.
        truth: H x W, float32, code values.
        border: pixels at each side that are not judged.
    """

    luma: NDArray[np.uint8]
    truth: NDArray[np.float32]
    border: int


def degradation_of(spec: StudentSpec) -> DegradationMix:
    """Return a typical degradation of a student's input: scaled by its factors and, for calls, encoded.

    The training recipe is richer. This is its middle, and the same on every machine that has the encoder.

    Args:
        spec: description of the student.

    Returns:
        The mix of degradations.
    """
    recipe: dict[str, object] = {"factor": list(spec.factors)}
    if spec.task == "call":
        recipe |= {"codec": "h264", "bits_per_pixel": list(_BITS_PER_PIXEL)}
    return DegradationMix.from_list([recipe])


def examples(spec: StudentSpec, pictures: Iterable[NDArray[np.uint8]], *, whole: bool = False) -> Iterator[Example]:
    """Degrade sharp pictures as the input of a student.

    Args:
        spec: description of the student.
        pictures: H x W x 3, uint8, RGB, at least 24 x 24.
        whole: if False, most examples lose a last row or column, so that odd sizes are judged too.

    Yields:
        One example for each picture.

    Raises:
        UsageError: a picture is too small.
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
    """Return degraded luma from the middle of sharp pictures, to calibrate int8.

    Args:
        spec: description of the student.
        pictures: H x W x 3, uint8, RGB, at least 24 x 24.
        side: largest side of a plane, in pixels.

    Returns:
        Planes, H x W, uint8, limited range.
    """

    def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
        return picture[top : top + side, left : left + side]

    return [example.luma for example in examples(spec, map(middle, pictures), whole=True)]
