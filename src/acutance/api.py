"""The class most programs need: sharpen arrays, frames and files with one object."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.choosing.automatic import AUTO, AutoSession, AutoSharpener, open_sharpener
from acutance.frame import Frame, Plane
from acutance.jobs.pipeline import JobReport, sharpen_image, sharpen_video
from acutance.sharpener import FrameSession, FrameSharpener
from acutance.students.spec import Student

__all__ = ["Sharpener"]


class Sharpener:
    """A student, or the automatic choice of one, its engine, and file jobs with it.

    >>> sharpener = Sharpener()                            # or a tier, a model's name, the path of a student's file
    >>> sharp = sharpener(image)                           # H x W x 3 or H x W, uint8 or uint16
    >>> sharpener.video("call.mp4", "sharp.mp4")           # every frame; sound and subtitles kept
    >>> for frame in sharpener.frames(reader): ...         # acutance.io.VideoReader, or any frames of one video
    >>> with sharpener.session(time_budget=0.01) as live:  # frames as they come, with a deadline
    ...     live.frame(frame)

    model: ``auto`` and tiers (``fast``, ``balanced``, ``quality``) choose a student for each picture and stream
    (:class:`acutance.choosing.automatic.AutoSharpener`); other names, paths and Students are one student
    (:class:`acutance.sharpener.FrameSharpener`). options: of those classes: ``engine``, ``strength``, ``threads``,
    ``threshold``, ``reuse``. Of video, tiles with nothing to gain pass through and tiles that did not change are not
    computed again; ``threshold=0`` and ``reuse=False`` compute everything, as pictures always are.
    """

    def __init__(self, model: str | Path | Student = AUTO, **options: Any) -> None:
        self.inner: FrameSharpener | AutoSharpener = open_sharpener(model, **options)
        """What does the work."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.inner!r}>"

    def __call__(
        self, picture: NDArray[np.uint8] | NDArray[np.uint16], *, scaled_by: float = 1.0
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture of full-range code values: H x W (grey) or H x W x 3 (RGB), uint8 or uint16.

        scaled_by: what it is known to have been scaled up by. Returns the same shape and type.
        """
        return self.inner(picture, scaled_by=scaled_by)

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it; see :meth:`FrameSharpener.frame`."""
        return self.inner.frame(frame, out=out)

    def session(self, **options: Any) -> FrameSession | AutoSession:
        """A session on the frames of one video; options are those of :meth:`FrameSharpener.session`."""
        return self.inner.session(**options)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen the frames of one video one by one, as they are asked for, in a session."""
        return self.inner.frames(frames)

    def video(self, source: str | Path, target: str | Path, **options: Any) -> JobReport:
        """Sharpen a video file; options are those of :func:`acutance.jobs.pipeline.sharpen_video`, such as
        ``progress``, and ``resume``, with which a job that was killed goes on.

        ``tiles`` of the report says how many tiles were computed, passed through and reused.
        """
        return sharpen_video(self.inner, source, target, **options)

    def image(self, source: str | Path, target: str | Path, **options: Any) -> JobReport:
        """Sharpen a picture file; options are those of :func:`acutance.jobs.pipeline.sharpen_image`."""
        return sharpen_image(self.inner, source, target, **options)
