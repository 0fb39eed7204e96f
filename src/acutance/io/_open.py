"""Opening a video file as nothing but a video file, and what is then known of it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from acutance._util.av import FORMAT_WHITELIST, TAGS_AS_BYTES, av, reason
from acutance.errors import CorruptInputError, NotMediaError
from acutance.frame import ColourInfo, ColourRange
from acutance.io._checks import MAX_PIXELS, check_readable, sniff
from acutance.io._wholeness import missing_part
from acutance.io.y4m import Y4MReader

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["VideoInfo", "open_container"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What was found in a video file.

    width, height: of the stored picture, before rotation. codec: FFmpeg's name of it.
    source_pix_fmt: as decoded. pix_fmt: the planar format frames are given in. bit_depth: of its samples.
    frame_count: announced or estimated; 0 where unknown. average_rate: frames per second, None where unknown.
    time_base: the unit of every ``pts``. duration: seconds, None where unknown.
    colour, rotation, sample_aspect_ratio: as in :class:`Frame`. tagged_range: 0 where the file does not name one.
    display_matrix: the 3 x 3 matrix of the container, row by row, where it has one (it may also mirror).
    audio_streams, subtitle_streams: how many there are.
    """

    width: int
    height: int
    codec: str
    source_pix_fmt: str
    pix_fmt: str
    bit_depth: int
    frame_count: int
    average_rate: Fraction | None
    time_base: Fraction
    duration: float | None
    colour: ColourInfo
    rotation: int
    sample_aspect_ratio: Fraction | None
    tagged_range: int
    display_matrix: tuple[int, ...] | None
    audio_streams: int
    subtitle_streams: int

    @property
    def full_range(self) -> bool:
        return self.colour.range is ColourRange.FULL


def open_container(path: Path) -> "InputContainer":
    """Open a media file as nothing but a media file. Raises NotMediaError, CorruptInputError or InputNotFoundError.

    The whitelists keep FFmpeg from taking a playlist or script for a video and reading what it names; ``file:`` keeps
    it from taking a file's name for an address.
    """
    head = check_readable(path)
    try:
        container: InputContainer = av.open(
            f"file:{path}",
            "r",
            # Checked by the decoders themselves too, which run before this program sees a size.
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": "file"},
            **TAGS_AS_BYTES,
        )
        return container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if head.startswith(b"YUV4MPEG2"):
            with path.open("rb") as file:
                Y4MReader(file, name=str(path))  # says what is wrong with the header, its size above all
        kind = sniff(head)
        if kind == "image":
            raise NotMediaError(f"{path}: is an image, not a video") from error
        if kind == "video":
            raise CorruptInputError(f"{path}: cannot be opened: {missing_part(path) or reason(error)}") from error
        raise NotMediaError(f"{path}: not a video that is known here") from error
