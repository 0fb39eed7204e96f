"""Raw video: the buffers of another program, or PyAV's frames, sharpened one after the other."""

import sys
import threading
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from acutance._util.closing import Closing
from acutance.engine import TileCounts
from acutance.engine.base import as_array, describe
from acutance.errors import EngineError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame, Plane
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.sharpening.base import BaseSession, Choice
from acutance.sharpening.pictures import Pixels

if TYPE_CHECKING:
    import av

__all__ = ["STREAM_FORMATS", "PixelStream", "StreamFormat"]

StreamFormat = Literal["nv12", "i420", "yuv420p10", "rgb24"]
"""Layouts of a frame: 4:2:0 with interleaved chroma, 4:2:0 in three planes, the same with 10 bits, packed RGB."""

STREAM_FORMATS: tuple[StreamFormat, ...] = ("nv12", "i420", "yuv420p10", "rgb24")
"""All formats of a stream."""

_AV_FORMATS = {
    "nv12": ("nv12",),
    "i420": ("yuv420p", "yuvj420p"),
    "yuv420p10": ("yuv420p10le",) if sys.byteorder == "little" else ("yuv420p10be",),
    "rgb24": ("rgb24",),
}
_RGB_BITS = 14  # luma of RGB as the engine takes it: 64 steps for each 8-bit code value
_RGB_STEPS = 64
_LARGEST_SIDE = 65535


