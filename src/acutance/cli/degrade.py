"""``acutance degrade``."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from acutance.cli.failures import BatchFailures
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import Cancelled, ConfigError, InputNotFoundError, UsageError

if TYPE_CHECKING:
    from acutance.degrade import DegradationMix

__all__ = ["Options", "run"]

_Filter = Literal["bicubic", "bilinear", "lanczos"]
_Values = Annotated[tuple[float, ...], tyro.conf.arg(metavar="N [N]")]


@dataclass(frozen=True)
class Options:
    """Writes OUT/sharp, OUT/degraded, OUT/low and OUT/manifest.jsonl. Where two values are given, one between them is
    drawn for each picture."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN_FOLDER")]
    """Folder of sharp pictures, with the folders in it."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT_FOLDER")]
    """Folder to write to; what an interrupted run left there is kept."""
    recipe: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """TOML file with [[degradations]], or a training recipe, instead of the options below."""
    factor: Annotated[float | None, tyro.conf.arg(metavar="N")] = None
    """Down by this and up again: 1, 1.5, 2, 3 or 4; 2 where not given."""
    down: Annotated[_Filter | None, tyro.conf.arg(metavar="FILTER")] = None
    """Filter of scaling down: bicubic, bilinear or lanczos; bicubic where not given."""
    up: Annotated[_Filter | None, tyro.conf.arg(metavar="FILTER")] = None
    """Filter of scaling up, likewise."""
    noise_sigma: _Values = ()
    """Noise at low resolution: standard deviation in code values of 0 to 255."""
    jpeg_quality: _Values = ()
    """A JPEG on the way, 1 to 100."""
    codec: Annotated[Literal["h264", "vp8", "vp9", "av1"] | None, tyro.conf.arg(metavar="CODEC")] = None
    """A video encoder on the way, at one of the rates below: h264, vp8, vp9 or av1."""
    bitrate_kbps: _Values = ()
    """Rate of the encoder in kbit/s, at 30 frames a second."""
    bits_per_pixel: _Values = ()
    """Rate of the encoder for each pixel of a frame."""
    seed: int = 0
    """The same seed draws the same."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-y"])] = False
    """Replace pairs of another seed or recipe in OUT_FOLDER."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    """Degrade every picture of a folder."""
    from acutance.training.data.folders import ImageFolder
    from acutance.training.data.paired_writer import write_pairs

    mix = _mix(options)
    source, target = options.source.resolve(), options.target.resolve()
    if target == source or source in target.parents:
        # Another run would take the outputs for inputs.
        raise UsageError(f"{options.target}: the output must lie outside the input {options.source}")
    images = ImageFolder(source)
    with JobProgress(options.progress) as progress:
        progress.say(f"{len(images)} pictures: {mix.describe()}")
        try:
            written = write_pairs(
                images,
                mix,
                options.target,
                seed=options.seed,
                overwrite=options.overwrite,
                progress=lambda done, total, name: progress.update("degrading", done, total, name, unit="pictures"),
            )
        except KeyboardInterrupt as error:
            raise Cancelled("stopped; the same command goes on where it was") from error
        kept = f", {written.kept} kept from before" if written.kept else ""
        progress.say(f"{written.written} pairs written to {options.target}{kept}")
        progress.event("done", folder=str(options.target), written=written.written, kept=written.kept)
    failures = BatchFailures(total=len(images))
    for path, failure in written.failed:
        failures.add(path, failure)
    return failures.summarise()


def _mix(options: Options) -> "DegradationMix":
    from acutance.degrade import DegradationMix

    given = {
        "factor": options.factor,
        "down": options.down,
        "up": options.up,
        "noise_sigma": _amount("noise-sigma", options.noise_sigma),
        "jpeg_quality": _amount("jpeg-quality", options.jpeg_quality),
        "codec": options.codec,
        "bitrate_kbps": _amount("bitrate-kbps", options.bitrate_kbps),
        "bits_per_pixel": _amount("bits-per-pixel", options.bits_per_pixel),
    }
    table = {name: value for name, value in given.items() if value is not None}
    if options.recipe is None:
        return DegradationMix.from_list([table])
    if table:
        names = ", ".join("--" + name.replace("_", "-") for name in table)
        raise UsageError(f"--recipe and {names} exclude each other: put it into the recipe")
    try:
        return DegradationMix.from_list(_tables(options.recipe))
    except ConfigError as error:
        raise ConfigError(f"{options.recipe}: {error}") from error


def _amount(name: str, values: _Values) -> float | list[float] | None:
    if len(values) > 2:
        raise UsageError(f"--{name} takes one value, or two for a range, not {len(values)}")
    return None if not values else values[0] if len(values) == 1 else list(values)


def _tables(path: Path) -> list[dict[str, Any]]:
    """The recipes in a file: ``[[degradations]]``, or ``[[data.degradations]]`` of a training recipe."""
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such recipe")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a TOML file: {error}") from error
    data = raw.get("data")
    if isinstance(data, dict) and "degradations" in data:
        raw = {"degradations": data["degradations"]}
    unknown = sorted(set(raw) - {"degradations"})
    if unknown or "degradations" not in raw:
        raise ConfigError(f"expected [[degradations]], found {', '.join(unknown) or 'nothing'}")
    tables: list[dict[str, Any]] = raw["degradations"]
    return tables
