"""The call test: what a call leaves of a clip, and what students and filters give back of it.

    python benchmarks/calls.py --data FOLDER                      every clip, rung and rate: about an hour on two cores
    python benchmarks/calls.py --data FOLDER --factors 2 --codecs h264 --out /tmp/try.json          a part of it
    python benchmarks/calls.py --from-json --update

FOLDER (or ACUTANCE_DATA) holds ``clips``. The clips are compressed themselves, so the truth is a clip scaled down; the
call is the truth scaled down by the rung's factor, encoded, decoded, and scaled up again (bicubic). All figures are of
luma, frame by frame, mean over frames; SSIM and GMSD of every eighth. unsharp and cas have the settings that are best
on the validation clips' calls; their best on each single call stands beside it. A tier (fast, balanced, quality)
chooses its student for each call by itself, as the program does; --oracle tells, for a tier, what the best of its
students would have given. At the middle rates, the change from frame to frame where the truth stands still; with H.264
there, VMAF (NEG), where imageio-ffmpeg is installed. Writes benchmarks/results/calls.json.
"""

import argparse
import multiprocessing
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from _calls import CODECS, TEST_CLIPS, VAL_CLIPS, Call, Luma, Truth, call_of, read_truth
from _calls.filters import CAS_STRENGTHS, UNSHARP_AMOUNTS, cas, unsharp
from _calls.tables import tables
from _calls.vmaf import MODEL, find_ffmpeg, vmaf
from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.choosing.automatic import open_sharpener
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, UsageError
from acutance.frame import Frame
from acutance.metrics import FlickerMeter, gmsd, psnr, ssim
from acutance.students.bundled import bundled_models

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "calls.json"
BEGIN, END = "<!-- calls:begin -->", "<!-- calls:end -->"
_SSIM_EVERY = 8
_CHOSEN_EVERY = 6  # frames of the validation calls that filters are chosen on
_ORACLE_EVERY = 6  # frames of a call that its best student is told from

Method = Callable[[Luma], Luma]


