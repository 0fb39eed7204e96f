"""From training runs to what ships: weight files, their metadata, and a card for each.

    python tools/ship.py take RUNS      copies RUNS/<name>/student.safetensors into the package, and the controls
                                             (RUNS/<name>-control) to training/controls
    python tools/ship.py looks RUNS TIER  makes a conditioned student of the checkpoints of two runs, RUNS/TIER (its
                                             faithful look) and RUNS/TIER-natural
    python tools/ship.py describe       writes the figures of benchmarks/results/quality.json into the bundled
                                             files' metadata and into docs/models/<name>.md

Between the two, ``python benchmarks/quality.py`` measures, and ``python tools/calibrate.py --write`` gives each
file its activity threshold.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, InputNotFoundError
from acutance.students.bundled import bundled_models
from acutance.students.spec import METADATA_KEY, Student, StudentSpec, load_student, save_student
from acutance.training.distill.options import load_config

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "src" / "acutance" / "students" / "weights"
CONTROLS = ROOT / "training" / "controls"
CARDS = ROOT / "docs" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"


_PURPOSE = {
    "clean": """Pictures and video that were scaled up by {factors} with a bicubic filter. It knows no compression: on a
stream of few bits it also sharpens what the encoder left behind. On sharp pictures it does harm, since fine detail at
full contrast is beyond anything it has seen: `auto` and the tiers' names choose it only where it fits.""",
    "call": """Video that came through an encoder (H.264, VP8, VP9, AV1) at the rates of calls, {how};
`benchmarks/calls.py` measures it on those. On pictures that are blurred and not compressed, as in the table, the
`clean` students give more. On what was scaled by another factor it does harm: `auto` and the tiers' names choose it
only where it fits.""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    take_parser = verbs.add_parser("take")
    take_parser.add_argument("runs", type=Path)
    looks_parser = verbs.add_parser("looks")
    looks_parser.add_argument("runs", type=Path)
    looks_parser.add_argument("tier")
    verbs.add_parser("describe")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "take":
            lines = take(options.runs)
        elif options.verb == "looks":
            lines = looks(options.runs, options.tier)
        else:
            lines = describe()
        for line in lines:
            print(line)
    except AcutanceError as error:
        print(error, file=sys.stderr)
        return exit_code(error)
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


def looks(runs: Path, tier: str) -> Iterator[str]:
    """Join the two looks of a conditioned student into the file that ships."""
    import torch

    from acutance.training.distill.conditioned_options import load_conditioned_config
    from acutance.training.models.conditioned import ConditionedNet, write_conditioned

    options = load_conditioned_config(ROOT / "configs" / f"{tier}.toml")
    networks, steps = [], 0
    for name in (tier, f"{tier}-natural"):
        path = runs / name / "last.pt"
        if not path.is_file():
            raise InputNotFoundError(f"{path}: no such checkpoint; train configs/{name}.toml first")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        network = ConditionedNet(options.shape, sets=options.student.sets, hidden=options.student.hidden)
        network.load_state_dict(checkpoint["average"])
        networks.append(network.eval())
        steps += int(checkpoint["step"])
    spec = StudentSpec(
        name=tier,
        tier=tier,
        task="auto",
        factors=(1.0, 1.5, 2.0, 3.0, 4.0),
        shape=options.shape,
        degradation="calls of every factor, filter, codec and rate (training/data/call_recipes.py)",
        data=", ".join((*options.calls.pictures, *options.calls.clips)),
        teacher=", ".join(Path(str(name)).stem for name in options.teachers.values()),
        config_sha256=options.sha256,
        steps=steps,
    )
    folder = WEIGHTS / "conditioned"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{tier}.safetensors"
    write_conditioned(*networks, path, metadata={METADATA_KEY: spec.to_json()})
    yield f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes, {steps:,} steps"


def describe() -> Iterator[str]:
    """Write measured figures into metadata and cards."""
    if not RESULTS.is_file():
        raise InputNotFoundError(f"{RESULTS}: no results yet; run benchmarks/quality.py first")
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    CARDS.mkdir(parents=True, exist_ok=True)
    for name, path in bundled_models().items():
        student = load_student(path)
        figures = _figures(report, student.spec)
        student = replace(student, spec=replace(student.spec, quality=figures))
        save_student(student, path)
        (CARDS / f"{name}.md").write_text(_card(student, report), encoding="utf-8")
        yield f"{name}: Set5 {figures['Set5']['psnr_y']:.2f} dB" if figures else f"{name}: for calls of full size alone"


def _results(report: dict[str, Any], spec: StudentSpec) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, results, methods by name) of every set at a factor that the student is for, its first factor first. A set
    at another than the first is named with its factor."""
    order = sorted(spec.factors)
    for results in sorted(report["sets"], key=lambda r: r["factor"]):
        if results["factor"] in order:
            methods = {m["name"]: m for m in results["methods"]}
            if spec.name not in methods:
                raise InputNotFoundError(f"{RESULTS}: holds no figures of {spec.name}; measure again")
            first = results["factor"] == min(f for f in order if f > 1)
            yield results["name"] + ("" if first else f" x{results['factor']:g}"), results, methods


