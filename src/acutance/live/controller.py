"""The deadline: what to leave out so that frames are in time, decided from what the last ones took.

A pure function: :func:`decide` gets a state and one measurement and returns the next state. First the share of a
frame's tiles that may be computed goes down, then the tier, then frames are passed through; back up in the same steps,
slowly, and the more slowly the more often going up has failed.
"""

import math
from dataclasses import dataclass, replace

from acutance.errors import UsageError

__all__ = ["Limits", "State", "decide"]

_ROOM = 0.9  # of the interval: what is left is for the machine's whims
_TARGET = 0.85  # of what is allowed: where a change of share aims
_CALM = 0.7  # of what is allowed: below, there is room
_DROPPED = 1.05  # of what is allowed: what a dropped frame says at least
_LEAST_SHARE = 0.1  # of a frame's tiles: below, the next cheaper tier does more
_WORTH = 0.5  # of the wanted tiles: the better tier is worth going up to where it has time for so many
_SHARE_UP = 1.25  # at most, from step to step
_RISE, _FALL = 0.15, 0.1  # how fast the load that is believed follows the load that is measured
_LOUDEST = 2.0  # of what is allowed: what one frame can say; the system may hold up any thread for long, once
_SETTLE = 0.15  # seconds after a change before the next one
_CALM_SHARE, _CALM_TIER = 0.5, 3.0  # seconds of room before a step up
_LONGEST_WAIT = 60.0  # seconds
_FAILED_WITHIN = 10.0  # seconds after going up: going down then counts as a failure
_PROBE = 0.1  # share of tiles with which sharpening begins again after passing through


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked for.

    interval: seconds from frame to frame. cost: of each tier, in any unit, the dearest first; below the last, frames
    are passed through. tiles: whether the engine can be given a share of tiles.
    budget: share of the machine's processor time that sharpening may take, above 0 to 1. threads, cores: of the engine
    and of the machine. Raises UsageError.
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
            raise UsageError(f"a processor budget lies above 0 and up to 1, not {self.budget!r}")
        if not self.cost:
            raise UsageError("there is no tier to choose from")

    @property
    def seconds(self) -> float:
        """What sharpening a frame may take."""
        room = _ROOM if self.budget == 1 else min(_ROOM, self.budget * self.cores / max(1, self.threads))
        return self.interval * room


@dataclass(frozen=True, slots=True)
class State:
    """tier: index into those of :class:`Limits`; their number: frames are passed through. share: of a frame's tiles
    that may be computed. reason: why it changed, where it just did, else empty. The rest is what is remembered.
    """

    tier: int = 0
    share: float = 1.0
    reason: str = ""
    load: float = 0.0  # of what is allowed
    computed: float = 0.0  # share of tiles that needed it, of late the most
    age: float = -0.35  # seconds since the last change; the first frames find caches cold
    tier_age: float = math.inf  # since the last step up a tier
    share_age: float = math.inf  # since the last step up of the share
    calm: float = 0.0  # seconds with room
    wait: float = _CALM_TIER  # seconds of room that a step up a tier needs
    share_wait: float = _CALM_SHARE  # and one of the share


def decide(state: State, took: float, computed: float, limits: Limits, *, dropped: bool = False) -> State:
    """The state for the next frame. took: seconds that sharpening the last one took, by the clock on the wall.
    computed: the share of its tiles that needed to be: computed, or reused. dropped: whether a frame was since the last
    one, because it took too long: that counts as too much whatever the average."""
    now = min(_LOUDEST, took / limits.seconds)
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
        return _from_below(state, limits)
    if state.load > 1.0:
        state = replace(state, calm=0.0)
        return _less(state, limits) if state.age >= _SETTLE else state
    if state.load >= _CALM:
        return replace(state, calm=0.0)
    state = replace(state, calm=state.calm + limits.interval)
    return _more(state, limits)


def _less(state: State, limits: Limits) -> State:
    share = min(state.share, state.computed) * _TARGET / state.load
    if limits.tiles and share >= _LEAST_SHARE:
        failed = state.share_age < _FAILED_WITHIN
        share_wait = min(_LONGEST_WAIT, 2 * state.share_wait) if failed else _CALM_SHARE
        # The load is taken to be what it will be, so that the frames before the change are not held against it.
        return replace(
            state, share=share, load=_TARGET, age=0.0, share_wait=share_wait,
            reason=f"frames take {state.load:.0%} of their time: at most {share:.0%} of the tiles",
        )  # fmt: skip
    wait = min(_LONGEST_WAIT, 2 * state.wait) if state.tier_age < _FAILED_WITHIN else _CALM_TIER
    tier = state.tier + 1
    # As many tiles as the cheaper tier should have time for; where there is none below, nothing is computed anyway.
    known = limits.tiles and tier < len(limits.cost)
    return replace(
        state, tier=tier, load=_TARGET, age=0.0, wait=wait,
        share=min(1.0, max(_LEAST_SHARE, share * limits.cost[state.tier] / limits.cost[tier])) if known else 1.0,
        reason=f"frames take {state.load:.0%} of their time: the next cheaper tier",
    )  # fmt: skip


def _more(state: State, limits: Limits) -> State:
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
        fits = _TARGET / load  # of the tiles that are wanted
        share = state.computed * fits
        if not limits.tiles or fits < _WORTH or share < 2 * _LEAST_SHARE:
            return state
    return replace(
        state, tier=state.tier - 1, share=share, load=min(load, _TARGET), calm=0.0, age=0.0, tier_age=0.0,
        reason=f"frames take {state.load:.0%} of their time: the next better tier",
    )  # fmt: skip


def _from_below(state: State, limits: Limits) -> State:
    """Passing through says nothing about what sharpening would take: it is tried again with few tiles."""
    calm = state.calm + limits.interval
    if calm < state.wait:
        return replace(state, calm=calm)
    return replace(
        state, tier=len(limits.cost) - 1, share=_PROBE if limits.tiles else 1.0, load=0.0, calm=0.0, age=0.0,
        tier_age=0.0, reason="sharpening is tried again",
    )  # fmt: skip
