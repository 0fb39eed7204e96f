"""What the engines of others have in common: the float graph, run in bands of rows."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import require
from acutance.engine.arithmetic import code_per_unit
from acutance.engine.base import TILE_ENGINES, Engine, pad_to_multiple
from acutance.engine.onnx_graph import Kind, running_graph
from acutance.errors import EngineError
from acutance.frame import Plane
from acutance.students.spec import Student

__all__ = ["GraphEngine", "RunGraph"]

_LARGEST_BAND = 1 << 22  # pixels run at once: activations of a whole large photograph would take gigabytes

RunGraph = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""Takes the graph's inputs by name and returns its one output. Safe to call from several threads."""


class GraphEngine(Engine):
    """Runs a student in float32 in somebody else's runtime, which a subclass opens.

    The whole path from integer plane to integer plane is inside the graph.
    extra: that brings what the subclass needs.
    """

    extra: str

    def __init__(self, student: Student) -> None:
        if student.spec.shape.upscales:
            engines = ", ".join(TILE_ENGINES)
            raise EngineError(
                f"the engine {self.name!r} does not run upscalers, such as {student.spec.name}; use {engines}"
            )
        require("onnx", extra=self.extra, purpose=f"the engine {self.name!r}")
        self.shape = student.spec.shape
        self._student = student
        self._graphs: dict[Kind, RunGraph] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _open(self, model: bytes) -> RunGraph:
        """Make a serialised ONNX model ready to run. Raises EngineError where it cannot run here."""

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        scale, offset = code_per_unit(bit_depth, full_range)
        constants = {
            "scale": np.array(scale, np.float32),
            "offset": np.array(offset, np.float32),
            "gain": np.array(strength / scale, np.float32),
            "top": np.array((1 << bit_depth) - 1, np.float32),
        }
        self._run_in_bands("uint8" if luma.dtype == np.uint8 else "uint16", "luma", luma, constants, out)

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty(luma.shape, np.float32)
        self._run_in_bands("residual", "unit", luma.astype(np.float32) / np.float32(255), {}, out)
        return out * np.float32(255)

    def _run_in_bands(
        self, kind: Kind, name: str, plane: NDArray[Any], constants: dict[str, NDArray[Any]], out: NDArray[Any]
    ) -> None:
        """Run bands of rows, each with as many rows around it as the network sees: equal to running all at once."""
        shape = self._student.spec.shape
        run = self._graph(kind)
        height, width = plane.shape
        rows = max(1, _LARGEST_BAND // width // shape.unshuffle) * shape.unshuffle
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            first, last = max(0, top - shape.radius), min(height, bottom + shape.radius)
            padded = np.ascontiguousarray(pad_to_multiple(plane[first:last], shape.unshuffle))
            result = run({name: padded[None, None], **constants})
            out[top:bottom] = result[0, 0, top - first : bottom - first, :width]

    def _graph(self, kind: Kind) -> RunGraph:
        with self._lock:  # building twice would be waste; running concurrently is fine
            if kind not in self._graphs:
                self._graphs[kind] = self._open(running_graph(self._student, kind).SerializeToString())
            return self._graphs[kind]
