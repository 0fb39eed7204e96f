"""What every reader checks before it believes a file: that it is there, and that its size is one a picture can have."""

from pathlib import Path
from typing import Literal

from acutance._util.plain_files import SpecialFileError, open_plain
from acutance.errors import InputNotFoundError, NotMediaError, UnsupportedMediaError

__all__ = ["MAX_PIXELS", "MAX_SIDE", "Kind", "check_dimensions", "check_readable", "refuse_hdr", "sniff"]

MAX_SIDE = 16384
MAX_PIXELS = 1 << 28

Kind = Literal["image", "video"]

_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
_TONEMAP = (  # filters of FFmpeg: to BT.709 and standard dynamic range
    "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
)
_SCRIPTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"[playlist]", b";FFMETADATA", b"v=0\r\n", b"v=0\n")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of a Windows bitmap's second header
_IMAGE_BRANDS = (b"avif", b"avis", b"mif1", b"heic", b"heix")


def check_dimensions(source: str | Path, width: int, height: int) -> None:
    """Refuse a picture nobody has: a header may announce anything, and the memory for it must not be asked for.

    Raises UnsupportedMediaError.
    """
    if width < 1 or height < 1:
        raise UnsupportedMediaError(f"{source}: a picture of {width} x {height} has no pixels")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise UnsupportedMediaError(
            f"{source}: {width} x {height} is larger than what is accepted "
            f"({MAX_SIDE} on a side, {MAX_PIXELS >> 20} million pixels)"
        )


def refuse_hdr(source: str | Path, transfer: int) -> None:
    """Refuse video of high dynamic range, and say which command makes it acceptable.

    Args:
        source: The file.
        transfer: The code point of its transfer characteristics, ITU-T H.273.

    Raises:
        UnsupportedMediaError: It is PQ or HLG.
    """
    if transfer in _HDR_TRANSFERS:
        raise UnsupportedMediaError(
            f"{source}: HDR video, {_HDR_TRANSFERS[transfer]}: the students were trained on standard dynamic range; "
            f"tone-map it first, for example with ffmpeg -i IN -vf {_TONEMAP} -c:a copy OUT"
        )


def check_readable(path: Path) -> bytes:
    """Return the first bytes of a regular file, 64 at most.

    Raises:
        InputNotFoundError: It is missing or may not be read.
        NotMediaError: It is empty, a script, a folder, a pipe or a device.
    """
    try:
        with open_plain(path) as file:
            head = file.read(64)
    except SpecialFileError as error:
        hint = "; a Y4M stream can be given as '-'" if error.strerror == "is a pipe" else ""
        raise NotMediaError(f"{path}: {error.strerror}, not a picture or video{hint}") from None
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise InputNotFoundError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not head:
        raise NotMediaError(f"{path}: the file is empty (zero bytes)")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_SCRIPTS):
        raise NotMediaError(f"{path}: is a playlist or script, not a picture or video")
    return head


def sniff(head: bytes) -> Kind | None:
    """What the first bytes (12 at least) of a file say it is: "image", "video", or None where they say nothing."""
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "image"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "image"
    if head[:4] == b"RIFF":
        return {b"WEBP": "image", b"AVI ": "video"}.get(head[8:12])  # type: ignore[return-value]
    if head[4:8] == b"ftyp":
        return "image" if head[8:12] in _IMAGE_BRANDS else "video"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "video"
    magics = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"GIF87a", b"GIF89a", b"YUV4MPEG2", b"DKIF", b"\0\0\x01\xba")
    more = (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x06\x0e\x2b\x34", b"nut/multimedia")
    return "video" if head.startswith(magics + more) else None


def same_file(first: str | Path, second: str | Path) -> bool:
    """Whether two paths lead to one file, through links as well; False where either is missing."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False
