"""``acutance bench``."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from acutance import __version__
from acutance.cli.terminal import complain
from acutance.errors import AcutanceError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from acutance.engine import Engine
    from acutance.evaluate.speed import Race
    from acutance.students.spec import Student

    Luma = NDArray[np.uint8]

__all__ = ["Options", "run"]

_SIZES = ((1920, 1080), (640, 360), (320, 180))
"""What is timed on: the largest of which several frames fit into a contender's share of the time."""
_RATES = (("720p30", 1280, 720, 30), ("1080p30", 1920, 1080, 30), ("1080p60", 1920, 1080, 60), ("4K30", 3840, 2160, 30))
_DRAWN = 8  # frames of the scene: drawing them takes longer than sharpening them
_FEWEST = 8  # frames worth taking a percentile of
_TURN = 0.15  # seconds


@dataclass(frozen=True)
class Options:
    """How fast each bundled tier runs here on each back end, and what that is enough for. Takes less than a minute."""

    seconds: float = 20.0
    """How long to measure, all together; drawing the scene and warming up come on top."""
    engine: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Only these, by the names that --engine of sharpen takes; every one installed where not given."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="COUNT")] = None
    """Of the engines; one per core where not given."""
    json: bool = False
    """As JSON."""


@dataclass
class _Entry:
    """One tier on one back end: what runs, on what size, and how many frames a turn is."""

    student: "Student"
    engine: "Engine"
    size: tuple[int, int] = (0, 0)
    block: int = 1
    frames: list["Luma"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.student.spec.tier} {self.engine.name}"

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]

    def runner(self) -> Callable[[int], object]:
        import numpy as np

        out = np.empty_like(self.frames[0])
        return lambda number: self.engine.process(self.frames[number % len(self.frames)], out=out)


def run(options: Options) -> int:
    if not 0.1 <= options.seconds <= 3600:
        raise UsageError(f"--seconds lies between 0.1 and 3600, not {options.seconds:g}")
    from acutance.engine.base import usable_cores

    threads = options.threads if options.threads is not None else usable_cores()
    if threads < 1:
        raise UsageError(f"--threads must be at least 1, not {threads}")
    report = _measure(options.seconds, threads, options.engine)
    print(json.dumps(report, indent=2) if options.json else _text(report))
    return 0


def _measure(seconds: float, threads: int, engines: Sequence[str]) -> dict[str, Any]:
    from acutance._util.machine import processor_name
    from acutance.evaluate.speed import NOMINAL_PEAK, Contender, int16_peak, race

    entries = list(_entries(threads, engines))
    if not entries:
        raise UsageError("no student is bundled: there is nothing to measure")
    scene = _scene()
    for entry in entries:
        _fit(entry, scene, seconds / len(entries))
    timed = race(
        [Contender(e.name, e.runner(), e.block) for e in entries],
        rounds=1_000_000,
        seconds=seconds,
        peak=lambda: int16_peak(threads),
    )
    rows = [_row(e, timed) for e in entries]
    best = entries[0].engine.name
    return {
        "acutance": __version__,
        "processor": processor_name(),
        "threads": threads,
        "int16_peak_gmacs": None if timed.peak is None else round(timed.peak / 1e9, 2),
        **timed.load.to_dict(),
        "rows": rows,
        "engine": best,
        "nominal_peak_gmacs": round(NOMINAL_PEAK / 1e9 * threads, 2),
        "holds": _holds([r for r in rows if r["engine"] == best]),
    }


def _entries(threads: int, engines: Sequence[str]) -> Iterator[_Entry]:
    """Every tier on every back end: the preferred back end first, on each the cheapest tier first."""
    from acutance.engine import available_engines, open_engine
    from acutance.students.bundled import bundled_models, find_student
    from acutance.students.spec import load_student

    tiers = dict.fromkeys(load_student(path).spec.tier for path in bundled_models().values())
    students = [find_student(tier) for tier in tiers]
    for name in engines or available_engines():
        for student in students:
            try:
                yield _Entry(student, open_engine(student, name, threads=threads))
            except AcutanceError as error:
                if engines:
                    raise
                complain(f"{name} is left out: {error}")
                break


def _scene() -> dict[tuple[int, int], list["Luma"]]:
    """The demonstration's moving scene as luma planes of each size."""
    from acutance.degrade import resize, yuv420_from_rgb
    from acutance.demo.scene import FRAME_RATE, scene

    drawn = [yuv420_from_rgb(f).luma for f in islice(scene(_DRAWN / FRAME_RATE), _DRAWN)]
    return {size: [resize(luma, *size) for luma in drawn] for size in _SIZES}


