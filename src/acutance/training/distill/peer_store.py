"""Words that the processes of a run leave for each other in the store at their common address, and signs of life."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from torch.distributed import PrefixStore  # type: ignore[attr-defined] # public, but not in its __all__

from acutance.errors import PeerError
from acutance.training.distill.place import Place
from acutance.training.distill.rendezvous import first_line, meet, open_store, until

__all__ = ["PeerStore"]

T = TypeVar("T")

_POLL = 0.002, 0.05  # seconds between two looks at the store: at first, and at most
_LOOK = 0.25  # seconds between two looks at whether the others are alive
_LONGEST_BEAT = 5.0
_LAST_WORDS = 3.0  # seconds that a process which leaves takes to say why, or to hear why another did


class PeerStore:
    """The store, once all have come; a heartbeat runs until :meth:`close`.

    timeout: seconds to wait for the others to come, then for a sign of life of each and for an answer of the store.
    Raises PeerError.
    """

    def __init__(self, place: Place, *, timeout: float) -> None:
        self.place = place
        self._timeout = timeout
        self._silent = False
        store = open_store(place, timeout=timeout)
        # They give up by themselves, unless the network goes just then.
        name = self._ask(lambda: meet(store, place, timeout=timeout), patience=timeout + _LAST_WORDS)
        self.own = PrefixStore(name, store)
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
        self._ask(lambda: self.own.set(keys[self.place.rank], json.dumps(value)))
        self._wait_for(keys)

        def read() -> list[Any]:
            values = [json.loads(self.own.get(key)) for key in keys]
            # All have come here, so all have read what was left in the round before.
            if self._rounds > 1:
                self.own.delete_key(f"round/{self._rounds - 1}/{self.place.rank}")
            return values

        return self._ask(read)

    def why_one_left(self) -> str:
        """What a process that ended with an error had to say, or nothing."""
        try:
            return self._ask(self._left, patience=_LAST_WORDS)
        except PeerError:  # whoever kept the store has gone too
            return ""

    def close(self, why: str = "") -> None:
        """Stop the heartbeat. why: told to the others where this process leaves before its work is done."""
        self._stop.set()
        self._heart.join(_LAST_WORDS)

        def leave() -> None:
            if why:
                self.own.compare_set("left", "", f"rank {self.place.rank} has ended: {why}")
            self.own.set(f"gone/{self.place.rank}", "")

        with contextlib.suppress(PeerError):
            self._ask(leave, patience=_LAST_WORDS)

    def linger(self) -> None:
        """After :meth:`close`: where the store is this process's, give the others a moment to read the last words."""
        if self.place.rank > 0 or self.place.launcher_listens:
            return
        gone = [f"gone/{rank}" for rank in range(self.place.size)]
        with contextlib.suppress(PeerError):
            until(lambda: self._ask(lambda: self.own.check(gone)), min(self._timeout, _LAST_WORDS))

    def _wait_for(self, keys: Sequence[str]) -> None:
        started = looked = time.monotonic()
        heard: dict[int, tuple[str, float]] = {}
        pause, longest = _POLL
        while not self._ask(lambda: self.own.check(list(keys))):
            time.sleep(pause)
            pause = min(2 * pause, longest)
            now = time.monotonic()
            if now - looked < _LOOK:
                continue
            looked = now
            why, beats = self._ask(lambda: (self._left(), self._beats(keys)))
            if why:
                raise PeerError(f"{self.place}: {why}")
            for rank, beat in beats.items():
                last, since = heard.get(rank, ("", started))
                if beat != last:
                    heard[rank] = (beat, now)
                elif now - since > self._timeout:
                    raise PeerError(f"{self.place}: rank {rank} has given no sign of life for {self._timeout:g} s")

    def _left(self) -> str:
        return self.own.get("left").decode() if self.own.check(["left"]) else ""

    def _beats(self, keys: Sequence[str]) -> dict[int, str]:
        """The last heartbeat of each process whose key is not there yet."""
        late = [rank for rank, key in enumerate(keys) if not self.own.check([key])]
        names = {rank: f"beat/{rank}" for rank in late}
        return {r: self.own.get(name).decode() if self.own.check([name]) else "" for r, name in names.items()}

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

    def _ask(self, question: Callable[[], T], *, patience: float | None = None) -> T:
        """Ask the store from a thread: where the network has gone no answer ever comes, and torch, which waits for it,
        would not let Ctrl-C through either. Raises PeerError."""
        patience = self._timeout if patience is None else patience
        answers: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer = question()
                answers.put(lambda: answer)
            except BaseException as error:  # raised where it was asked
                answers.put(partial(_throw, error))

        if self._silent:
            raise PeerError(f"{self.place}: the store there does not answer")
        thread = threading.Thread(target=ask, name="acutance-store", daemon=True)
        thread.start()
        try:
            answer = answers.get(timeout=patience)
        except queue.Empty:
            self._silent = True
            raise PeerError(f"{self.place}: the store there does not answer, waited for {patience:g} s") from None
        thread.join()
        try:
            return answer()
        except RuntimeError as error:
            raise PeerError(f"{self.place}: whoever keeps the store there has gone: {first_line(error)}") from error


def _throw(error: BaseException) -> Any:
    raise error
