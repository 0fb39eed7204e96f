"""Follow the condition of a stream: which mixture of a conditioned student's weight sets holds for each frame."""

import numpy as np
from numpy.typing import NDArray

from acutance.choosing.condition import KnownFacts, condition_features, with_known
from acutance.frame import Plane
from acutance.students.conditioned import ConditionedStudent, rounded_mixture

__all__ = ["ConditionTracker", "mixture_for"]

_LOOK_EVERY = 15  # frames
_KEEP = 0.5  # of the mixture before, from look to look
_SNAP = 0.5  # a mixture of which more than that share is different replaces the one before
_CUT = 24.0  # mean change of a sampled pixel, in 8-bit code values, that counts as a scene cut
_SAMPLES = 48  # pixels of each side that are compared with the frame before


class ConditionTracker:
    """Decides on a mixture for every frame of one stream.

    It looks at the first frame, then at every fifteenth and after scene cuts. The mixture moves halfway to what it
    sees. After a cut, and if what it sees is very different, it is replaced at once. A frame with nothing to see keeps
    the mixture. Before anything was seen, a frame stays as it is, unless its factor is known.
    The decisions depend on the frames that it was given and on their facts alone.

    Args:
        student: Whose sets are mixed.
    """

    def __init__(self, student: ConditionedStudent) -> None:
        self.student = student
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as after a seek: the next frame is looked at."""
        self._frames = 0
        self._mixture: NDArray[np.float64] | None = None  # None until something was seen
        self._known: KnownFacts | None = None
        self._samples: NDArray[np.int32] | None = None
        self._rounded: NDArray[np.float32] | None = None

    def look(
        self, luma: Plane, *, bit_depth: int = 8, full_range: bool = False, known: KnownFacts | None = None
    ) -> NDArray[np.float32]:
        """Take the next frame; return the mixture that holds for it.

        Args:
            luma: H x W, uint8, or uint16 above 8 bits.
            bit_depth: Bits of a sample, 8 to 16.
            full_range: True if black is 0.
            known: Facts about the frame; others than those of the frame before begin afresh.

        Returns:
            The share of each weight set, float32; multiples of 1/512 that add up to 1.
        """
        known = known or KnownFacts()
        cut = self._is_cut(luma, bit_depth)
        afresh = cut or known != self._known
        if afresh or self._mixture is None or self._frames % _LOOK_EVERY == 0:
            self._update(condition_features(luma, bit_depth=bit_depth, full_range=full_range, known=known), afresh)
        self._known = known
        self._frames += 1
        return mixture_for(self.student, known) if self._rounded is None else self._rounded

    def _update(self, features: NDArray[np.float32] | None, afresh: bool) -> None:
        if features is None:
            return
        seen = self.student.mixture(features).astype(np.float64)
        before = self._mixture
        different = before is None or float(np.abs(seen - before).sum()) / 2 > _SNAP
        self._mixture = seen if before is None or afresh or different else _KEEP * before + (1 - _KEEP) * seen
        self._rounded = rounded_mixture(self._mixture)

    def _is_cut(self, luma: Plane, bit_depth: int) -> bool:
        """Whether this frame has little in common with the one before."""
        before = self._samples
        rows, columns = (max(1, side // _SAMPLES) for side in luma.shape)
        self._samples = luma[rows // 2 :: rows, columns // 2 :: columns].astype(np.int32)
        if before is None or before.shape != self._samples.shape:
            return before is not None
        change = float(np.abs(self._samples - before).mean()) / float(1 << (bit_depth - 8))
        return change > _CUT


def mixture_for(student: ConditionedStudent, known: KnownFacts) -> NDArray[np.float32]:
    """Return the mixture for what is known of a stream, with nothing seen of it.

    Args:
        student: Whose sets are mixed.
        known: The facts.

    Returns:
        float32: that of an average frame enlarged by the known factor, or the identity if the factor is unknown.
    """
    if known.factor is None:
        return student.identity
    return student.mixture(with_known(student.mean, known))
