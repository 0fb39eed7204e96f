"""Timings that can be compared: contenders take turns in one process.

A machine that others share may run at half speed for minutes. So nothing is timed alone. Contenders take turns, block
of frames by block of frames. The arithmetic peak is measured between the rounds. The time that the hypervisor and other
processes take is counted. Ratios and shares are formed round by round.
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
    "NOMINAL_PEAK",
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

NOMINAL_PEAK = 78e9
"""Multiply-accumulates per second and thread of the machine that the speed targets are for: AVX2 at 2.45 GHz."""

_PAUSE = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of a window of frames.

    Attributes:
        frames: How many were timed.
        median: Median in seconds.
        p95: 95th percentile in seconds.
        p99: 99th percentile in seconds.
        total: Sum in seconds.
    """

    frames: int
    median: float
    p95: float
    p99: float
    total: float

    @property
    def fps(self) -> float:
        """Frames per second at the median."""
        return 1.0 / self.median

    def to_dict(self) -> dict[str, float]:
        """Return figures that fit JSON; times are in milliseconds."""
        return {
            "frames": self.frames,
            "fps": round(self.fps, 3),
            "median_ms": round(self.median * 1e3, 4),
            "p95_ms": round(self.p95 * 1e3, 4),
            "p99_ms": round(self.p99 * 1e3, 4),
            "mean_ms": round(self.total / self.frames * 1e3, 4),
        }


def timing_of(seconds: Sequence[float] | Seconds) -> Timing:
    """Summarise times of single frames.

    A percentile is always a time that was measured (the next higher one). Of 11 frames the 99th percentile is the
    slowest.

    Args:
        seconds: Time of each frame.

    Raises:
        UsageError: There is no time.
    """
    times = np.asarray(seconds, np.float64).ravel()
    if not times.size:
        raise UsageError("no frame was timed")
    p95, p99 = (float(np.percentile(times, q, method="higher")) for q in (95, 99))
    return Timing(times.size, float(np.median(times)), p95, p99, float(times.sum()))


# -- the machine ----------------------------------------------------------------------------------------------------


def int16_peak(threads: int, *, seconds: float = 0.05, instruction_set: str | None = None) -> float | None:
    """Return the int16 multiply-accumulates per second that the processor reaches now.

    Args:
        threads: How many threads to use.
        seconds: How long to measure.
        instruction_set: The best of this processor where it is None.

    Returns:
        Multiply-accumulates of int16 into int32 per second; None without native code.
    """
    try:
        native: Any = importlib.import_module("acutance._native")
    except ImportError:
        return None
    return float(native.peak(seconds, threads, instruction_set))


@dataclass(frozen=True, slots=True)
class Load:
    """Shares of all cores' time that others took while something was timed; None where they are unknown.

    Attributes:
        steal: Taken by the hypervisor for other machines.
        others: Taken by other processes of this machine.
    """

    steal: float | None
    others: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Return the shares by name."""
        return {"steal": _rounded(self.steal), "others": _rounded(self.others)}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


class LoadMeter:
    """Measures the load from the moment it is made (Linux: ``/proc/stat``)."""

    def __init__(self) -> None:
        self._began = _processor_times()

    def result(self) -> Load:
        """Return the load since then."""
        now = _processor_times()
        if self._began is None or now is None:
            return Load(None, None)
        total, steal, busy, own = (b - a for a, b in zip(self._began, now, strict=True))
        if total <= 0:
            return Load(None, None)
        return Load(steal / total, max(0.0, busy - own) / total)


def _processor_times() -> tuple[float, float, float, float] | None:
    """Return seconds of all cores: total, stolen, busy, and busy with this process and its children."""
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

    Attributes:
        name: Unique in a race.
        run: Does the work for one frame. Its argument counts up by one, over the warm-up and all turns.
        block: Frames of one turn.
    """

    name: str
    run: Callable[[int], object]
    block: int = 20


@dataclass(frozen=True, slots=True)
class Race:
    """Outcome of a race.

    Attributes:
        seconds: Times of every contender, rounds x block, in seconds.
        peaks: Arithmetic peak before the first round and after each; None where it cannot be measured.
        load: What others took of the machine.
    """

    seconds: Mapping[str, Seconds]
    peaks: Seconds | None
    load: Load

    def timing(self, name: str) -> Timing:
        """Return the summary of one contender."""
        return timing_of(self.seconds[name])

    def speedup(self, name: str, over: str) -> float:
        """Return how many times as fast a contender is as another.

        It is the median over rounds of the ratio of the turns' medians.

        Args:
            name: The contender.
            over: The other one.
        """
        own, other = (np.median(self.seconds[n], axis=1) for n in (name, over))
        return float(np.median(other / own))

    def total_speedup(self, name: str, over: str, *, period: int | None = None) -> float:
        """Return how many times as fast a contender is in total; a median says little where some frames cost nothing.

        Args:
            name: The contender.
            over: The other one.
            period: Frames after which both begin the same clip again. The time of a frame is then the median over
                complete passes, so that a pause of the machine does not count.
        """
        own, other = (self.seconds[n].ravel() for n in (name, over))
        if period is not None and own.size >= period and own.size == other.size:
            passes = own.size // period
            own, other = (np.median(t[: passes * period].reshape(passes, period), axis=0) for t in (own, other))
        return float(other.mean() / own.mean())

    def share_of_peak(self, name: str, macs: float) -> float | None:
        """Return the share of the arithmetic peak that a contender uses, the median over rounds.

        Args:
            name: The contender.
            macs: Multiply-accumulates of one frame.

        Returns:
            The share, or None where the peak is not known.
        """
        if self.peaks is None:
            return None
        around = (self.peaks[:-1] + self.peaks[1:]) / 2
        return float(np.median(macs / np.median(self.seconds[name], axis=1) / around))

    @property
    def peak(self) -> float | None:
        """Median of the measured peaks in multiply-accumulates per second; None where it is not known."""
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
    """Let contenders take turns. Each round begins with another one.

    Args:
        contenders: With names of their own.
        rounds: Turns of each contender.
        seconds: No round begins after so many seconds; there is always one.
        warm_up: Turns beforehand that are not timed.
        settle: Frames at the start of each turn that run untimed, because the caches hold another contender's data. A
            pause comes before them, because threads of some runtimes spin for a while after their last frame.
        peak: Measures the arithmetic peak.
        after_round: Called with the number of each round, to compare what the contenders made.

    Raises:
        UsageError: Two contenders share a name, or there is nothing to time.
    """
    names = [c.name for c in contenders]
    if not contenders or len(set(names)) < len(names):
        raise UsageError(f"contenders must have different names, not {names}")
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
    """Return the most costly candidate that has a frame ready in time.

    Args:
        seconds_per_pixel: Time of a slow frame (such as the 95th percentile) by name, in rising order of cost.
        pixels: Of a frame.
        fps: Frames per second.

    Returns:
        The name, or None where no candidate is fast enough.
    """
    held = [name for name, cost in seconds_per_pixel.items() if cost * pixels * fps <= 1.0]
    return held[-1] if held else None
