"""Folders that every node of a cluster reaches: a shared file system, or a store that fsspec knows."""

import contextlib
import os
import secrets
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acutance._util.extras import first_line, require
from acutance.errors import InputNotFoundError, MissingExtraError, OutputError, UsageError
from acutance.io.files import flush_to_disk, output_error

__all__ = ["WORK", "LocalStore", "RemoteStore", "Store", "StoredFile", "open_store"]

WORK = ".acutance"
"""Folder in the output that holds everything but the outputs: manifest, lock, unfinished segments."""

# Object stores show an object under its name when all of it has arrived. Others show a file while it grows.
_ATOMIC = {"s3", "s3a", "gs", "gcs", "abfs", "az", "abfss", "oci", "oss", "memory"}
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "modified", "created")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a store.

    Attributes:
        name: relative to the store's folder, with forward slashes.
        size: bytes.
        version: text that changes when the content does, as far as the store tells (time of change, ETag).
    """

    name: str
    size: int
    version: str


class Store(ABC):
    """One folder and the files below it. Names are relative, with forward slashes.

    Reading raises InputNotFoundError, writing raises OutputError; both name the file and the store's reason.
    """

    url: str

    @abstractmethod
    def files(self) -> Iterator[StoredFile]:
        """Yield every file below the folder in the order of names, without hidden files and folders."""

    @abstractmethod
    def find(self, name: str) -> StoredFile | None:
        """Return a file's size and version, or None if there is no such file."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to a local path."""

    @abstractmethod
    def put(self, source: Path, name: str) -> None:
        """Copy a local file into the store. It appears there whole or not at all, and replaces what is there."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of a small file, or None if there is no such file."""

    @abstractmethod
    def write(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a small file whole. Raises FileExistsError if ``exclusive`` and the file exists."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the sorted names (not paths) of the files in a folder; none if there is no such folder."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file or a folder with all in it. Does nothing if it does not exist."""

    def at(self, name: str) -> str:
        """Return the full address of a file, for messages."""
        return f"{self.url}/{name}"


def open_store(url: str | Path, *, options: Mapping[str, Any] | None = None) -> Store:
    """Open a folder by its path or its fsspec address (``s3://bucket/folder``).

    Args:
        url: path or address. A path is made absolute; nodes must see the same folder under it.
        options: for the fsspec file system, such as ``endpoint_url``; else fsspec's own configuration and
            environment variables (``FSSPEC_S3_ENDPOINT_URL``) apply on every node.

    Raises:
        UsageError: no file system of that kind is known.
        MissingExtraError: the package that serves this kind of address is not installed.
    """
    text = str(url)
    if "://" not in text or text.startswith(("file://", "local://")):
        return LocalStore(Path(text.partition("://")[2] if "://" in text else text))
    return RemoteStore(text, options or {})


class LocalStore(Store):
    """A folder on a file system that all nodes mount under the same path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.url = str(self.folder)

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.folder / name

    def files(self) -> Iterator[StoredFile]:
        """See :meth:`Store.files`."""
        if not self.folder.is_dir():
            raise InputNotFoundError(f"{self.folder}: there is no such folder")
        for root, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith("."):
                    continue
                found = self.find((Path(root) / name).relative_to(self.folder).as_posix())
                if found is not None:
                    yield found

    def find(self, name: str) -> StoredFile | None:
        """See :meth:`Store.find`."""
        try:
            found = self.path(name).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputNotFoundError(f"{self.path(name)}: cannot be read: {error.strerror or error}") from error
        return StoredFile(name, found.st_size, f"{found.st_size} bytes, changed {found.st_mtime_ns}")

    def fetch(self, name: str, target: Path) -> None:
        """See :meth:`Store.fetch`."""
        try:
            with self.path(name).open("rb") as source:
                data = iter(lambda: source.read(1 << 20), b"")
                _copy(data, target)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise InputNotFoundError(f"{self.path(name)}: cannot be read: {error.strerror or error}") from error

    def put(self, source: Path, name: str) -> None:
        """See :meth:`Store.put`."""
        with self._appearing(name) as temporary:
            shutil.copyfile(source, temporary)

    def read(self, name: str) -> bytes | None:
        """See :meth:`Store.read`."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputNotFoundError(f"{self.path(name)}: cannot be read: {error.strerror or error}") from error

    def write(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        """See :meth:`Store.write`."""
        with self._appearing(name, exclusive=exclusive) as temporary:
            temporary.write_bytes(data)

    @contextlib.contextmanager
    def _appearing(self, name: str, *, exclusive: bool = False) -> Iterator[Path]:
        final = self.path(name)
        temporary = self.folder / WORK / "tmp" / secrets.token_hex(8)
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield temporary
                flush_to_disk(temporary)
                if exclusive:
                    os.link(temporary, final)  # unlike a rename, it fails if the name is taken
                else:
                    temporary.replace(final)
                flush_to_disk(final.parent)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
        except FileExistsError:
            raise
        except OSError as error:
            raise output_error(final, error) from error

    def names(self, folder: str) -> list[str]:
        """See :meth:`Store.names`."""
        try:
            return sorted(path.name for path in self.path(folder).iterdir() if path.is_file())
        except OSError:
            return []

    def remove(self, name: str) -> None:
        """See :meth:`Store.remove`."""
        path = self.path(name)
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


class RemoteStore(Store):
    """A folder that fsspec reaches, such as a prefix of an S3 bucket."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        fsspec = require("fsspec", extra="cluster", purpose=f"reaching {url}")
        self.url = url.rstrip("/")
        self._protocol = url.partition("://")[0]
        try:
            # Listings change under us: other nodes write. Instances are cached by thread, and threads end.
            self._fs, self._root = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True, **options
            )
        except ImportError as error:
            raise MissingExtraError(f"{self.url}: {first_line(error)}") from error
        except ValueError as error:
            raise UsageError(f"{self.url}: {first_line(error)}") from error

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    def files(self) -> Iterator[StoredFile]:
        """See :meth:`Store.files`."""
        with self._reading(""):
            found = self._fs.find(self._root, detail=True)
        if not found:
            with self._reading(""):
                if not self._fs.exists(self._root):
                    raise InputNotFoundError(f"{self.url}: there is no such folder")
        for path in sorted(found):
            name = path[len(self._root) :].lstrip("/")
            if name and not any(part.startswith(".") for part in name.split("/")):
                yield _stored(name, found[path])

    def find(self, name: str) -> StoredFile | None:
        """See :meth:`Store.find`."""
        try:
            with self._reading(name):
                found = self._fs.info(self._path(name))
        except InputNotFoundError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return _stored(name, found) if found.get("type") == "file" else None

    def fetch(self, name: str, target: Path) -> None:
        """See :meth:`Store.fetch`."""
        with self._reading(name), self._fs.open(self._path(name), "rb", cache_type="readahead") as source:
            _copy(iter(lambda: source.read(8 << 20), b""), target)

    def put(self, source: Path, name: str) -> None:
        """See :meth:`Store.put`."""
        with self._writing(name):
            path = self._path(name)
            first = path if self._protocol in _ATOMIC else f"{self._path(WORK)}/tmp/{secrets.token_hex(8)}"
            if first != path:
                self._fs.makedirs(first.rpartition("/")[0], exist_ok=True)
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(source), first)
            if first != path:
                self._fs.mv(first, path)
            stored = self._fs.info(path)["size"]
        if stored != source.stat().st_size:
            raise OutputError(f"{self.at(name)}: {stored} of {source.stat().st_size} bytes arrived")

    def read(self, name: str) -> bytes | None:
        """See :meth:`Store.read`."""
        try:
            with self._reading(name):
                return bytes(self._fs.cat_file(self._path(name)))
        except InputNotFoundError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def write(self, name: str, data: bytes, *, exclusive: bool = False) -> None:
        """See :meth:`Store.write`."""
        with self._writing(name):
            path = self._path(name)
            if self._protocol not in _ATOMIC:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, data, mode="create" if exclusive else "overwrite")

    def names(self, folder: str) -> list[str]:
        """See :meth:`Store.names`."""
        try:
            with self._reading(folder):
                found = self._fs.ls(self._path(folder), detail=True)
        except InputNotFoundError:
            return []
        return sorted(item["name"].rpartition("/")[2] for item in found if item["type"] == "file")

    def remove(self, name: str) -> None:
        """See :meth:`Store.remove`."""
        with contextlib.suppress(Exception):  # what is left costs room and nothing else
            self._fs.rm(self._path(name), recursive=True)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except (InputNotFoundError, OutputError):
            raise
        except Exception as error:  # each file system raises its own kinds
            raise InputNotFoundError(f"{self.at(name)}: cannot be read: {first_line(error)}") from error

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:  # each file system raises its own kinds
            raise OutputError(f"{self.at(name)}: cannot be written: {first_line(error)}") from error


def _stored(name: str, info: Mapping[str, Any]) -> StoredFile:
    size = int(info["size"] or 0)
    told = [str(info[key]) for key in _VERSION_KEYS if info.get(key)]
    return StoredFile(name, size, ", ".join([f"{size} bytes", *told[:1]]))


def _copy(pieces: Iterator[bytes], target: Path) -> None:
    """Write pieces to a file that appears whole. Raises OutputError, so that readers' and writers' errors differ."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with _local(target), temporary.open("wb") as file:
            pass
        for piece in pieces:
            with _local(target), temporary.open("ab") as file:
                file.write(piece)
        with _local(target):
            temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _local(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(target, error) from error
