"""Running an exported file as its reader would: with the library that it is for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance._extras import require
from acutance.engine.base import pad_to_multiple, usable_cores
from acutance.engine.onnxruntime_engine import open_onnx
from acutance.engine.openvino_engine import compile_openvino, read_openvino
from acutance.errors import EngineError, ModelError
from acutance.export.inspection import companion, inspect_export, inspect_openvino_model

__all__ = ["Exported", "open_exported"]

Luma = NDArray[np.uint8]
_Run = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class Exported:
    """An exported model, ready: takes a luma plane, H x W uint8, and returns its sharp twin.

    path: the file. runtime: what runs it, with its version.
    """

    def __init__(self, path: Path, runtime: str, run: _Run, *, multiple: int) -> None:
        self.path, self.runtime = path, runtime
        self._run, self._multiple = run, multiple

    def __call__(self, luma: Luma) -> Luma:
        """Planes of any size; those that the file cannot take are padded to whole blocks here, and cropped."""
        padded = np.ascontiguousarray(pad_to_multiple(luma, self._multiple))
        return self._run(padded)[: luma.shape[0], : luma.shape[1]]


def open_exported(
    path: str | Path, *, multiple: int = 1, threads: int | None = None, provider: str = "cpu"
) -> Exported:
    """Inspect a file (:func:`acutance.export.inspect_export`) and open it.

    multiple: what height and width must be multiples of, for files that do not pad themselves. threads: None for one
    per usable core. provider: ONNX Runtime's, for ``.onnx``.
    Raises InputNotFoundError, ModelError, EngineError, MissingExtraError.
    """
    path = Path(path)
    inspect_export(path)
    if path.suffix == ".onnx":
        return _open_onnx(path, multiple, threads, provider)
    return (_open_openvino if path.suffix == ".xml" else _open_ncnn)(path, multiple, threads)


def _open_onnx(path: Path, multiple: int, threads: int | None, provider: str) -> Exported:
    runtime = require("onnxruntime", extra="onnx", purpose="running an ONNX file")
    session = open_onnx(path.read_bytes(), provider=provider, threads=threads)

    def run(luma: Luma) -> Luma:
        result: Luma = session.run(["sharp"], {"luma": luma[None, None]})[0][0, 0]
        return result

    return Exported(path, f"ONNX Runtime {runtime.__version__}, {provider}", run, multiple=multiple)


def _open_openvino(path: Path, multiple: int, threads: int | None) -> Exported:
    openvino = require("openvino", extra="openvino", purpose="running an OpenVINO model")
    model = read_openvino(path)
    inspect_openvino_model(path, model)
    request = compile_openvino(model, threads=threads).create_infer_request()

    def run(luma: Luma) -> Luma:
        return np.array(request.infer({"luma": luma[None, None]}, share_inputs=True)[0][0, 0], np.uint8)

    return Exported(path, f"OpenVINO {openvino.__version__.split('-')[0]}, cpu", run, multiple=multiple)


def _open_ncnn(path: Path, multiple: int, threads: int | None) -> Exported:
    ncnn = require("ncnn", extra="export", purpose="running an ncnn model")
    net = ncnn.Net()
    net.opt.num_threads = threads or usable_cores()
    net.opt.use_vulkan_compute = False
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        if hasattr(net.opt, option):
            setattr(net.opt, option, False)  # what is judged is the file, not what a processor may save on it
    if net.load_param(str(path)) != 0 or net.load_model(str(companion(path))) != 0:
        raise ModelError(f"{path}: ncnn cannot read it")

    def run(luma: Luma) -> Luma:
        extractor = net.create_extractor()
        plane = np.ascontiguousarray(luma[None], np.float32)
        extractor.input("luma", ncnn.Mat(plane).clone())  # layers write over what is not ncnn's own memory, and crash
        code, sharp = extractor.extract("sharp")
        if code != 0:
            raise EngineError(f"{path}: ncnn failed with code {code}")
        return np.array(np.array(sharp)[0], np.uint8)

    return Exported(path, f"ncnn {ncnn.__version__}, cpu", run, multiple=multiple)
