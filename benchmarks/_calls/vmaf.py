"""VMAF of luma, by the ffmpeg with libvmaf that comes inside the PyPI package imageio-ffmpeg."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from _calls.clips import Luma
from acutance.errors import EngineError

__all__ = ["MODEL", "find_ffmpeg", "vmaf"]

MODEL = "vmaf_v0.6.1neg"
"""NEG: no enhancement gain, so that sharpening beyond the truth earns nothing."""


def find_ffmpeg() -> str | None:
    """The program, or None where imageio-ffmpeg is not installed."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def vmaf(ffmpeg: str, frames: Sequence[Luma], truth: Sequence[Luma], *, rate: float) -> float:
    """Mean over the frames, 0 to 100; planes are shown grey. Raises EngineError."""
    height, width = truth[0].shape
    chroma = np.full(height * width // 2, 128, np.uint8).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        inputs = []
        for name, planes in (("shown", frames), ("truth", truth)):
            path = Path(folder) / name
            with path.open("wb") as file:
                for plane in planes:
                    file.write(plane.tobytes() + chroma)
            inputs += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", f"{rate:g}"]
            inputs += ["-i", str(path)]
        command = [ffmpeg, "-hide_banner", *inputs, "-lavfi", f"libvmaf=model=version={MODEL}", "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"VMAF score: ([\d.]+)", done.stderr)
    if not found:
        raise EngineError(f"{ffmpeg} gave no VMAF: {done.stderr.strip()[-300:]}")
    return float(found[1])
