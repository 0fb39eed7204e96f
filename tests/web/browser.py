"""What the tests in a browser share: a server in a thread, clips, and Chromium with a camera that plays a file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def drawn_frames(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """Yield RGB frames of a smooth scene with edges, of which a part moves."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(5)
    stripes = 110 + 60 * np.sin(x / 7.0) * np.sin(y / 5.0) + rng.normal(0, 3, (height, width))
    for number in range(count):
        frame = np.stack([stripes, stripes * 0.9 + 10, stripes * 0.8 + 20], axis=-1)
        left = (number * 3) % (width - width // 5)
        frame[height // 4 : height // 2, left : left + width // 5] = (200, 60, 60)
        yield frame.clip(0, 255).astype(np.uint8)


def write_clip(path: Path, width: int = 320, height: int = 180, seconds: float = 2.0, rate: int = 30) -> Path:
    """Write a VP8 clip of drawn frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=rate, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 2_000_000
        stream.time_base = Fraction(1, rate)
        for frame in drawn_frames(width, height, round(seconds * rate)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_camera(path: Path, width: int = 640, height: int = 360, seconds: float = 2.0, rate: int = 30) -> Path:
    """Write a Y4M file that Chromium plays as its camera."""
    with path.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in drawn_frames(width, height, round(seconds * rate)):
            planes = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            out.write(b"FRAME\n" + planes.to_ndarray().tobytes())
    return path


@contextmanager
def chromium(camera: Path | None = None, *arguments: str, **options: Any) -> Iterator[Any]:
    """Start Chromium; its camera plays a file, and needs no permission."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *arguments]
    if camera is not None:
        flags += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        flags += [f"--use-file-for-fake-video-capture={camera}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, **options)
        try:
            yield browser
        finally:
            browser.close()
