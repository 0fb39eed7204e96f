"""The controller that keeps a live job within its deadline.

:func:`decide` is a pure function: it takes a state and one measurement and returns the next state. Under load it first
lowers the share of tiles that may be computed, then the tier, and at last lets frames pass through. It goes back up in
the same steps. Each step up that fails doubles the wait before the next one.
"""

import math
from dataclasses import dataclass, replace

from acutance.errors import UsageError

__all__ = ["Limits", "State", "decide"]

_USABLE = 0.9  # of the interval; the rest is a margin for other work of the machine
_TARGET = 0.85  # load that a change of share aims at
_CALM = 0.7  # below this load there is room for more
_DROPPED = 1.05  # least load after a dropped frame
_LEAST_SHARE = 0.1  # of the tiles; below this share the next cheaper tier gains more
_WORTH = 0.5  # of the wanted tiles that a better tier must have time for
_SHARE_UP = 1.25  # largest factor of one step up
_RISE, _FALL = 0.15, 0.1  # weights of a measurement in the load estimate
_LARGEST_LOAD = 2.0  # of a single frame: the system can delay a thread once for long
_SETTLE = 0.15  # seconds between changes
_CALM_SHARE, _CALM_TIER = 0.5, 3.0  # seconds of calm before a step up of share and of tier
_LONGEST_WAIT = 60.0  # seconds
_FAILED_WITHIN = 10.0  # seconds; a step down this soon after a step up counts as a failure
_PROBE = 0.1  # share of tiles when sharpening is tried again


@dataclass(frozen=True, slots=True)
class Limits:
    """The deadline and the means to keep it.

    Attributes:
        interval: seconds between frames, above 0.
        cost: cost of each tier in any unit, the most expensive tier first. Below the last tier, frames pass through.
        tiles: True if the engine can compute a share of the tiles.
        budget: share of the machine's processor time for sharpening, above 0, up to 1.
        threads: threads of the engine.
        cores: cores of the machine.

    Raises:
        UsageError: a value is out of range.
    """

    interval: float
    cost: tuple[float, ...] = (1.0,)
    tiles: bool = True
    budget: float = 1.0
    threads: int = 1
    cores: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.interval < math.inf:
            raise UsageError(f"the interval between frames must be positive, not {self.interval!r}")
        if not 0 < self.budget <= 1:
            raise UsageError(f"the processor budget must be above 0 and at most 1, not {self.budget!r}")
        if not self.cost:
            raise UsageError("a live job needs at least one tier")

    @property
    def seconds(self) -> float:
        """Seconds that sharpening a frame may take."""
        usable = _USABLE if self.budget == 1 else min(_USABLE, self.budget * self.cores / max(1, self.threads))
        return self.interval * usable


@dataclass(frozen=True, slots=True)
class State:
    """The state of the controller. The attributes after ``reason`` are its memory.

    Attributes:
        tier: index of the tier in :class:`Limits`; the number of tiers means that frames pass through.
        share: largest share of a frame's tiles to compute, 0 to 1.
        reason: why the last decision changed something; empty if it did not.
        load: smoothed time of a frame over the time that it may take.
        computed: recent maximum of the share of tiles that needed computing, 0 to 1.
        age: seconds since the last change. It starts below 0, because caches are cold at first.
        tier_age: seconds since the last step up of the tier.
        share_age: seconds since the last step up of the share.
        calm: seconds of low load.
        wait: seconds of calm that a step up of the tier needs.
        share_wait: seconds of calm that a step up of the share needs.
    """

    tier: int = 0
    share: float = 1.0
    reason: str = ""
    load: float = 0.0
    computed: float = 0.0
    age: float = -0.35
    tier_age: float = math.inf
    share_age: float = math.inf
    calm: float = 0.0
    wait: float = _CALM_TIER
    share_wait: float = _CALM_SHARE


