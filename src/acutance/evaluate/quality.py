"""Quality of restoring methods over a set of sharp pictures, by the conventions of super-resolution.

Each sharp picture is cropped to a multiple of 12 and scaled down and up with Pillow, in 8 bits each time. A method
restores it. The result is compared with the sharp picture on luma of BT.601 (16..235, peak 255) and on RGB. A border as
wide as the factor is left out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from acutance.degrade import ResizeMethod, crop_to_multiple, down_up
from acutance.errors import UsageError
from acutance.evaluate.restorers import Restorer, Rgb
from acutance.metrics import ImageQuality, border_of, image_quality, psnr_y

__all__ = [
    "MAX_DB",
    "MethodResult",
    "Observer",
    "SetResult",
    "SharpPicture",
    "evaluate_set",
    "mean_db",
    "mean_quality",
    "teacher_share",
]

MAX_DB = 100.0
"""PSNR that a picture equal to its truth counts in a mean; its own PSNR is infinite."""

_METRICS = tuple(f.name for f in fields(ImageQuality))
_DIGITS = 5


class SharpPicture(Protocol):
    """A picture that is read when it is needed, such as :class:`acutance.training.data.folders.ImageFile`."""

    @property
    def name(self) -> str:
        """Name of the picture in tables."""
        ...

    def load(self) -> Rgb:
        """Return the picture, H x W x 3, uint8."""
        ...


Observer = Callable[[str, Rgb, Mapping[str, Rgb], Rgb], None]
"""Called after each picture with (name of the picture, degraded, restored by method name, truth)."""


def mean_db(values: Sequence[float]) -> float:
    """Return the mean of PSNRs.

    Args:
        values: In dB; an infinite one counts 100 dB.

    Raises:
        UsageError: There is no value.
    """
    if not values:
        raise UsageError("nothing was measured")
    return math.fsum(min(v, MAX_DB) for v in values) / len(values)


def mean_quality(values: Sequence[ImageQuality]) -> ImageQuality:
    """Return the mean of each measure over pictures.

    Args:
        values: One per picture.

    Raises:
        UsageError: There is no value.
    """
    means = {name: mean_db([getattr(v, name) for v in values]) for name in _METRICS if name.startswith("psnr")}
    rest = (name for name in _METRICS if not name.startswith("psnr"))
    means |= {name: math.fsum(getattr(v, name) for v in values) / len(values) for name in rest}
    return ImageQuality(**means)


def teacher_share(student_db: float, input_db: float, teacher_db: float) -> float | None:
    """Return the share of the teacher's gain over the input that a student keeps.

    Args:
        student_db: PSNR of the student in dB.
        input_db: PSNR of the input.
        teacher_db: PSNR of the teacher.

    Returns:
        (student - input) / (teacher - input): 1 for all of the gain, below 0 for a loss. None where the teacher gains
        nothing.
    """
    gain = teacher_db - input_db
    return (student_db - input_db) / gain if gain > 0 else None


@dataclass(frozen=True, slots=True)
class MethodResult:
    """Figures of one method on one set.

    Attributes:
        name: Name of the method.
        kind: As :class:`~acutance.evaluate.restorers.Restorer` has it.
        detail: What a reader of the figures must know about it.
        parameters: Of its network; None where it has none.
        macs_per_pixel: Multiply-accumulates per pixel; None where it has no network.
        per_image: Quality of each picture, in the order of the set.
        psnr_y_to_teacher: PSNR on luma between its output and the teacher's, per picture; None without a teacher, and
            for teachers.
    """

    name: str
    kind: str
    detail: str
    parameters: int | None
    macs_per_pixel: float | None
    per_image: tuple[ImageQuality, ...]
    psnr_y_to_teacher: tuple[float, ...] | None = None

    @property
    def mean(self) -> ImageQuality:
        """Mean over the pictures."""
        return mean_quality(self.per_image)

    @property
    def mean_psnr_y_to_teacher(self) -> float | None:
        """Mean PSNR on luma to the teacher in dB, or None."""
        return None if self.psnr_y_to_teacher is None else mean_db(self.psnr_y_to_teacher)


@dataclass(frozen=True, slots=True)
class SetResult:
    """Figures of several methods on one set of pictures.

    Attributes:
        name: Name of the set.
        factor: By which pictures were scaled down and up.
        down: Filter that scaled down.
        up: Filter that scaled up.
        border: Pixels that were left out on every side.
        images: Names of the pictures.
        methods: Figures of each method.
        teacher: Name of the teacher that shares refer to; None without one.
        notes: What was left out, and cautions.
        failed: Pictures that cannot be read, each with its exception.
    """

    name: str
    factor: float
    down: str
    up: str
    border: int
    images: tuple[str, ...]
    methods: tuple[MethodResult, ...]
    teacher: str | None = None
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, Exception], ...] = field(default=(), compare=False)

    def method(self, name: str) -> MethodResult:
        """Return the figures of one method.

        Raises:
            UsageError: The method was not measured.
        """
        for method in self.methods:
            if method.name == name:
                return method
        raise UsageError(f"{self.name}: {name} was not measured; {', '.join(m.name for m in self.methods)} were")

    @property
    def input(self) -> MethodResult | None:
        """The figures of the input itself, or None."""
        return next((m for m in self.methods if m.kind == "input"), None)

    def share(self, name: str) -> float | None:
        """Return the share of the teacher's gain in mean PSNR-Y that a method keeps, or None without a teacher."""
        source = self.input
        if self.teacher is None or source is None or self.method(name).kind in ("input", "teacher"):
            return None
        return teacher_share(self.method(name).mean.psnr_y, source.mean.psnr_y, self.method(self.teacher).mean.psnr_y)

    def ranking(self, metric: str = "psnr_y") -> list[MethodResult]:
        """Return the methods, the best first, by the mean of a measure.

        Args:
            metric: ``psnr_y``, ``ssim_y``, ``mse_y``, ``psnr_rgb``, ``ssim_rgb`` or ``mse_rgb``.

        Raises:
            UsageError: There is no such measure.
        """
        if metric not in _METRICS:
            raise UsageError(f"metric must be one of {', '.join(_METRICS)}, not {metric!r}")
        return sorted(self.methods, key=lambda m: float(getattr(m.mean, metric)), reverse=not metric.startswith("mse"))

    def to_dict(self) -> dict[str, Any]:
        """Return figures that fit JSON, with None for an infinite PSNR; :meth:`from_dict` reads them."""
        return {
            "name": self.name,
            "factor": self.factor,
            "down": self.down,
            "up": self.up,
            "border": self.border,
            "teacher": self.teacher,
            "notes": list(self.notes),
            "images": list(self.images),
            "methods": [self._method_dict(m) for m in self.methods],
        }

    def _method_dict(self, method: MethodResult) -> dict[str, Any]:
        columns: dict[str, list[float | None]] = {
            name: [_plain(getattr(q, name)) for q in method.per_image] for name in _METRICS
        }
        if method.psnr_y_to_teacher is not None:
            columns["psnr_y_to_teacher"] = [_plain(v) for v in method.psnr_y_to_teacher]
        return {
            "name": method.name,
            "kind": method.kind,
            "detail": method.detail,
            "parameters": method.parameters,
            "macs_per_pixel": method.macs_per_pixel,
            "mean": {name: _plain(value) for name, value in method.mean.to_dict().items()},
            "teacher_share": _plain(self.share(method.name)),
            "mean_psnr_y_to_teacher": _plain(method.mean_psnr_y_to_teacher),
            "per_image": columns,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "SetResult":
        """Return the result that :meth:`to_dict` wrote.

        Raises:
            UsageError: The table is something else.
        """
        try:
            methods = []
            for raw in table["methods"]:
                columns = {k: [math.inf if v is None else float(v) for v in c] for k, c in raw["per_image"].items()}
                to_teacher = columns.pop("psnr_y_to_teacher", None)
                rows = zip(*(columns[name] for name in _METRICS), strict=True)
                methods.append(
                    MethodResult(
                        name=raw["name"],
                        kind=raw["kind"],
                        detail=raw["detail"],
                        parameters=raw["parameters"],
                        macs_per_pixel=raw["macs_per_pixel"],
                        per_image=tuple(ImageQuality(**dict(zip(_METRICS, row, strict=True))) for row in rows),
                        psnr_y_to_teacher=None if to_teacher is None else tuple(to_teacher),
                    )
                )
            return cls(
                name=table["name"],
                factor=float(table["factor"]),
                down=table["down"],
                up=table["up"],
                border=int(table["border"]),
                images=tuple(table["images"]),
                methods=tuple(methods),
                teacher=table["teacher"],
                notes=tuple(table["notes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not the result of an evaluation: {error!r}") from error


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), _DIGITS)


def evaluate_set(
    pictures: Sequence[SharpPicture],
    restorers: Sequence[Restorer],
    *,
    name: str,
    factor: float = 2.0,
    down: ResizeMethod = "bicubic",
    up: ResizeMethod = "bicubic",
    observe: Observer | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> SetResult:
    """Degrade, restore and measure every picture, one at a time.

    Shares refer to the first teacher among the methods that fits the factor. Methods that do not fit it, and pictures
    that are too small, are left out with a note.

    Args:
        pictures: Sharp pictures.
        restorers: Methods, with names of their own.
        name: Name of the set.
        factor: 1, 1.5, 2, 3 or 4.
        down: Filter that scales down.
        up: Filter that scales up.
        observe: Called after each picture.
        progress: Called with (pictures done, number of pictures).

    Raises:
        UsageError: Nothing is left to measure, or two methods share a name.
    """
    names = [r.name for r in restorers]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"two methods are named {twice[0]}")
    notes = [f"{r.name} left out: {why}" for r in restorers if (why := r.misfit(factor))]
    fitting = [r for r in restorers if r.misfit(factor) is None]
    notes += [caution for r in fitting if (caution := r.caution(factor))]
    if not fitting:
        raise UsageError(f"no method to measure at x{factor:g}: {'; '.join(notes) or 'none was given'}")
    teacher = next((r.name for r in fitting if r.kind == "teacher"), None)
    border = border_of(factor)
    measured: list[str] = []
    qualities: dict[str, list[ImageQuality]] = {r.name: [] for r in fitting}
    to_teacher: dict[str, list[float]] = {r.name: [] for r in fitting if teacher and r.kind != "teacher"}
    progress(0, len(pictures))
    failed: list[tuple[str, Exception]] = []
    for done, picture in enumerate(pictures, start=1):
        try:
            sharp = picture.load()
        except Exception as error:  # one picture must not cost the measurement of the others
            notes.append(f"{picture.name} left out: it cannot be read")
            failed.append((picture.name, error))
            continue
        if min(sharp.shape[:2]) // 12 * 12 < 11 + 2 * border:
            notes.append(f"{picture.name} left out: {sharp.shape[1]}x{sharp.shape[0]} is too small to measure")
            continue
        truth = crop_to_multiple(sharp)
        low, degraded = down_up(truth, factor, down=down, up=up)
        outputs = {r.name: _restored(r, low, degraded) for r in fitting}
        for method, output in outputs.items():
            qualities[method].append(image_quality(output, truth, border=border))
            if teacher is not None and method in to_teacher:
                to_teacher[method].append(psnr_y(output, outputs[teacher], border=border))
        measured.append(picture.name)
        if observe is not None:
            observe(picture.name, degraded, outputs, truth)
        progress(done, len(pictures))
    if failed and not measured:
        raise failed[0][1]
    if not measured:
        raise UsageError(f"{name}: no picture could be measured: {'; '.join(notes) or 'there is none'}")
    methods = tuple(
        MethodResult(
            r.name,
            r.kind,
            r.detail,
            r.parameters,
            r.macs_per_pixel,
            tuple(qualities[r.name]),
            tuple(to_teacher[r.name]) if r.name in to_teacher else None,
        )
        for r in fitting
    )
    return SetResult(name, factor, down, up, border, tuple(measured), methods, teacher, tuple(notes), tuple(failed))


def _restored(restorer: Restorer, low: Rgb, degraded: Rgb) -> Rgb:
    out = restorer.restore(low, degraded)
    if out.shape != degraded.shape or out.dtype != degraded.dtype:
        raise UsageError(f"{restorer.name} returned {out.shape} of {out.dtype}, expected {degraded.shape} of uint8")
    return out