@dataclass(frozen=True)
class Task:
    """One clip, as a process gets it."""

    data: Path
    clip: str
    factors: tuple[float, ...]
    codecs: tuple[str, ...]
    models: tuple[str, ...]
    filters: Mapping[str, float]
    frames: int
    oracle: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if not options.from_json:
            save_json(measure(options), options.out)
        text = tables(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"calls: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--clips", default=",".join(TEST_CLIPS), help="with commas between")
    parser.add_argument("--factors", default="1,1.5,2,3,4", help="with commas between")
    parser.add_argument("--codecs", default=",".join(CODECS), help="with commas between")
    parser.add_argument("--models", default="fast,balanced,quality", help="students, by name or file, commas between")
    parser.add_argument("--oracle", default="fast", help="tiers of which every student is tried on every call")
    parser.add_argument("--frames", type=int, default=120, help="of each clip, from the second second on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="clips at a time")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add_update_option(parser, "benchmarks/calls.md")
    return parser


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Choose the filters on the validation clips, then run every clip."""
    if options.data is None:
        raise UsageError("name the data folder with --data or ACUTANCE_DATA")
    words = {
        name: tuple(w.strip() for w in getattr(options, name).split(",") if w.strip())
        for name in ("clips", "codecs", "models", "oracle")
    }
    factors = tuple(float(f) for f in options.factors.split(","))
    for codec in words["codecs"]:
        if codec not in CODECS:
            raise UsageError(f"unknown codec {codec!r}; known: {', '.join(CODECS)}")

    def task(clip: str, models: tuple[str, ...], filters: Mapping[str, float]) -> Task:
        oracle = words["oracle"] if models else ()
        return Task(Path(options.data), clip, factors, words["codecs"], models, filters, options.frames, oracle)

    with multiprocessing.get_context("spawn").Pool(max(1, options.jobs)) as pool:
        sweeps = pool.map(_sweep, [task(clip, (), {}) for clip in VAL_CLIPS])
        filters = _best_of(sweeps)
        print(f"chosen on {', '.join(VAL_CLIPS)}: {filters}", file=sys.stderr, flush=True)
        rows = []
        for found in pool.imap_unordered(_run, [task(clip, words["models"], filters) for clip in words["clips"]]):
            rows += found
            print(f"{found[0]['clip']}: {len(found)} calls", file=sys.stderr, flush=True)
    order = list(words["clips"])
    rows.sort(key=lambda r: (order.index(r["clip"]), r["factor"], CODECS.index(r["codec"]), r["kbps"]))
    command = ["python", "benchmarks/calls.py", "--data", "DATA"]
    for name in ("clips", "factors", "codecs", "models", "oracle", "frames"):
        if getattr(options, name) != _parser().get_default(name):
            command += [f"--{name}", str(getattr(options, name))]
    return {
        "command": shlex.join(command),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": versions_of(("acutance", "numpy", "av", "pillow")),
        "frames": options.frames,
        "filters": filters,
        "chosen_on": list(VAL_CLIPS),
        "vmaf": MODEL if find_ffmpeg() else None,
        "rows": rows,
    }


# -- choosing filters -------------------------------------------------------------------------------------------------


def _sweep(task: Task) -> dict[str, list[list[float]]]:
    """PSNR of each setting of each filter on each call of a clip, mean over some frames."""
    table: dict[str, list[list[float]]] = {"unsharp": [], "cas": []}
    for call, _ in _calls(task):
        for name, scores in _filter_scores(call, _CHOSEN_EVERY).items():
            table[name].append(scores)
    return table


def _filter_scores(call: Call, every: int) -> dict[str, list[float]]:
    pairs = list(zip(call.shown, call.truth, strict=True))[every // 2 :: every]
    makers: dict[str, list[Method]] = {
        "unsharp": [unsharp(amount) for amount in UNSHARP_AMOUNTS],
        "cas": [cas(strength, pairs[0][0].shape) for strength in CAS_STRENGTHS],
    }
    return {
        name: [float(np.mean([psnr(method(shown), truth) for shown, truth in pairs])) for method in methods]
        for name, methods in makers.items()
    }


def _best_of(sweeps: Sequence[Mapping[str, list[list[float]]]]) -> dict[str, float]:
    settings = {"unsharp": UNSHARP_AMOUNTS, "cas": CAS_STRENGTHS}
    best = {}
    for name, values in settings.items():
        scores = np.concatenate([np.array(sweep[name]) for sweep in sweeps])
        best[name] = values[int(scores.mean(axis=0).argmax())]
    return best


# -- one clip ---------------------------------------------------------------------------------------------------------


def _calls(task: Task) -> Iterator[tuple[Call, bool]]:
    """Every call of a clip, and whether its rate is the middle one."""
    truth: Truth = read_truth(task.data / "clips", task.clip, task.frames)
    for factor, codec, kbps in truth.cases():
        if factor in task.factors and codec in task.codecs:
            yield call_of(truth, factor, codec, kbps), kbps == truth.rungs[factor][1][1]


def _run(task: Task) -> list[dict[str, Any]]:
    sharpeners = {name: open_sharpener(name, threads=1, threshold=0) for name in task.models}
    zoos = {
        tier: {n: open_sharpener(n, threads=1, threshold=0) for n in bundled_models() if n.startswith(f"{tier}-")}
        for tier in task.oracle
    }
    ffmpeg = find_ffmpeg()
    rows = []
    for call, middle in _calls(task):
        outputs: dict[str, Sequence[Luma]] = {"input": call.shown}
        if call.factor > 1:
            outputs["lanczos"] = call.lanczos
        filters = {"unsharp": unsharp(task.filters["unsharp"]), "cas": cas(task.filters["cas"], call.shown[0].shape)}
        outputs |= {name: [method(plane) for plane in call.shown] for name, method in filters.items()}
        chosen = {}
        for name, sharpener in sharpeners.items():
            with sharpener.session() as session:
                outputs[name] = [session.frame(Frame(plane)).luma.astype(np.uint8) for plane in call.shown]
            if session.choices:
                chosen[name] = [c.student or "" for c in session.choices]
        row: dict[str, Any] = {
            "clip": task.clip, "factor": call.factor, "codec": call.codec, "kbps": call.kbps,
            "methods": {name: _figures(planes, call.truth) for name, planes in outputs.items()},
            "psnr_at_best_setting": {k: round(max(v), 4) for k, v in _filter_scores(call, 12).items()},
            "chosen": chosen,
            "zoo": {tier: _each(zoo, call) for tier, zoo in zoos.items()},
        }  # fmt: skip
        if middle:
            still = {name: _tremble(planes, call.truth) for name, planes in outputs.items()}
            row["flicker"] = {n: round(v / still["input"], 4) for n, v in still.items() if n != "input"}
            if ffmpeg and call.codec == "h264":
                shown = {name: planes for name, planes in outputs.items() if name not in filters}
                row["vmaf"] = {
                    name: round(vmaf(ffmpeg, planes, call.truth, rate=call.rate), 2) for name, planes in shown.items()
                }
        rows.append(row)
    return rows


def _figures(planes: Sequence[Luma], truth: Sequence[Luma]) -> dict[str, float]:
    pairs = list(zip(planes, truth, strict=True))
    some = [(out.astype(np.float32), wanted.astype(np.float32)) for out, wanted in pairs[::_SSIM_EVERY]]
    return {
        "psnr": round(float(np.mean([min(psnr(*pair), 100.0) for pair in pairs])), 4),
        "ssim": round(float(np.mean([ssim(*pair) for pair in some])), 6),
        "gmsd": round(float(np.mean([gmsd(*pair) for pair in some])), 6),
    }


def _each(zoo: Mapping[str, Any], call: Call) -> dict[str, float]:
    """PSNR of every student of a tier, and of the input, on some frames."""
    pairs = list(zip(call.shown, call.truth, strict=True))[_ORACLE_EVERY // 2 :: _ORACLE_EVERY]
    out = {"": float(np.mean([psnr(shown, truth) for shown, truth in pairs]))}
    for name, sharpener in zoo.items():
        outputs = [(sharpener.frame(Frame(shown)).luma, truth) for shown, truth in pairs]
        out[name] = float(np.mean([psnr(sharp, truth) for sharp, truth in outputs]))
    return {name: round(value, 4) for name, value in out.items()}


def _tremble(planes: Sequence[Luma], truth: Sequence[Luma]) -> float:
    """Change from frame to frame where the truth stands still: root mean square, in code values."""
    meter = FlickerMeter()
    for out, wanted in zip(planes, truth, strict=True):
        meter.add(out, wanted)
    return meter.result().output


if __name__ == "__main__":
    sys.exit(main())
