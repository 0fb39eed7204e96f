"""Words that the processes of a run leave for each other in the store at their common address, and signs of life."""

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from acutance.distill.place import Place
from acutance.errors import PeerError

__all__ = ["PeerStore"]

T = TypeVar("T")

_AGAIN = 0.2  # seconds between two attempts to connect
_POLL = 0.002, 0.05  # seconds between two looks at the store: at first, and at most
_LOOK = 0.25  # seconds between two looks at whether the others are alive
_LONGEST_BEAT = 5.0
_LAST_WORDS = 3.0


class PeerStore:
    """The store, once all have come; a heartbeat runs until :meth:`close`.

    timeout: seconds to wait for the others to come, and then for a sign of life of each. Raises PeerError.
    """

    def __init__(self, place: Place, *, timeout: float) -> None:
        self.place = place
        self._timeout = timeout
        store = _open(place, timeout)
        with self._reachable():
            # The launcher's store outlives the processes that it starts again: what the dead ones left there is not to
            # be taken for news, by gloo neither.
            self.own = PrefixStore(_meet(store, place, timeout), store)
        self._rounds = 0
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="acutance-heartbeat", daemon=True)
        self._heart.start()

    def gather(self, value: Any) -> list[Any]:
        """What each process gives here, by rank; all wait for all, however long, as long as they are alive.

        value: what JSON can hold. Raises PeerError where a process has left or has been silent for the time-out.
        """
        self._rounds += 1
        keys = [f"round/{self._rounds}/{rank}" for rank in range(self.place.size)]
        with self._reachable():
            self.own.set(keys[self.place.rank], json.dumps(value))
            self._wait_for(keys)
            values = [json.loads(self.own.get(key)) for key in keys]
            # All have come here, so all have read what was left in the round before.
            if self._rounds > 1:
                self.own.delete_key(f"round/{self._rounds - 1}/{self.place.rank}")
        return values

    def why_one_left(self) -> str:
        """What a process that ended with an error had to say, or nothing."""
        try:
            return self.own.get("left").decode() if self.own.check(["left"]) else ""
        except RuntimeError:  # whoever kept the store has gone too
            return ""

    def close(self, why: str = "") -> None:
        """Stop the heartbeat. why: told to the others where this process leaves before its work is done."""
        if why:
            with contextlib.suppress(RuntimeError):
                self.own.compare_set("left", "", f"rank {self.place.rank} has ended: {why}")
        self._stop.set()
        self._heart.join()
        with contextlib.suppress(RuntimeError):
            self.own.set(f"gone/{self.place.rank}", "")

    def linger(self) -> None:
        """After :meth:`close`: where the store is this process's, give the others a moment to read the last words."""
        if self.place.rank > 0 or self.place.launcher_listens:
            return
        gone = [f"gone/{rank}" for rank in range(self.place.size)]
        with contextlib.suppress(RuntimeError):
            _until(lambda: self.own.check(gone), min(self._timeout, _LAST_WORDS))

    def _wait_for(self, keys: Sequence[str]) -> None:
        started = looked = time.monotonic()
        heard: dict[int, tuple[str, float]] = {}
        pause, longest = _POLL
        while not self.own.check(list(keys)):
            time.sleep(pause)
            pause = min(2 * pause, longest)
            now = time.monotonic()
            if now - looked < _LOOK:
                continue
            looked = now
            if why := self.why_one_left():
                raise PeerError(f"{self.place}: {why}")
            for rank, key in enumerate(keys):
                if self.own.check([key]):
                    continue
                beat = self.own.get(f"beat/{rank}").decode() if self.own.check([f"beat/{rank}"]) else ""
                last, since = heard.get(rank, ("", started))
                if beat != last:
                    heard[rank] = (beat, now)
                elif now - since > self._timeout:
                    raise PeerError(f"{self.place}: rank {rank} has given no sign of life for {self._timeout:g} s")

    def _beat(self) -> None:
        beats = 0
        every = min(_LONGEST_BEAT, self._timeout / 5)
        while True:
            beats += 1
            try:
                self.own.set(f"beat/{self.place.rank}", str(beats))
            except RuntimeError:  # this process notices by itself when it needs the others
                return
            if self._stop.wait(every):
                return

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise PeerError(f"{self.place}: whoever keeps the store there has gone: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an error says, without what torch's C++ adds to it."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    while line.startswith("[/") and "] " in line:  # where in gloo's source it was raised
        line = line.partition("] ")[2]
    return line.partition(". ")[0]


def _open(place: Place, timeout: float) -> TCPStore:
    listens = place.rank == 0 and not place.launcher_listens
    if not listens:
        _try(place, timeout)
    try:
        return TCPStore(
            "localhost" if listens else place.address,
            place.port,
            is_master=listens,
            timeout=timedelta(seconds=timeout),
            wait_for_workers=False,
        )
    except (RuntimeError, ValueError) as error:
        doing = "cannot listen" if listens else "cannot join"
        raise PeerError(f"{place}: {doing}: {first_line(error)}") from error


def _try(place: Place, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            left = max(_AGAIN, deadline - time.monotonic())
            socket.create_connection((place.address, place.port), timeout=left).close()
            return
        except OSError as error:
            if time.monotonic() + _AGAIN > deadline:
                why = error.strerror or str(error) or type(error).__name__
                raise PeerError(f"{place}: nobody answers there, tried for {timeout:g} s: {why}") from error
        time.sleep(_AGAIN)


def _meet(store: Store, place: Place, timeout: float) -> str:
    """Wait until all are there; returns a name that this meeting has and no earlier one at the same store had."""
    own = secrets.token_hex(8)
    if place.rank > 0:
        store.set(f"hello/{place.rank}", own)

        def called() -> str:
            call = json.loads(store.get("call")) if store.check(["call"]) else {}
            # A call that an earlier rank 0 left there does not know this process.
            return str(call["name"]) if call.get("to", {}).get(str(place.rank)) == own else ""

        name = _until(called, timeout)
        if not name:
            raise PeerError(f"{place}: rank 0 did not come within {timeout:g} s")
        store.set(f"{name}/here/{place.rank}", "")
        return name
    missing = list(range(1, place.size))

    def all_here() -> bool:
        greeted = {rank: f"hello/{rank}" for rank in range(1, place.size) if store.check([f"hello/{rank}"])}
        store.set("call", json.dumps({"name": own, "to": {r: store.get(key).decode() for r, key in greeted.items()}}))
        missing[:] = [rank for rank in missing if not store.check([f"{own}/here/{rank}"])]
        return not missing

    if not _until(all_here, timeout):
        who = "rank" if len(missing) == 1 else "ranks"
        raise PeerError(f"{place}: {who} {', '.join(map(str, missing))} did not come within {timeout:g} s")
    return own


def _until(look: Callable[[], T], timeout: float) -> T:
    """Look again and again until there is something, or the time is over."""
    deadline = time.monotonic() + timeout
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(_POLL[1])
    return found
