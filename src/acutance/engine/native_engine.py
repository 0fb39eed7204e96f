"""The engine made for the students: C++ kernels for the processor at hand (``native/``), the same bits on every one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance import _native
from acutance._util.arguments import whole_number
from acutance.engine.base import Engine, Session, TileCounts, TileOptions, usable_cores
from acutance.engine.integer import CODE, IntegerNetwork, convert
from acutance.engine.numpy_engine import input_from_luma
from acutance.errors import EngineError, UsageError
from acutance.frame import Plane
from acutance.students.spec import Student, StudentShape

__all__ = ["NativeEngine", "instruction_sets"]


def instruction_sets() -> list[str]:
    """Those this processor runs, the fastest first; the last is ``portable``."""
    return _native.instruction_sets()


class NativeEngine(Engine):
    """Runs a student in integers (docs/engine.md), or an integer network as it is, without the GIL.

    threads: how many work on a frame; None for one per core this process may use.
    instruction_set: one of :func:`instruction_sets`; None for what the environment variable
    ``ACUTANCE_INSTRUCTION_SET`` says, or else the fastest.
    pin_threads: keep the engine's own threads on processors of their own (Linux). The caller's affinity never changes.
    Raises EngineError for a set that cannot run here, ModelError for a student that has no integer form.
    """

    name = "native"

    def __init__(
        self,
        model: Student | IntegerNetwork,
        *,
        threads: int | None = None,
        instruction_set: str | None = None,
        pin_threads: bool = False,
    ) -> None:
        network = model if isinstance(model, IntegerNetwork) else convert(model)
        threads = min(usable_cores(), _MOST_THREADS) if threads is None else threads
        threads = whole_number(threads, "threads", low=1, high=_MOST_THREADS)
        self.shape = network.shape
        try:
            self._engine: _native.Engine | None = _native.Engine(
                network.to_bytes(), threads, instruction_set, pin_threads
            )
        except ValueError as error:
            raise EngineError(str(error)) from None

    @property
    def instruction_set(self) -> str:
        return self._open.instruction_set

    @property
    def threads(self) -> int:
        return self._open.threads

    def session(self, options: TileOptions = TileOptions()) -> Session:  # noqa: B008 - frozen
        return _NativeSession(self._open, self.shape, options)

    def close(self) -> None:
        """Release threads and memory, once no session is left that uses them."""
        super().close()
        self._engine = None

    @property
    def _open(self) -> _native.Engine:
        if self._engine is None:
            raise EngineError("the engine 'native' is closed")
        return self._engine

    def residual(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        codes = input_from_luma(luma).astype(np.int16)
        out = np.empty([self.shape.output_length(length) for length in codes.shape], np.int16)
        self._open.residual(np.ascontiguousarray(codes), out)
        residual: NDArray[np.float32] = out.astype(np.float32) / np.float32(CODE)
        return residual

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> None:
        _call(self._open.process, luma, out, strength, bit_depth, full_range)


_MOST_THREADS = 256
_BEYOND_EVERY_ACTIVITY = 1 << 16  # more than any tile reaches, and what a C int holds


class _NativeSession(Session):
    def __init__(self, engine: _native.Engine, shape: StudentShape, options: TileOptions) -> None:
        super().__init__(shape)
        self._session: _native.Session | None = _native.Session(engine, *_arguments(options))

    def _sharpen(self, luma: Plane, strength: float, bit_depth: int, full_range: bool, out: Plane) -> TileCounts:
        _call(self._open.process, luma, out, strength, bit_depth, full_range)
        return TileCounts(*self._open.counts)

    def set_network(self, network: IntegerNetwork) -> None:
        try:
            self._open.set_model(network.to_bytes())
        except ValueError as error:
            raise UsageError(str(error)) from None

    def set_options(self, options: TileOptions) -> None:
        self._open.set_options(*_arguments(options))

    def reset(self) -> None:
        super().reset()
        if self._session is not None:
            self._session.reset()

    def close(self) -> None:
        super().close()
        self._session = None  # with it go the two frames it remembers

    @property
    def _open(self) -> _native.Session:
        if self._session is None:
            raise EngineError("the session is closed")
        return self._session


def _arguments(options: TileOptions) -> tuple[int, float, float, bool]:
    """What the C interface takes: 0 for no limit. There is no tile in so small a share as stands here for none."""
    share = 0.0 if options.tile_budget is None else max(options.tile_budget, 1e-12)
    return min(options.threshold, _BEYOND_EVERY_ACTIVITY), share, options.time_budget or 0.0, options.reuse


def _call(process: Any, luma: Plane, out: Plane, strength: float, bit_depth: int, full_range: bool) -> None:
    """Rows go to the kernels as they lie, whatever their stride; only planes whose samples are apart are copied."""
    source = luma if _packed(luma) else luma.copy()
    target = out if _packed(out) else out.copy()
    try:
        process(source, target, strength, bit_depth, full_range)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if target is not out:
        out[...] = target


def _packed(plane: Plane) -> bool:
    beside = plane.shape[1] == 1 or plane.strides[1] == plane.itemsize
    apart = plane.shape[0] == 1 or abs(plane.strides[0]) >= plane.shape[1] * plane.itemsize
    return plane.flags.aligned and beside and apart and plane.strides[0] % plane.itemsize == 0
