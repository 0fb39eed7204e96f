"""Run an exported file with the library that it is made for."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acutance._util.extras import first_line, require
from acutance.engine.base import pad_to_multiple, usable_cores
from acutance.engine.onnxruntime_engine import open_onnx
from acutance.engine.openvino_engine import compile_openvino, read_openvino
from acutance.errors import AcutanceError, EngineError, ModelError
from acutance.export.companion import companion
from acutance.export.inspection import Inspected, inspect_export

__all__ = ["Exported", "open_exported"]

Luma = NDArray[np.uint8]
_Run = Callable[[Luma], Luma]


class Exported:
    """An open exported model. Use it from one thread at a time.

    Args:
        file: the inspected file.
        runtime: library that runs it, with its version.
        run: runs a plane whose sides are multiples of ``file.multiple``.

    Attributes:
        path: the file.
        precision: ``fp32``, ``fp16`` or ``int8``.
        runtime: library that runs it, with its version.
        multiple: number that height and width must be multiples of in the file itself.
    """

    def __init__(self, file: Inspected, runtime: str, run: _Run) -> None:
        self.path, self.precision, self.multiple, self.runtime = file.path, file.precision, file.multiple, runtime
        self._run = run

    def __call__(self, luma: Luma) -> Luma:
        """Sharpen a plane. If the file needs other sides, the plane is padded and the result is cropped.

        Args:
            luma: H x W, uint8, of any size.

        Returns:
            The sharp plane, H x W, uint8.

        Raises:
            EngineError: the library fails.
        """
        padded = np.ascontiguousarray(pad_to_multiple(luma, self.multiple))
        try:
            return self._run(padded)[: luma.shape[0], : luma.shape[1]]
        except AcutanceError:
            raise
        except Exception as error:  # other libraries raise anything
            raise EngineError(f"{self.path}: {self.runtime} failed: {first_line(error)}") from error


def open_exported(path: str | Path, *, threads: int | None = None, provider: str = "cpu") -> Exported:
    """Inspect a file (:func:`acutance.export.inspect_export`) and open it.

    Args:
        path: the exported file.
        threads: threads of the library; None for one per usable core.
        provider: execution provider of ONNX Runtime, for ``.onnx``.

    Returns:
        The open model.

    Raises:
        InputNotFoundError: there is no such file.
        ModelError: the file is not an export of a student.
        EngineError: the library cannot run it.
        MissingExtraError: the library is missing.
    """
    file = inspect_export(path)
    if file.path.suffix == ".onnx":
        return _open_onnx(file, threads, provider)
    return (_open_openvino if file.path.suffix == ".xml" else _open_ncnn)(file, threads)


def _open_onnx(file: Inspected, threads: int | None, provider: str) -> Exported:
    runtime = require("onnxruntime", extra="onnx", purpose="running an ONNX file")
    session = open_onnx(file.data, provider=provider, threads=threads)

    def run(luma: Luma) -> Luma:
        result: Luma = session.run(["sharp"], {"luma": luma[None, None]})[0][0, 0]
        return result

    return Exported(file, f"ONNX Runtime {runtime.__version__}, {provider}", run)


def _open_openvino(file: Inspected, threads: int | None) -> Exported:
    openvino = require("openvino", extra="openvino", purpose="running an OpenVINO model")
    model = read_openvino(file.data, file.weights, name=str(file.path))
    request = compile_openvino(model, threads=threads).create_infer_request()

    def run(luma: Luma) -> Luma:
        return np.array(request.infer({"luma": luma[None, None]}, share_inputs=True)[0][0, 0], np.uint8)

    return Exported(file, f"OpenVINO {openvino.__version__.split('-')[0]}, cpu", run)


def _open_ncnn(file: Inspected, threads: int | None) -> Exported:
    ncnn = require("ncnn", extra="export", purpose="running an ncnn model")
    net = ncnn.Net()
    net.opt.num_threads = threads or usable_cores()
    net.opt.use_vulkan_compute = False
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        if hasattr(net.opt, option):
            setattr(net.opt, option, False)  # judge the file, not the shortcuts of a processor
    # ncnn's Python interface takes only file names. Copies ensure that it opens the inspected bytes.
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "model.param"
        description.write_bytes(file.data)
        companion(description).write_bytes(file.weights)
        if net.load_param(str(description)) != 0 or net.load_model(str(companion(description))) != 0:
            raise ModelError(f"{file.path}: ncnn cannot read it")

    def run(luma: Luma) -> Luma:
        extractor = net.create_extractor()
        plane = np.ascontiguousarray(luma[None], np.float32)
        extractor.input("luma", ncnn.Mat(plane).clone())  # layers write to memory that ncnn does not own, and crash
        code, sharp = extractor.extract("sharp")
        if code != 0:
            raise EngineError(f"{file.path}: ncnn failed with code {code}")
        return np.array(np.array(sharp)[0], np.uint8)

    return Exported(file, f"ncnn {ncnn.__version__}, cpu", run)
