"""Paired sets on disk: sharp, degraded and low-resolution pictures side by side, with what was done to each."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from acutance.degrade import DegradationMix
from acutance.degrade.chain import Triple
from acutance.errors import AcutanceError, OutputError, OutputExistsError, UsageError
from acutance.training.data.folders import ImageFile

__all__ = ["PairsWritten", "write_pairs"]

_KINDS = ("sharp", "degraded", "low")
_MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, slots=True)
class PairsWritten:
    """What was written.

    Attributes:
        folder: of the pairs.
        written: pictures that were degraded in this run.
        kept: pictures that an earlier run had finished.
        failed: pictures that cannot be used, each with its exception.
    """

    folder: Path
    written: int
    kept: int
    failed: tuple[tuple[Path, Exception], ...] = ()


def write_pairs(
    images: Sequence[ImageFile],
    mix: DegradationMix,
    out_folder: str | Path,
    *,
    seed: int,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> PairsWritten:
    """Degrade every image and write ``sharp/NAME.png``, ``degraded/NAME.png``, ``low/NAME.png``.

    ``manifest.jsonl`` has one line for each: its name, the SHA-256 of the source file, seed, digest of the mix, and all
    that was drawn. An interrupted run goes on where it was, and ends with the same files as an uninterrupted one.
    An image that cannot be read, or that the mix cannot take, is left out and reported in ``failed``; where that is so
    of every image, the first exception is raised. progress: called with (done, total, name).

    Raises OutputExistsError where the folder holds pairs of another seed or mix and ``overwrite`` is not set,
    OutputError.
    """
    folder = Path(out_folder)
    manifest = folder / _MANIFEST
    names = _output_names(images)
    identity = {"seed": seed, "mix": mix.digest}
    found = {} if overwrite else _read_manifest(manifest)
    for record in found.values():
        if {key: record.get(key) for key in identity} != identity:
            raise OutputExistsError(f"{folder}: holds pairs of another seed or mix: choose another folder or overwrite")
    if not overwrite and not manifest.is_file():
        _refuse_files_of_others(folder, names)
    records: list[dict[str, Any]] = []
    failed: list[tuple[Path, Exception]] = []
    kept = 0
    try:
        for kind in _KINDS:
            (folder / kind).mkdir(parents=True, exist_ok=True)
        if overwrite:
            manifest.unlink(missing_ok=True)
        else:
            # A line cut short by an interruption would run into the next one.
            _write_manifest(manifest, list(found.values()))
        for done, (image, name) in enumerate(zip(images, names, strict=True), start=1):
            try:
                source = image.sha256()
            except AcutanceError as error:
                failed.append((image.path, error))
                continue
            paths = [folder / kind / f"{name}.png" for kind in _KINDS]
            earlier = found.get(name, {})
            if earlier.get("source_sha256") == source and all(path.is_file() for path in paths):
                record = earlier
                kept += 1
            else:
                record = {"name": name, "source": image.name, "source_sha256": source, **identity}
                try:
                    triple = _degraded(image, mix, seed)
                except Exception as error:  # one picture must not cost the others
                    failed.append((image.path, error))
                    continue
                record |= _write(triple, paths)
                with manifest.open("a", encoding="utf-8") as file:
                    file.write(_line(record))
            records.append(record)
            if progress is not None:
                progress(done, len(images), name)
        _write_manifest(manifest, records)  # in the order of the images, whatever was made when
    except AcutanceError:
        raise  # some are OSErrors too
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    if failed and not records:
        raise failed[0][1]
    return PairsWritten(folder, len(records) - kept, kept, tuple(failed))


def _refuse_files_of_others(folder: Path, names: Sequence[str]) -> None:
    """Without a manifest no earlier run was here: files under the names of the output are somebody's."""
    for kind in _KINDS:
        for name in names:
            if os.path.lexists(folder / kind / f"{name}.png"):
                raise OutputExistsError(f"{folder / kind / name}.png: exists already (overwriting was not asked for)")


def _degraded(image: ImageFile, mix: DegradationMix, seed: int) -> Triple:
    try:
        return mix.apply(image.load(), seed=seed, name=image.name)
    except UsageError as error:
        raise UsageError(f"{image.path}: {error}") from error


def _write(triple: Triple, paths: Sequence[Path]) -> dict[str, Any]:
    for picture, path in zip((triple.sharp, triple.degraded, triple.low), paths, strict=True):
        _write_png(picture, path)
    return {"width": triple.sharp.shape[1], "height": triple.sharp.shape[0], "degradation": triple.record}


def _output_names(images: Sequence[ImageFile]) -> list[str]:
    """Names without their suffix, unless that would give two images the same one."""
    bare = [PurePosixPath(image.name).with_suffix("").as_posix() for image in images]
    return bare if len(set(bare)) == len(bare) else [image.name for image in images]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True) + "\n"


def _read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """Records by name; a line that an interruption cut short is left out."""
    records = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                records[str(record["name"])] = record
            except (ValueError, KeyError, TypeError):
                continue
    return records


def _write_manifest(path: Path, records: Sequence[dict[str, Any]]) -> None:
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    unfinished.write_text("".join(_line(record) for record in records), encoding="utf-8")
    unfinished.replace(path)


def _write_png(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        Image.fromarray(picture).save(unfinished, "PNG")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
