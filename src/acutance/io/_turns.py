"""How players turn and mirror a stored picture, as views on its samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Turn", "turn_of_matrix", "turn_of_orientation", "turn_of_rotation"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What is done to a stored picture to show it: rows and columns are exchanged, then it is mirrored.

    Attributes:
        transposed: Rows become columns.
        mirrored: Left and right are exchanged, after that.
        flipped: Top and bottom are exchanged, after that.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def view(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return H x W (x channels) samples as they are shown: a view, that writes to the stored ones."""
        shown = np.swapaxes(samples, 0, 1) if self.transposed else samples
        return shown[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]


_BY_ORIENTATION = {
    1: Turn(), 2: Turn(mirrored=True), 3: Turn(mirrored=True, flipped=True), 4: Turn(flipped=True),
    5: Turn(transposed=True), 6: Turn(transposed=True, mirrored=True),
    7: Turn(transposed=True, mirrored=True, flipped=True), 8: Turn(transposed=True, flipped=True),
}  # fmt: skip


def turn_of_orientation(orientation: int) -> Turn:
    """Return what an EXIF orientation, 1 to 8, asks for (CIPA DC-008)."""
    return _BY_ORIENTATION.get(orientation, Turn())


def turn_of_rotation(degrees: int) -> Turn:
    """Return the turn by a multiple of 90 degrees, counter-clockwise."""
    return _BY_ORIENTATION[{90: 8, 180: 3, 270: 6}.get(degrees % 360, 1)]


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """Return what a display matrix asks for (ISO/IEC 14496-12): nine numbers, row by row."""
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transposed=True, mirrored=c < 0, flipped=b < 0)
    return Turn(mirrored=a < 0, flipped=d < 0)
