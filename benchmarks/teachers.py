"""Teachers that were trained here, against their starting point and against bicubic scaling.

    python benchmarks/teachers.py --data FOLDER

FOLDER (or ACUTANCE_DATA) is the data folder. The teacher that knows codecs (training/teachers/LKDN_call_x2), the
published LKDN, and bicubic scaling restore frames of the ladder's x2 rung: H.264 and VP8 at all rates, of validation
and test clips. SRResNet (training/teachers/SRResNet_x2) is measured on validation pictures and Set5, where its target
is 2.8 dB above bicubic. PSNR is that of luma. Writes benchmarks/results/teachers.json and, with --update, the tables of
docs/training.md.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from _calls.ladder import TEST_CLIPS, VAL_CLIPS, Truth, read_truth
from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.cli.exit_codes import exit_code
from acutance.degrade import Yuv420, encode_decode, resize, rgb_from_yuv420
from acutance.errors import AcutanceError, UsageError
from acutance.evaluate.quality import evaluate_set
from acutance.evaluate.restorers import InputRestorer, TeacherRestorer
from acutance.evaluate.table import render
from acutance.luma import luma_from_rgb
from acutance.metrics import psnr
from acutance.training.data.folders import ImageFolder
from acutance.training.models.teachers import Teacher, load_teacher

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "teachers.json"
TRAINED = ROOT / "training" / "teachers"
BEGIN, END = "<!-- teachers:begin -->", "<!-- teachers:end -->"
_FRAMES, _TAKEN = 60, (29, 59)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--part", choices=("calls", "pictures"), help="measure only this, and keep the rest of --out")
    parser.add_argument("--cache", type=Path, help="a folder to keep the teachers' outputs on pictures in")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add_update_option(parser, "training.md")
    options = parser.parse_args(arguments)
    try:
        if not options.from_json:
            if options.data is None:
                raise UsageError("name the data folder with --data or ACUTANCE_DATA")
            known = load_json(options.out) if options.part else {}
            save_json(measure(Path(options.data), options.cache, options.part, known), options.out)
        text = tables(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"teachers: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def measure(data: Path, cache: Path | None, part: str | None, known: dict[str, Any]) -> dict[str, Any]:
    tuned, published = TRAINED / "LKDN_call_x2.safetensors", data / "teachers" / "LKDN_x2.safetensors"
    found: dict[str, Any] = {
        "command": "python benchmarks/teachers.py --data DATA",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": versions_of(("acutance", "numpy", "torch", "av")),
        "calls": known.get("calls", []) if part == "pictures" else [],
        "pictures": known.get("pictures", []) if part == "calls" else [],
    }
    if part != "pictures" and tuned.is_file():
        teachers = {"LKDN_call_x2": load_teacher(tuned), "LKDN_x2": load_teacher(published)}
        for name in (*VAL_CLIPS, *TEST_CLIPS):
            truth = read_truth(data / "clips", name, _FRAMES)
            for factor, codec, kbps in truth.cases():
                if factor == 2 and codec in ("h264", "vp8"):
                    row = {"clip": name, "codec": codec, "kbps": round(kbps, 1)}
                    found["calls"].append(row | _call(truth, codec, kbps, teachers))
                    print(found["calls"][-1], file=sys.stderr, flush=True)
    srresnet = TRAINED / "SRResNet_x2.safetensors"
    if part != "calls" and srresnet.is_file():
        methods = [InputRestorer(), TeacherRestorer(srresnet, cache=cache), TeacherRestorer(published, cache=cache)]
        for folder in ("val/cid22", "test/Set5"):
            result = evaluate_set(ImageFolder(data / folder), methods, name=folder, factor=2.0)
            figures = {m.name: round(m.mean.psnr_y, 3) for m in result.methods}
            found["pictures"].append({"set": folder, **figures})
    return found


def _call(truth: Truth, codec: Any, kbps: float, teachers: dict[str, Teacher]) -> dict[str, float]:
    (width, height), _ = truth.rungs[2.0]
    low = [
        Yuv420(
            resize(f.luma, width, height), resize(f.cb, width // 2, height // 2), resize(f.cr, width // 2, height // 2)
        )
        for f in truth.frames
    ]
    decoded = encode_decode(low, codec=codec, bitrate_kbps=kbps, frame_rate=truth.rate).frames
    figures: dict[str, list[float]] = {"bicubic": [], **{name: [] for name in teachers}}
    for number in _TAKEN:
        if number >= len(decoded):
            continue
        wanted = truth.frames[number].luma
        size = (wanted.shape[1], wanted.shape[0])
        figures["bicubic"].append(psnr(resize(decoded[number].luma, *size), wanted))
        picture = rgb_from_yuv420(decoded[number])
        for name, teacher in teachers.items():
            luma = np.clip(np.rint(luma_from_rgb(teacher.restore(picture))), 0, 255).astype(np.uint8)
            figures[name].append(psnr(luma if luma.shape == wanted.shape else resize(luma, *size), wanted))
    return {name: round(float(np.mean(values)), 3) for name, values in figures.items()}


def tables(report: dict[str, Any]) -> str:
    parts = []
    if report["calls"]:
        rows = []
        for clip in dict.fromkeys(row["clip"] for row in report["calls"]):
            some = [row for row in report["calls"] if row["clip"] == clip]
            bicubic, tuned, published = (
                np.array([row[name] for row in some]) for name in ("bicubic", "LKDN_call_x2", "LKDN_x2")
            )
            rows.append(
                [clip, "val" if clip in VAL_CLIPS else "test", str(len(some)), f"{bicubic.mean():.2f}",
                 f"{(published - bicubic).mean():+.2f} ({(published - bicubic).min():+.2f})",
                 f"{(tuned - bicubic).mean():+.2f} ({(tuned - bicubic).min():+.2f})",
                 f"{int((tuned > np.maximum(bicubic, published)).sum())} of {len(some)}"]
            )  # fmt: skip
        heads = ["clip", "role", "calls", "bicubic, dB", "LKDN_x2", "LKDN_call_x2", "better than both"]
        parts += ["x2 calls, gain over bicubic scaling in dB, mean (worst):", render(heads, rows, markdown=True)]
    if report["pictures"]:
        names = [n for n in report["pictures"][0] if n != "set"]
        rows = [[row["set"], *(f"{row[n]:.2f}" for n in names)] for row in report["pictures"]]
        parts += ["x2 bicubic, PSNR on luma in dB:", render(["set", *names], rows, markdown=True)]
    parts.append(f"Measured {report['date']} by `{report['command']}`.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
