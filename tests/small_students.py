"""Students small enough to reason about, for tests of what uses a student."""

import numpy as np
from numpy.typing import NDArray

from acutance.students.spec import Student, StudentShape, StudentSpec

Rgb = NDArray[np.uint8]


def sharpening_student(*, name: str = "fast-clean-x2", gain: float = 0.15) -> Student:
    """A student whose residual is ``gain`` times the Laplacian: small enough to reason about."""
    delta, laplacian = np.zeros((2, 1, 1, 3, 3), np.float32)
    delta[0, 0, 1, 1] = 1
    laplacian[0, 0] = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) * gain
    spec = StudentSpec(
        name=name, tier="fast", task="clean", factors=(2.0,), shape=StudentShape(unshuffle=1, channels=1, depth=0)
    )
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    tensors = {
        "conv0.weight": delta, "conv0.bias": zero, "conv0.slope": one, "conv1.weight": laplacian, "conv1.bias": zero
    }  # fmt: skip
    return Student.from_tensors(spec, tensors, source="test")
