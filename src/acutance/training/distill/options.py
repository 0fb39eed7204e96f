"""What a training run is: dataclasses that a TOML file fills in. Unknown keys are errors."""

import dataclasses
import hashlib
import json
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acutance.degrade import DegradationMix
from acutance.errors import ConfigError, InputNotFoundError

__all__ = [
    "TAUGHT",
    "DataOptions",
    "LossOptions",
    "OptimizerOptions",
    "RunOptions",
    "ScheduleOptions",
    "StudentOptions",
    "TeacherOptions",
    "TrainOptions",
    "apply_overrides",
    "build_options",
    "load_config",
]


_ADDED = {
    "student": ("start", "shuffle"),
    "train": ("precision",),
    "data": ("clips", "validation_clips", "windows_per_clip", "window", "clip_shrink", "drawn_with"),
    "teacher": ("rounded",),
    "losses": ("relative_l1", "relative_mse", "teacher_relative_l1"),
}
"""Options that recipes did not always have, by section; see :attr:`RunOptions.sha256`."""


TAUGHT = ("teacher_l1", "teacher_mse", "teacher_relative_l1", "affinity")
"""The losses that need a teacher."""


@dataclass(frozen=True)
class StudentOptions:
    """Which network learns."""

    tier: str = "fast"
    """fast, balanced or quality; or, which read the low-resolution picture in RGB, report2025 (4x) for comparison, and
    lkdn or srresnet, to make a teacher."""
    start: str = ""
    """Weight file, relative to the data root or to the current folder, that an lkdn, a srresnet or an int8 student
    begins with. Empty: from the run's seed."""
    task: str = "clean"
    """What the input went through: part of the model's name."""
    unshuffle: int = 0
    """Overrides the tier's unshuffle factor (0: the tier's own)."""
    shuffle: int = 0
    """Overrides the shuffle factor (0: the unshuffle factor). A larger one makes an upscaler, which reads the small
    picture; the run then has one degradation, of the factor shuffle / unshuffle."""
    channels: int = 0
    """Overrides the tier's channels (0: the tier's own)."""
    depth: int = -1
    """Overrides the tier's hidden 3x3 layers (-1: the tier's own)."""
    block: str = "collapsible"
    """plain, or collapsible (several branches that fold into one kernel)."""


@dataclass(frozen=True)
class DataOptions:
    """Where pictures come from and how they are degraded."""

    train: tuple[str, ...] = ()
    """Folders of sharp pictures, relative to the data root."""
    validation: tuple[str, ...] = ()
    """Folders of sharp pictures to choose on. Empty: a share of the training pictures, split by picture."""
    validation_share: float = 0.1
    """Share of pictures held out where no validation folder is given."""
    degradations: tuple[dict[str, Any], ...] = ()
    """Recipes with a weight each; one is drawn for each picture."""
    shrink_above: int = 0
    """Pictures with a longer side than this are halved first: finer detail, less compression (0: never)."""
    clips: tuple[str, ...] = ()
    """Clips, relative to the data root, that windows of moving frames are cut from beside the pictures."""
    validation_clips: tuple[str, ...] = ()
    """Clips to choose on beside the validation pictures."""
    windows_per_clip: int = 60
    """Windows cut from each clip."""
    window: int = 384
    """Side of a window, where the clip is large enough."""
    clip_shrink: float = 1.0
    """Clips are scaled down by this first: they are compressed themselves."""
    tile: int = 0
    """Side of the tiles cut from each picture, the most detailed ones (0: whole pictures)."""
    tiles_per_picture: int = 1
    """Tiles from each picture, at most."""
    crop: int = 96
    """Side of a training crop, in pixels of the sharp picture."""
    batch: int = 16
    """Crops in a step."""
    drawn_with: int = 0
    """Seed of what is drawn in degrading pictures (0: the run's), so that runs of several seeds can share them."""


@dataclass(frozen=True)
class TeacherOptions:
    """Who teaches."""

    weights: str = ""
    """Weight file, relative to the data root, or to the current folder. Empty: no teacher."""
    sees: str = "degraded"
    """degraded: the low-resolution picture as the student's input had it; clean: a bicubic one that is not degraded
    otherwise (a privileged teacher; where the input is better than what it makes, the truth takes its place)."""
    rounded: bool = False
    """Its output is rounded to 8 bits first, as it would be read from picture files."""
    margin_db: float = 1.0
    """The teacher must beat the degraded input by this much, on the run's own degradation, or the run stops."""


@dataclass(frozen=True)
class LossOptions:
    """The weight of each term; 0 switches it off."""

    l1: float = 0.0
    mse: float = 0.0
    charbonnier: float = 0.0
    relative_l1: float = 0.0
    """Each crop's error as a share of its input's: for inputs of every quality."""
    relative_mse: float = 0.0
    teacher_l1: float = 0.0
    teacher_mse: float = 0.0
    teacher_relative_l1: float = 0.0
    affinity: float = 0.0
    edge: float = 0.0
    ssim: float = 0.0


@dataclass(frozen=True)
class OptimizerOptions:
    """How weights move."""

    name: str = "adam"
    """adam, adamw, or soap, which learns in a fifth of the steps."""
    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    """Gradients are scaled down to this norm (0: never)."""


