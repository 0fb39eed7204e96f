"""An archive: every picture and video of a folder, sharpened on a cluster."""

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from acutance.choosing.automatic import automatic_tier
from acutance.cluster.driver import Driver
from acutance.cluster.lease import Lease
from acutance.cluster.listing import ListedFile, check_folders, list_files
from acutance.cluster.manifest import Manifest
from acutance.cluster.pool import connect
from acutance.cluster.progress import ArchiveProgress, FailedFile
from acutance.cluster.settings import ArchiveSettings, versions
from acutance.cluster.store import WORK, Store, open_store
from acutance.cluster.work import work_folder
from acutance.errors import InputNotFoundError, UsageError
from acutance.students.bundled import bundled_models

__all__ = ["ArchiveReport", "archive_folder"]


@dataclass(frozen=True)
class ArchiveReport:
    """What an archive did.

    Attributes:
        files: finished in this run.
        frames: finished in this run.
        kept: files that an earlier run had finished.
        seconds: from the first task to the last.
        damaged: finished files of which the input had lost something, with what.
        failed: files that were given up, with the reason.
    """

    files: int
    frames: int
    kept: int
    seconds: float
    damaged: dict[str, str] = field(default_factory=dict)
    failed: list[FailedFile] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second of the whole cluster."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def archive_folder(
    source: str | Path,
    target: str | Path,
    *,
    cluster: str = "local",
    settings: ArchiveSettings | None = None,
    retries: int = 3,
    overwrite: bool = False,
    source_options: Mapping[str, Any] | None = None,
    target_options: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _line: None,
    progress: Callable[[ArchiveProgress], None] = lambda _progress: None,
) -> ArchiveReport:
    """Sharpen every picture and video below a folder on a Ray cluster.

    Outputs have the frames that a file job with the same settings has (:func:`acutance.jobs.pipeline.sharpen_video`
    with ``video_threads`` and the sharpener's ``threads`` equal to ``settings.cpus``). A manifest in the output folder
    says what is done: the same call, given again, does only what is missing. A file that cannot be read costs itself
    alone.

    Args:
        source: the input folder: a path that all nodes see, or an fsspec address such as ``s3://bucket/folder``.
        target: the output folder, likewise.
        cluster: ``local`` for the cores of this machine, or the address of a Ray cluster.
        settings: how files are sharpened and encoded.
        retries: how often a file's tasks are tried again after a process or node was lost.
        overwrite: start the archive over, and replace outputs that exist.
        source_options: of the fsspec file system of ``source``; nodes get them too.
        target_options: of that of ``target``.
        say: told, a line at a time, what a user should know at once.
        progress: called about once a second.

    Raises:
        UsageError: a setting is out of range, or one folder lies in the other.
        InputNotFoundError: the input folder does not exist or holds no picture or video.
        ResumeError: the output folder holds an archive of other settings or another version, or its manifest was
            altered.
        OutputError: the output folder cannot be written, or another archive writes into it.
        ClusterError: no cluster answers, its nodes differ from this machine, or none is left that can work.
        MissingExtraError: Ray, or what serves an address, is not installed.
    """
    settings = settings or ArchiveSettings()
    if retries < 0:
        raise UsageError(f"retries must not be negative: {retries}")
    inputs, outputs = open_store(source, options=source_options), open_store(target, options=target_options)
    check_folders(inputs, outputs)
    sharpener = settings.open_sharpener()
    identity = settings.identity(sharpener)
    files = [*list_files(inputs)]
    if not files:
        raise InputNotFoundError(f"{inputs.url}: holds no picture or video")
    with Lease(outputs) as lease:
        manifest = Manifest(outputs, identity, overwrite=overwrite)
        missing, replaceable, kept = _missing(files, outputs, manifest)
        if overwrite:
            replaceable = {file.name for file in files}
        last = ArchiveProgress(0, 0, len(missing), 0, 0, 0.0)
        failed: list[FailedFile] = []
        if missing:
            job: dict[str, Any] = {
                "settings": asdict(settings) | {"engine": sharpener.engine_name},
                "student": _student(settings.model),
                "versions": versions(),
                "source": inputs.url, "source_options": dict(source_options or {}),
                "target": outputs.url, "target_options": dict(target_options or {}),
                "token": f"{WORK}/token-{secrets.token_hex(8)}",
                "sample": missing[0].name,
            }  # fmt: skip

            def tick(now: ArchiveProgress) -> None:
                nonlocal last
                last = now
                lease.renew()
                progress(now)

            outputs.write(job["token"], b"")
            try:
                with connect(cluster, job, cpus=settings.cpus) as pool:
                    driver = Driver(
                        pool, manifest,
                        segment_frames=settings.segment_frames, retries=retries,
                        replace=lambda file: file.name in replaceable,
                        clean=lambda done: outputs.remove(work_folder(asdict(done))),
                        say=say, tick=tick,
                    )  # fmt: skip
                    driver.run(missing)
                    failed = driver.failed
            finally:
                outputs.remove(job["token"])
                if not failed and last.files == len(missing):
                    for leftover in ("work", "tmp"):
                        outputs.remove(f"{WORK}/{leftover}")
    names = {file.name for file in missing}
    damaged = {name: done.damaged for name, done in manifest.done.items() if done.damaged and name in names}
    return ArchiveReport(last.files, last.frames, kept, last.seconds, damaged, failed)


def _missing(files: list[ListedFile], outputs: Store, manifest: Manifest) -> tuple[list[ListedFile], set[str], int]:
    """Return the files to do, the names of those whose output may be replaced, and how many are done."""
    sizes: dict[str, int] = {}
    if manifest.done:
        with contextlib.suppress(InputNotFoundError):
            sizes = {stored.name: stored.size for stored in outputs.files()}
    missing, replaceable = [], set()
    for file in files:
        done = manifest.done.get(file.name)
        intact = done is not None and sizes.get(done.output) == done.size
        if done is not None and intact and done.version == file.version:
            continue
        if intact:
            replaceable.add(file.name)  # it is ours, and the input was changed since
        missing.append(file)
    return missing, replaceable, len(files) - len(missing)


def _student(model: str) -> bytes | None:
    """Return the content of a student's file, which other machines may not have; None for bundled ones."""
    if automatic_tier(model) is not None or model in bundled_models():
        return None
    return Path(model).read_bytes()
