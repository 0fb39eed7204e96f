"""FFmpeg's sharpeners on a luma plane, through PyAV, at any setting."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from _calls import Luma
from acutance._util.av import av, plane_view

__all__ = ["CAS_STRENGTHS", "UNSHARP_AMOUNTS", "cas", "unsharp"]

UNSHARP_AMOUNTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
CAS_STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def unsharp(amount: float) -> Callable[[Luma], Luma]:
    """``unsharp`` 5x5 on luma."""
    return _Filter("unsharp", f"lx=5:ly=5:la={amount:g}:ca=0")


def cas(strength: float, shape: tuple[int, ...]) -> Callable[[Luma], Luma]:  # noqa: ARG001 - for symmetry
    """Contrast adaptive sharpening of luma."""
    return _Filter("cas", f"strength={strength:g}")


class _Filter:
    def __init__(self, name: str, arguments: str) -> None:
        self._name, self._arguments = name, arguments
        self._graph: av.filter.Graph | None = None
        self._count = 0

    def __call__(self, plane: Luma) -> Luma:
        height, width = plane.shape
        if self._graph is None:
            self._graph = av.filter.Graph()
            self._graph.threads = 1
            layout = av.VideoFormat("gray", width, height)
            source = self._graph.add_buffer(width=width, height=height, format=layout, time_base=Fraction(1, 30))
            chain = [source, self._graph.add(self._name, self._arguments), self._graph.add("buffersink")]
            self._graph.link_nodes(*chain).configure()
        frame = av.VideoFrame.from_ndarray(plane, format="gray")
        frame.pts = self._count
        self._count += 1
        self._graph.vpush(frame)
        out = self._graph.vpull()
        return np.array(plane_view(out, 0, bit_depth=8), np.uint8)