@dataclass(frozen=True)
class ScheduleOptions:
    """How the learning rate goes."""

    kind: str = "cosine"
    """cosine, multistep or constant."""
    epochs: int = 10
    steps_per_epoch: int = 1000
    warmup_steps: int = 0
    final_lr: float = 1e-6
    """Where cosine ends."""
    milestones: tuple[int, ...] = ()
    """Epochs after which multistep multiplies the rate by gamma."""
    gamma: float = 0.5


@dataclass(frozen=True)
class TrainOptions:
    """Everything else about a run."""

    seed: int = 1
    ema: float = 0.999
    """Decay of the moving average of the weights that is validated and shipped (0: none)."""
    patience: int = 0
    """Stop after so many epochs without a better validation (0: never)."""
    threads: int = 1
    """Torch threads. The same number gives the same bits."""
    precision: str = "float32"
    """float32; for lkdn and srresnet, bfloat16: all but their last stage, in half the time where the processor has it;
    for a student that starts as a trained one, int8: the arithmetic of int8 back ends, to get used to it."""


@dataclass(frozen=True)
class RunOptions:
    """A whole training run."""

    name: str
    student: StudentOptions = field(default_factory=StudentOptions)
    data: DataOptions = field(default_factory=DataOptions)
    teacher: TeacherOptions = field(default_factory=TeacherOptions)
    losses: LossOptions = field(default_factory=LossOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    train: TrainOptions = field(default_factory=TrainOptions)

    def __post_init__(self) -> None:
        def check(ok: bool, message: str) -> None:
            if not ok:
                raise ConfigError(f"{self.name}: {message}")

        d, o, s, t = self.data, self.optimizer, self.schedule, self.train
        check(bool(d.train), "data.train names no folder")
        check(bool(d.degradations), "data.degradations is empty")
        try:
            mix = DegradationMix.from_list(d.degradations)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: data.degradations: {error}") from error
        # Crops start at multiples of 12; they end on a low-resolution pixel too if their side holds a whole number.
        fits = d.crop > 0 and all((d.crop / factor).is_integer() for factor in mix.factors)
        factors = ", ".join(f"{factor:g}" for factor in mix.factors)
        check(
            fits, f"data.crop must be positive and divide by each factor of the degradations ({factors}), not {d.crop}"
        )
        check(d.batch > 0, f"data.batch must be positive, not {d.batch}")
        check(d.shrink_above >= 0, f"data.shrink_above must be 0 or more, not {d.shrink_above}")
        check(d.windows_per_clip > 0, f"data.windows_per_clip must be positive, not {d.windows_per_clip}")
        check(d.window >= d.crop, f"data.window must hold a crop of {d.crop}, {d.window} does not")
        check(d.clip_shrink >= 1, f"data.clip_shrink must be 1 or more, not {d.clip_shrink}")
        check(d.tiles_per_picture > 0, f"data.tiles_per_picture must be positive, not {d.tiles_per_picture}")
        # Of a tile, what is left after cropping to a multiple of 12 counts.
        check(
            d.tile == 0 or d.tile - d.tile % 12 >= d.crop,
            f"data.tile must hold a crop of {d.crop} after rounding down to a multiple of 12, {d.tile} does not",
        )
        check(0 < d.validation_share < 1, f"data.validation_share must lie in (0, 1), not {d.validation_share}")
        check(o.name in ("adam", "adamw", "soap"), f"optimizer.name must be adam, adamw or soap, not {o.name!r}")
        check(o.name != "soap" or o.weight_decay == 0, "optimizer.weight_decay is for adam and adamw")
        check(0 < o.lr < math.inf, f"optimizer.lr must be a positive number, not {o.lr}")
        check(all(0 <= b < 1 for b in o.betas), f"optimizer.betas must lie in [0, 1), not {list(o.betas)}")
        check(0 <= o.weight_decay < math.inf, f"optimizer.weight_decay must be 0 or more, not {o.weight_decay}")
        check(0 <= o.clip_norm < math.inf, f"optimizer.clip_norm must be 0 or more, not {o.clip_norm}")
        check(s.kind in ("cosine", "multistep", "constant"), f"schedule.kind {s.kind!r} is unknown")
        check(s.epochs > 0 and s.steps_per_epoch > 0, "schedule.epochs and steps_per_epoch must be positive")
        check(s.warmup_steps >= 0, f"schedule.warmup_steps must be 0 or more, not {s.warmup_steps}")
        check(0 <= s.final_lr < math.inf, f"schedule.final_lr must be 0 or more, not {s.final_lr}")
        check(0 < s.gamma < math.inf, f"schedule.gamma must be positive, not {s.gamma}")
        check(d.drawn_with >= 0, f"data.drawn_with must be 0 or more, not {d.drawn_with}")
        check(t.seed >= 0, f"train.seed must be 0 or more, not {t.seed}")
        check(t.patience >= 0, f"train.patience must be 0 or more, not {t.patience}")
        makes_teacher = self.student.tier in ("lkdn", "srresnet")
        eight_bits = t.precision == "int8"
        check(
            not self.student.start or makes_teacher or eight_bits,
            "student.start is for lkdn, srresnet and int8 students",
        )
        check(t.precision in ("float32", "bfloat16", "int8"), f"train.precision {t.precision!r} is unknown")
        check(t.precision != "bfloat16" or makes_teacher, "train.precision bfloat16 is for lkdn and srresnet")
        check(
            not eight_bits or (self.student.tier in ("fast", "balanced", "quality") and bool(self.student.start)),
            "train.precision int8 is for students, and needs student.start: a trained one",
        )
        check(t.threads > 0, f"train.threads must be positive, not {t.threads}")
        check(
            math.isfinite(self.teacher.margin_db), f"teacher.margin_db must be a number, not {self.teacher.margin_db}"
        )
        check(0 <= t.ema < 1, f"train.ema must lie in [0, 1), not {t.ema}")
        check(self.teacher.sees in ("degraded", "clean"), f"teacher.sees {self.teacher.sees!r} is unknown")
        weights = dataclasses.asdict(self.losses)
        check(any(w > 0 for w in weights.values()), "losses: every weight is 0")
        check(all(0 <= w < math.inf for w in weights.values()), "losses: a weight is negative or not finite")
        needs = [n for n in weights if n in TAUGHT and weights[n] > 0]
        check(not needs or bool(self.teacher.weights), f"losses.{', '.join(needs)} needs teacher.weights")

    @property
    def steps(self) -> int:
        return self.schedule.epochs * self.schedule.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def sha256(self) -> str:
        """Of the resolved options: what a shipped model names as its recipe.

        Options that were added later count only where they say something, so that older recipes keep their names.
        """
        table = self.to_dict()
        for section, names in _ADDED.items():
            defaults = {f.name: f.default for f in dataclasses.fields(getattr(self, section))}
            for name in names:
                if table[section][name] == defaults[name]:
                    del table[section][name]
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    def without_teacher(self) -> "RunOptions":
        """The control of this run: same data, seed, steps and schedule, and nobody who teaches."""
        old = self.losses
        # What only the teacher was asked for is asked of the truth in the same form, so that the teacher is all that
        # differs.
        losses = dataclasses.replace(
            old,
            l1=old.l1 or old.teacher_l1,
            mse=old.mse or old.teacher_mse,
            relative_l1=old.relative_l1 or old.teacher_relative_l1,
            teacher_l1=0.0,
            teacher_mse=0.0,
            teacher_relative_l1=0.0,
            affinity=0.0,
        )
        if not any(dataclasses.asdict(losses).values()):
            losses = dataclasses.replace(losses, l1=1.0)
        return dataclasses.replace(self, name=f"{self.name}-control", losses=losses)


def load_config(path: str | Path, overrides: typing.Sequence[str] = ()) -> RunOptions:
    """Read a TOML file and apply ``key.sub=value`` overrides. Raises InputNotFoundError or ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such configuration file")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    raw.setdefault("name", path.stem)
    apply_overrides(raw, overrides)
    options: RunOptions = build_options(RunOptions, raw, str(path))
    return options


def apply_overrides(raw: dict[str, Any], overrides: typing.Sequence[str], kind: Any = None) -> None:
    """Set ``a.b=value`` in a nested dict.

    Values are TOML; a bare word is a string. A key without a dot stands for the one section that has it: ``lr`` is
    ``optimizer.lr``. Raises ConfigError.
    """
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"override {override!r}: expected key=value")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        *sections, last = _full_key(key.strip(), kind or RunOptions).split(".")
        target = raw
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"override {override!r}: {section} is not a section")
        target[last] = value


def _full_key(key: str, kind: Any) -> str:
    top = typing.get_type_hints(kind)
    sections = [n for n, kind in top.items() if dataclasses.is_dataclass(kind)]
    if "." in key or (key in top and key not in sections):  # a section as such cannot be set
        return key
    owners = [n for n in sections if key in {f.name for f in dataclasses.fields(typing.cast(Any, top[n]))}]
    if len(owners) != 1:
        choice = ", ".join(f"{n}.{key}" for n in owners)
        raise ConfigError(f"override {key}: " + (f"could be {choice}" if owners else "no such option"))
    return f"{owners[0]}.{key}"


def build_options(kind: Any, raw: Any, where: str) -> Any:
    """Build a dataclass from a dict; each value is checked against its annotation. Raises ConfigError."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: expected a section, got {raw!r}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(raw) - set(hints))
    if unknown:
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(hints))}")
    values = {}
    for name, value in raw.items():
        hint = hints[name]
        place = f"{where}: {name}"
        values[name] = (
            build_options(hint, value, place) if dataclasses.is_dataclass(hint) else _value(hint, value, place)
        )
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(hint)
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else list(inner)
        if len(kinds) != len(value):
            raise ConfigError(f"{where} takes {len(kinds)} values, got {len(value)}")
        return tuple(_value(k, v, where) for k, v in zip(kinds, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    accepted = origin if isinstance(origin, type) and origin is not types.UnionType else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} must be of type {getattr(hint, '__name__', hint)}, not {value!r}")
    return value
