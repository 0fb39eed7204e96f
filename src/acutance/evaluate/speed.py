"""Timings that can be compared: contenders take turns in one process, beside what the machine could do at that moment.

A machine that others share runs at half speed for minutes. So nothing is timed by itself: contenders take turns, block
of frames by block of frames, the arithmetic peak is measured between the rounds, and what the hypervisor and other
processes took is counted. Ratios and shares are formed round by round.
"""

import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError

__all__ = [
    "Contender",
    "Load",
    "LoadMeter",
    "Race",
    "Timing",
    "int16_peak",
    "largest_that_holds",
    "race",
    "timing_of",
]

Seconds = NDArray[np.float64]

_PAUSE = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Timing:
    """What a window of frames took, in seconds: median, 95th and 99th percentile, all together. frames: how many."""

    frames: int
    median: float
    p95: float
    p99: float
    total: float

    @property
    def fps(self) -> float:
        """Frames a second, of the median."""
        return 1.0 / self.median

    def to_dict(self) -> dict[str, float]:
        """Fit for JSON; times in milliseconds."""
        return {
            "frames": self.frames,
            "fps": round(self.fps, 3),
            "median_ms": round(self.median * 1e3, 4),
            "p95_ms": round(self.p95 * 1e3, 4),
            "p99_ms": round(self.p99 * 1e3, 4),
            "mean_ms": round(self.total / self.frames * 1e3, 4),
        }


def timing_of(seconds: Sequence[float] | Seconds) -> Timing:
    """Summarise times of single frames. Raises UsageError of none.

    Percentiles are times that were measured (the next higher one), never between two: of 11 frames the 99th percentile
    is the slowest.
    """
    times = np.asarray(seconds, np.float64).ravel()
    if not times.size:
        raise UsageError("no frame was timed")
    p95, p99 = (float(np.percentile(times, q, method="higher")) for q in (95, 99))
    return Timing(times.size, float(np.median(times)), p95, p99, float(times.sum()))


# -- the machine ----------------------------------------------------------------------------------------------------


def int16_peak(threads: int, *, seconds: float = 0.05, instruction_set: str | None = None) -> float | None:
    """Multiply-accumulates a second of int16 into int32 that ``threads`` threads reach now; None without native code.

    seconds: how long to measure. instruction_set: the best this processor has where None.
    """
    try:
        native: Any = importlib.import_module("acutance._native")
    except ImportError:
        return None
    return float(native.peak(seconds, threads, instruction_set))


@dataclass(frozen=True, slots=True)
class Load:
    """What others took of the machine while something was timed: shares of all its cores' time, or None where unknown.

    steal: the hypervisor, for other machines. others: other processes of this one.
    """

    steal: float | None
    others: float | None

    def to_dict(self) -> dict[str, float | None]:
        return {"steal": _rounded(self.steal), "others": _rounded(self.others)}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


class LoadMeter:
    """Counts from the moment it is made (Linux: ``/proc/stat``)."""

    def __init__(self) -> None:
        self._began = _processor_times()

    def result(self) -> Load:
        now = _processor_times()
        if self._began is None or now is None:
            return Load(None, None)
        total, steal, busy, own = (b - a for a, b in zip(self._began, now, strict=True))
        if total <= 0:
            return Load(None, None)
        return Load(steal / total, max(0.0, busy - own) / total)


def _processor_times() -> tuple[float, float, float, float] | None:
    """Seconds of all cores together: in all, stolen, busy, and busy with this process and its children."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, idle, wait, irq, softirq, steal = (float(f) for f in fields)
        tick = float(os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, AttributeError):
        return None
    own = os.times()
    busy = user + nice + system + irq + softirq
    mine = own.user + own.system + own.children_user + own.children_system
    return ((busy + idle + wait + steal) / tick, steal / tick, busy / tick, mine)


# -- taking turns ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work.

    run: does it for the frame of that number; numbers count up by one, over warming up and all turns. block: how many
    frames are its turn.
    """

    name: str
    run: Callable[[int], object]
    block: int = 20


