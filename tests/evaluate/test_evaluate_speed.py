"""Timings: who takes turns when, and what is made of the times."""

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from acutance._util.machine import processor_name
from acutance.errors import UsageError
from acutance.evaluate.speed import (
    Contender,
    Load,
    LoadMeter,
    Race,
    int16_peak,
    largest_that_holds,
    race,
    timing_of,
)


def _race(peaks: list[float] | None = None, **seconds: list[list[float]]) -> Race:
    return Race(
        {name: np.array(times) for name, times in seconds.items()},
        None if peaks is None else np.array(peaks),
        Load(None, None),
    )


def test_percentiles_are_times_that_were_measured() -> None:
    timing = timing_of([0.010] * 98 + [0.020, 0.040])
    assert (timing.frames, timing.median, timing.p95, timing.p99) == (100, 0.010, 0.010, 0.040)
    assert timing.fps == pytest.approx(100)
    assert timing_of([0.5]).to_dict()["p99_ms"] == 500
    with pytest.raises(UsageError, match="no frame"):
        timing_of([])


def test_contenders_take_turns_and_who_begins_moves_on() -> None:
    ran: list[str] = []

    def runner(name: str):
        return lambda number: ran.append(f"{name}{number}")

    done: list[int] = []
    result = race(
        [Contender("a", runner("a"), block=2), Contender("b", runner("b"), block=1)],
        rounds=2,
        settle=1,
        after_round=done.append,
    )
    # Warming up, then each turn with one frame that is not timed; numbers go on over all of it.
    assert ran == ["a0", "a1", "b0", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "a5", "a6", "a7"]
    assert result.seconds["a"].shape == (2, 2)
    assert result.seconds["b"].shape == (2, 1)
    assert done == [0, 1]
    assert result.peaks is None
    assert result.share_of_peak("a", 1e6) is None


def test_a_race_stops_when_its_time_is_up() -> None:
    result = race([Contender("a", lambda _: time.sleep(0.002), block=1)], rounds=10**6, seconds=0.03)
    assert 2 <= result.timing("a").frames <= 15
    assert result.timing("a").median >= 0.002


def test_speedups_are_formed_round_by_round() -> None:
    # The machine ran at half speed in the second round, for both.
    result = _race(a=[[1, 1], [2, 2], [1, 1]], b=[[3, 3], [6, 6], [3, 3]])
    assert result.speedup("a", over="b") == 3


def test_a_total_counts_frames_that_cost_nothing_and_not_a_pause_of_the_machine() -> None:
    cheap = [[4.0, 0.0, 0.0, 0.0], [4.0, 0.0, 90.0, 0.0], [4.0, 0.0, 0.0, 0.0]]
    result = _race(a=cheap, b=[[4.0] * 4] * 3)
    assert result.total_speedup("a", "b", period=4) == 4
    assert result.total_speedup("a", "b") < 1


def test_the_share_of_the_peak_is_of_the_peak_around_a_turn() -> None:
    result = _race(peaks=[100.0, 100.0, 50.0], a=[[0.5], [1.0]])
    assert result.share_of_peak("a", 40.0) == pytest.approx(np.median([40 / 0.5 / 100, 40 / 1.0 / 75]))
    assert result.peak == 100


def test_the_peak_needs_the_native_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acutance._native", None)
    assert int16_peak(2) is None
    asked: list[object] = []

    def peak(*given: object) -> float:
        asked.extend(given)
        return 5e9

    monkeypatch.setitem(sys.modules, "acutance._native", SimpleNamespace(peak=peak))
    assert int16_peak(2, seconds=0.1) == 5e9
    assert asked == [0.1, 2, None]
    peaks = iter([1.0, 2.0, 3.0])
    result = race([Contender("a", lambda _: None, block=1)], rounds=2, peak=lambda: next(peaks))
    assert list(result.peaks if result.peaks is not None else []) == [1.0, 2.0, 3.0]


def test_what_others_take_is_a_share() -> None:
    meter = LoadMeter()
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        pass
    for share in meter.result().to_dict().values():
        assert share is None or 0 <= share <= 1.05
    assert processor_name()


def test_the_largest_that_holds_a_rate() -> None:
    costs = {"fast": 5e-9, "balanced": 1e-8, "quality": 5e-8}
    assert largest_that_holds(costs, pixels=1920 * 1080, fps=30) == "balanced"
    assert largest_that_holds(costs, pixels=1920 * 1080, fps=60) == "fast"
    assert largest_that_holds(costs, pixels=1280 * 720, fps=15) == "quality"
    assert largest_that_holds(costs, pixels=3840 * 2160, fps=60) is None


@pytest.mark.parametrize("contenders", [[], [Contender("a", print), Contender("a", print)]])
def test_contenders_without_names_of_their_own_are_refused(contenders: list[Contender]) -> None:
    with pytest.raises(UsageError, match="names"):
        race(contenders, rounds=1)
    with pytest.raises(UsageError, match="at least one"):
        race([Contender("a", print)], rounds=0)
