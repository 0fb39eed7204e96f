"""The class most programs need: sharpen arrays, frames and files with one object."""

from pathlib import Path
from typing import Any

from acutance.pipeline import JobReport, sharpen_image, sharpen_video
from acutance.sharpener import FrameSharpener

__all__ = ["Sharpener"]


class Sharpener(FrameSharpener):
    """A student, its engine, and file jobs with it.

    >>> sharpener = Sharpener("fast")
    >>> sharp = sharpener(image)                           # H x W x 3 or H x W, uint8 or uint16
    >>> sharpener.video("call.mp4", "sharp.mp4")           # every frame; sound and subtitles kept
    >>> for frame in sharpener.frames(reader): ...         # acutance.io.VideoReader, or any frames of one video
    >>> with sharpener.session(time_budget=0.01) as live:  # frames as they come, with a deadline
    ...     live.frame(frame)

    The arguments are those of :class:`acutance.sharpener.FrameSharpener`: ``model``, ``engine``, ``strength``,
    ``threads``, ``threshold``, ``reuse``. Of video, tiles with nothing to gain pass through and tiles that did not
    change are not computed again; ``threshold=0`` and ``reuse=False`` compute everything, as pictures always are.
    """

    def video(self, source: str | Path, target: str | Path, **options: Any) -> JobReport:
        """Sharpen a video file; options are those of :func:`acutance.pipeline.sharpen_video`, such as ``progress``.

        ``tiles`` of the report says how many tiles were computed, passed through and reused.
        """
        return sharpen_video(self, source, target, **options)

    def image(self, source: str | Path, target: str | Path, **options: Any) -> JobReport:
        """Sharpen a picture file; options are those of :func:`acutance.pipeline.sharpen_image`."""
        return sharpen_image(self, source, target, **options)
