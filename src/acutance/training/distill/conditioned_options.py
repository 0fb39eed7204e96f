"""What a run of a conditioned student is: dataclasses that a TOML file fills in. Unknown keys are errors."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acutance.errors import ConfigError, InputNotFoundError, ModelError
from acutance.students.spec import StudentShape
from acutance.training.distill.options import ScheduleOptions, apply_overrides, build_options
from acutance.training.models.students import TIERS

__all__ = ["CallOptions", "ConditionedOptions", "is_conditioned", "load_conditioned_config"]


@dataclass(frozen=True)
class ShapeOptions:
    """Shape of the student, and of its condition network."""

    tier: str = "fast"
    """fast, balanced or quality."""
    channels: int = 0
    """Overrides the tier's channels (0: the tier's own)."""
    depth: int = -1
    """Overrides the tier's hidden 3x3 layers (-1: the tier's own)."""
    sets: int = 7
    """Weight sets; the first leaves a picture as it is."""
    hidden: int = 48
    """Units of the condition network."""
    start: str = ""
    """Checkpoint of another run, relative to the current folder, that this one begins with. Empty: from the seed."""
    frozen_condition: bool = False
    """Leave the condition network as it is in ``start``, so that two looks share it."""


@dataclass(frozen=True)
class CallOptions:
    """Where training calls come from."""

    clips: tuple[str, ...] = ()
    """Clips, relative to the data root."""
    pictures: tuple[str, ...] = ()
    """Folders of photographs, relative to the data root."""
    count: int = 2600
    """Calls to draw beside the soft ones."""
    soft: int = 700
    """Calls of soft sources, out of focus or resampled before."""
    seed: int = 101
    """Seed of what is drawn in making them, so that runs of several seeds can share them."""
    slides: bool = True
    """Whether one call in ten shows a drawn slide."""


@dataclass(frozen=True)
class ConditionedLoss:
    """The weight of each term; 0 switches it off."""

    error: float = 1.0
    """Each crop's absolute error in units of its input's; at factor 1, half of it squared."""
    teacher: float = 0.0
    """The same to the teacher's output, where there is one, else to the truth; not at factor 1."""
    harm: float = 0.0
    """By how much a frame's squared error exceeds its input's, as a share of it; nothing where it does not."""
    spectrum: float = 0.0
    """Power as the truth has it, at the best coherence (see ``losses/spectrum.py``)."""
    anchor: float = 0.3
    """How strongly the mixture is drawn to one set for each kind of call, falling to nothing at ``anchor_steps``."""
    anchor_steps: int = 4000


@dataclass(frozen=True)
class ConditionedTraining:
    """Everything else about a run."""

    lr: float = 3e-3
    """Learning rate of the weight sets, by SOAP."""
    condition_lr: float = 2e-3
    """Learning rate of the condition network, by Adam."""
    clip_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    crop: int = 96
    """Side of a training crop."""
    batch: int = 16
    """Crops in a step."""
    groups: int = 4
    """Frames that the crops of a step are cut from; crops of one frame share their condition."""
    ema: float = 0.999
    """Decay of the moving average of the weights that is validated and shipped."""
    feature_noise: float = 0.0
    """Noise added to the features, in units of their standard deviations: unseen clips differ from those seen."""
    seed: int = 1
    threads: int = 1
    """Torch threads. The same number gives the same bits."""


@dataclass(frozen=True)
class ConditionedOptions:
    """A whole run."""

    name: str
    student: ShapeOptions = field(default_factory=ShapeOptions)
    calls: CallOptions = field(default_factory=CallOptions)
    validation: CallOptions = field(default_factory=lambda: CallOptions(count=260, soft=60, seed=202, slides=False))
    teachers: dict[str, Any] = field(default_factory=dict)
    """Weight files by factor, ``2 = "teachers/LKDN_x2.safetensors"``, relative to the data root."""
    losses: ConditionedLoss = field(default_factory=ConditionedLoss)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    train: ConditionedTraining = field(default_factory=ConditionedTraining)

    def __post_init__(self) -> None:
        def check(ok: bool, message: str) -> None:
            if not ok:
                raise ConfigError(f"{self.name}: {message}")

        s, t = self.student, self.train
        check(s.tier in TIERS, f"student.tier must be one of {', '.join(TIERS)}, not {s.tier!r}")
        check(2 <= s.sets <= 16, f"student.sets must lie from 2 to 16, not {s.sets}")
        check(s.hidden > 0, f"student.hidden must be positive, not {s.hidden}")
        check(bool(self.calls.clips and self.calls.pictures), "calls.clips and calls.pictures must name sources")
        check(bool(self.validation.clips and self.validation.pictures), "validation.clips and .pictures are missing")
        both = sorted(set(self.calls.clips) & set(self.validation.clips))
        check(not both, f"a clip cannot be trained on and validated on: {', '.join(both)}")
        check(t.groups > 0 and t.batch % t.groups == 0, f"train.batch ({t.batch}) must be a multiple of train.groups")
        check(t.crop > 0 and t.crop % 12 == 0, f"train.crop must be a multiple of 12, not {t.crop}")
        check(self.losses.spectrum == 0 or t.crop >= 64, "losses.spectrum needs crops of at least 64 pixels")
        check(t.lr > 0 and t.condition_lr > 0, "train.lr and train.condition_lr must be positive")
        check(t.feature_noise >= 0, f"train.feature_noise must be 0 or more, not {t.feature_noise}")
        check(0 <= t.ema < 1, f"train.ema must lie in [0, 1), not {t.ema}")
        check(not s.frozen_condition or bool(s.start), "student.frozen_condition needs student.start")
        check(all(key in ("2", "3", "4") for key in self.teachers), "teachers are for factors 2, 3 and 4")
        check(self.losses.teacher == 0 or bool(self.teachers), "losses.teacher needs teachers")

    @property
    def shape(self) -> StudentShape:
        """The tier's shape with the run's overrides. Raises ConfigError."""
        base, s = TIERS[self.student.tier], self.student
        try:
            return dataclasses.replace(
                base, channels=s.channels or base.channels, depth=base.depth if s.depth < 0 else s.depth
            )
        except ModelError as error:
            raise ConfigError(f"{self.name}: {error}") from error

    @property
    def steps(self) -> int:
        return self.schedule.epochs * self.schedule.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dictionary for JSON."""
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """SHA-256 of the resolved options: what a shipped student names as its recipe."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def without_teacher(self) -> "ConditionedOptions":
        """Return the control of this run: all is the same, and the truth takes the teacher's place."""
        return dataclasses.replace(self, name=f"{self.name}-control", teachers={}, losses=self._own_losses())

    def _own_losses(self) -> ConditionedLoss:
        return dataclasses.replace(self.losses, error=self.losses.error + self.losses.teacher, teacher=0.0)


def is_conditioned(path: str | Path) -> bool:
    """Return True if a recipe trains a conditioned student: if it has a section ``calls``."""
    try:
        return "calls" in tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # the reader of ordinary recipes says what is wrong


def load_conditioned_config(path: str | Path, overrides: Sequence[str] = ()) -> ConditionedOptions:
    """Read a recipe and apply ``section.key=value`` overrides.

    Raises:
        InputNotFoundError: If there is no such file.
        ConfigError: If it is not TOML, or has unknown keys or bad values.
    """
    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such configuration file")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    raw.setdefault("name", path.stem)
    apply_overrides(raw, overrides, ConditionedOptions)
    options: ConditionedOptions = build_options(ConditionedOptions, raw, str(path))
    return options
