"""Settings of a run of the benchmark, and the result of one section."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acutance.engine import Engine, open_engine
from acutance.errors import InputNotFoundError, UsageError
from acutance.evaluate.speed import NOMINAL_PEAK, Contender, Race, int16_peak, race
from acutance.students.bundled import find_student
from acutance.students.spec import Student

__all__ = ["NOMINAL_PEAK", "TARGET_SET", "TEST_CLIPS", "VAL_CLIPS", "Section", "Setting", "clip_path", "threads_here"]

TARGET_SET = "avx2"
"""The instruction set that the targets are about: what nearly every x86 processor in use has."""

TEST_CLIPS = ("mixkit_call_720p", "latentsync_demo1_1080x1920", "latentsync_demo2_1080x1920", "liveportrait_s18_720p")
VAL_CLIPS = ("brother", "carphone_pristine")


@dataclass(frozen=True)
class Setting:
    """Settings of a run.

    Attributes:
        size: Width and height that stand for 1080p; smaller only to try things out.
        frames: Frames of the floors.
        clip_frames: Frames of each clip.
        instruction_set: Limit for native code and OpenVINO.
        threshold: Threshold below which tiles are skipped, where it is on; that of each student where it is None.
    """

    data: Path | None
    engine: str = "native"
    instruction_set: str = ""
    threads: int = 2
    size: tuple[int, int] = (1920, 1080)
    frames: int = 2000
    clip_frames: int = 240
    threshold: int | None = None
    rounds: int = 20
    students: dict[str, Student] = field(default_factory=dict)
    engines: dict[str, Engine] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The data folder. Raises UsageError, InputNotFoundError."""
        if self.data is None:
            raise UsageError("name the data folder with --data or ACUTANCE_DATA")
        if not (self.data / "clips").is_dir():
            raise InputNotFoundError(f"{self.data}: holds no folder clips")
        return self.data

    @property
    def as_asked(self) -> bool:
        """Whether targets may be judged: size, engine and threads are those of the targets."""
        here = (self.engine, self.instruction_set, self.size, self.threads)
        return here == ("native", TARGET_SET, (1920, 1080), 2)

    def student(self, tier: str) -> Student:
        if tier not in self.students:
            self.students[tier] = find_student(tier)
        return self.students[tier]

    def open(self, tier: str) -> Engine:
        """Return the engine of a tier, opened once."""
        if tier not in self.engines:
            self.engines[tier] = open_engine(self.student(tier), self.engine, threads=self.threads)
        return self.engines[tier]

    def threshold_of(self, tier: str) -> int:
        """Return the threshold of a tier: the one asked for, else that of the student's file."""
        return self.student(tier).spec.threshold if self.threshold is None else self.threshold

    def macs(self, tier: str) -> float:
        """Return multiply-accumulates of a frame."""
        return self.student(tier).spec.shape.macs_per_pixel * self.size[0] * self.size[1]

    def race(self, contenders: Sequence[Contender], **options: Any) -> Race:
        """Run a race and measure the arithmetic peak on as many threads between its rounds."""
        return race(contenders, peak=lambda: int16_peak(self.threads), **options)


def clip_path(setting: Setting, name: str) -> Path:
    """Return the file of a clip.

    Raises:
        InputNotFoundError: The folder does not hold it.
    """
    for path in (setting.folder / "clips").glob(f"{name}.*"):
        return path
    raise InputNotFoundError(f"{setting.folder}/clips: holds no clip {name}")


class Section:
    """Collects the result of one section: rows, targets with the figures reached, and the conditions of each race."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.setting = setting
        self.rows: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []
        self.conditions: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.missing: dict[str, str] = {}

    def add_conditions(self, label: str, timed: Race) -> None:
        """Store the peak and the load of a race; they stand beside every figure from it."""
        table: dict[str, Any] = {"race": label, **timed.load.to_dict()}
        if timed.peaks is not None:
            low, middle, high = (float(f) / 1e9 for f in (timed.peaks.min(), timed.peak or 0, timed.peaks.max()))
            table["int16_peak_gmacs"] = {"lowest": round(low, 2), "median": round(middle, 2), "highest": round(high, 2)}
        self.conditions.append(table)

    def row(self, **values: Any) -> dict[str, Any]:
        self.rows.append(values)
        return values

    def target(
        self,
        what: str,
        value: float | None,
        limit: float,
        *,
        unit: str = "",
        at_least: bool = True,
        strict: bool = False,
    ) -> None:
        """Store a target and whether it was met.

        Args:
            value: None where it could not be measured; the target is then missed.
            at_least: Whether the value must be no smaller than the limit, rather than no larger.
            strict: Whether it must not equal the limit.
        """
        met = None
        if value is not None and self.setting.as_asked:
            met = value > limit if at_least else value < limit
            met = bool(met or (value == limit and not strict))
        rounded = None if value is None else float(f"{value:.5g}")
        relation = (">" if at_least else "<") + ("" if strict else "=")
        self.targets.append(
            {"what": what, "value": rounded, "relation": relation, "limit": limit, "unit": unit, "met": met}
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "conditions": self.conditions,
            "rows": self.rows,
            "targets": self.targets,
            "missing": self.missing,
            "notes": self.notes,
        }


def threads_here() -> int:
    """Return two, for which the targets are, or the number of cores where there are fewer."""
    return min(2, os.cpu_count() or 1)
