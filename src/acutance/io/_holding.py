"""What containers can hold beside the picture, and what else becomes of a stream."""

import io
from typing import TYPE_CHECKING, Any, Literal

from acutance._util.av import av

if TYPE_CHECKING:
    from av.stream import Stream

__all__ = ["AUDIO_MODES", "AudioMode", "codec_name", "container_title", "describe", "refusal"]

AudioMode = Literal["copy", "convert", "none"]
AUDIO_MODES: tuple[AudioMode, ...] = ("copy", "convert", "none")

_TITLES = {"mp4": "MP4", "mov": "MOV", "matroska": "Matroska", "webm": "WebM", "mpegts": "MPEG-TS", "nut": "NUT"}

# What the tables of an MPEG transport stream can name, ISO/IEC 13818-1 and ETSI EN 300 468. The muxer takes everything
# else too, as private data that no player can identify.
_TS_SOUND = {"mp2", "mp2float", "mp3", "mp3float", "aac", "aac_latm", "ac3", "eac3", "dca", "dts", "opus", "s302m"}
_TS_OTHER = {"dvb_subtitle", "dvbsub", "dvb_teletext", "libzvbi_teletextdec", "arib_caption", "libaribcaption"}
_TS_OTHER |= {"timed_id3", "klv", "scte_35", "h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4", "vvc"}
_M2TS_ONLY = {"pcm_bluray", "truehd", "hdmv_pgs_subtitle", "pgssub"}


def codec_name(stream: "Stream") -> str | None:
    """Return FFmpeg's name of a stream's codec, or None if this build does not know it."""
    context: Any = stream.codec_context  # None without a decoder, which PyAV's annotations do not say
    name: str | None = context.name if context is not None else getattr(stream, "name", None)
    return name


def describe(stream: "Stream") -> str:
    """Return what a message calls a stream: ``audio stream 1 (aac)``."""
    name = codec_name(stream)
    return f"{stream.type} stream {stream.index}" + (f" ({name})" if name else "")


def container_title(container: str) -> str:
    """Return what people call a container that FFmpeg calls ``container``."""
    return _TITLES.get(container, container)


def refusal(container: str, stream: "Stream", *, m2ts: bool = False) -> str | None:
    """Return why a container cannot hold a stream as it is, or None if it can.

    A trial decides: a header with the stream is written to memory. MPEG-TS takes every header, so a list decides there.

    Args:
        container: FFmpeg's name of the output format.
        stream: A stream of the input.
        m2ts: The file is a Blu-ray or AVCHD transport stream.
    """
    title = container_title(container)
    name = codec_name(stream)
    context: object = stream.codec_context  # None without a decoder, which PyAV's annotations do not say
    if stream.type == "attachment" and container != "matroska":
        return f"{title} holds no attached files"
    if context is None and stream.type in ("audio", "video", "subtitle"):
        return "FFmpeg has no decoder for its codec"
    if stream.type == "data" and container != "mpegts" and name in (None, "bin_data", "none"):
        return f"{title} cannot hold it"
    if container == "mpegts" and name not in _TS_SOUND | _TS_OTHER | (_M2TS_ONLY if m2ts else set()):
        return f"{title} cannot identify it"
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            target = trial.add_stream_from_template(stream, opaque=True)
            target.metadata.update(stream.metadata)
            trial.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError):
        return f"{title} cannot hold it"
    return None
