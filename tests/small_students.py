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


def upscaling_student(factor: int = 3, *, name: str = "fast-clean-up3", gain: float = 0.15) -> Student:
    """An upscaler whose residual is ``gain`` times the Laplacian of the small picture, for each sample of a pixel."""
    delta = np.zeros((1, 1, 3, 3), np.float32)
    delta[0, 0, 1, 1] = 1
    laplacian = np.zeros((factor**2, 1, 3, 3), np.float32)
    laplacian[:, 0] = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) * gain
    shape = StudentShape(unshuffle=1, channels=1, depth=0, shuffle=factor)
    spec = StudentSpec(name=name, tier="fast", task="clean", factors=(float(factor),), shape=shape)
    tensors = {
        "conv0.weight": delta,
        "conv0.bias": np.zeros(1, np.float32),
        "conv0.slope": np.ones(1, np.float32),
        "conv1.weight": laplacian,
        "conv1.bias": np.zeros(factor**2, np.float32),
    }
    return Student.from_tensors(spec, tensors, source="test")