def _figures(report: dict[str, Any], spec: StudentSpec) -> dict[str, dict[str, float]]:
    """By set: PSNR and SSIM on luma, of the input too, and the share of the teacher's gain where there is one."""
    figures = {}
    for name, _, methods in _results(report, spec):
        source = next(m for m in methods.values() if m["kind"] == "input")
        mine = methods[spec.name]
        figures[name] = {
            "psnr_y": round(mine["mean"]["psnr_y"], 4),
            "ssim_y": round(mine["mean"]["ssim_y"], 6),
            "psnr_y_input": round(source["mean"]["psnr_y"], 4),
        }
        if mine["teacher_share"] is not None:
            figures[name]["teacher_share"] = round(mine["teacher_share"], 4)
    return figures


def _card(student: Student, report: dict[str, Any]) -> str:
    spec, shape = student.spec, student.spec.shape
    control = f"{spec.name}-control"
    rows = []
    for name, results, methods in _results(report, spec):
        mine = methods[spec.name]
        against = f"{methods[control]['mean']['psnr_y']:.2f}" if control in methods else "–"
        source = next(m for m in methods.values() if m["kind"] == "input")["mean"]
        teacher = methods.get(results["teacher"] or "")
        rows.append(
            f"| {name} | {source['psnr_y']:.2f} | **{mine['mean']['psnr_y']:.2f}** | "
            f"{mine['mean']['ssim_y']:.4f} | {against} | "
            + (f"{teacher['mean']['psnr_y']:.2f} | {mine['teacher_share']:.0%}" if teacher else "– | –")
            + (f" | {mine['mean_psnr_y_to_teacher']:.2f} |" if teacher else " | – |")
        )
    if not rows:
        rows = ["| – | – | – | – | – | – | – | – |"]
    return f"""# {spec.name}

*Made by `python tools/ship.py describe`; do not edit.*

| | |
|---|---|
| tier, task, factors | {spec.tier}, {spec.task}, {", ".join(f"x{f:g}" for f in spec.factors)} |
| shape | pixel_unshuffle({shape.unshuffle}), {shape.depth + 2} convolutions 3x3 of {shape.channels} channels, PReLU |
| cost | {shape.parameters:,} parameters, {shape.macs_per_pixel:,.0f} multiply-accumulates per pixel |
| trained on | {spec.data} |
| degradation | {spec.degradation} |
| teacher | {spec.teacher or "none: it learned from the truth alone"} |
| steps | {spec.steps:,} |
| recipe | `configs/{spec.name}.toml`, SHA-256 `{spec.config_sha256[:16]}...` |
| activity threshold on video | {spec.threshold} |
| licence | {spec.licence} |

## Measured

PSNR on luma in dB, mean over the pictures of each set, scaled down and up (bicubic) by what the student is for, and not
compressed. The control is the same network on the same data, with the same seed and steps, and without a teacher. The
share is of the gain of LKDN, the teacher for that factor, over the input.

| set | input | this | SSIM | control | teacher | share | PSNR to the teacher |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Measured {report["date"]} by `{report["command"]}`.

## What it is for, and what not

{_purpose(spec)}
"""


def _purpose(spec: StudentSpec) -> str:
    factors = " or ".join(f"{f:g}" for f in spec.factors if f > 1)
    how = f"and was scaled up by {factors}" if factors else "at its own size"
    return _PURPOSE[spec.task].format(factors=factors, how=how)


if __name__ == "__main__":
    sys.exit(main())
