"""Whether an export computes what its student does, and what it costs where it does not."""

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
    """What an export may differ by.

    difference: largest, in code values, or None. between: PSNR to the student's own output, in dB, at least. lost: dB
    against the truth, at most. kept: of what the student gains over its input, the share that must be left.
    """

    difference: int | None
    between: float
    lost: float
    kept: float = 0.0


LIMITS = {
    # Sums in another order: now and then a value lies on the other side of a half.
    "fp32": Limits(1, 70.0, 0.001),
    # Eleven bits of mantissa in every layer: errors of half a code value where the contrast is largest.
    "fp16": Limits(2, 60.0, 0.01),
    # Beyond this, a smaller student in int16 would be the better one.
    "int8": Limits(None, 40.0, 0.3, kept=0.5),
}
"""By precision; the reason is beside each."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Means over pictures, of luma rounded to 8 bits.

    pictures: how many. difference: the largest, in code values. between: PSNR of the export against the float student,
    dB, infinite where they are equal. psnr_input, psnr_student, psnr_export: against the truth, dB.
    """

    pictures: int
    difference: int
    between: float
    psnr_input: float
    psnr_student: float
    psnr_export: float

    @property
    def lost(self) -> float:
        """dB against the truth; negative where the export happens to be nearer to it."""
        return 0.0 if self.psnr_student == self.psnr_export else self.psnr_student - self.psnr_export

    def check(self, limits: Limits, *, name: str) -> None:
        """Raises ModelError, naming ``name``, with every limit that is not kept."""
        broken = []
        if limits.difference is not None and self.difference > limits.difference:
            broken.append(f"differs by {self.difference} code values, {limits.difference} are allowed")
        if not self.between >= limits.between:
            broken.append(f"{self.between:.1f} dB from its student, at least {limits.between:g} are demanded")
        if not self.lost <= limits.lost:
            broken.append(f"loses {self.lost:.3f} dB, {limits.lost:g} are allowed")
        gain = self.psnr_student - self.psnr_input
        if gain > 0 and not self.lost <= (1 - limits.kept) * gain:
            broken.append(f"loses {self.lost:.3f} of the {gain:.3f} dB that its student gains")
        if broken:
            raise ModelError(f"{name}: the export was refused: {'; '.join(broken)}")

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON: what is infinite, as between pictures that are equal, is None."""
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
    """Run both on every example. run: takes and returns H x W uint8. The student is run in float32, by its plain twin.

    full_range: the export takes full-range luma; examples are mapped to it. Raises UsageError without examples.
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