def _fit(entry: _Entry, scene: Mapping[tuple[int, int], list["Luma"]], seconds: float) -> None:
    """Choose the size and the block of an engine that has about ``seconds`` to itself, by running the smallest size."""
    entry.size, entry.frames = _SIZES[-1], scene[_SIZES[-1]]
    process = entry.runner()
    process(0)  # what is built on the first call is not what a frame costs
    started = time.perf_counter()
    process(1)
    cost = (time.perf_counter() - started) / entry.pixels
    for size in _SIZES:
        frame = cost * size[0] * size[1]
        if frame * _FEWEST <= seconds or size == _SIZES[-1]:
            entry.size, entry.frames = size, scene[size]
            entry.block = max(1, min(20, math.floor(_TURN / frame)))
            return


def _row(entry: _Entry, timed: "Race") -> dict[str, Any]:
    """Figures for 1920x1080; of what was timed on a smaller size, as if time grew with the pixels."""
    timing = timed.timing(entry.name)
    grown = _SIZES[0][0] * _SIZES[0][1] / entry.pixels
    spec = entry.student.spec
    share = timed.share_of_peak(entry.name, spec.shape.macs_per_pixel * entry.pixels)
    return {
        "tier": spec.tier,
        "model": spec.name,
        "engine": entry.engine.name,
        "timed_on": list(entry.size),
        "frames": timing.frames,
        "fps": round(timing.fps / grown, 3),
        "p50_ms": round(timing.median * grown * 1e3, 3),
        "p95_ms": round(timing.p95 * grown * 1e3, 3),
        "p99_ms": round(timing.p99 * grown * 1e3, 3),
        "share_of_int16_peak": None if share is None else round(share, 4),
    }


def _holds(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    """The largest tier whose 95th percentile is within a frame's time, for each rate."""
    from acutance.evaluate.speed import largest_that_holds

    costs = {r["tier"]: r["p95_ms"] / 1e3 / (_SIZES[0][0] * _SIZES[0][1]) for r in rows}
    return {name: largest_that_holds(costs, pixels=w * h, fps=fps) for name, w, h, fps in _RATES}


def _text(report: dict[str, Any]) -> str:
    from acutance.evaluate.table import render

    rows = []
    guessed = False
    for r in report["rows"]:
        about = "" if tuple(r["timed_on"]) == _SIZES[0] else "~"
        guessed = guessed or bool(about)
        share = r["share_of_int16_peak"]
        times = (f"{about}{r[key]:.1f}" for key in ("fps", "p50_ms", "p95_ms", "p99_ms"))
        rows.append([r["tier"], r["engine"], *times, "–" if share is None else f"{share * 100:.0f} %"])
    threads = "1 thread" if report["threads"] == 1 else f"{report['threads']} threads"
    heads = ["tier", "engine", "fps", "p50 ms", "p95 ms", "p99 ms", "of int16 peak"]
    parts = [f"{report['processor']}, {threads}; 1920x1080 luma, every tile computed", "", render(heads, rows)]
    if guessed:
        parts += ["", "~ timed on fewer pixels, and scaled by them"]
    parts += ["", f"what it is enough for, with {report['engine']} (95 of 100 frames in time):"]
    parts += [f"  {name:<8} {tier or 'no tier'}" for name, tier in report["holds"].items()]
    peak = report["int16_peak_gmacs"]
    conditions = [
        "the int16 peak needs the native engine" if peak is None else f"int16 peak {peak:.0f} GMAC/s",
        *(f"{report[k] * 100:.0f} % {what}" for k, what in _LOADS if report[k] is not None),
    ]
    parts += ["", f"meanwhile: {', '.join(conditions)}"]
    if (warning := _slow(report)) is not None:
        parts += ["", f"warning: {warning}"]
    return "\n".join(parts)


def _slow(report: dict[str, Any]) -> str | None:
    """Return a warning if the machine is slower now than the one that the speeds in the documents are for."""
    from acutance.evaluate.speed import NOMINAL_PEAK

    peak, threads = report["int16_peak_gmacs"], report["threads"]
    nominal = NOMINAL_PEAK / 1e9 * threads
    if peak is None or peak >= _NEAR * nominal:
        return None
    return (
        f"below nominal speed: {peak:.0f} GMAC/s on {threads} thread{'s' if threads > 1 else ''} where the documented "
        f"speeds have {nominal:.0f}; an idle machine, or a faster one, gives more frames"
    )


_NEAR = 0.95  # a peak this near to the nominal one counts as that; it varies by a few percent


_LOADS = (("steal", "of the processor stolen"), ("others", "used by other processes"))
