"""``acutance doctor``."""

import contextlib
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from acutance import __version__

__all__ = ["Options", "run"]

_LIBRARIES = (
    "numpy", "av", "pillow", "safetensors", "pysdl2", "pyvirtualcam", "onnx", "onnxruntime", "openvino", "nncf", "ncnn",
    "torch", "matplotlib", "scikit-image",
)  # fmt: skip
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "neon", "asimd", "asimddp")
_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "ffv1")
_TRIAL_SECONDS = 1.5


@dataclass(frozen=True)
class Options:
    """What is installed, what the processor has, and how fast the bundled students run here."""

    json: bool = False
    """As JSON."""
    trial: bool = True
    """Run each tier for a moment on a 1280x720 plane."""


def run(options: Options) -> int:
    findings = _findings(trial=options.trial)
    if options.json:
        print(json.dumps(findings, indent=2))
        return 0
    width = max(len(name) for name in findings)
    for name, value in findings.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            print(f"{name if i == 0 else '':<{width}}  {line}")
    return 0


def _findings(*, trial: bool) -> dict[str, Any]:
    from acutance._util.machine import processor_name
    from acutance.engine import available_engines

    engines = available_engines()
    defaults, why = _defaults(measure=trial)
    findings: dict[str, Any] = {
        "acutance": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "processor": f"{processor_name()}, {os.cpu_count()} cores",
        "instructions": ", ".join(_instructions()) or "not known on this platform",
        "libraries": [f"{name} {_version(name)}" for name in _LIBRARIES],
        "encoders": ", ".join(_encoders()) or "none: videos cannot be written",
        "engines": _engines(engines),
        "default engine": why,
        "models": _models(),
    }
    if trial:
        findings["speed at 720p"] = _trial(defaults)
    return findings


def _instructions() -> list[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return []
    for line in cpuinfo.read_text(errors="replace").splitlines():
        if line.lower().startswith(("flags", "features")):
            found = set(line.partition(":")[2].split())
            return [flag for flag in _FLAGS if flag in found]
    return []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _encoders() -> list[str]:
    from acutance._util.av import av

    return [name for name in _ENCODERS if name in av.codecs_available]


def _engines(available: Sequence[str]) -> list[str]:
    """One line for each, the preferred first; one about the native engine also where it is missing."""
    from acutance.engine import NO_NATIVE_ENGINE, variants

    lines = [f"{name}: {', '.join(variants(name)) or 'no variants'}" if name != "numpy" else name for name in available]
    if "native" not in available:
        return [*lines, f"native: {NO_NATIVE_ENGINE}. {available[0]} runs the models instead, many times slower"]
    from acutance.engine.native_engine import NativeEngine
    from acutance.students.bundled import find_student

    engine = NativeEngine(find_student("fast"))
    threads = "1 thread" if engine.threads == 1 else f"{engine.threads} threads"
    lines[0] = f"native: {engine.instruction_set} on {threads}; this processor runs {', '.join(variants('native'))}"
    return lines


def _defaults(*, measure: bool) -> tuple[dict[str, str], list[str]]:
    """For each tier, what is taken where no engine is named; and a line each, which says why."""
    from acutance.engine import NATIVE_COUNTS, available_engines, default_engine, default_trial
    from acutance.engine.trial import kept_in
    from acutance.errors import AcutanceError
    from acutance.students.bundled import TIERS, find_student

    chosen: dict[str, str] = {}
    lines = []
    for tier in TIERS:
        student = find_student(tier)
        try:
            trial = default_trial(student, measure=measure)
            if trial is None and len(set(available_engines()) - {"numpy"}) > 1:
                lines.append(f"{tier}: not tried yet; the first job does, or doctor without --no-trial")
                continue
            chosen[tier] = default_engine(student)
        except AcutanceError as error:
            lines.append(f"{tier}: none runs here: {error}")
            continue
        lines.append(f"{tier}: {chosen[tier]}, " + ("as no other is installed" if trial is None else trial.explain()))
    if any("frames of" in line for line in lines):
        with contextlib.suppress(OSError):
            lines.append(
                f"(native is taken unless another is {NATIVE_COUNTS:g} times as fast: it alone leaves out tiles; "
                f"kept in {kept_in()}, delete it to measure again)"
            )
    return chosen, lines


def _models() -> list[str]:
    from acutance.students.bundled import bundled_models

    return list(bundled_models()) or ["none are bundled"]


def _trial(engines: dict[str, str]) -> list[str]:
    """Frames a second of each tier's student; a trial of a second each, on a machine that may be busy."""
    import numpy as np

    from acutance.sharpening.single import FrameSharpener

    rng = np.random.default_rng(0)
    plane = rng.integers(16, 236, (720, 1280), dtype=np.uint8)
    lines = []
    for name, engine in engines.items():  # students of one tier take the same time
        sharpener = FrameSharpener(name, engine=engine)
        sharpener.engine.process(plane)
        times: list[float] = []
        while sum(times) < _TRIAL_SECONDS:
            started = time.perf_counter()
            sharpener.engine.process(plane)
            times.append(time.perf_counter() - started)
        lines.append(f"{name}: {1 / float(np.median(times)):.1f} frames a second with {engine}")
    return lines
