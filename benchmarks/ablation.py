"""Experiments on the loss: one student, equal steps, several seeds, and the worth of each term and choice.

    python benchmarks/ablation.py --data FOLDER --cache FOLDER       everything: about a quarter of an hour on one core
    python benchmarks/ablation.py --from-json --update

Every variant is the recipe configs/fast-clean-x2.toml with a short schedule and the change of its row. Seeds decide
weights and crops; the pictures stay the same. Figures are PSNR on the validation pictures and on Set5. Finished runs
are kept in --runs and are not run again. Writes benchmarks/results/ablation.json.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, UsageError
from acutance.evaluate.quality import evaluate_set
from acutance.evaluate.restorers import StudentRestorer
from acutance.evaluate.table import render
from acutance.training.data.folders import ImageFolder
from acutance.training.distill.options import load_config
from acutance.training.distill.run import distill

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ablation.json"
BEGIN, END = "<!-- ablation:begin -->", "<!-- ablation:end -->"
_BASE = ("data.drawn_with=1", "schedule.steps_per_epoch=1500", "schedule.epochs=1", "schedule.warmup_steps=200")
_NO_TEACHER = ("losses.teacher_l1=0.0",)

VARIANTS: dict[str, tuple[str, ...]] = {
    "L1 to the truth + L1 to the teacher": (),
    "no teacher: L1 to the truth": _NO_TEACHER,
    "the report's: 0.7 MSE + 0.3 MSE to the teacher + 0.1 edge": (
        "losses.l1=0.0", "losses.teacher_l1=0.0", "losses.mse=0.7", "losses.teacher_mse=0.3", "losses.edge=0.1",
    ),
    "MSE to both": ("losses.l1=0.0", "losses.teacher_l1=0.0", "losses.mse=40.0", "losses.teacher_mse=40.0"),
    "+ edge, 0.5": ("losses.edge=0.5",),
    "+ SSIM, 0.05": ("losses.ssim=0.05",),
    "in units of the input's error": (
        "losses.l1=0.0", "losses.teacher_l1=0.0", "losses.relative_l1=1.0", "losses.teacher_relative_l1=1.0",
    ),
    "teacher rounded to 8 bits": ("teacher.rounded=true",),
    "plain blocks": ("student.block=plain",),
    "four times the steps": ("schedule.steps_per_epoch=6000",),
    "four times the steps, no teacher": ("schedule.steps_per_epoch=6000", *_NO_TEACHER),
    "a quarter of the steps": ("schedule.steps_per_epoch=375",),
    "+ affinity, 0.1": ("losses.affinity=0.1",),
}  # fmt: skip
"""By name: what is set in the recipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--cache", type=Path, default=Path("runs") / "cache", help="prepared pictures")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "ablation", help="where runs are kept")
    parser.add_argument("--seeds", default="1,2", help="with commas between")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="run nothing; make the table from --out")
    add_update_option(parser, "experiments.md")
    options = parser.parse_args(arguments)
    try:
        if not options.from_json:
            if options.data is None:
                raise UsageError("name the data folder with --data or ACUTANCE_DATA")
            measure(options)
        text = table(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"ablation: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def measure(options: argparse.Namespace) -> None:
    """Run every variant; add each finished one to the JSON file."""
    rows: list[dict[str, Any]] = []
    for number, (name, changes) in enumerate(VARIANTS.items()):
        for seed in (int(s) for s in options.seeds.split(",")):
            recipe = load_config(ROOT / "configs" / "fast-clean-x2.toml", [*_BASE, *changes, f"train.seed={seed}"])
            result = distill(recipe, data_root=options.data, cache=options.cache, out=options.runs / f"{number}-{seed}")
            if result.student_file is None:
                raise UsageError(f"{recipe.name} leaves no student to measure")
            student = StudentRestorer(result.student_file, name="student")
            found = evaluate_set(ImageFolder(options.data / "test" / "Set5"), [student], name="Set5", factor=2.0)
            set5 = found.method("student").mean.psnr_y
            rows.append(
                {"variant": name, "seed": seed, "steps": recipe.steps, "set": list(changes),
                 "psnr_validation": round(result.training.best_psnr, 4), "psnr_set5": round(float(set5), 4)}
            )  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
            save_json(
                {
                    "command": "python benchmarks/ablation.py --data DATA",
                    "date": datetime.now(UTC).strftime("%Y-%m-%d"),
                    "versions": versions_of(("acutance", "numpy", "torch")),
                    "rows": rows,
                },
                options.out,
            )


def table(report: dict[str, Any]) -> str:
    lines = []
    for name in dict.fromkeys(row["variant"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["variant"] == name]
        figures = []
        for key in ("psnr_validation", "psnr_set5"):
            values = [row[key] for row in rows]
            spread = f" ± {(max(values) - min(values)) / 2:.3f}" if len(values) > 1 else ""
            figures.append(f"{np.mean(values):.3f}{spread}")
        lines.append([name, f"{rows[0]['steps']:,}", str(len(rows)), *figures])
    heads = ["loss", "steps", "seeds", "validation, dB", "Set5 x2, dB"]
    foot = (
        f"`fast`, x2 bicubic, half the spread over seeds behind ±. Measured {report['date']} by `{report['command']}`."
    )
    return f"{render(heads, lines, markdown=True)}\n\n{foot}"


if __name__ == "__main__":
    sys.exit(main())
