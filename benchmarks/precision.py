"""Cost and quality of precisions: fp32, fp16, int16 and int8, by calibration and by training.

    python benchmarks/precision.py --data FOLDER --update
    python benchmarks/precision.py --from-json --update

FOLDER (or ACUTANCE_DATA) holds ``test/Set5``, ``test/Set14``, ``clips``, and ``train/cid22``, of which 32 pictures
calibrate int8. Every precision is a file of ``acutance export``, run by its own library; int16 is the native engine.
PSNR is that of luma, bytes in and bytes out, as for video: a little below that of unrounded luma. Speed is that of
1080p frames of a clip, all in one process, in turns, on every core; the ratios within the run count.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance._util.machine import processor_name
from acutance.engine import open_engine
from acutance.engine.base import usable_cores
from acutance.engine.integer import convert
from acutance.engine.native_engine import instruction_sets
from acutance.evaluate.speed import Contender, race
from acutance.export import Limits, Parity, calibration_planes, examples, export_student, open_exported, parity
from acutance.io import VideoReader
from acutance.students.bundled import TIERS, find_student
from acutance.students.spec import Student, load_student
from acutance.training.data.folders import ImageFolder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "precision.json"
TRAINED = ROOT / "training" / "int8"
BEGIN, END = "<!-- precision:begin -->", "<!-- precision:end -->"
SETS = ("Set5", "Set14")
CLIP = "clips/latentsync_demo2_1080x1920.mp4"
FRAMES = 8
CALIBRATION = 32
NO_LIMITS = Limits(None, 0.0, 99.0)

Luma = NDArray[np.uint8]
Run = Callable[[Luma], Luma]
# (what the table says, format, precision, whether of the student that was trained for int8)
FILES = (
    ("fp32", "onnx", "fp32", False),
    ("fp32", "openvino", "fp32", False),
    ("fp32", "ncnn", "fp32", False),
    ("fp16 weights", "openvino", "fp16", False),
    ("int8, calibrated (PTQ)", "openvino", "int8", False),
    ("int8, calibrated (PTQ)", "onnx", "int8", False),
    ("int8, trained (QAT)", "openvino", "int8", True),
    ("int8, trained (QAT)", "onnx", "int8", True),
)
LIBRARIES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ACUTANCE_DATA", ".")))
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; only make the table")
    add_update_option(parser, "benchmarks/precision.md")
    options = parser.parse_args(arguments)
    if not options.from_json:
        save_json(measure(options.data, options.rounds), RESULTS)
    text = tables(load_json(RESULTS))
    print(text)
    if options.update:
        update_between(options.update, BEGIN, END, text)
    return 0


def measure(data: Path, rounds: int) -> dict[str, Any]:
    with VideoReader(data / CLIP) as reader:
        frames = [np.ascontiguousarray(frame.luma) for frame in islice(reader, FRAMES)]
    pictures = [file.load() for file in islice(ImageFolder(data / "train" / "cid22"), CALIBRATION)]
    tiers = {}
    for tier in TIERS:
        student = find_student(tier)
        trained = TRAINED / f"{student.spec.name}-int8.safetensors"
        tiers[tier] = _tier(
            student, load_student(trained) if trained.is_file() else None, data, pictures, frames, rounds
        )
    return {
        "command": f"python benchmarks/precision.py --data DATA --rounds {rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor_name()}, {usable_cores()} cores",
        "instruction_sets": instruction_sets(),
        "versions": versions_of(("onnxruntime", "openvino", "nncf", "ncnn")),
        "tiers": tiers,
    }


def _tier(
    student: Student, trained: Student | None, data: Path, pictures: list[Any], frames: list[Luma], rounds: int
) -> dict[str, Any]:
    judged = {
        name: list(examples(student.spec, (f.load() for f in ImageFolder(data / "test" / name)), whole=True))
        for name in SETS
    }
    calibration = calibration_planes(student.spec, pictures)
    rows: list[dict[str, Any]] = []
    runs: list[Run] = []

    def add(what: str, runner: str, size: int, run: Run) -> None:
        found = {name: _figures(parity(student, run, judged[name])) for name in SETS}
        rows.append({"precision": what, "runner": runner, "bytes": size, "sets": found})
        runs.append(run)

    native = open_engine(student, "native")
    add("int16", "native", len(convert(student).to_bytes()), native.process)
    with tempfile.TemporaryDirectory() as folder:
        for number, (what, to, precision, of_trained) in enumerate(FILES):
            source = trained if of_trained else student
            if source is None:
                continue
            suffix = {"onnx": ".onnx", "openvino": ".xml", "ncnn": ".param"}[to]
            made = export_student(
                source, Path(folder) / f"{number}{suffix}", to=to, precision=precision, limits=NO_LIMITS,
                pictures=judged["Set5"][:1], calibration=calibration if precision == "int8" else (),
            )  # fmt: skip
            add(what, LIBRARIES[to], sum(made.files.values()), open_exported(made.path))
    contenders = [
        Contender(str(i), lambda n, run=run: run(frames[n % len(frames)]), 10 if i == 0 else 2)
        for i, run in enumerate(runs)
    ]
    timed = race(contenders, rounds=rounds, settle=1)
    for i, row in enumerate(rows):
        row["fps"] = round(timed.timing(str(i)).fps, 2)
        row["share_of_native"] = round(timed.speedup(str(i), "0"), 4)
    return {"model": student.spec.name, "rows": rows, **timed.load.to_dict()}


def _figures(found: Parity) -> dict[str, float]:
    return {
        "psnr": round(found.psnr_export, 4),
        "psnr_float": round(found.psnr_student, 4),
        "psnr_input": round(found.psnr_input, 4),
    }


def tables(report: dict[str, Any]) -> str:
    lines = [
        "| student | precision | runs in | Set5, dB | lost | Set14, dB | lost | fps at 1080p | of native | bytes |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for tier in report["tiers"].values():
        for number, row in enumerate(tier["rows"]):
            cells = [tier["model"] if number == 0 else "", row["precision"], row["runner"]]
            for name in SETS:
                figures = row["sets"][name]
                lost = figures["psnr_float"] - figures["psnr"]
                cells += [f"{figures['psnr']:.2f}", f"{max(0.0, lost):.3f}"]
            cells += [f"{row['fps']:.1f}", f"{row['share_of_native']:.2f}", f"{row['bytes']:,}"]
            lines.append("| " + " | ".join(cells) + " |")
    sets = ", ".join(report["instruction_sets"][:-1])
    versions = report["versions"]
    note = (
        f"{report['machine']}, with all its instructions ({sets}); OpenVINO {versions['openvino'].split('-')[0]}, "
        f"ONNX Runtime {versions['onnxruntime']}, ncnn {versions['ncnn']}. Measured {report['date']} by "
        f"`{report['command']}`."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    sys.exit(main())
