"""What a live source is: something that gives frames when they come, may be lost, and may come back."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from acutance._util.closing import Closing
from acutance.frame import Frame

__all__ = ["LiveSource", "SoundHandler", "SourceEnd", "SourceInfo"]

SoundHandler = Callable[[Any, float], None]
"""Called with a block of decoded sound (an ``av.AudioFrame``) and the time on the monotonic clock it belongs to."""


class SourceEnd(Exception):  # noqa: N818 - it is not an error
    """A source that ends by itself, as a file does, has given all it had."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What was negotiated.

    name: as people know it. width, height: of the stored picture. rate: frames a second; None where unknown.
    pix_fmt: as it comes, in FFmpeg's words. sound: whether there is some.
    """

    name: str
    width: int
    height: int
    rate: Fraction | None
    pix_fmt: str = ""
    sound: bool = False

    def __str__(self) -> str:
        rate = f" at {float(self.rate):.4g} a second" if self.rate else ""
        return f"{self.name}: {self.width}x{self.height}{rate}" + (f", {self.pix_fmt}" if self.pix_fmt else "")


class LiveSource(Closing):
    """Gives frames to one thread: ``open``, ``read`` again and again, ``close``; then it may be opened anew.

    returns: whether a source that is lost may come back, as a camera that is plugged in again. on_sound: set by who
    wants the sound that comes with the picture, before ``open``; called in the thread that reads.
    """

    returns = False
    on_sound: SoundHandler | None = None

    @abstractmethod
    def open(self) -> SourceInfo:
        """Begin. Raises SourceError, InputNotFoundError and what else is wrong with it."""

    @abstractmethod
    def read(self, timeout: float) -> Frame:
        """The next frame, as soon as it is there.

        Raises TimeoutError where there is none within ``timeout`` seconds, SourceEnd, and SourceError where it is lost.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of it. May be called twice, and before ``open``. Frames already given stay valid."""
