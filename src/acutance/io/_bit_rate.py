"""How many bits a video stream spends on a picture, read without decoding."""

from pathlib import Path
from typing import TYPE_CHECKING

from acutance._util.av import av, packets_of
from acutance.io._open import open_container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["bits_per_picture"]

_INDEXED = ("mov,mp4", "avi")  # formats whose index holds the size of every picture
_PACKETS = 900  # half a minute
_BYTES = 32 << 20  # so much is read at once from the slowest disks


def bits_per_picture(path: Path, container: "InputContainer", stream: "VideoStream") -> float | None:
    """Return the average size of a stream's pictures.

    The file's index tells it, or else the first packets. Both are facts of the file: where reading starts and ends
    makes no difference. What headers state is not believed, as it often is a limit or a target.

    Args:
        path: The file.
        container: The same, open. It stays where it stands.
        stream: Its picture.

    Returns:
        Bits, above 0; None if nothing tells.
    """
    sizes: list[int] = []
    if container.format.name.startswith(_INDEXED):
        sizes = [entry.size for entry in stream.index_entries if entry.size > 0]
    if not sizes:
        sizes = _first_sizes(path, stream.index)
    return 8 * sum(sizes) / len(sizes) if sizes else None


def _first_sizes(path: Path, index: int) -> list[int]:
    """Return the bytes of each of the first pictures of a stream."""
    sizes: list[int] = []
    total = 0
    with open_container(path) as container:
        try:
            for packet in packets_of(container, container.streams[index]):
                if packet.size and not packet.is_discard:
                    sizes.append(packet.size)
                    total += packet.size
                if len(sizes) >= _PACKETS or total >= _BYTES:
                    break
        except (av.error.FFmpegError, OSError):
            pass  # the decoder meets the same damage and reports it
    return sizes
