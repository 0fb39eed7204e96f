"""Subtitles that a container cannot hold as they are: their text, in the form that it can."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from acutance._util.av import av

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

__all__ = ["TEXT_TITLES", "TextConverter", "text_target"]

_TEXT_CODECS = {
    "subrip", "srt", "text", "ass", "ssa", "mov_text", "webvtt", "microdvd", "mpl2", "subviewer", "subviewer1",
    "sami", "realtext", "jacosub", "pjs", "vplayer", "stl", "ttml",
}  # fmt: skip
_TARGETS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt", "nut": "text"}
TEXT_TITLES = {"mov_text": "MP4 text", "subrip": "SubRip", "webvtt": "WebVTT", "text": "plain text"}


def text_target(container: str, codec: str | None) -> str | None:
    """Return the codec that subtitles become in a container; None if they are pictures or it holds no text."""
    return _TARGETS.get(container) if codec in _TEXT_CODECS else None


class TextConverter:
    """Turns packets of a subtitle stream into packets of another text codec. Styles that have no place are left out.

    Args:
        output: The file; its header is not written yet.
        stream: The subtitle stream of the input.
        codec: What :func:`text_target` says.
    """

    def __init__(self, output: "OutputContainer", stream: "Stream", codec: str) -> None:
        self._codec = codec
        self.stream = output.add_mux_stream(codec)
        self.stream.time_base = stream.time_base
        self.damaged = 0

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        """Yield what becomes of a packet of the input, with its times."""
        try:
            found = packet.decode()
        except (av.error.FFmpegError, ValueError):
            self.damaged += 1
            return
        lines: list[str] = []
        for item in found:
            parts = getattr(item, "rects", None) or (list(item) if hasattr(item, "__iter__") else [item])
            lines += [text for part in parts if (text := _text_of(part))]
        if not lines:
            return
        out: Packet[Any] = av.Packet(self._encoded("\n".join(lines)))
        out.pts, out.dts, out.duration = packet.pts, packet.pts, packet.duration
        out.time_base = packet.time_base
        yield out

    def _encoded(self, text: str) -> bytes:
        plain = re.sub(r"</?[^>]+>", "", text) if self._codec in ("mov_text", "text") else text
        data = plain.encode()
        # ISO/IEC 14496-17: a 16-bit length, then the text in UTF-8.
        return len(data[:65535]).to_bytes(2, "big") + data[:65535] if self._codec == "mov_text" else data


def _text_of(part: Any) -> str:
    """Return the text of a decoded subtitle; FFmpeg gives all of them as ASS events."""
    raw = getattr(part, "ass", None) or getattr(part, "text", None) or b""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    fields = text.split(",", 8)  # ReadOrder, Layer, Style, Name, MarginL, MarginR, MarginV, Effect, Text
    if len(fields) == 9 and fields[0].strip().isdigit():
        text = fields[8]
    text = text.replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    for ass, tag in (("i", "i"), ("b", "b"), ("u", "u")):
        text = text.replace(f"{{\\{ass}1}}", f"<{tag}>").replace(f"{{\\{ass}0}}", f"</{tag}>")
    return re.sub(r"\{[^}]*\}", "", text).strip()