@dataclass(frozen=True, slots=True)
class Race:
    """Times of every contender, rounds x its block, in seconds.

    peaks: the arithmetic peak, before the first round and after each; None where it cannot be measured.
    load: what others took meanwhile.
    """

    seconds: Mapping[str, Seconds]
    peaks: Seconds | None
    load: Load

    def timing(self, name: str) -> Timing:
        return timing_of(self.seconds[name])

    def speedup(self, name: str, over: str) -> float:
        """How many times as fast ``name`` is as ``over``: of the medians of their turns, the median over rounds."""
        own, other = (np.median(self.seconds[n], axis=1) for n in (name, over))
        return float(np.median(other / own))

    def total_speedup(self, name: str, over: str, *, period: int | None = None) -> float:
        """The same of all frames' times together: where some frames cost nothing, a median would say little.

        period: after how many frames both begin the same clip again; a frame's time is then the median over the passes
        that were completed, so that a pause of the machine does not count.
        """
        own, other = (self.seconds[n].ravel() for n in (name, over))
        if period is not None and own.size >= period and own.size == other.size:
            passes = own.size // period
            own, other = (np.median(t[: passes * period].reshape(passes, period), axis=0) for t in (own, other))
        return float(other.mean() / own.mean())

    def share_of_peak(self, name: str, macs: float) -> float | None:
        """Of the peak around each turn, the share that a frame of ``macs`` multiply-accumulates uses; median."""
        if self.peaks is None:
            return None
        around = (self.peaks[:-1] + self.peaks[1:]) / 2
        return float(np.median(macs / np.median(self.seconds[name], axis=1) / around))

    @property
    def peak(self) -> float | None:
        """The median of the measured peaks, multiply-accumulates a second."""
        return None if self.peaks is None else float(np.median(self.peaks))


def race(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    seconds: float | None = None,
    warm_up: int = 1,
    settle: int = 0,
    peak: Callable[[], float | None] = lambda: None,
    after_round: Callable[[int], None] = lambda _: None,
) -> Race:
    """Let contenders take turns.

    rounds: how many turns each gets, or fewer where ``seconds`` have passed (every one gets as many, one at least).
    warm_up: turns beforehand that are not timed. settle: frames at the beginning of each turn that are run but not
    timed, since the caches are full of what another contender left; and a pause before them, since the threads of some
    runtimes spin on for a while after their last frame. peak: measures the arithmetic peak.
    after_round: called with the number of the round, to compare what the contenders made.
    Who begins moves on by one each round. Raises UsageError.
    """
    names = [c.name for c in contenders]
    if not contenders or len(set(names)) < len(names):
        raise UsageError(f"contenders need names of their own, not {names}")
    if rounds < 1 or min(c.block for c in contenders) < 1:
        raise UsageError("a race needs at least one round of at least one frame")
    position = dict.fromkeys(names, 0)

    def turn(contender: Contender, frames: int) -> list[float]:
        times = []
        for _ in range(frames):
            number = position[contender.name]
            started = time.perf_counter()
            contender.run(number)
            times.append(time.perf_counter() - started)
            position[contender.name] = number + 1
        return times

    for contender in contenders:
        turn(contender, warm_up * contender.block)
    meter = LoadMeter()
    first = peak()
    peaks = [] if first is None else [first]
    times: dict[str, list[list[float]]] = {name: [] for name in names}
    deadline = None if seconds is None else time.monotonic() + seconds
    for number in range(rounds):
        shift = number % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            if settle:
                time.sleep(_PAUSE)
                turn(contender, settle)
            times[contender.name].append(turn(contender, contender.block))
        measured = peak()
        if measured is not None:
            peaks.append(measured)
        after_round(number)
        if deadline is not None and time.monotonic() >= deadline:
            break
    complete = len(peaks) == len(times[names[0]]) + 1
    return Race(
        {name: np.array(values, np.float64) for name, values in times.items()},
        np.array(peaks, np.float64) if complete else None,
        meter.result(),
    )


def largest_that_holds(seconds_per_pixel: Mapping[str, float], *, pixels: int, fps: float) -> str | None:
    """Of candidates in rising order of cost, the last that has a frame of so many pixels ready in time; None for none.

    seconds_per_pixel: of a slow frame (the 95th percentile, say) by name.
    """
    held = [name for name, cost in seconds_per_pixel.items() if cost * pixels * fps <= 1.0]
    return held[-1] if held else None
