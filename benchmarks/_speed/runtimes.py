"""The same networks in other runtimes, each at its best: OpenVINO in float and int8, ONNX Runtime, ncnn.

A runner takes an 8-bit plane (or three) and fills another of the size of the output, as our own engine does. Each
runtime gets the network in every form that may suit it and keeps the fastest.
"""

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _speed.graphs import FORMS, Form, strided_weight, student_model
from acutance.students.spec import Student

__all__ = ["RUNTIMES", "Chosen", "MissingRuntime", "Runner", "choose", "openvino_runner", "runtime_versions"]

Samples = NDArray[np.uint8]
Runner = Callable[[Samples, Samples], None]

_TRIALS = 6


@dataclass(frozen=True)
class Chosen:
    """Fastest variant of a runtime.

    Attributes:
        tried: Milliseconds of every variant by name.
        settings: In words.
    """

    run: Runner
    variant: str
    tried: dict[str, float]
    settings: str


class MissingRuntime(Exception):  # noqa: N818 - an answer rather than an error
    """The runtime is not installed here, or does not work."""


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # a library that is there but does not fit this machine fails in ways of its own
        raise MissingRuntime(f"{module} cannot be imported ({type(error).__name__}: {error})") from error


def _tensor(plane: Samples) -> Samples:
    """Return one or three planes as 1 x channels x H x W, on the same memory."""
    return plane[None, None] if plane.ndim == 2 else plane[None]


# -- OpenVINO -------------------------------------------------------------------------------------------------------


def openvino_runner(model: Any, threads: int) -> Runner:
    """Return a runner of ONNX bytes or of an OpenVINO model."""
    ov = _load("openvino")
    core = ov.Core()
    if isinstance(model, bytes):
        model = core.read_model(model)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(plane: Samples, out: Samples) -> None:
        request.set_input_tensor(ov.Tensor(_tensor(plane), shared_memory=True))
        request.set_output_tensor(ov.Tensor(_tensor(out), shared_memory=True))
        request.infer()

    return run


def _openvino(student: Student, frames: Sequence[Samples], threads: int) -> dict[str, Runner]:
    height, width = frames[0].shape
    return {form: openvino_runner(student_model(student, height, width, form=form), threads) for form in FORMS}


def _openvino_int8(student: Student, frames: Sequence[Samples], threads: int) -> dict[str, Runner]:
    """Quantise with NNCF on the very frames that are timed: no calibration can fit them better."""
    os.environ.setdefault("NNCF_CI", "1")  # it reports its use to its makers otherwise
    nncf = _load("nncf")
    ov = _load("openvino")
    nncf.set_log_level("ERROR")
    height, width = frames[0].shape
    runners: dict[str, Runner] = {}
    for form in FORMS:
        model = ov.Core().read_model(student_model(student, height, width, form=form))
        data = nncf.Dataset(list(frames), _tensor)
        # Mixed: PReLU leaves activations on both sides of zero.
        with contextlib.redirect_stdout(sys.stderr):  # its progress bar
            quantised = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=len(frames))
        runners[form] = openvino_runner(quantised, threads)
    return runners


# -- ONNX Runtime ---------------------------------------------------------------------------------------------------


def _onnxruntime(student: Student, frames: Sequence[Samples], threads: int) -> dict[str, Runner]:
    ort = _load("onnxruntime")
    height, width = frames[0].shape
    runners: dict[str, Runner] = {}
    for form in FORMS:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads spin within a frame, as they come, but not into the next contender's turn.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(
            student_model(student, height, width, form=form), options, providers=["CPUExecutionProvider"]
        )
        runners[form] = _bound(session)
    return runners


def _bound(session: Any) -> Runner:
    binding = session.io_binding()

    def run(plane: Samples, out: Samples) -> None:
        source, target = _tensor(plane), _tensor(out)
        binding.bind_input("in", "cpu", 0, np.uint8, source.shape, source.ctypes.data)
        binding.bind_output("out", "cpu", 0, np.uint8, target.shape, target.ctypes.data)
        session.run_with_iobinding(binding)

    return run


# -- ncnn -----------------------------------------------------------------------------------------------------------


def _ncnn(student: Student, frames: Sequence[Samples], threads: int) -> dict[str, Runner]:
    ncnn = _load("ncnn")
    height, width = frames[0].shape
    return {form: _ncnn_runner(ncnn, student, height, width, threads, form) for form in FORMS}


