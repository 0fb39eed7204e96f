"""Requests to stop: Ctrl-C, and the signals that service managers, containers and closing terminals send."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["calling_on_stop", "interrupt_on_stop"]

_STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


def interrupt_on_stop() -> None:
    """Have every request to stop raise KeyboardInterrupt in the main thread, as Ctrl-C does.

    A signal that the caller had ignored stays so: ``nohup`` ignores SIGHUP, and shells ignore SIGINT for programs in
    the background. A second request while the first is still being answered ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _STOPS:
        if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


@contextlib.contextmanager
def calling_on_stop(call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` on the first request to stop; later ones have the effect that they had before.

    Signals that are ignored stay so. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STOPS}
    handled = [number for number in _STOPS if before[number] is not signal.SIG_IGN]

    def restore() -> None:
        for number in handled:
            signal.signal(number, before[number] or signal.SIG_DFL)

    def stop(*_: object) -> None:
        restore()
        call()

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()
