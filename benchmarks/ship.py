"""From training runs to what ships: weight files, their metadata, and a card for each.

    python benchmarks/ship.py take RUNS      copies RUNS/<name>/student.safetensors into the package, and the controls
                                             (RUNS/<name>-control) to training/controls
    python benchmarks/ship.py describe       writes the figures of benchmarks/results/quality.json into the bundled
                                             files' metadata and into docs/models/<name>.md

Between the two, ``python benchmarks/quality.py`` measures, and ``python benchmarks/calibrate.py --write`` gives each
file its activity threshold.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from acutance.distill.options import load_config
from acutance.errors import AcutanceError, InputNotFoundError
from acutance.spec import Student, load_student, save_student
from acutance.zoo import bundled_models

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "acutance" / "weights"
CONTROLS = ROOT / "training" / "controls"
CARDS = ROOT / "docs" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"


_PURPOSE = {
    "clean": """Pictures and video that were scaled up by {factors} with a bicubic filter. It knows no compression: on a
stream of few bits it also sharpens what the encoder left behind (a lower `--strength` helps). On sharp input it does
harm: fine detail at full contrast is beyond anything it has seen, and nothing holds it back yet.""",
    "call": """Video that was compressed as calls are, at its own size or scaled up by {factors}, by H.264, VP8, VP9 or
AV1 (`benchmarks/calls.py` measures it on those). On pictures that are blurred and not compressed, as in the table, the
`clean` students give more. A first one: it does not yet beat its input on every call.""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    take_parser = verbs.add_parser("take")
    take_parser.add_argument("runs", type=Path)
    verbs.add_parser("describe")
    options = parser.parse_args(arguments)
    try:
        lines = take(options.runs) if options.verb == "take" else describe()
        for line in lines:
            print(line)
    except AcutanceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def take(runs: Path) -> Iterator[str]:
    """Copy finished students and controls, one line about each."""
    found = sorted(runs.glob("*/student.safetensors"))
    if not found:
        raise InputNotFoundError(f"{runs}: holds no finished run (no */student.safetensors)")
    for path in found:
        student = load_student(path)
        name = student.spec.name
        recipe = ROOT / "configs" / f"{name.removesuffix('-control')}.toml"
        options = load_config(recipe) if recipe.exists() else None
        if options is not None and name.endswith("-control"):
            options = options.without_teacher()
        if options is None or student.spec.config_sha256 != options.sha256:
            yield f"{path}: left out, no recipe in configs/ made it"
            continue
        folder = CONTROLS if name.endswith("-control") else WEIGHTS
        folder.mkdir(parents=True, exist_ok=True)
        save_student(student, folder / f"{name}.safetensors")
        yield f"{(folder / name).relative_to(ROOT)}.safetensors: {student.spec.steps} steps"


def describe() -> Iterator[str]:
    """Write measured figures into metadata and cards."""
    if not RESULTS.is_file():
        raise InputNotFoundError(f"{RESULTS}: no results yet; run benchmarks/quality.py first")
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    CARDS.mkdir(parents=True, exist_ok=True)
    for name, path in bundled_models().items():
        student = load_student(path)
        figures = _figures(report, name, student.spec.factors)
        student = replace(student, spec=replace(student.spec, quality=figures))
        save_student(student, path)
        (CARDS / f"{name}.md").write_text(_card(student, report), encoding="utf-8")
        yield f"{name}: Set5 {figures['Set5']['psnr_y']:.2f} dB"


def _figures(report: dict[str, Any], name: str, factors: Sequence[float]) -> dict[str, dict[str, float]]:
    """By set: PSNR and SSIM on luma, of the input too, and the share of the teacher's gain."""
    figures = {}
    for results in report["sets"]:
        methods = {m["name"]: m for m in results["methods"]}
        if results["factor"] not in factors:
            continue
        if name not in methods:
            raise InputNotFoundError(f"{RESULTS}: holds no figures of {name}; measure again")
        source = next(m for m in methods.values() if m["kind"] == "input")
        mine = methods[name]
        figures[results["name"]] = {
            "psnr_y": round(mine["mean"]["psnr_y"], 4),
            "ssim_y": round(mine["mean"]["ssim_y"], 6),
            "psnr_y_input": round(source["mean"]["psnr_y"], 4),
            "teacher_share": round(mine["teacher_share"], 4),
        }
    return figures


def _card(student: Student, report: dict[str, Any]) -> str:
    spec, shape = student.spec, student.spec.shape
    control = f"{spec.name}-control"
    rows = []
    for results in report["sets"]:
        if results["factor"] not in spec.factors:
            continue
        methods = {m["name"]: m for m in results["methods"]}
        mine = methods[spec.name]
        against = f"{methods[control]['mean']['psnr_y']:.2f}" if control in methods else "-"
        source = next(m for m in methods.values() if m["kind"] == "input")["mean"]
        rows.append(
            f"| {results['name']} | {source['psnr_y']:.2f} | **{mine['mean']['psnr_y']:.2f}** | "
            f"{mine['mean']['ssim_y']:.4f} | {against} | {methods[results['teacher']]['mean']['psnr_y']:.2f} | "
            f"{mine['teacher_share']:.0%} | {mine['mean_psnr_y_to_teacher']:.2f} |"
        )
    return f"""# {spec.name}

*Made by `python benchmarks/ship.py describe`; do not edit.*

| | |
|---|---|
| tier, task, factors | {spec.tier}, {spec.task}, {", ".join(f"x{f:g}" for f in spec.factors)} |
| shape | pixel_unshuffle({shape.unshuffle}), {shape.depth + 2} convolutions 3x3 of {shape.channels} channels, PReLU |
| cost | {shape.parameters:,} parameters, {shape.macs_per_pixel:,.0f} multiply-accumulates per pixel |
| trained on | {spec.data} |
| degradation | {spec.degradation} |
| teacher | {spec.teacher} |
| steps | {spec.steps:,} |
| recipe | [`configs/{spec.name}.toml`](../../configs/{spec.name}.toml), SHA-256 `{spec.config_sha256[:16]}...` |
| activity threshold on video | {spec.threshold} |
| licence | {spec.licence} |

## Measured

PSNR on luma in dB, x2 bicubic, mean over the pictures of each set. The control is the same network on the same data,
with the same seed and steps, and without a teacher. The share is of the teacher's gain over the input.

| set | input | this | SSIM | control | teacher | share | PSNR to the teacher |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Measured {report["date"]} by `{report["command"]}`.

## What it is for, and what not

{_PURPOSE[spec.task].format(factors=" or ".join(f"{f:g}" for f in spec.factors if f > 1))}
"""


if __name__ == "__main__":
    sys.exit(main())
