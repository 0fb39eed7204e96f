"""The video encoders that are offered, what each can take, and how its quality is set."""

import functools
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from acutance._util.arguments import finite_number, whole_number
from acutance._util.av import av
from acutance.errors import OutputError, UsageError

__all__ = ["CONTAINERS", "ENCODERS", "Encoder", "any_encoder", "choose_encoder", "container_format", "repeatable"]

_LARGEST_BITRATE = 2_000_000_000
CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
    ".nut": "nut",
}
"""Output formats by suffix: those that keep every frame's own time."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder and its defaults.

    crf, crf_range: constant quality, lower is better; None where it has no such thing. preset: default effort.
    presets: accepted ones. options: what is always set. containers: formats that hold its stream (all where empty).
    even: whether sizes must be even along subsampled directions.
    """

    name: str
    crf: int | None
    crf_range: tuple[int, int] = (0, 63)
    preset: str | None = None
    presets: tuple[str, ...] = ()
    preset_option: str = "preset"
    options: dict[str, str] = field(default_factory=dict)
    containers: frozenset[str] = frozenset()
    even: bool = False

    def available(self) -> bool:
        """Whether this FFmpeg has it."""
        try:
            av.Codec(self.name, "w")
        except ValueError:
            return False
        return True

    def pixel_formats(self) -> tuple[str, ...]:
        return tuple(f.name for f in av.Codec(self.name, "w").video_formats or ())

    def settings(self, *, crf: float | None, bitrate: int | None, preset: str | None) -> dict[str, str]:
        """The encoder's options. Raises UsageError for what it does not accept."""
        chosen = dict(self.options)
        if crf is not None and bitrate is not None:
            raise UsageError("a crf and a bitrate cannot both be asked for")
        if bitrate is not None:
            bitrate = whole_number(bitrate, "bitrate in bits per second", low=1000, high=_LARGEST_BITRATE)
        if crf is not None:
            crf = finite_number(crf, "crf", low=-1e3, high=1e3)
        if self.crf is None:
            if crf is not None or bitrate is not None:
                raise UsageError(f"{self.name} is lossless: it takes neither crf nor bitrate")
        elif bitrate is None:
            low, high = self.crf_range
            crf = self.crf if crf is None else crf
            if not low <= crf <= high:
                raise UsageError(f"crf of {self.name} is from {low} to {high}, not {crf:g}")
            chosen["crf"] = f"{crf:g}"
        preset = self.preset if preset is None else preset
        if preset is not None:
            if preset not in self.presets:
                given = ", ".join(self.presets) or "none"
                raise UsageError(f"presets of {self.name}: {given}; not {preset!r}")
            chosen[self.preset_option] = preset
        return chosen


@functools.cache
def repeatable(name: str) -> dict[str, str]:
    """Options without which an encoder makes other bits of the same frames from run to run.

    x264's AVX-512 code for macroblock trees reads memory that nobody wrote where a picture is not a multiple of 128
    pixels wide (measured with FFmpeg 8's x264 core 165); without it, its output is the same and as quickly made.
    """
    if name != "libx264":
        return {}
    core = "numpy._core" if np.__version__ >= "2" else "numpy.core"
    features = import_module(f"{core}._multiarray_umath").__cpu_features__
    # Named where they are missing, x264 would use them all the same.
    return {"x264-params": "asm=FMA3,LZCNT,BMI2,AVX2"} if features.get("AVX512_SKX") else {}


_X26_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip

ENCODERS = {
    e.name: e
    for e in (
        Encoder(
            "libx264", 18, (0, 51), "medium", _X26_PRESETS, even=True,
            containers=frozenset({"mp4", "mov", "matroska", "mpegts", "nut"}),
        ),
        Encoder(
            "libx265", 20, (0, 51), "medium", _X26_PRESETS, even=True, options={"x265-params": "log-level=none"},
            containers=frozenset({"mp4", "mov", "matroska", "mpegts", "nut"}),
        ),
        Encoder(
            "libvpx-vp9", 24, (0, 63), "2", tuple(str(i) for i in range(9)), "cpu-used", {"row-mt": "1"},
            containers=frozenset({"mp4", "matroska", "webm", "nut"}),
        ),
        Encoder(
            "libsvtav1", 25, (0, 63), "8", tuple(str(i) for i in range(14)),
            containers=frozenset({"mp4", "matroska", "webm"}),
        ),
        Encoder(
            "ffv1", None, options={"level": "3", "slicecrc": "1"}, containers=frozenset({"matroska", "nut"})
        ),
    )
}  # fmt: skip
"""By FFmpeg's name. The order is that of preference where none is asked for."""


def container_format(path: Path) -> str:
    """FFmpeg's name of the format a file name asks for. Raises UsageError naming the accepted ones."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        accepted = ", ".join(CONTAINERS)
        raise UsageError(f"{path}: video is written as {accepted}; not {path.suffix or 'without a suffix'}") from None


def _objection(encoder: Encoder, container: str, pix_fmt: str, width: int, height: int) -> str | None:
    if not encoder.available():
        return f"{encoder.name} is not in this build of FFmpeg"
    if encoder.containers and container not in encoder.containers:
        return f"{encoder.name} cannot go into {container}"
    if pix_fmt not in encoder.pixel_formats():
        return f"{encoder.name} does not take {pix_fmt}"
    shape = av.VideoFormat(pix_fmt, 64, 64)
    odd = (width % 2 and shape.chroma_width(64) < 64) or (height % 2 and shape.chroma_height(64) < 64)
    if odd and encoder.even and not pix_fmt.startswith("gray"):
        return f"{encoder.name} does not take odd sizes ({width} x {height}) in {pix_fmt}"
    return None


def any_encoder(container: str, pix_fmt: str, width: int, height: int) -> bool:
    """Return True if some encoder here takes such a picture into a container."""
    return any(_objection(e, container, pix_fmt, width, height) is None for e in ENCODERS.values())


def choose_encoder(name: str | None, *, path: Path, container: str, pix_fmt: str, width: int, height: int) -> Encoder:
    """The encoder of that name, or the first that fits where None.

    Raises UsageError for an unknown name, OutputError where it does not fit, each naming those that do.
    """
    objections = {e.name: _objection(e, container, pix_fmt, width, height) for e in ENCODERS.values()}
    fitting = [n for n, objection in objections.items() if objection is None]
    if name is not None and name not in ENCODERS:
        raise UsageError(f"unknown encoder {name!r}; accepted for this video and {container}: {', '.join(fitting)}")
    if not fitting:
        raise OutputError(f"{path}: no encoder here takes {pix_fmt}, {width} x {height}, into {container}; try .mkv")
    if name is None:
        return ENCODERS[fitting[0]]
    if objections[name]:
        raise OutputError(f"{path}: {objections[name]}; these would do: {', '.join(fitting)}")
    return ENCODERS[name]
