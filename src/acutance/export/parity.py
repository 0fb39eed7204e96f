"""Compare an export with its student: differences, and the quality that they cost."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.engine.arithmetic import from_plane, to_plane
from acutance.engine.float_network import residual
from acutance.errors import ModelError, UsageError
from acutance.export.pictures import Example
from acutance.metrics import psnr
from acutance.students.spec import Student

__all__ = ["LIMITS", "Limits", "Parity", "parity"]

Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an export may differ from its student.

    Attributes:
        difference: largest difference in code values; None for no limit.
        between: least PSNR between export and student, in dB.
        lost: largest loss of PSNR against the truth, in dB.
        kept: least share of the student's gain that the export keeps, 0 to 1.
    """

    difference: int | None
    between: float
    lost: float
    kept: float = 0.0


LIMITS = {
    # Sums in another order move some values across a rounding boundary.
    "fp32": Limits(1, 70.0, 0.001),
    # Eleven bits of mantissa in every layer give errors of half a code value at the largest contrast.
    "fp16": Limits(2, 60.0, 0.01),
    # Beyond this, a smaller student in int16 is better.
    "int8": Limits(None, 40.0, 0.3, kept=0.5),
}
"""Limits by precision."""


@dataclass(frozen=True, slots=True)
class Parity:
    """A comparison on pictures, of luma rounded to 8 bits. PSNR values are means over the pictures.

    Attributes:
        pictures: number of pictures.
        difference: largest difference in code values.
        between: PSNR between export and float student in dB; infinity if they are equal.
        psnr_input: PSNR of the input against the truth, in dB.
        psnr_student: PSNR of the student against the truth, in dB.
        psnr_export: PSNR of the export against the truth, in dB.
    """

    pictures: int
    difference: int
    between: float
    psnr_input: float
    psnr_student: float
    psnr_export: float

    @property
    def lost(self) -> float:
        """Loss of PSNR against the truth in decibels; negative if the export is nearer to it."""
        return 0.0 if self.psnr_student == self.psnr_export else self.psnr_student - self.psnr_export

    def check(self, limits: Limits, *, name: str) -> None:
        """Check the limits.

        Args:
            limits: the limits.
            name: name of the file, for the message.

        Raises:
            ModelError: limits are exceeded; the message lists all of them.
        """
        broken = []
        if limits.difference is not None and self.difference > limits.difference:
            broken.append(f"differs by {self.difference} code values, at most {limits.difference} are allowed")
        if not self.between >= limits.between:
            broken.append(f"{self.between:.1f} dB from its student, at least {limits.between:g} are required")
        if not self.lost <= limits.lost:
            broken.append(f"loses {self.lost:.3f} dB, at most {limits.lost:g} are allowed")
        gain = self.psnr_student - self.psnr_input
        if gain > 0 and not self.lost <= (1 - limits.kept) * gain:
            broken.append(f"loses {self.lost:.3f} of the {gain:.3f} dB that its student gains")
        if broken:
            raise ModelError(f"{name}: the export was refused: {'; '.join(broken)}")

    def to_dict(self) -> dict[str, Any]:
        """Return a table for JSON, with None for infinite values."""
        figures = {**asdict(self), "lost": self.lost}
        return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def parity(
    student: Student,
    run: Callable[[Luma], Luma],
    examples: Iterable[Example],
    *,
    strength: float = 1.0,
    full_range: bool = False,
) -> Parity:
    """Run an export and its student on every example. The student runs in float32 in its plain twin.

    Args:
        student: the student.
        run: runs the export: takes and returns H x W, uint8.
        examples: pictures with their truth.
        strength: strength of the export, 0 to 2.
        full_range: True if the export takes luma in 0 to 255; examples are mapped to it.

    Returns:
        The comparison.

    Raises:
        UsageError: there is no example.
        ModelError: the export returns another shape or type.
    """
    largest, count = 0, 0
    between = before = theirs = ours = 0.0
    for example in examples:
        luma, truth = example.luma, example.truth
        if full_range:
            luma = np.clip(np.rint((luma.astype(np.float32) - 16) * np.float32(255 / 219)), 0, 255).astype(np.uint8)
            truth = (truth - 16) * np.float32(255 / 219)
        own = to_plane(luma, residual(student, from_plane(luma, 8, full_range)), strength, 8, full_range)
        export = run(luma)
        if export.shape != luma.shape or export.dtype != np.uint8:
            raise ModelError(f"the export made {export.shape} {export.dtype} of {luma.shape} uint8")
        difference = export.astype(np.int32) - own
        largest = max(largest, int(np.abs(difference).max()))
        between += float(np.square(difference, dtype=np.float64).mean())
        before += psnr(luma.astype(np.float32), truth, border=example.border)
        theirs += psnr(own.astype(np.float32), truth, border=example.border)
        ours += psnr(export.astype(np.float32), truth, border=example.border)
        count += 1
    if not count:
        raise UsageError("a parity report needs at least one picture")
    error = between / count
    return Parity(
        count,
        largest,
        math.inf if error == 0 else 10 * math.log10(255**2 / error),
        before / count,
        theirs / count,
        ours / count,
    )
