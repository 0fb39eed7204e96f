"""YUV4MPEG2, uncompressed video for pipes: ``ffmpeg ... -f yuv4mpegpipe - | acutance sharpen - - | mpv -``."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from acutance.errors import NotMediaError, OutputError, UnsupportedMediaError, UsageError
from acutance.frame import ColourInfo, ColourRange, Frame, Plane
from acutance.io._checks import check_dimensions

__all__ = ["Y4MReader", "Y4MWriter"]

_LONGEST_LINE = 1024
_SUBSAMPLING = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "mono": None}
_LOCATIONS = {"jpeg": 2, "mpeg2": 1, "paldv": 3, "": 2}


class Y4MReader:
    """The frames of a YUV4MPEG2 stream, in order, each once. An iterator of :class:`Frame`.

    stream: binary, read forwards only. name: what messages call it.
    Taken: 4:2:0, 4:2:2, 4:4:4 and grey of 8, 10 and 12 bits. ``pts`` counts frames, ``time_base`` is one frame.
    ``damaged`` says afterwards whether the stream broke off within a frame, or is None.
    Raises NotMediaError (no such stream), UnsupportedMediaError (interlaced, unknown sampling, absurd size).
    """

    def __init__(self, stream: BinaryIO, *, name: str = "-") -> None:
        self._stream, self._name = stream, name
        self.damaged: str | None = None
        header = self._line()
        if not header:
            raise NotMediaError(f"{name}: the stream is empty")
        if not header.startswith(b"YUV4MPEG2"):
            raise NotMediaError(f"{name}: not a YUV4MPEG2 stream")
        self.width = self.height = 0
        self.rate = Fraction(25)
        self.sample_aspect_ratio: Fraction | None = None
        sampling, full_range = "420jpeg", False
        for token in header.decode("ascii", "replace").split()[1:]:
            key, value = token[0], token[1:]
            if key in "WH" and value.isdigit():
                if key == "W":
                    self.width = int(value)
                else:
                    self.height = int(value)
            elif key == "F":
                self.rate = self._ratio(value) or Fraction(25)
            elif key == "A":
                self.sample_aspect_ratio = self._ratio(value)
            elif key == "I" and value[:1] not in ("p", "?", ""):
                raise UnsupportedMediaError(f"{name}: interlaced video: deinterlace it first, for example with bwdif")
            elif key == "C":
                sampling = value
            elif token.upper() == "XCOLORRANGE=FULL":
                full_range = True
        if not self.width or not self.height:
            raise NotMediaError(f"{name}: the YUV4MPEG2 header names no size")
        check_dimensions(name, self.width, self.height)
        match = re.fullmatch(r"(420|422|444|mono)(jpeg|mpeg2|paldv|)(?:p?(10|12))?", sampling)
        if match is None:
            raise UnsupportedMediaError(f"{name}: YUV4MPEG2 sampling C{sampling} is not accepted")
        self.bit_depth = int(match[3] or 8)
        subsampling = _SUBSAMPLING[match[1]]
        self._shapes = [(self.height, self.width)]
        if subsampling is not None:
            self._shapes += [(-(-self.height // subsampling[1]), -(-self.width // subsampling[0]))] * 2
        self._dtype = np.dtype(np.uint8) if self.bit_depth == 8 else np.dtype("<u2")
        self.colour = ColourInfo(
            range=ColourRange.FULL if full_range else ColourRange.LIMITED,
            chroma_location=_LOCATIONS[match[2]] if match[1] == "420" else 0,
        )

    def _ratio(self, text: str) -> Fraction | None:
        try:
            numerator, denominator = (int(part) for part in text.split(":"))
            return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None
        except ValueError:
            raise NotMediaError(f"{self._name}: the YUV4MPEG2 header holds {text!r} where a ratio belongs") from None

    def _line(self) -> bytes:
        # Not every pipe is buffered, and readline's limit is what keeps a stream without line ends out of memory.
        line = self._stream.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise NotMediaError(f"{self._name}: not a YUV4MPEG2 stream")
        return line.rstrip(b"\n")

    def __iter__(self) -> Iterator[Frame]:
        size = sum(h * w for h, w in self._shapes) * self._dtype.itemsize
        count = 0
        while True:
            line = self._line() if self.damaged is None else b""
            if not line:
                return
            if not line.startswith(b"FRAME"):
                self.damaged = f"what follows frame {count} is not a frame"
                return
            data = bytearray(size)
            if not self._fill(data):
                self.damaged = f"the stream breaks off within frame {count + 1}"
                return
            planes = self._planes(data)
            yield Frame(
                luma=planes[0],
                chroma=(planes[1], planes[2]) if len(planes) == 3 else None,
                bit_depth=self.bit_depth,
                pts=count,
                time_base=1 / self.rate,
                colour=self.colour,
                sample_aspect_ratio=self.sample_aspect_ratio,
                backing=data,
            )
            count += 1

    def _fill(self, data: bytearray) -> bool:
        view, done = memoryview(data), 0
        while done < len(data):
            part = self._stream.read(len(data) - done)
            if not part:
                return False
            view[done : done + len(part)] = part
            done += len(part)
        return True

    def _planes(self, data: bytearray) -> list[Plane]:
        planes: list[Plane] = []
        offset = 0
        for height, width in self._shapes:
            samples: Any = np.frombuffer(data, self._dtype, height * width, offset).reshape(height, width)
            planes.append(samples.astype(np.uint8 if self.bit_depth == 8 else np.uint16, copy=False))
            offset += samples.nbytes
        return planes


class Y4MWriter:
    """Writes frames as a YUV4MPEG2 stream; the header comes from the first one.

    stream: binary, written forwards only. rate: frames per second; where None, that of the first frame's time base.
    Raises UsageError for a frame unlike the first, OutputError where nobody reads on or the disk is full.
    """

    def __init__(self, stream: BinaryIO, *, rate: Fraction | None = None, name: str = "-") -> None:
        self._stream, self._name, self._rate = stream, name, rate
        self._layout: tuple[object, ...] | None = None
        self.frames_written = 0

    def write(self, frame: Frame) -> None:
        """Write one frame: 8, 10 or 12 bits, 4:2:0, 4:2:2, 4:4:4 or grey."""
        planes = [frame.luma, *(frame.chroma or ())]
        layout = (frame.bit_depth, *(plane.shape for plane in planes))
        parts: list[bytes] = []
        if self._layout is None:
            parts.append(self._header(frame))
            self._layout = layout
        elif layout != self._layout:
            raise UsageError(f"{self._name}: a YUV4MPEG2 stream cannot change from {self._layout} to {layout}")
        parts.append(b"FRAME\n")
        dtype = np.dtype(np.uint8) if frame.bit_depth == 8 else np.dtype("<u2")
        parts += [np.ascontiguousarray(plane, dtype).tobytes() for plane in planes]
        try:
            for part in parts:
                self._stream.write(part)
            self._stream.flush()
        except BrokenPipeError as error:
            raise OutputError(f"{self._name}: nobody reads the output any more") from error
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written: {error.strerror or error}") from error
        self.frames_written += 1

    def _header(self, frame: Frame) -> bytes:
        rate = self._rate or (1 / frame.time_base if frame.time_base else Fraction(25))
        aspect = frame.sample_aspect_ratio
        tokens = [
            "YUV4MPEG2",
            f"W{frame.width}",
            f"H{frame.height}",
            f"F{rate.numerator}:{rate.denominator}",
            "Ip",
            f"A{aspect.numerator}:{aspect.denominator}" if aspect else "A0:0",
            "C" + _sampling(frame),
            f"XCOLORRANGE={'FULL' if frame.full_range else 'LIMITED'}",
        ]
        return " ".join(tokens).encode("ascii") + b"\n"


def _sampling(frame: Frame) -> str:
    deep = frame.bit_depth > 8
    if frame.chroma is None:
        return f"mono{frame.bit_depth}" if deep else "mono"
    height, width = frame.chroma[0].shape
    shapes = {
        (frame.height, frame.width): "444",
        (frame.height, -(-frame.width // 2)): "422",
        (-(-frame.height // 2), -(-frame.width // 2)): "420",
    }
    # Built last to first, so that sizes of one or two samples count as the least subsampled.
    name = shapes.get((height, width))
    if name is None:
        raise UsageError(f"chroma of {width} x {height} beside luma of {frame.width} x {frame.height} is not accepted")
    if deep:
        return f"{name}p{frame.bit_depth}"
    if name == "420":
        return {1: "420mpeg2", 3: "420paldv"}.get(frame.colour.chroma_location, "420jpeg")
    return name
