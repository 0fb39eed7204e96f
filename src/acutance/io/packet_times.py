"""When the frames of a video are shown, read from its packets without decoding them."""

from pathlib import Path

from acutance._util.av import av
from acutance.io._open import open_container

__all__ = ["packet_times"]


def packet_times(path: str | Path, stream_index: int) -> list[int] | None:
    """Return the sorted presentation times of a stream's packets, in its time base.

    Returns:
        None if the packets do not tell the frames: one has no time or a time that another has, or is damaged. A stream
        whose packets hold no frame, or several, cannot be told from others here: compare with what is decoded.

    Raises:
        What opening the file raises.
    """
    times: list[int] = []
    container = open_container(Path(path))
    try:
        stream = container.streams[stream_index]
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            times.append(packet.pts)
    except (av.error.FFmpegError, OSError):
        return None
    finally:
        container.close()
    times.sort()
    return times if len(set(times)) == len(times) else None
