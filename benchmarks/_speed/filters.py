"""FFmpeg's filters in this process, through PyAV: frames in and out without a pipe, on as many threads as ours."""

from collections.abc import Callable
from fractions import Fraction
from typing import cast

import numpy as np
from numpy.typing import NDArray

from acutance._util.av import av, plane_view
from acutance.degrade import Yuv420

__all__ = ["FILTERS", "filter_runner", "scale_runner", "sharpen_runner", "to_av"]

FILTERS = {
    "unsharp": ("unsharp", "lx=5:ly=5:la=1.0"),
    "cas": ("cas", "strength=0.5:planes=1"),
    "cas, all planes": ("cas", "strength=0.5"),
}
"""Name, and FFmpeg's name and arguments. ``unsharp`` as it comes leaves chroma alone and so does ``cas`` when told to:
the same work as ours. As it comes, ``cas`` also sharpens chroma."""


def to_av(frame: Yuv420) -> av.VideoFrame:
    """Copy a 4:2:0 frame into FFmpeg's own memory."""
    height, width = frame.luma.shape
    picture = av.VideoFrame(width, height, "yuv420p")
    for index, plane in enumerate(frame):
        _plane(picture, index)[...] = plane
    return picture


def _plane(frame: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", plane_view(frame, index, bit_depth=8))


def _graph(name: str, arguments: str, width: int, height: int, threads: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = threads  # before anything is added
    layout = av.VideoFormat("yuv420p", width, height)
    source = graph.add_buffer(width=width, height=height, format=layout, time_base=Fraction(1, 30))
    chain = (source, graph.add(name, arguments), graph.add("buffersink"))
    graph.link_nodes(*chain).configure()
    return graph


def filter_runner(name: str, arguments: str, frames: list[av.VideoFrame], threads: int) -> Callable[[int], object]:
    """Return a runner that filters the frame of its number; after the last frame it begins again."""
    graph = _graph(name, arguments, frames[0].width, frames[0].height, threads)

    def run(number: int) -> object:
        frame = frames[number % len(frames)]
        frame.pts = number
        graph.vpush(frame)
        return graph.vpull()

    return run


def scale_runner(
    frames: list[av.VideoFrame], size: tuple[int, int], threads: int
) -> Callable[[int], NDArray[np.uint8]]:
    """Return a runner that scales frames up with FFmpeg's bicubic and returns the luma plane."""
    graph = _graph("scale", f"{size[0]}:{size[1]}:flags=bicubic", frames[0].width, frames[0].height, threads)

    def run(number: int) -> NDArray[np.uint8]:
        frame = frames[number % len(frames)]
        frame.pts = number
        graph.vpush(frame)
        return _plane(graph.vpull(), 0)

    return run


def sharpen_runner(
    process: Callable[[NDArray[np.uint8], NDArray[np.uint8]], object], frames: list[av.VideoFrame]
) -> Callable[[int], object]:
    """Return a runner that sharpens luma into an FFmpeg frame and copies chroma, as a file job does."""
    views = [tuple(_plane(frame, i) for i in range(3)) for frame in frames]
    targets = [av.VideoFrame(frames[0].width, frames[0].height, "yuv420p") for _ in range(4)]
    outs = [tuple(_plane(frame, i) for i in range(3)) for frame in targets]

    def run(number: int) -> object:
        source, target = views[number % len(views)], outs[number % len(outs)]
        process(source[0], target[0])
        np.copyto(target[1], source[1])
        np.copyto(target[2], source[2])
        return targets[number % len(outs)]

    return run
