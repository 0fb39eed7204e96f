"""What an archive does to every file, and everything else that decides the frames of its outputs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from acutance import __version__
from acutance._util.av import av
from acutance.choosing.automatic import open_sharpener
from acutance.errors import UsageError
from acutance.io._holding import AudioMode
from acutance.jobs.identity import sharpener_identity
from acutance.jobs.resumable import SEGMENT_FRAMES
from acutance.sharpening.base import BaseSharpener, Look

__all__ = ["ArchiveSettings"]


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """How each file is sharpened and encoded. The fields mean what they mean for a file job.

    Attributes:
        model: ``auto``, a tier, a bundled model's name, or the path of a student's file on the driver.
        strength: 0 to 2.
        look: ``faithful`` or ``natural``; None for the model's own.
        threshold: tiles less active than this pass through; None for the student's own.
        engine: ``auto`` or one by name. Every node uses the one that the driver resolves it to.
        scale: resize by this first.
        encoder: name of the video encoder; None for the first that fits.
        crf: quality of the encode; lower is better.
        bitrate: bits per second, instead of ``crf``.
        preset: the encoder's effort.
        quality: of JPEG, WebP and AVIF pictures, 1 to 100.
        audio: ``copy``, ``convert`` or ``none``.
        segment_frames: frames in a segment, the unit of work and of retries.
        cpus: cores that one task uses: of the engine, the decoder and the encoder. Encoders divide a picture among
            threads, so this decides bits too.
    """

    model: str = "auto"
    strength: float = 1.0
    look: Look | None = None
    threshold: int | None = None
    engine: str = "auto"
    scale: float = 1.0
    encoder: str | None = None
    crf: float | None = None
    bitrate: int | None = None
    preset: str | None = None
    quality: int = 95
    audio: AudioMode = "copy"
    segment_frames: int = SEGMENT_FRAMES
    cpus: int = 1

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise UsageError(f"a task needs at least 1 core, not {self.cpus}")
        if self.segment_frames < 1:
            raise UsageError(f"a segment has at least 1 frame, not {self.segment_frames}")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality is from 1 to 100, not {self.quality}")

    def open_sharpener(self, *, student: bytes | None = None, folder: Path | None = None) -> BaseSharpener:
        """Open the sharpener that these settings ask for.

        Args:
            student: content of the student's file, if ``model`` is the path of one on another machine.
            folder: where to put that file.
        """
        model = self.model
        if student is not None and folder is not None:
            path = folder / "student.safetensors"
            path.write_bytes(student)
            model = str(path)
        return open_sharpener(
            model,
            engine=self.engine,
            strength=self.strength,
            look=self.look,
            threads=self.cpus,
            threshold=self.threshold,
        )

    def identity(self, sharpener: BaseSharpener) -> dict[str, Any]:
        """Return everything that decides the frames of the outputs, by name, in values that JSON keeps."""
        chosen = asdict(self)
        for name in ("model", "strength", "look", "threshold", "engine", "cpus"):
            del chosen[name]
        found = {
            **sharpener_identity(sharpener),
            **{name.replace("_", " "): value for name, value in chosen.items()},
            "threads of an encoder": self.cpus,
            **versions(),
        }
        return {name: value for name, value in found.items() if value is not None}


def versions() -> dict[str, str]:
    """Return the versions of the programs that make frames, which must be the same on every node."""
    return {
        "acutance": __version__,
        "PyAV": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }
