"""The deadline: a pure function of what frames took, tried on traces recorded from real runs and on drawn ones."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acutance.errors import UsageError
from acutance.live.controller import Limits, State, decide

TRACES = json.loads(Path(__file__).with_name("live_traces.json").read_text(encoding="utf-8"))
"""By name: the interval, and of each frame the seconds that all its active tiles took and their share."""


START = State()


def play(frames: Iterable[tuple[float, float]], limits: Limits, state: State = START) -> list[tuple[State, float]]:
    """States and seconds taken, where each frame takes as long as its tiles, as many as were allowed, ask for.

    frames: seconds for all active tiles of the dearest tier, and the share of tiles that are active.
    """
    out = []
    for seconds, active in frames:
        if state.tier == len(limits.cost):
            took, computed = 1e-4, 0.0
        else:
            computed = min(active, state.share)
            took = seconds * limits.cost[state.tier] / limits.cost[0] * computed / max(active, 1e-9)
        state = decide(state, took, computed, limits)
        out.append((state, took))
    return out


def late(played: list[tuple[State, float]], interval: float) -> float:
    """Share of frames that took longer than the interval."""
    return sum(took > interval for _, took in played) / len(played)


@pytest.mark.parametrize("name", [name for name in TRACES if name.startswith("idle")])
def test_an_idle_machine_computes_all_tiles(name: str) -> None:
    trace = TRACES[name]
    played = play(trace["frames"], Limits(trace["interval"], tuple(trace["cost"])))
    assert all(state.tier == 0 and state.share == 1.0 for state, _ in played)


@pytest.mark.parametrize("name", [name for name in TRACES if name.startswith("loaded")])
def test_a_loaded_machine_keeps_the_deadline_and_computes_many_tiles(name: str) -> None:
    trace = TRACES[name]
    interval = trace["interval"]
    played = play(trace["frames"], Limits(interval, tuple(trace["cost"])))
    assert late(played, interval) <= max(0.05, late([(State(), s) for s, _ in trace["frames"]], interval) / 2)


def test_overload_drops_tiles_then_the_tier_then_sharpening() -> None:
    limits = Limits(1 / 30, (2.0, 1.0))
    seen = [(state.tier, state.share) for state, _ in play([(2.0, 1.0)] * 200, limits)]
    tiers = [tier for tier, _ in seen]
    assert sorted(set(tiers)) == [0, 1, 2]
    assert tiers.index(1) < tiers.index(2)
    half = [(state.tier, state.share) for state, _ in play([(0.05, 0.8)] * 200, limits)]
    assert {tier for tier, _ in half} == {0}
    assert 0.1 <= half[-1][1] < 0.8


def test_the_share_settles_at_the_allowed_time() -> None:
    limits = Limits(1 / 60)
    played = play([(0.03, 0.6)] * 600, limits)
    took = [t for _, t in played[300:]]
    assert max(took) <= 1 / 60
    assert sum(took) / len(took) >= 0.6 * limits.seconds


def test_full_quality_returns_after_the_load() -> None:
    limits = Limits(1 / 30, (2.0, 1.0))
    state = play([(0.5, 1.0)] * 100, limits)[-1][0]
    assert state.tier > 0
    after = play([(0.008, 1.0)] * 900, limits, state)
    assert (after[-1][0].tier, after[-1][0].share) == (0, 1.0)


def test_failed_steps_up_double_the_wait() -> None:
    """A dear tier that the machine cannot do, and a cheap one that is easy: the first is not tried all the time."""
    limits = Limits(1 / 30, (10.0, 1.0), tiles=False)
    state, ups = State(tier=1), []
    for number in range(30 * 120):
        took = 0.0015 if state.tier == 1 else 0.04
        state = decide(state, took, 1.0, limits)
        if state.reason and state.tier == 0:
            ups.append(number / 30)
    gaps = [b - a for a, b in pairwise(ups)]
    assert len(ups) >= 2
    assert all(later >= 1.5 * sooner for sooner, later in pairwise(gaps))


def test_a_single_slow_frame_changes_nothing() -> None:
    frames = [(0.005, 0.5)] * 60
    frames[30] = (0.03, 0.5)
    assert all(state.share == 1.0 for state, _ in play(frames, Limits(1 / 60)))


def test_a_dropped_frame_counts_as_overload() -> None:
    limits, state = Limits(1 / 60), State()
    for number in range(120):
        state = decide(state, 0.01, 0.8, limits, dropped=number == 60)
        if number == 60:
            assert state.share < 0.8
    for _ in range(60 * 60):
        state = decide(state, 0.006, min(0.8, state.share), limits)
    assert state.share == 1.0


def test_a_processor_budget_is_kept() -> None:
    """A quarter of a machine of two cores, with two threads: a quarter of the interval."""
    limits = Limits(1 / 30, budget=0.25, threads=2, cores=2)
    assert limits.seconds == pytest.approx(0.25 / 30)
    took = [t for _, t in play([(0.02, 1.0)] * 600, limits)[300:]]
    assert max(took) <= 0.25 / 30 * 1.05


def test_an_engine_without_tiles_lowers_the_tier_first() -> None:
    states = [state for state, _ in play([(0.1, 1.0)] * 30, Limits(1 / 30, tiles=False))]
    assert all(state.share == 1.0 for state in states)
    assert states[-1].tier == 1


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=200), st.floats(0.004, 1.0))
def test_the_state_stays_in_range_for_all_measurements(frames: list[tuple[float, float]], interval: float) -> None:
    limits = Limits(interval, (3.0, 2.0, 1.0))
    for state, _ in play(frames, limits):
        assert 0 <= state.tier <= 3
        assert 0 < state.share <= 1


@pytest.mark.parametrize("bad", [{"interval": 0.0}, {"interval": 0.1, "budget": 0.0}, {"interval": 0.1, "budget": 1.1},
                                 {"interval": 0.1, "cost": ()}])  # fmt: skip
def test_limits_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Limits(**bad)
