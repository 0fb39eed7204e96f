"""Decide which student a stream needs, from what its frames look like.

A small network is good at what it was trained for and at nothing else: a student for pictures that were enlarged by two
spoils those that were not. The spectrum of the first frame tells by which factor it was enlarged
(:mod:`acutance.choosing.factor_classifier`). The student for that factor is taken, and the stream is looked at again
every few frames.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.choosing.factor_classifier import REACH_FACTORS, detail_reach, reach_features, told_factor
from acutance.frame import Plane
from acutance.metrics.blockiness import blockiness
from acutance.sharpening.base import Choice
from acutance.students.bundled import factors_of, student_for

__all__ = ["Chooser"]

_LOOK_EVERY = 15  # frames
_KEEP = 0.5  # of what was seen before, from look to look
_BLOCKY = 1.6  # the most that pictures without JPEG have is 1.55; at quality 70 most have more
_SURE = 0.7  # the share that another factor needs before the choice changes: two looks in a row


class Chooser:
    """Decides on a student from the planes of one video, and again as it goes on.

    tier: ``fast``, ``balanced`` or ``quality``. task: ``call`` for what came through an encoder, ``clean`` for other
    pictures, where those that show the blocks of one after all get ``call``. scaled_by: what the picture is known to
    have been scaled up by; what is seen can only be more.
    """

    def __init__(self, tier: str, *, task: str = "call", scaled_by: float = 1.0) -> None:
        self._tier, self._task = tier, task
        self._frames = 0
        self._known_at_first = scaled_by
        self._begin(scaled_by)

    def _begin(self, scaled_by: float) -> None:
        """Nothing has been seen yet; all there is to go by is what is known."""
        self._known = scaled_by
        self._seen_task = self._task  # that of the choice: pictures with blocks are calls
        self._shares: NDArray[np.float64] | None = None
        self._choice = (
            _choose(self._tier, self._task, scaled_by, known=True)
            if scaled_by > 1
            else Choice(None, 0.0, "no detail to be seen: left as it is")
        )

    def restart(self) -> None:
        """Forget all frames, as if the next one was the first."""
        self._frames = 0
        self._begin(self._known_at_first)

    @property
    def choice(self) -> Choice:
        """The latest."""
        return self._choice

    @property
    def state(self) -> dict[str, Any]:
        """All that it knows, in values that JSON keeps to the last bit. May be set, to go on where another was."""
        return {
            "tier": self._tier,
            "frames": self._frames,
            "known": self._known,
            "task": self._seen_task,
            "shares": None if self._shares is None else self._shares.tolist(),
            "choice": asdict(self._choice),
        }

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._tier, self._frames, self._known = state["tier"], state["frames"], state["known"]
        self._seen_task = state["task"]
        self._shares = None if state["shares"] is None else np.array(state["shares"], np.float64)
        self._choice = Choice(**state["choice"])

    @property
    def tier(self) -> str:
        """That students are chosen from. May be set: the choice then is that of the new tier for the same factor."""
        return self._tier

    @tier.setter
    def tier(self, tier: str) -> None:
        if tier != self._tier:
            self._tier = tier
            if self._choice.factor:
                self._choice = _choose(tier, self._seen_task, self._choice.factor, known=self._choice.known)

    def look(
        self, luma: Plane, *, bit_depth: int = 8, full_range: bool = False, scaled_by: float | None = None
    ) -> Choice:
        """Told of every frame, in order; looks at some of them. Returns the choice that holds for this one.

        scaled_by: where it is known of each frame, as of a stream whose coded size changes; another begins afresh.
        """
        if scaled_by is not None and scaled_by != self._known:
            self._begin(scaled_by)
        undecided = self._shares is None
        due = undecided or self._frames % _LOOK_EVERY == 0
        self._frames += 1
        if not due:
            return self._choice
        features = reach_features(luma, bit_depth=bit_depth, full_range=full_range)
        if features is None:
            return self._choice
        seen = detail_reach(features)
        self._shares = seen if self._shares is None else _KEEP * self._shares + (1 - _KEEP) * seen
        told = told_factor(self._shares)
        factor = max(told, self._known)
        sure = self._shares[REACH_FACTORS.index(told)] >= _SURE
        if undecided or (factor != self._choice.factor and sure):
            task = self._task
            if task == "clean" and factor > 1 and blockiness(luma, 8 * factor, bit_depth=bit_depth) >= _BLOCKY:
                task = "call"
            self._seen_task = task
            self._choice = _choose(self._tier, task, factor, known=factor == self._known)
        return self._choice


def _choose(tier: str, task: str, factor: float, *, known: bool = False) -> Choice:
    how = "was" if known else "looks as if it had been"
    seen = f"{how} scaled up by {factor:g}" if factor > 1 else "as sharp as its size allows"
    student = student_for(tier, task, factor)
    if student is None:
        return Choice(None, factor, f"{seen}: left as it is", known)
    trained = factors_of(student)
    nearest = "" if factor in trained else f", the nearest (for {', '.join(f'{f:g}' for f in trained)})"
    return Choice(student, factor, f"{seen}: {student}{nearest}", known)
