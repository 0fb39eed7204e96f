"""Sound for a recording: of a microphone, or of the file whose pictures are played."""

import contextlib
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from acutance._util.av import av, reason, time_unit
from acutance.errors import SourceError
from acutance.io._open import open_container
from acutance.io.devices import microphone_address
from acutance.io.joins import Joins, TimeMender
from acutance.io.source import SoundHandler

__all__ = ["file_has_sound", "play_file_sound", "play_microphone"]

_AHEAD = 0.2  # seconds before its time that a file's sound is handed on


def play_microphone(which: str, handler: SoundHandler, stop: threading.Event) -> None:
    """Hand on what a microphone hears until ``stop``. which: its address; the system's default where empty.

    Raises SourceError where it cannot be opened or is lost.
    """
    format_, url = microphone_address(which)
    name = f"microphone {which}".strip()
    try:
        with av.open(url, format=format_, timeout=(5.0, 2.0)) as container:
            for block in container.decode(audio=0):
                if stop.is_set():
                    return
                handler(block, time.monotonic() - block.samples / block.sample_rate)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be heard: {reason(error)}") from error


def file_has_sound(path: Path) -> bool:
    """Whether there is a stream of sound in a video file. Raises what opening it raises."""
    with open_container(path) as container:
        return bool(container.streams.audio)


def play_file_sound(path: Path, handler: SoundHandler, stop: threading.Event, zero: Callable[[], float | None]) -> None:
    """Hand on a file's sound at its own pace.

    Args:
        path: The file.
        handler: Is called with each block of sound.
        stop: Ends it.
        zero: Returns where zero of the file's clock lies on the monotonic one, as its picture is played; None before
            it is.
    """
    with open_container(path) as container, contextlib.suppress(av.error.FFmpegError):  # the picture's reader says it
        mender = TimeMender(Joins(path), container.format.name)
        for packet in container.demux(container.streams.audio[0]):
            mender.mend(packet)
            for block in packet.decode():
                while (origin := zero()) is None:
                    if stop.wait(0.01):
                        return
                own = float((block.pts or 0) * time_unit(block, Fraction(0)))
                while (wait := origin + own - _AHEAD - time.monotonic()) > 0:
                    if stop.wait(min(wait, 0.2)):
                        return
                    origin = zero() or origin  # a picture whose clock jumps takes the sound with it
                handler(block, origin + own)
