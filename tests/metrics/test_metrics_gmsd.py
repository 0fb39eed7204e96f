"""Gradient magnitude similarity deviation against the published formula, step by step."""

import numpy as np
import pytest

from acutance.errors import UsageError
from acutance.metrics import gmsd

PREWITT = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]]) / 3


def published(a: np.ndarray, b: np.ndarray) -> float:
    """As the paper's pseudo code has it, pixel by pixel."""
    magnitudes = []
    for plane in (a, b):
        small = np.array(
            [[plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(plane.shape[1] // 2)]
             for y in range(plane.shape[0] // 2)]
        )  # fmt: skip
        height, width = small.shape
        magnitude = np.empty((height - 2, width - 2))
        for y in range(height - 2):
            for x in range(width - 2):
                window = small[y : y + 3, x : x + 3]
                magnitude[y, x] = np.hypot((window * PREWITT).sum(), (window * PREWITT.T).sum())
        magnitudes.append(magnitude)
    m1, m2 = magnitudes
    similarity = (2 * m1 * m2 + 170) / (m1**2 + m2**2 + 170)
    return float(np.sqrt(((similarity - similarity.mean()) ** 2).mean()))


def test_it_is_the_published_formula() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(16, 236, (25, 31)).astype(np.uint8)
    shown = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255)
    assert gmsd(shown, truth) == pytest.approx(published(shown, truth.astype(float)), rel=1e-5)
    assert gmsd(truth, truth) == 0
    assert gmsd(shown, truth) > gmsd((shown + truth) / 2, truth) > 0


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="6x6"):
        gmsd(np.zeros((5, 9)), np.zeros((5, 9)))