def decide(state: State, took: float, computed: float, limits: Limits, *, dropped: bool = False) -> State:
    """Return the state for the next frame.

    Args:
        state: the state of the last frame.
        took: seconds of wall time that sharpening the last frame took.
        computed: share of its tiles that were computed or reused, 0 to 1.
        limits: the deadline.
        dropped: True if a frame was dropped since the last one because sharpening was busy. This counts as overload,
            whatever the average says.
    """
    now = min(_LARGEST_LOAD, took / limits.seconds)
    passed = max(took, limits.interval)
    follow = _RISE if now > state.load else _FALL
    state = replace(
        state,
        reason="",
        load=state.load + follow * (now - state.load),
        computed=max(computed, state.computed + _FALL * (computed - state.computed)),
        age=state.age + passed,
        tier_age=state.tier_age + passed,
        share_age=state.share_age + passed,
    )
    if dropped:
        state = replace(state, load=max(state.load, _DROPPED))
    if state.tier == len(limits.cost):
        return _resume(state, limits)
    if state.load > 1.0:
        state = replace(state, calm=0.0)
        return _step_down(state, limits) if state.age >= _SETTLE else state
    if state.load >= _CALM:
        return replace(state, calm=0.0)
    state = replace(state, calm=state.calm + limits.interval)
    return _step_up(state, limits)


def _step_down(state: State, limits: Limits) -> State:
    share = min(state.share, state.computed) * _TARGET / state.load
    if limits.tiles and share >= _LEAST_SHARE:
        failed = state.share_age < _FAILED_WITHIN
        share_wait = min(_LONGEST_WAIT, 2 * state.share_wait) if failed else _CALM_SHARE
        # Assume the target load at once: frames from before the change must not count against it.
        return replace(
            state, share=share, load=_TARGET, age=0.0, share_wait=share_wait,
            reason=f"frames take {state.load:.0%} of their time: at most {share:.0%} of the tiles",
        )  # fmt: skip
    wait = min(_LONGEST_WAIT, 2 * state.wait) if state.tier_age < _FAILED_WITHIN else _CALM_TIER
    tier = state.tier + 1
    # Give the cheaper tier as many tiles as it should have time for. Below the last tier nothing is computed.
    known = limits.tiles and tier < len(limits.cost)
    return replace(
        state, tier=tier, load=_TARGET, age=0.0, wait=wait,
        share=min(1.0, max(_LEAST_SHARE, share * limits.cost[state.tier] / limits.cost[tier])) if known else 1.0,
        reason=f"frames take {state.load:.0%} of their time: the next cheaper tier",
    )  # fmt: skip


def _step_up(state: State, limits: Limits) -> State:
    if state.share < 1.0:
        if state.calm < state.share_wait:
            return state
        step = min(_SHARE_UP, _TARGET / max(state.load, 1e-6))
        share = min(1.0, state.share * step)
        return replace(
            state, share=share, calm=0.0, age=0.0, share_age=0.0, load=min(1.0, state.load * step),
            reason=f"frames take {state.load:.0%} of their time: up to {share:.0%} of the tiles",
        )  # fmt: skip
    if state.tier == 0 or state.calm < state.wait:
        return state
    load = state.load * limits.cost[state.tier - 1] / limits.cost[state.tier]
    share = 1.0
    if load > _CALM:
        fits = _TARGET / load  # share of the wanted tiles that fit
        share = state.computed * fits
        if not limits.tiles or fits < _WORTH or share < 2 * _LEAST_SHARE:
            return state
    return replace(
        state, tier=state.tier - 1, share=share, load=min(load, _TARGET), calm=0.0, age=0.0, tier_age=0.0,
        reason=f"frames take {state.load:.0%} of their time: the next better tier",
    )  # fmt: skip


def _resume(state: State, limits: Limits) -> State:
    """Try sharpening again with few tiles: frames that pass through do not tell what sharpening would take."""
    calm = state.calm + limits.interval
    if calm < state.wait:
        return replace(state, calm=calm)
    return replace(
        state, tier=len(limits.cost) - 1, share=_PROBE if limits.tiles else 1.0, load=0.0, calm=0.0, age=0.0,
        tier_age=0.0, reason="sharpening is tried again",
    )  # fmt: skip
