"""Cost of students, teachers and the report's student: parameters, multiply-accumulates, frames per second at 1080p.

    python benchmarks/cost.py --data FOLDER --update
    python benchmarks/cost.py --from-json --update

FOLDER (or ACUTANCE_DATA) holds ``teachers/*.safetensors``. Students run from luma plane to luma plane in their engine.
Teachers and the report's student run in torch, from the low-resolution RGB picture to 1920x1080. All run in one
process, in turns, on as many threads as there are cores. Frames per second drift with the machine; the ratios within
one run count.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from _results import add_update_option, update_between
from acutance.sharpening.single import FrameSharpener
from acutance.students.bundled import TIERS, find_student
from acutance.training.models.cost import Cost, measure_cost
from acutance.training.models.report2025 import Report2025
from acutance.training.models.teachers import SRResNet, load_teacher

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "cost.json"
WIDTH, HEIGHT = 1920, 1080
BEGIN, END = "<!-- cost:begin -->", "<!-- cost:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ACUTANCE_DATA", ".")))
    parser.add_argument("--rounds", type=int, default=3, help="turns in which everything runs once (students: 8 times)")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; only make the table")
    add_update_option(parser, "benchmarks/speed.md")
    options = parser.parse_args(arguments)
    if not options.from_json:
        report = measure(options.data, options.rounds)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = tables(report)
    print(text)
    if options.update:
        update_between(options.update, BEGIN, END, text)
    return 0


def measure(data: Path, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    plane = rng.integers(16, 236, (HEIGHT, WIDTH), dtype=np.uint8)
    rows: list[dict[str, Any]] = []
    runs: list[tuple[Callable[[], object], int]] = []

    def add(name: str, kind: str, cost: Cost, runner: str, run: Callable[[], object], repeats: int) -> None:
        rows.append(
            {
                "name": name,
                "kind": kind,
                "runner": runner,
                "parameters": cost.parameters,
                "macs_per_pixel": cost.macs_per_pixel,
                "seconds": [],
            }
        )
        runs.append((run, repeats))

    for tier in TIERS:  # students of one tier cost the same
        name = find_student(tier).spec.name
        sharpener = FrameSharpener(name)
        shape = sharpener.student.spec.shape
        cost = Cost(shape.parameters, shape.macs_per_pixel)
        add(name, "student", cost, sharpener.engine.name, lambda s=sharpener: s.engine.process(plane), 8)
    for path in sorted((data / "teachers").glob("*.safetensors")):
        if path.stem in ("LKDN_x2", "LKDN_x3", "LKDN_x4", "upconv7_photo_plain_x2"):
            teacher = load_teacher(path)
            add(path.stem, "teacher", teacher.cost, "torch", _torch_run(teacher.module, teacher.scale), 1)
    for scale in (2, 4):
        network = SRResNet(scale).eval()
        add(f"SRResNet_x{scale}", "teacher (shape only)", measure_cost(network), "torch", _torch_run(network, scale), 1)
    student = Report2025().eval()
    add("report2025 (x4, RGB)", "the report's student", measure_cost(student), "torch", _torch_run(student, 4), 1)

    for run, _ in runs:
        run()
    for _ in range(rounds):
        for row, (run, repeats) in zip(rows, runs, strict=True):
            for _ in range(repeats):
                started = time.perf_counter()
                run()
                row["seconds"].append(round(time.perf_counter() - started, 4))
    return {
        "command": f"python benchmarks/cost.py --data DATA --rounds {rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
        "size": [WIDTH, HEIGHT],
        "rows": rows,
    }


def _torch_run(network: torch.nn.Module, scale: int) -> Callable[[], object]:
    low = torch.rand(1, 3, HEIGHT // scale, WIDTH // scale).contiguous(memory_format=torch.channels_last)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run() -> object:
        with torch.no_grad():
            return network(low)

    return run


def tables(report: dict[str, Any]) -> str:
    fast = find_student("fast").spec.name
    fastest = next(median(row["seconds"]) for row in report["rows"] if row["name"] == fast)
    lines = [
        "| network | kind | parameters | MAC per pixel | runs in | frames a second, 1080p | time, `fast` = 1 |",
        "|---|---|---:|---:|---|---:|---:|",
    ]
    for row in report["rows"]:
        seconds = median(row["seconds"])
        rate = f"{1 / seconds:.1f}" if seconds < 1 else f"{1 / seconds:.2f}"
        lines.append(
            f"| {row['name']} | {row['kind']} | {row['parameters']:,} | {row['macs_per_pixel']:,.0f} | "
            f"{row['runner']} | {rate} | {seconds / fastest:,.1f} |"
        )
    note = (
        f"Medians, {report['machine']}, torch {report['torch']}; one process, in turns. "
        f"Measured {report['date']} by `{report['command']}`."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    sys.exit(main())
