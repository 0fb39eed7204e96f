"""What a sink of a live job is: something that shows frames as they come, or keeps them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from acutance.frame import Frame
from acutance.io.source import SourceInfo

__all__ = ["LiveSink", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """frame: as it is to be shown. before: as it was captured, the same object where it was passed through. captured:
    when, on the monotonic clock, in seconds."""

    frame: Frame
    before: Frame
    captured: float


class LiveSink(ABC):
    """Takes frames of any size, one after the other, in one thread: ``open``, ``show``, ``close``.

    name: unique among the sinks of a job. waits: how many frames may wait for it; 0: only the newest does.
    main_thread: it must be used there, as windows must. closed: of those, whether the user has closed it.
    """

    name: str
    waits = 0
    main_thread = False
    closed = False

    @abstractmethod
    def open(self, info: SourceInfo) -> None:
        """Begin. info: what the source gives, at first. Raises OutputError, MissingExtraError."""

    @abstractmethod
    def show(self, shown: Shown) -> None:
        """Show a frame; returns once it is on its way to the eye, or the disk. Raises OutputError."""

    @abstractmethod
    def close(self) -> None:
        """Finish. May be called twice, and before ``open``."""

    def pump(self) -> None:  # noqa: B027 - only windows have something to do
        """Of sinks for the main thread: answer what the system has to say, without waiting for it."""
