"""What a process on a node holds for all its tasks: the stores, the sharpener, and a folder for what it works on."""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from acutance._util.lock import FileLock
from acutance.cluster.settings import ArchiveSettings, versions
from acutance.cluster.store import LocalStore, Store, open_store
from acutance.errors import ClusterError, OutputError
from acutance.io.files import output_error
from acutance.sharpening.base import BaseSharpener

__all__ = ["SCRATCH_VARIABLE", "Node"]

SCRATCH_VARIABLE = "ACUTANCE_SCRATCH"
"""Environment variable of a node: the folder for what it works on. Else the system's temporary folder."""

_WAIT = 0.1  # seconds between two looks at whether another process has fetched the same input
_UNUSED = 60.0  # seconds after which a fetched input that no process uses is removed


class Node:
    """Opens the stores and checks that this machine has the same programs and folders as the driver.

    Args:
        job: what :func:`acutance.cluster.driver.describe_job` makes.

    Raises:
        ClusterError: the versions of the programs differ, or a folder is not the same here as for the driver.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.settings = ArchiveSettings(**job["settings"])
        self._student: bytes | None = job["student"]
        self._check_versions(job["versions"])
        self.source: Store = open_store(job["source"], options=job["source_options"])
        self.target: Store = open_store(job["target"], options=job["target_options"])
        self._check_folders(job["token"], job["sample"])
        self.folder = _scratch_folder(job["token"])

    def _check_versions(self, expected: Mapping[str, str]) -> None:
        found = versions()
        differing = [f"{name} {found[name]} and {wanted}" for name, wanted in expected.items() if found[name] != wanted]
        if differing:
            raise ClusterError(f"has other versions than the driver: {'; '.join(differing)}")

    def _check_folders(self, token: str, sample: str | None) -> None:
        if self.target.read(token) is None:
            raise ClusterError(f"{self.target.url} is not the same folder here as for the driver; share it")
        if sample is not None and self.source.find(sample) is None:
            raise ClusterError(f"{self.source.at(sample)} is not here; share this folder")

    @cached_property
    def sharpener(self) -> BaseSharpener:
        """The sharpener, opened when it is first needed."""
        return self.settings.open_sharpener(student=self._student, folder=self.folder)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder that is removed at the end. Raises OutputError if there is no room for one."""
        folder = self.folder / f"task-{secrets.token_hex(6)}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise output_error(folder, error) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def input(self, name: str, version: str) -> Iterator[Path]:
        """Yield a path of an input on this machine: its own on a shared file system, else that of a fetched copy.

        All processes of a machine share the copy. It is removed some time after the last has used it.
        """
        if isinstance(self.source, LocalStore):
            yield self.source.path(name)
            return
        with self.scratch() as folder:
            path = folder / f"input{Path(name).suffix}"
            copy = self._fetched(name, version)
            try:
                # A link keeps the content here even if another process removes the copy.
                os.link(copy, path)
            except FileNotFoundError:
                os.link(self._fetched(name, version), path)
            yield path

    def _fetched(self, name: str, version: str) -> Path:
        folder = self.folder.parent / "inputs"
        copy = folder / hashlib.sha256(f"{self.source.at(name)}\n{version}".encode()).hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True)
        while not copy.exists():
            try:
                lock = FileLock(copy.with_suffix(".lock"))
            except BlockingIOError:
                time.sleep(_WAIT)
                continue
            with lock:
                if not copy.exists():
                    _remove_unused(folder)
                    self.source.fetch(name, copy)
        with contextlib.suppress(OSError):
            os.utime(copy)
        return copy


def _scratch_folder(token: str) -> Path:
    """Make this process's folder, and remove those of processes that are gone."""
    base = Path(os.environ.get(SCRATCH_VARIABLE) or tempfile.gettempdir()) / f"acutance-{_user()}"
    folder = base / f"process-{os.getpid()}-{hashlib.sha256(token.encode()).hexdigest()[:8]}"
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        for other in base.glob("process-*.lock"):
            with contextlib.suppress(OSError), FileLock(other):
                shutil.rmtree(other.with_suffix(""), ignore_errors=True)
                other.unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        _HELD.append(FileLock(folder.with_name(f"{folder.name}.lock")))  # until this process ends
    except BlockingIOError:
        pass  # this process made it for an earlier archive and holds it still
    except OSError as error:
        raise output_error(base, error) from error
    return folder


_HELD: list[FileLock] = []


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def _remove_unused(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            found = path.stat()
            if not path.suffix and found.st_nlink == 1 and time.time() - found.st_mtime > _UNUSED:
                path.unlink()


def is_full(error: BaseException, folder: Path) -> bool:
    """Return True if an error says that a node's own folder cannot be written."""
    said = isinstance(error, OutputError) and "cannot be written" in str(error)
    return said and str(folder) in str(error)
