"""The call test: what calls leave of clips, and what the program gives back of it.

    python benchmarks/calls.py --data FOLDER --quick              about forty calls: minutes
    python benchmarks/calls.py --data FOLDER --jobs 2             every call of every clip: hours, and resumable
    python benchmarks/calls.py --from-json --update
    python benchmarks/calls.py --sheets FOLDER                    the ten worst calls, to look at

FOLDER (or ACUTANCE_DATA) holds ``clips``. The clips are compressed themselves, so the truth is a clip scaled down to at
most 960 pixels. A call scales the truth down, encodes it, decodes it, and scales it up again; filters, sources, frame
rates, bit rates and codecs vary (_calls/cases.py), and some calls are recordings that were encoded a second time. All
figures are of luma: acutance and coherence of the whole call, PSNR and SSIM per frame, flicker where the truth stands
still, and characters that an OCR reads wrong on pages of text. Figures of clips that nothing is trained on come first.

Methods (--methods, with semicolons between): ``input``; the program with a model, such as ``auto`` or
``soft=auto,strength=0.5``; ``best fast``: the best fixed student of a tier, named by hand for each call;
``NAME=FILE.py:FUNCTION``: a function that gets the shown planes and the call. Every figure is kept under --cache, by
call and by a hash of the method's code and weights, so a run that was stopped goes on where it was.
Writes benchmarks/results/calls.json.
"""

import argparse
import multiprocessing
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _calls.cases import Case, full_plan, quick_plan
from _calls.clips import CLIPS, ROLES
from _calls.measure import Task, measure_clip
from _calls.restorers import DEFAULT
from _calls.sheets import draw_sheets
from _calls.tables import tables
from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, UsageError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "calls.json"
CACHE = ROOT / "build" / "calls"
BEGIN, END = "<!-- calls:begin -->", "<!-- calls:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.sheets is not None:
            for path in draw_sheets(_data(options), load_json(options.out), options.sheets, count=options.worst):
                print(path)
            return 0
        if not options.from_json:
            save_json(measure(options), options.out)
        baseline = load_json(options.baseline) if options.baseline else None
        text = tables(load_json(options.out), baseline)
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"calls: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    add("--quick", action="store_true", help="about forty calls instead of all")
    add("--roles", default=",".join(ROLES), help="of clips, with commas between")
    add("--clips", default="", help="names, with commas between; all where empty")
    add("--factors", default="1,1.5,2,3,4", help="with commas between")
    add("--codecs", default="h264,vp8,vp9,av1,plain", help="with commas between; plain: not encoded")
    add("--methods", default=";".join(DEFAULT), help="with semicolons between")
    add("--students", type=Path, metavar="FOLDER", help="fixed students for `best`, instead of the bundled ones")
    add("--frames", type=int, default=24, help="of each call, from the second second of the clip on")
    add("--cvvdp", metavar="PYTHON", help="measure ColorVideoVDP with this Python")
    add("--vmaf", action="store_true", help="measure VMAF too, where imageio-ffmpeg is installed")
    add("--jobs", type=int, default=1, help="clips at a time")
    add("--cache", type=Path, default=CACHE, help="folder of figures that were measured before")
    add("--out", type=Path, default=RESULTS, help="the JSON file")
    add("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add("--baseline", type=Path, metavar="JSON", help="compare with an earlier result, call by call")
    add_update_option(parser, "benchmarks/calls.md")
    add("--sheets", type=Path, metavar="FOLDER", help="draw the worst calls of --out: input, methods, truth")
    add("--worst", type=int, default=10, help="how many calls are drawn")
    return parser


def _data(options: argparse.Namespace) -> Path:
    if options.data is None:
        raise UsageError("name the data folder with --data or ACUTANCE_DATA")
    return Path(options.data)


def chosen_cases(options: argparse.Namespace) -> list[Case]:
    """Return the calls that the options ask for. Raises UsageError where none is left."""
    roles, clips, codecs = (
        {w.strip() for w in getattr(options, name).split(",") if w.strip()} for name in ("roles", "clips", "codecs")
    )
    known = {clip.name: clip for clip in CLIPS}
    if unknown := sorted(clips - set(known)):
        raise UsageError(f"unknown clip {unknown[0]!r}; known: {', '.join(known)}")
    factors = {float(f) for f in options.factors.split(",")}
    cases = [
        case
        for case in (quick_plan() if options.quick else full_plan())
        if case.factor in factors
        and (case.codec or "plain") in codecs
        and known[case.clip].role in roles
        and (not clips or case.clip in clips)
    ]
    if not cases:
        raise UsageError("no call is left: see --roles, --clips, --factors and --codecs")
    return cases


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every call that the options ask for, clip by clip."""
    data, cases = _data(options), chosen_cases(options)
    methods = tuple(text.strip() for text in options.methods.split(";") if text.strip())
    tasks = [
        Task(
            data,
            clip,
            tuple(case for case in cases if case.clip == clip),
            methods,
            options.students,
            options.frames,
            options.cache,
            options.cvvdp,
            options.vmaf,
        )
        for clip in dict.fromkeys(case.clip for case in cases)
    ]
    rows: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(max(1, min(options.jobs, len(tasks)))) as pool:
        for found in pool.imap_unordered(measure_clip, tasks):
            rows += found
            print(f"{len(rows)} of {len(cases)} calls", file=sys.stderr, flush=True)
    order = {case.key: number for number, case in enumerate(cases)}
    rows.sort(key=lambda row: (ROLES.index(row["role"]), row["factor"], order[row["key"]]))
    return {
        "command": _command(options),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": versions_of(("acutance", "numpy", "av", "pillow")),
        "frames": options.frames,
        "methods": list(rows[0]["methods"]),
        "rows": rows,
    }


def _command(options: argparse.Namespace) -> str:
    command, parser = ["python", "benchmarks/calls.py", "--data", "DATA"], _parser()
    for name in ("quick", "vmaf"):
        if getattr(options, name):
            command.append(f"--{name}")
    for name in ("roles", "clips", "factors", "codecs", "methods", "frames"):
        if getattr(options, name) != parser.get_default(name):
            command += [f"--{name}", str(getattr(options, name))]
    if options.cvvdp:
        command += ["--cvvdp", "PYTHON"]
    return shlex.join(command)


if __name__ == "__main__":
    sys.exit(main())
