"""What a file job is: its input, its settings and the programs that make it, by what decides the result."""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

from acutance import __version__
from acutance._util.av import av
from acutance.engine import TILE_ENGINES
from acutance.engine.base import usable_cores
from acutance.errors import InputNotFoundError
from acutance.jobs.segmented_writer import SegmentedVideoWriter
from acutance.sharpening.base import BaseSharpener

__all__ = ["input_digest", "job_identity", "sharpener_identity"]

_WHOLE = 64 << 20  # bytes: what is larger is looked at in pieces
_PIECES = 256


def job_identity(
    sharpener: BaseSharpener, source: str | Path, writer: SegmentedVideoWriter, **settings: Any
) -> dict[str, Any]:
    """What decides the frames of a job's output, by name, in values that JSON keeps.

    settings: what else does. Two jobs of equal identity have outputs of equal frames. Left out is what decides speed
    alone: threads of the engine, reuse. Raises InputNotFoundError.
    """
    identity = {
        "the input": input_digest(source),
        **sharpener_identity(sharpener),
        **settings,
        "size": f"{writer.width} x {writer.height}",
        "encoder": writer.encoder,
        **{f"{writer.encoder} {name}": value for name, value in writer.settings.items()},
        "container": writer.final.suffix.lower(),
        # Encoders divide a picture among threads, and predict within their parts.
        "threads of the encoder": writer.threads or usable_cores(),
        "acutance": __version__,
        "PyAV": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }
    return {name: value for name, value in identity.items() if value is not None}


def input_digest(path: str | Path) -> str:
    """A file's size and SHA-256; of one above 64 MiB that of 256 pieces, spread evenly from its first to its last byte.

    What does not change the length, and lies between pieces, is not noticed. Raises InputNotFoundError.
    """
    found = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            length = _WHOLE // _PIECES
            starts = [(size - length) * i // (_PIECES - 1) for i in range(_PIECES)] if size > _WHOLE else [0]
            for start in starts:
                file.seek(start)
                found.update(file.read(length if size > _WHOLE else _WHOLE))
    except OSError as error:
        raise InputNotFoundError(f"{path}: cannot be read: {error.strerror or error}") from error
    return f"{size} bytes, SHA-256 {found.hexdigest()[:32]}"


def sharpener_identity(sharpener: BaseSharpener) -> dict[str, Any]:
    """Return what decides the pictures that a sharpener makes, by name, in values that JSON keeps."""
    return {
        "the student": sharpener.identity(),
        "strength": sharpener.strength,
        "look": sharpener.look,
        "threshold": sharpener.threshold,
        "engine": _engine_name(sharpener.engine_name),
    }


def _engine_name(name: str) -> str:
    if name in TILE_ENGINES:
        return "integer"  # they give the same bits on every instruction set
    try:
        return f"{name} {metadata.version(name.partition(':')[0])}"
    except metadata.PackageNotFoundError:
        return name
