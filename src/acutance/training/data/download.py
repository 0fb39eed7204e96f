"""Downloads that can be interrupted, and archives that cannot write where they should not."""

import contextlib
import hashlib
import http.client
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from acutance.errors import AcutanceError, CorruptInputError, DownloadError, InputNotFoundError, OutputError, UsageError

__all__ = ["Progress", "download", "extract_zip", "sha256_of"]

Progress = Callable[[int, int | None, str], None]
"""Called with what is done, the total (None where unknown), and what is being done: bytes of a download, say."""

_CHUNK = 1 << 18
_WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)


class _Response(Protocol):
    status: int
    headers: http.client.HTTPMessage

    def read(self, amount: int) -> bytes: ...


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """The transfer broke off in a way that another attempt may mend."""


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises InputNotFoundError."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path}: no such file") from error


def download(
    url: str,
    target: str | Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    retries: int = 4,
    pause: float = 1.0,
) -> Path:
    """Fetch a file over HTTP(S), going on where an earlier attempt broke off.

    What has arrived lies in ``target`` + ``.part`` until it is whole and its checksum is right; only then does
    ``target`` exist. A ``target`` that exists already is kept if its checksum is right, or if none is given.
    progress: called with bytes done, bytes in all, and the name of the file.
    timeout: seconds without a byte after which the connection counts as lost. retries: attempts after the first that
    may fail in a row without a byte of progress, with ``pause`` seconds before the first of them, then twice that.

    Raises DownloadError (server, network, checksum; a file with a wrong checksum is removed), OutputError (disk),
    UsageError (not an HTTP address).
    """
    target = Path(target)
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"only http and https addresses can be fetched, not {url!r}")
    if target.is_file() and (sha256 is None or sha256_of(target) == sha256.lower()):
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target.parent}: cannot be made: {error.strerror}") from error
    report = progress or (lambda _done, _total, _what: None)
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part, target.name, report, timeout)
            break
        except _Broken as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures > retries:
                raise DownloadError(f"{url}: {error} (after {failures} attempts)") from error
            time.sleep(pause * 2 ** max(0, failures - 1))
    if sha256 is not None and (found := sha256_of(part)) != sha256.lower():
        part.unlink()
        raise DownloadError(f"{url}: checksum is {found}, expected {sha256.lower()}; what arrived was removed")
    part.replace(target)
    return target


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _attempt(url: str, part: Path, name: str, report: Progress, timeout: float) -> None:
    """Fetch what is missing of ``part``. Raises _Broken where another attempt makes sense."""
    have = _size(part)
    headers = {"User-Agent": "acutance", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            _receive(response, url, part, have, name, report)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # Nothing lies behind what we have: it is whole, or it belongs to another version of the file.
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink(missing_ok=True)
            raise _Broken("the server's file is shorter than what was there") from error
        if error.code in _WORTH_RETRYING:
            raise _Broken(f"server answered {error.code} {error.reason}") from error
        raise DownloadError(f"{url}: server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Broken(f"server cannot be reached: {error.reason}") from error
    except TimeoutError as error:
        raise _Broken(f"no answer for {timeout:g} seconds") from error
    except (http.client.HTTPException, ConnectionError) as error:
        raise _Broken(f"connection broke off: {error or type(error).__name__}") from error
    except AcutanceError:
        raise
    except OSError as error:  # TLS and routing fail under other names; what concerns the file was mapped where it arose
        raise _Broken(f"connection broke off: {error}") from error


def _receive(response: _Response, url: str, part: Path, have: int, name: str, report: Progress) -> None:
    length = response.headers.get("Content-Length")
    if response.status == 206:
        if not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            raise DownloadError(f"{url}: server resumed at another place than asked for")
    else:
        have = 0  # it sends everything again
    total = have + int(length) if length is not None and length.isdigit() else None
    done = have
    report(done, total, name)
    try:
        file = part.open("ab" if have else "wb")
    except OSError as error:
        raise OutputError(f"{part}: cannot be written: {error.strerror}") from error
    with file:
        # http.client ends quietly when a connection closes early: only the count tells.
        while chunk := response.read(_CHUNK):
            try:
                file.write(chunk)
            except OSError as error:
                raise OutputError(f"{part}: cannot be written: {error.strerror}") from error
            done += len(chunk)
            report(done, total, name)
    if total is not None and done != total:
        raise _Broken(f"connection broke off at {done} of {total} bytes")


def extract_zip(archive: str | Path, folder: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Unpack a zip archive into a folder; returns the files.

    Nothing is written unless every name stays inside the folder (no absolute path, no ``..``, no link), and the disk
    has room. progress: called with bytes done, bytes in all, and the name of the member.
    Raises CorruptInputError (not a zip, damaged, or with such names), InputNotFoundError, OutputError.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise InputNotFoundError(f"{archive}: no such file")
    written: list[Path] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [(info, _inside(info, archive)) for info in opened.infolist() if not info.is_dir()]
            total, done = sum(info.file_size for info, _ in members), 0
            folder.mkdir(parents=True, exist_ok=True)
            if total > shutil.disk_usage(folder).free:
                raise OutputError(f"{folder}: {archive.name} unpacks to {total} bytes, which the disk has no room for")
            for info, relative in members:
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(info) as source, target.open("wb") as sink:
                    # zipfile reads no more than the size declared, and checks the CRC at the end.
                    while chunk := source.read(_CHUNK):
                        sink.write(chunk)
                        done += len(chunk)
                        if progress is not None:
                            progress(done, total, info.filename)
                written.append(target)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise CorruptInputError(f"{archive}: not a zip archive that can be read: {error}") from error
    except RuntimeError as error:  # zipfile's for encrypted members
        raise CorruptInputError(f"{archive}: {error}") from error
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot unpack {archive.name}: {error}") from error
    return written


def _inside(info: zipfile.ZipInfo, archive: Path) -> Path:
    name = PurePosixPath(info.filename)
    parts_allowed = all(part != ".." and ":" not in part and "\\" not in part for part in name.parts)
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if name.is_absolute() or not name.parts or not parts_allowed or is_link:
        raise CorruptInputError(f"{archive}: refused, since its member {info.filename!r} could write elsewhere")
    return Path(*name.parts)


def remove_quietly(path: Path) -> None:
    """Remove a file or folder that may not be there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