class PixelStream(Closing):
    """Sharpens the frames of one raw video; made by :meth:`acutance.Sharpener.stream`. A context manager.

    Safe to call from several threads: their frames take turns, in the order in which they come.
    """

    def __init__(
        self,
        session: BaseSession,
        width: int,
        height: int,
        format: StreamFormat,
        *,
        full_range: bool,
        scaled_by: float,
    ) -> None:
        if format not in STREAM_FORMATS:
            raise UsageError(f"format must be one of {', '.join(STREAM_FORMATS)}, not {format!r}")
        for name, side in (("width", width), ("height", height)):
            if not isinstance(side, int) or not 1 <= side <= _LARGEST_SIDE:
                raise UsageError(f"{name} must be an integer from 1 to {_LARGEST_SIDE}, not {side!r}")
        self.width, self.height, self.format = width, height, format
        self.scaled_by = scaled_by
        """By how much the frames are known to have been enlarged; may be set, and holds from the next frame on."""
        self._session, self._full_range = session, full_range
        self._dtype = np.dtype(np.uint16 if format == "yuv420p10" else np.uint8)
        self._bit_depth = 10 if format == "yuv420p10" else 8
        self._own: Plane | None = None  # a copy of luma that is to be written over
        self._turn = threading.Lock()
        self._closed = False

    @property
    def frame_size(self) -> int:
        """Bytes of a whole frame without gaps."""
        return self._samples * self._dtype.itemsize

    @property
    def _samples(self) -> int:
        luma = self.width * self.height
        if self.format == "rgb24":
            return 3 * luma
        return luma + 2 * ((self.width + 1) // 2) * ((self.height + 1) // 2)

    @property
    def counts(self) -> TileCounts:
        """What became of the last frame's tiles."""
        return self._session.counts

    @property
    def totals(self) -> TileCounts:
        """The same, added up over all frames so far."""
        return self._session.totals

    @property
    def choice(self) -> Choice | None:
        """The automatic choice that holds; None before the first frame, and where there is nothing to choose."""
        return self._session.choice

    @overload
    def process(self, picture: "av.VideoFrame", *, out: "av.VideoFrame | None" = None) -> "av.VideoFrame": ...

    @overload
    def process(self, picture: Pixels, *, out: Pixels | None = None) -> NDArray[Any]: ...

    def process(self, picture: object, *, out: object = None) -> Any:
        """Sharpen the next frame.

        Args:
            picture: One of these, as numpy array, buffer (``bytes``, ``memoryview``) or DLPack object:
                the luma plane alone, H x W with any strides, or without gaps in one dimension;
                the whole frame without gaps, in one dimension or in rows of W samples (4:2:0 alone);
                H x W x 3 for ``rgb24``. Or an ``av.VideoFrame`` of the stream's size and format.
                Samples are uint8, for ``yuv420p10`` uint16 in the low bits; ``bytes`` hold them in native order.
            out: Where the result goes: the same shape, writable; it may be ``picture`` itself. A new array without it.
                For an ``av.VideoFrame`` another one: a decoder may still need its own.

        Returns:
            ``out`` as an array, or a new array of the shape of ``picture``; of a whole frame chroma is copied.
            For an ``av.VideoFrame`` a new one with the times and colours of ``picture``.

        Raises:
            UsageError: If the picture or ``out`` is not of the stream's size and format.
            EngineError: If the stream is closed.
        """
        with self._turn:
            if self._closed:
                raise EngineError("the stream is closed")
            if _is_av_frame(picture):
                return self._process_av(picture, out)
            source = self._array(picture, "a frame")
            target = np.empty_like(source, order="C", subok=False) if out is None else self._target(out, source)
            if self.format == "rgb24":
                shape = (self.height, self.width, 3)  # splitting an axis makes views
                self._sharpen_rgb(source.reshape(shape), target.reshape(shape))
                return target
            luma, chroma = self._parts(source)
            new_luma, new_chroma = self._parts(target)
            if target is not source and chroma.size:
                new_chroma[...] = chroma
            self._sharpen(luma, new_luma, self._full_range)
            return target

    def reset(self) -> None:
        """Forget the last frame, as after a seek or a cut that is known."""
        with self._turn:
            self._session.reset()

    def close(self) -> None:
        """Release what is held. May be called twice."""
        with self._turn:
            self._closed = True
            self._session.close()

    # -- arrays -------------------------------------------------------------------------------------------------------

    def _array(self, value: object, what: str) -> NDArray[Any]:
        array: Any = as_array(value)
        is_bytes = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype == np.uint8
        if is_bytes and array.flags.c_contiguous and array.nbytes % self._dtype.itemsize == 0:
            array = array.view(self._dtype)
        if not isinstance(array, np.ndarray) or array.dtype != self._dtype or array.shape not in self._shapes():
            shapes = " or ".join(str(shape).replace(" ", "") for shape in self._shapes())
            raise UsageError(
                f"{what} of {self.width}x{self.height} {self.format} is an array of {self._dtype} of shape {shapes}, "
                f"not {describe(array)}"
            )
        return array

    def _shapes(self) -> list[tuple[int, ...]]:
        width, height = self.width, self.height
        if self.format == "rgb24":
            return [(height, width, 3), (self._samples,)]
        shapes: list[tuple[int, ...]] = [(height, width), (height * width,), (self._samples,)]
        if self._samples % width == 0:
            shapes.append((self._samples // width, width))
        return list(dict.fromkeys(shapes))

    def _target(self, out: object, source: NDArray[Any]) -> NDArray[Any]:
        target = self._array(out, "out")
        if target.shape != source.shape:
            raise UsageError(f"out must be {describe(source)}, not {describe(target)}")
        if not target.flags.writeable:
            raise UsageError("out is read-only")
        return target

    def _parts(self, array: NDArray[Any]) -> tuple[Plane, NDArray[Any]]:
        """Split an array into its luma plane and the rest, both views."""
        if array.shape == (self.height, self.width):
            return array, array[:0]
        luma = self.width * self.height
        if array.ndim == 1:
            return array[:luma].reshape(self.height, self.width), array[luma:]
        return array[: self.height], array[self.height :]

    # -- sharpening ---------------------------------------------------------------------------------------------------

    def _sharpen(self, luma: Plane, out: Plane, full_range: bool) -> None:
        if np.may_share_memory(luma, out):  # the engine reads the input while it writes
            if self._own is None:
                self._own = np.empty(luma.shape, luma.dtype)
            np.copyto(self._own, luma)
            luma = self._own
        colour = ColourInfo(range=ColourRange.FULL if full_range else ColourRange.LIMITED)
        frame = Frame(luma, bit_depth=self._bit_depth, colour=colour, scaled_by=self.scaled_by)
        self._session.frame(frame, out=out)

    def _sharpen_rgb(self, rgb: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        luma = np.asarray(np.rint(luma_from_rgb(rgb) * np.float32(_RGB_STEPS)), np.uint16)
        sharp = self._session.frame(Frame(luma, bit_depth=_RGB_BITS, scaled_by=self.scaled_by)).luma
        residual = (sharp.astype(np.int32) - luma).astype(np.float32) / np.float32(_RGB_STEPS)
        out[...] = add_luma_residual(rgb, residual)

    # -- PyAV ---------------------------------------------------------------------------------------------------------

    def _process_av(self, frame: Any, out: Any) -> Any:
        from acutance._util.av import ColorRange, av, copy_properties, plane_rows

        for what, given in (("a frame", frame), ("out", out)):
            if given is None:
                continue
            if not isinstance(given, av.VideoFrame):
                raise UsageError(f"out must be an av.VideoFrame where the frame is one, not {type(given).__name__}")
            if (given.width, given.height) != (self.width, self.height) or given.format.name not in self._av_formats():
                raise UsageError(
                    f"{what} of this stream is {self.width}x{self.height} {self._av_formats()[0]}, "
                    f"not {given.width}x{given.height} {given.format.name}"
                )
        if out is frame:
            raise UsageError("out must be another frame: a decoder may still need this one")
        sharp = av.VideoFrame(self.width, self.height, frame.format.name) if out is None else out
        copy_properties(frame, sharp)
        for old, new in zip(frame.planes, sharp.planes, strict=True):
            source, target = plane_rows(old), plane_rows(new)
            used = min(source.shape[1], target.shape[1])
            target[:, :used] = source[:, :used]
        source, target = plane_rows(frame.planes[0]), plane_rows(sharp.planes[0])
        if self.format == "rgb24":
            shape = (self.height, self.width, 3)
            self._sharpen_rgb(*(rows[:, : 3 * self.width].reshape(shape) for rows in (source, target)))
        else:
            luma, new_luma = (rows.view(self._dtype)[:, : self.width] for rows in (source, target))
            full = self._full_range or frame.format.name == "yuvj420p" or frame.color_range == ColorRange.JPEG
            self._sharpen(luma, new_luma, full)
        return sharp

    def _av_formats(self) -> tuple[str, ...]:
        return _AV_FORMATS[self.format]


def _is_av_frame(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "av"
