"""The class most programs need: sharpen arrays, frames, streams and files with one object."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from acutance._util.arguments import finite_number
from acutance._util.closing import Closing
from acutance.choosing.automatic import AUTO, open_sharpener
from acutance.errors import UsageError
from acutance.frame import Frame, Plane
from acutance.sharpening.base import BaseSession, BaseSharpener, Choice, Look
from acutance.sharpening.pictures import Order, Pixels, enlarge_picture
from acutance.sharpening.stream import PixelStream, StreamFormat
from acutance.students.spec import Student

if TYPE_CHECKING:
    from acutance.jobs.pipeline import JobReport, Progress

__all__ = ["Sharpener"]

_SEGMENT_FRAMES = 250  # as acutance.jobs has it, which needs PyAV


class Sharpener(Closing):
    """Sharpens pictures, frames, raw video and files.

    >>> sharpener = Sharpener()                            # or a tier, a model's name, the path of a student's file
    >>> sharp = sharpener(image)                           # H x W x 3 or H x W, uint8 or uint16
    >>> sharpener.video("call.mp4", "sharp.mp4")           # every frame; sound and subtitles kept
    >>> with sharpener.stream(1280, 720, "nv12") as live:  # buffers of another program, one after the other
    ...     live.process(y_plane, out=y_plane)
    >>> with sharpener.session(time_budget=0.01) as live:  # acutance.Frame objects, with a deadline
    ...     live.frame(frame)

    A sharpener may be shared by threads; a session belongs to one stream. It is a context manager: leaving the block
    releases its threads and memory.

    Args:
        model: ``auto`` and tiers (``fast``, ``balanced``, ``quality``) choose a student for each picture and stream.
            A bundled model's name, the path of a student's file or a loaded Student is that student alone.
        engine: ``auto`` for the best that works here, or one by name: ``native``, ``onnxruntime``, ``openvino``,
            ``numpy``, or a variant of it (:func:`acutance.open_engine`).
        strength: How much is sharpened: 0 (the input, bit for bit) to 2; 1 is the look itself.
        look: ``faithful`` or ``natural``. ``auto`` and tiers have ``natural`` where they have a conditioned student.
            None for ``faithful`` with ``auto`` and tiers, and for ``natural`` with a conditioned student's file.
        threads: That work on a frame; None for one per core that this process may use.
        threshold: Tiles of video less active than this, in 8-bit code values, pass through unchanged. None for each
            student's own value, 0 to compute everything. Pictures are always computed whole.
        reuse: True if tiles of video whose input did not change keep their result.

    Raises:
        UsageError: If an option is out of range; it is a ValueError.
        ModelError: If the model is unknown, or its file is not a student.
        EngineError: If the engine cannot run here.
        MissingExtraError: If the engine's library is not installed.
    """

    def __init__(
        self,
        model: str | Path | Student = AUTO,
        *,
        engine: str = "auto",
        strength: float = 1.0,
        look: Look | None = None,
        threads: int | None = None,
        threshold: int | None = None,
        reuse: bool = True,
    ) -> None:
        self._engine, self._threads, self._threshold, self._reuse = engine, threads, threshold, reuse
        self._asked_look = look
        self._inner = self._open(model, strength)

    def _open(self, model: str | Path | Student, strength: float) -> BaseSharpener:
        return open_sharpener(
            model,
            engine=self._engine,
            strength=strength,
            look=self._asked_look,
            threads=self._threads,
            threshold=self._threshold,
            reuse=self._reuse,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._inner!r}>"

    # -- what may change while it runs --------------------------------------------------------------------------------

    @property
    def inner(self) -> BaseSharpener:
        """The object that does the work, which the functions of :mod:`acutance.jobs` take."""
        return self._inner

    @property
    def name(self) -> str:
        """The model's name. Setting it to another model's name opens that one with the same options.

        Pictures and new sessions then use it; open sessions keep the model that they began with.

        Raises:
            ModelError: On setting a name that is unknown.
            UsageError: On setting a model that does not have the look that was asked for.
        """
        return self._inner.name

    @name.setter
    def name(self, model: str) -> None:
        self._inner = self._open(model, self._inner.strength)

    @property
    def engine_name(self) -> str:
        """Name of the engine that runs the model."""
        return self._inner.engine_name

    @property
    def scale(self) -> float:
        """By how much the output is larger than the input: above 1 if the model is an upscaler."""
        return self._inner.scale

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height of the output for an input of that size, such as to allocate ``out``."""
        return self._inner.output_size(width, height)

    @property
    def strength(self) -> float:
        """How much is sharpened, 0 to 2. A new value holds from the next picture or frame on, in open sessions too.

        Raises:
            UsageError: On setting a value outside 0 to 2, or one that is not finite.
        """
        return self._inner.strength

    @strength.setter
    def strength(self, strength: float) -> None:
        self._inner.strength = strength

    @property
    def look(self) -> Look:
        """The look in force. A new value holds from the next picture or frame on, in open sessions too.

        Raises:
            UsageError: On setting a look that does not exist or that the model does not have.
        """
        return self._inner.look

    @look.setter
    def look(self, look: Look) -> None:
        self._inner.look = look
        self._asked_look = look

    @property
    def choice(self) -> Choice | None:
        """What was chosen for the last picture or single frame; None where there is nothing to choose.

        Setting it to a bundled student's name gives that student to every picture and stream; a conditioned student
        takes a condition such as ``x2`` instead. None chooses automatically again. Sessions have a ``choice`` of
        their own to read.

        Raises:
            UsageError: On setting a name where the model is a single student.
            ModelError: On setting a name that is unknown.
        """
        return self._inner.choice

    @choice.setter
    def choice(self, student: str | None) -> None:
        self._inner.choice = student

    # -- pictures and frames ------------------------------------------------------------------------------------------

    def __call__(
        self,
        picture: Pixels,
        *,
        out: Pixels | None = None,
        order: Order = "rgb",
        scaled_by: float = 1.0,
        scale: float | None = None,
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Sharpen a picture of full-range code values. Only its luma changes; alpha is kept.

        Args:
            picture: H x W (grey), H x W x 3, or H x W x 4 (alpha last); uint8 or uint16 (0..65535). A numpy array, or
                any object of the buffer protocol or DLPack on the processor: OpenCV images, torch tensors.
            out: Where the result goes, the same shape and type; it may be ``picture`` itself. A new array without it.
            order: Order of the colours, ``rgb`` or, as OpenCV has it, ``bgr``.
            scaled_by: By how much the picture is known to have been enlarged; 1 where nothing is known.
            scale: By how much to enlarge the picture: 1, 1.5, 2, 3 or 4. An upscaler takes the small picture and has
                one factor; other models sharpen the bicubic enlargement. None for the upscaler's own factor, else 1.

        Returns:
            The sharpened picture as an array: ``out``, or a new one of the same type, in the size that ``scale`` makes.

        Raises:
            UsageError: If the picture or ``out`` is of another kind.
            EngineError: If the sharpener is closed.
        """
        scaled_by = finite_number(scaled_by, "scaled_by", low=0.0, high=1e3, above=True)
        if scale is not None:
            scale = finite_number(scale, "scale", low=0.0, high=1e3, above=True)
        if scale is not None and scale != self._inner.scale:
            if self._inner.scale > 1:
                raise UsageError(f"{self._inner.name} enlarges by {self._inner.scale:g}, not by {scale:g}")
            picture, scaled_by = enlarge_picture(picture, scale), scaled_by * scale
        return self._inner(picture, out=out, order=order, scaled_by=scaled_by)

    def frame(self, frame: Frame, *, out: Plane | None = None) -> Frame:
        """Sharpen a video frame by itself, all of it.

        Args:
            frame: The frame; its luma is H x W, uint8, or uint16 above 8 bits.
            out: Where the new luma goes; same shape and type, not overlapping. A new plane without it.

        Returns:
            A frame with the new luma; everything else is carried over.

        Raises:
            UsageError: If the planes do not fit.
        """
        return self._inner.frame(frame, out=out)

    def session(self, *, tile_budget: float | None = None, time_budget: float | None = None) -> BaseSession:
        """Open a session on the frames of one video, which come in order; to be closed, as by ``with``.

        Args:
            tile_budget: Largest share of a frame's tiles that is computed, 0 to 1: the most active ones. None for all.
            time_budget: Seconds that a frame may take; the most active tiles come first. None for no limit.

        Raises:
            UsageError: If a budget is out of range, or the engine does not have it.
        """
        return self._inner.session(tile_budget=tile_budget, time_budget=time_budget)

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Sharpen the frames of one video one by one, as they are asked for, in a session."""
        return self._inner.frames(frames)

    def stream(
        self,
        width: int,
        height: int,
        format: StreamFormat = "nv12",
        *,
        full_range: bool = False,
        scaled_by: float = 1.0,
        tile_budget: float | None = None,
        time_budget: float | None = None,
    ) -> PixelStream:
        """Open a stream of raw frames: buffers of another program, or PyAV's frames; to be closed, as by ``with``.

        Args:
            width: Of every frame, in pixels, 1 to 65535.
            height: Of every frame, in pixels, 1 to 65535.
            format: ``nv12``, ``i420``, ``yuv420p10`` (uint16 samples, values in the low bits) or ``rgb24``.
            full_range: True if black is 0, as in JPEG, rather than 16. RGB always is.
            scaled_by: By how much the frames are known to have been enlarged; 1 where nothing is known.
            tile_budget: As of :meth:`session`.
            time_budget: As of :meth:`session`.

        Raises:
            UsageError: If an argument is out of range.
        """
        session = self.session(tile_budget=tile_budget, time_budget=time_budget)
        return PixelStream(session, width, height, format, full_range=full_range, scaled_by=scaled_by)

    # -- files --------------------------------------------------------------------------------------------------------

    def video(
        self,
        source: str | Path,
        target: str | Path | BinaryIO,
        *,
        scale: float = 1.0,
        split: bool = False,
        start: float = 0.0,
        duration: float | None = None,
        encoder: str | None = None,
        crf: float | None = None,
        bitrate: int | None = None,
        preset: str | None = None,
        overwrite: bool = False,
        resume: bool = False,
        segment_frames: int = _SEGMENT_FRAMES,
        video_threads: int | None = None,
        progress: "Progress" = lambda *_: None,
    ) -> "JobReport":
        """Sharpen a video file, every frame of it; sound, subtitles and tags are kept.

        See :func:`acutance.jobs.pipeline.sharpen_video` for the arguments, the report and the errors. Needs the extra
        ``acutance[video]``.
        """
        from acutance.jobs.pipeline import sharpen_video

        return sharpen_video(
            self._inner,
            source,
            target,
            scale=scale,
            split=split,
            start=start,
            duration=duration,
            encoder=encoder,
            crf=crf,
            bitrate=bitrate,
            preset=preset,
            overwrite=overwrite,
            resume=resume,
            segment_frames=segment_frames,
            video_threads=video_threads,
            progress=progress,
        )

    def image(
        self,
        source: str | Path,
        target: str | Path,
        *,
        scale: float = 1.0,
        split: bool = False,
        quality: int = 95,
        overwrite: bool = False,
    ) -> "JobReport":
        """Sharpen a picture file.

        See :func:`acutance.jobs.pipeline.sharpen_image` for the arguments, the report and the errors. Needs the extra
        ``acutance[video]``.
        """
        from acutance.jobs.pipeline import sharpen_image

        return sharpen_image(
            self._inner, source, target, scale=scale, split=split, quality=quality, overwrite=overwrite
        )

    def close(self) -> None:
        """Release threads and memory. May be called twice; the next picture then raises EngineError."""
        self._inner.close()
