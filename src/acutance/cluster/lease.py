"""One archive at a time in an output folder."""

import json
import secrets
import socket
import time
from types import TracebackType
from typing import Self

from acutance._util.lock import FileLock
from acutance.cluster.store import WORK, LocalStore, Store
from acutance.errors import OutputError
from acutance.io.files import output_error

__all__ = ["Lease"]

_NAME = f"{WORK}/lock"
_RENEW = 20.0  # seconds between two signs of life in a store without locks
_EXPIRES = 120.0  # seconds without one after which its owner is taken for dead


class Lease:
    """Holds an output folder for one archive, from entering to leaving. A context manager.

    On a file system it is the operating system's lock, which ends with the process. Object stores have no locks: there
    it is a small object with its owner's name and a time that :meth:`renew` updates. An object older than two
    minutes belongs to nobody.

    Raises:
        OutputError: another archive writes into this folder, or the folder cannot be written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock: FileLock | None = None
        self._owner = f"{socket.gethostname()}, {secrets.token_hex(4)}"
        self._renewed = 0.0

    def __enter__(self) -> Self:
        if isinstance(self._store, LocalStore):
            path = self._store.path(_NAME)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = FileLock(path)
            except BlockingIOError as error:
                raise OutputError(f"{self._store.url}: another archive writes into this folder") from error
            except OSError as error:
                raise output_error(self._store.url, error) from error
            return self
        holder = self._holder()
        if holder is not None:
            raise OutputError(
                f"{self._store.url}: another archive writes into this folder (on {holder.partition(',')[0]}; "
                f"if it was killed, wait {_EXPIRES:g} s)"
            )
        self.renew(now=True)
        if self._holder() != self._owner:
            raise OutputError(f"{self._store.url}: another archive began to write into this folder just now")
        return self

    def renew(self, *, now: bool = False) -> None:
        """Give a sign of life if one is due; to be called every few seconds."""
        if self._lock is None and (now or time.monotonic() - self._renewed >= _RENEW):
            self._store.write(_NAME, json.dumps({"owner": self._owner, "time": time.time()}).encode())
            self._renewed = time.monotonic()

    def _holder(self) -> str | None:
        raw = self._store.read(_NAME)
        try:
            lease = json.loads(raw or b"{}")
            if time.time() - float(lease["time"]) > _EXPIRES:
                return None
            return str(lease["owner"])
        except (ValueError, KeyError, TypeError):
            return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.close()
        elif self._holder() == self._owner:
            self._store.remove(_NAME)