def _ncnn_runner(ncnn: Any, student: Student, height: int, width: int, threads: int, form: Form) -> Runner:
    text, weights, last = ncnn_model(student, height, width, form)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.lightmode = True
    if net.load_param_mem(text) != 0:
        raise MissingRuntime("ncnn refuses the network")
    net.load_model_mem(weights)
    grey = ncnn.Mat.PixelType.PIXEL_GRAY

    def run(plane: Samples, out: Samples) -> None:
        extractor = net.create_extractor()
        extractor.input("code", ncnn.Mat.from_pixels(plane, grey, width, height))
        code, result = extractor.extract(last)
        if code != 0:
            raise RuntimeError(f"ncnn failed with {code}")
        np.copyto(out, np.array(result, copy=False)[0], casting="unsafe")  # clipped and moved by a half: this rounds

    return run


def ncnn_model(student: Student, height: int, width: int, form: Form) -> tuple[str, bytes, str]:
    """Return a student in ncnn's own format: description, weights, name of the output.

    The input ``code`` has float code values. The output is clipped to 0 to 255 and half a step higher, so that
    truncation rounds it.
    """
    lines = [f"Input in 0 1 code 0={width} 1={height} 2=1", "Split split 1 2 code code0 code1"]
    weights = bytearray()

    def add(kind: str, inputs: Sequence[str], *parameters: str) -> str:
        name = f"b{len(lines)}"
        lines.append(f"{kind} l{len(lines)} {len(inputs)} 1 {' '.join(inputs)} {name} {' '.join(parameters)}")
        return name

    r, last = student.spec.shape.unshuffle, len(student.layers) - 1
    x = "code1"
    for i, layer in enumerate(student.layers):
        weight, bias, side, stride = layer.weight, layer.bias, 3, 1
        if i == 0:
            weight = weight / np.float32(255)
        if i == last:
            weight, bias = weight * np.float32(255), bias * np.float32(255) + np.float32(0.5)
        if i == 0 and form == "strided":
            weight, side, stride = strided_weight(weight, r), 3 * r, r
        elif i == 0:
            x = add("Reorg", [x], f"0={r}")
        x = add(
            "Convolution", [x], f"0={weight.shape[0]}", f"1={side}", f"3={stride}", f"4={stride}", "5=1",
            f"6={weight.size}",
        )  # fmt: skip
        weights += bytes(4) + np.ascontiguousarray(weight, np.float32).tobytes() + bias.astype(np.float32).tobytes()
        if layer.slope is not None:
            x = add("PReLU", [x], f"0={layer.slope.size}")
            weights += layer.slope.astype(np.float32).tobytes()
    x = add("PixelShuffle", [x], f"0={r}")
    x = add("Clip", [add("BinaryOp", ["code0", x], "0=0")], "0=0.0", "1=255.0")
    head = f"7767517\n{len(lines)} {len(lines) + 1}\n"  # the split makes one blob more than there are layers
    return head + "\n".join(lines) + "\n", bytes(weights), x


# -- choosing -------------------------------------------------------------------------------------------------------

_Maker = Callable[[Student, Sequence[Samples], int], dict[str, Runner]]

RUNTIMES: Mapping[str, tuple[_Maker, str]] = {
    "OpenVINO fp32": (_openvino, "latency hint, one stream, static shape, 8-bit in and out inside the graph"),
    "OpenVINO int8": (_openvino_int8, "as in fp32; NNCF post-training quantisation, mixed preset"),
    "ONNX Runtime fp32": (
        _onnxruntime,
        "all graph optimisations, threads that spin within a frame, static shape, bound memory",
    ),
    "ncnn": (_ncnn, "defaults (packing, fp16 storage where it has it), light mode"),
}


def choose(name: str, student: Student, frames: Sequence[Samples], threads: int) -> Chosen:
    """Return the form of a student that a runtime runs fastest on these frames.

    Raises:
        MissingRuntime: The runtime is not installed or does not work.
    """
    make, settings = RUNTIMES[name]
    try:
        runners = make(student, frames, threads)
    except MissingRuntime:
        raise
    except Exception as error:  # each has errors of its own, and one that fails must not take the others along
        raise MissingRuntime(f"does not work here: {type(error).__name__}: {' '.join(str(error).split())}") from error
    out = np.empty_like(frames[0])
    times: dict[str, list[float]] = {variant: [] for variant in runners}
    for run in runners.values():
        run(frames[0], out)
    for trial in range(_TRIALS):
        for variant, run in runners.items():
            started = time.perf_counter()
            run(frames[trial % len(frames)], out)
            times[variant].append(time.perf_counter() - started)
    medians = {variant: float(np.median(t)) for variant, t in times.items()}
    best = min(medians, key=lambda variant: medians[variant])
    tried = {variant: round(seconds * 1e3, 3) for variant, seconds in medians.items()}
    return Chosen(runners[best], best, tried, settings)


def runtime_versions() -> dict[str, str]:
    """Return the version of each library, or ``not installed``."""
    found = {}
    for package in ("openvino", "nncf", "onnxruntime", "onnx", "ncnn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
