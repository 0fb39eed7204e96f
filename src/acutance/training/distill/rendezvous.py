"""How the processes of a run find each other: the store at their common address, and a name for this meeting."""

import json
import re
import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined] # public, but not in its __all__

from acutance._util import extras
from acutance.errors import PeerError
from acutance.training.distill.place import Place

__all__ = ["first_line", "meet", "open_store", "until"]

T = TypeVar("T")

_AGAIN = 0.2  # seconds between two attempts to connect
_POLL = 0.05  # seconds between two looks at the store


def first_line(error: BaseException) -> str:
    """What an error says, without what torch's C++ adds to it."""
    return re.sub(r"\[/[^]]*\] ", "", extras.first_line(error)).partition(". ")[
        0
    ]  # in brackets: where in gloo's source it was raised


def open_store(place: Place, *, timeout: float) -> TCPStore:
    """The store where all meet; kept by this process if it is rank 0 and its launcher keeps none. Raises PeerError."""
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


def meet(store: Store, place: Place, *, timeout: float) -> str:
    """Wait until all are there; returns a name that this meeting has and no earlier one at the same store had.

    A launcher's store outlives the processes that it starts again, and what the dead ones left there must not be taken
    for news. Raises PeerError, which names those who did not come; RuntimeError where the store has gone.
    """
    own = secrets.token_hex(8)
    if place.rank > 0:
        store.set(f"hello/{place.rank}", own)

        def called() -> str:
            call = json.loads(store.get("call")) if store.check(["call"]) else {}
            # A call that an earlier rank 0 left there does not know this process.
            return str(call["name"]) if call.get("to", {}).get(str(place.rank)) == own else ""

        name = until(called, timeout)
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

    if not until(all_here, timeout):
        who = "rank" if len(missing) == 1 else "ranks"
        raise PeerError(f"{place}: {who} {', '.join(map(str, missing))} did not come within {timeout:g} s")
    return own


def until(look: Callable[[], T], timeout: float) -> T:
    """Look again and again until there is something, or ``timeout`` seconds are over; what was seen last."""
    deadline = time.monotonic() + timeout
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return found
