"""The presentation time of every decoded frame, also where a container stores wrong times, or none."""

import heapq
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from acutance._util.av import fraction

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["RAW_FORMATS", "FrameClock", "frame_rate"]

RAW_FORMATS = {"h264", "hevc", "vvc", "obu", "av1", "mpegvideo", "m4v", "cavsvideo", "dirac", "vc1", "mjpeg"}
"""FFmpeg's names of formats that are a bare bit stream: their times are made up, the rate stands in the stream."""

_DECODING_TIMES = {"avi"}
"""Formats that store decoding times alone. Presentation times that FFmpeg gives for them are guesses."""

_LARGEST_DELAY = 64  # packets that a decoder may hold: 16 for reordering, and one for each thread


def frame_rate(container_format: str, stream: "VideoStream") -> Fraction | None:
    """Return the frames per second of a stream, or None if nothing tells.

    Bare bit streams say it in their own headers, and FFmpeg's average of them is its default of 25. AVI's average
    counts ticks, of which a frame can take several.
    """
    if container_format in RAW_FORMATS:
        return (
            fraction(stream.codec_context.framerate) or fraction(stream.guessed_rate) or fraction(stream.average_rate)
        )
    if container_format in _DECODING_TIMES:
        return fraction(stream.guessed_rate) or fraction(stream.average_rate)
    return fraction(stream.average_rate) or fraction(stream.guessed_rate)


class FrameClock:
    """Tells the times of the frames of one stream, which are asked for in presentation order.

    Three kinds of files need care. Bare bit streams have no times: frames are counted at the stream's rate. AVI has
    decoding times: sorted, they are the presentation times. In others either kind of time may be wrong: whichever
    increases more reliably is used, as in FFmpeg's ``guess_correct_pts``.

    Args:
        container_format: FFmpeg's name of the input format.
        stream: The picture.
        time_base: The unit of all times.

    Attributes:
        seek_safe: Every time so far is one that a reader gets that begins later in the file.
    """

    def __init__(self, container_format: str, stream: "VideoStream", time_base: Fraction) -> None:
        rate = frame_rate(container_format, stream) or Fraction(25)
        self._step = max(1, round(1 / rate / time_base))
        self._counts = container_format in RAW_FORMATS
        self._sorts = container_format in _DECODING_TIMES
        self._sent: list[int] = []
        self._last: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._wrong_pts = self._wrong_dts = 0
        self.seek_safe = not self._counts

    def sent(self, dts: int | None) -> None:
        """Note that a packet with this decoding time goes to the decoder."""
        if self._sorts and dts is not None:
            heapq.heappush(self._sent, dts)
            if len(self._sent) > _LARGEST_DELAY:
                heapq.heappop(self._sent)

    def lost(self, dts: int | None) -> None:
        """Note that no frame will come of the packet with this decoding time."""
        if dts in self._sent:
            self._sent.remove(dts)
            heapq.heapify(self._sent)

    def time_of(self, frame: Any) -> int:
        """Return the presentation time of the next frame (``av.VideoFrame``): always after the last one."""
        found = self._found(frame)
        if found is None:
            step = frame.duration or self._step
            found = 0 if self._last is None else self._last + (self._step if self._counts else step)
            self.seek_safe = False
        elif self._last is not None and found <= self._last:
            found = self._last + 1  # encoders refuse a clock that stands still or runs backwards
            self.seek_safe = False
        self._last = found
        return found

    def duration_of(self, frame: Any) -> int:
        """Return how long a frame is to be seen, in units of the time base; 0 where the file does not say."""
        return self._step if self._counts or self._sorts else frame.duration or 0

    def _found(self, frame: Any) -> int | None:
        if self._counts:
            return None
        if self._sorts:
            return heapq.heappop(self._sent) if self._sent else None
        pts: int | None = frame.pts
        dts: int | None = frame.dts
        if dts is not None:
            self._wrong_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._wrong_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (dts is None or self._wrong_pts <= self._wrong_dts):
            return pts
        return dts
