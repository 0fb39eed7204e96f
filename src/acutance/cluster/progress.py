"""How far an archive is."""

from dataclasses import dataclass

__all__ = ["ArchiveProgress", "FailedFile", "FrameCount"]


@dataclass(frozen=True, slots=True)
class ArchiveProgress:
    """How far an archive is.

    Attributes:
        files: finished in this run.
        failed: given up in this run.
        total_files: that this run has to do.
        frames: finished in this run.
        total_frames: that this run has to do, estimated for files that are not opened yet; 0 if nothing is known yet.
        seconds: since the first task.
    """

    files: int
    failed: int
    total_files: int
    frames: int
    total_frames: int
    seconds: float

    @property
    def fps(self) -> float:
        """Frames per second of the whole cluster."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time that is left, in seconds; None if nothing is known yet."""
        if not self.frames or not self.total_frames:
            return None
        return max(0.0, self.seconds * (self.total_frames - self.frames) / self.frames)


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that was given up.

    Attributes:
        name: of the input, relative to its folder.
        reason: one line.
        error: name of the exception's class.
    """

    name: str
    reason: str
    error: str


class FrameCount:
    """Counts the frames of an archive, and estimates those of files that nobody has opened yet by their bytes."""

    def __init__(self, waiting: dict[str, int]) -> None:
        self._waiting = waiting
        self._opened: dict[str, tuple[int, int]] = {}
        self._bytes = self._frames = 0
        self.done = 0

    def set_frames(self, name: str, frames: int) -> None:
        """Say how many frames of a file are to be done in this run, as far as known now."""
        size = self._waiting.pop(name, None)
        before = self._opened.get(name, (0, 0))
        now = self._opened[name] = (before[0] if size is None else size, frames)
        self._bytes += now[0] - before[0]
        self._frames += now[1] - before[1]

    def forget(self, name: str) -> None:
        """Say that a file does not count any more because it was finished; its frames stay in the total."""
        self._opened.pop(name, None)

    def drop(self, name: str) -> None:
        """Take a file that was given up out of the total."""
        self._waiting.pop(name, None)
        size, frames = self._opened.pop(name, (0, 0))
        self._bytes -= size
        self._frames -= frames

    @property
    def total(self) -> int:
        """Frames to do in this run: those known, and an estimate for files that wait; 0 if nothing is known yet."""
        if not self._bytes or not self._frames:
            return self._frames
        return self._frames + round(sum(self._waiting.values()) * self._frames / self._bytes)
