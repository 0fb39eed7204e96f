"""The recipe for aiortc in docs/integrator.md: sharpens, keeps times, drops what is late."""

import asyncio
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from acutance import Sharpener

aiortc = pytest.importorskip("aiortc", reason="aiortc is not installed (it needs PyAV 18)")

ROOT = Path(__file__).resolve().parents[2]


def recipe() -> dict[str, Any]:
    """Return what the block of the page defines."""
    text = (ROOT / "docs" / "integrator.md").read_text("utf-8")
    section = text[text.index("## aiortc") :]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(compile(block[1], "docs/integrator.md", "exec"), names)
    return names


class Numbers(aiortc.MediaStreamTrack):
    """Frames of a texture with rising times, as fast as a camera, or all at once."""

    kind = "video"

    def __init__(self, count: int, interval: float) -> None:
        super().__init__()
        self._count, self._interval, self._number = count, interval, 0

    async def recv(self) -> Any:
        if self._number == self._count:
            self.stop()
            raise aiortc.mediastreams.MediaStreamError
        await asyncio.sleep(self._interval)
        frame = av.VideoFrame(160, 96, "yuv420p")
        luma = np.random.default_rng(1).integers(16, 236, (96, frame.planes[0].line_size), dtype=np.uint8)
        frame.planes[0].update(luma.tobytes())
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = self._number, Fraction(1, 30)
        self._number += 1
        return frame


async def collect(source: Any, *, slow: float = 0.0) -> tuple[list[Any], int]:
    track = recipe()["SharpenedTrack"](source, Sharpener("fast-call-x1", threshold=0), time_budget=None)
    frames = []
    try:
        while True:
            frames.append(await track.recv())
            await asyncio.sleep(slow)
    except aiortc.mediastreams.MediaStreamError:
        return frames, track.dropped


def test_frames_are_sharpened_and_keep_their_times() -> None:
    frames, _ = asyncio.run(collect(Numbers(5, 0.05)))
    assert [frame.pts for frame in frames] == sorted({frame.pts for frame in frames})
    assert frames[0].time_base == Fraction(1, 30)
    plain = asyncio.run(Numbers(1, 0).recv())
    assert not np.array_equal(frames[0].to_ndarray()[:96], plain.to_ndarray()[:96])


def test_slow_consumer_gets_the_newest_frame_and_the_others_are_counted() -> None:
    frames, dropped = asyncio.run(collect(Numbers(40, 0.005), slow=0.05))
    assert dropped > 5
    assert len(frames) + dropped in (39, 40)  # the last may come as the track ends
    assert frames[-1].pts > 30
