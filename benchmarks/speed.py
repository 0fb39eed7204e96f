"""Speed of the students beside other runtimes, other networks and FFmpeg's filters, and the savings of tiles.

    python benchmarks/speed.py --data FOLDER                           measures everything: about half an hour, idle
    python benchmarks/speed.py --data FOLDER --only floors,filters     measures these again and keeps the rest
    python benchmarks/speed.py --from-json --update                    only rewrites the tables and the picture
    python benchmarks/speed.py --data FOLDER --engine onnxruntime --size 320x180 --frames 40 --out /tmp/try.json

FOLDER (or ACUTANCE_DATA) holds ``clips``, ``peers`` and ``test/Set5``. Writes benchmarks/results/speed.json section by
section. Contenders take turns, block of frames by block of frames, in one process. Beside every figure stand the int16
peak, measured between the turns, and the time that the hypervisor and other processes took. Targets are for AVX2: on a
processor with more, our engine and OpenVINO are limited to it (``--instruction-set``); ONNX Runtime, ncnn and FFmpeg
use what they find. OpenVINO, NNCF, ncnn and FFmpeg are optional: what is missing is named. Smaller sizes, other engines
and fewer frames serve to try things out, and go into another file.
"""

import argparse
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _results import add_update_option, load_json, save_json, update_between, versions_of
from _speed import calls, files, peers, rates, seams
from _speed.picture import draw
from _speed.setting import TARGET_SET, Section, Setting, threads_here
from _speed.tables import tables, targets_table
from acutance._util.machine import processor_name
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, UsageError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"
PICTURE = ROOT / "docs" / "pictures" / "quality-speed.png"
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"

SECTIONS: dict[str, Callable[[Setting, Section], None]] = {
    "floors": rates.floors,
    "sets": rates.sets,
    "runtimes": rates.runtimes,
    "peers": peers.peers,
    "teachers": peers.teachers,
    "filters": calls.filters,
    "threshold": calls.threshold,
    "reuse": calls.reuse,
    "seams": seams.seams,
    "job": files.job,
    "memory": files.memory,
    "sweep": calls.sweep,
}
_ON_REQUEST = ("sweep",)
_PACKAGES = ("acutance", "numpy", "av", "pillow", "openvino", "nncf", "onnxruntime", "onnx", "ncnn")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if not options.from_json:
            _hold_to(options.instruction_set)
            measure(options)
        report = load_json(options.out)
        text = tables(report)
        print(text)
        if options.picture is not None:
            draw(report, options.picture)
            print(f"drew {options.picture}")
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
            print(f"updated {options.update}")
    except AcutanceError as error:
        print(f"speed: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--only", help=f"sections, with commas between: {', '.join(SECTIONS)}; all but sweep otherwise")
    parser.add_argument("--frames", type=int, default=Setting.frames, help="of the floors")
    parser.add_argument("--clip-frames", type=int, default=Setting.clip_frames, help="of each clip")
    parser.add_argument("--rounds", type=int, default=Setting.rounds, help="of the comparisons with other runtimes")
    parser.add_argument("--threads", type=int, default=threads_here(), help="of everything that is compared")
    parser.add_argument("--threshold", type=int, help="where it is on; each student's own where not given")
    parser.add_argument("--engine", default=Setting.engine, help="the engine that is ours")
    parser.add_argument(
        "--instruction-set",
        default=TARGET_SET,
        help="what our code and OpenVINO are held to, as the targets are about it; '' for the best there is",
    )
    parser.add_argument("--size", default="1920x1080", help="instead of 1080p")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file (benchmarks/results/speed.json)")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make tables and picture from --out")
    add_update_option(parser, "benchmarks/speed.md")
    parser.add_argument(
        "--picture", type=Path, nargs="?", const=PICTURE, metavar="PNG", help="draw quality against speed"
    )
    return parser


# -- measuring ------------------------------------------------------------------------------------------------------


def measure(options: argparse.Namespace) -> None:
    """Run the sections and write each to the file as soon as it is done."""
    setting = _setting(options)
    names = _names(options.only)
    out = options.out.resolve()
    if out == RESULTS and not setting.as_asked:
        tried = f"{setting.engine} at {options.size} on {setting.threads} threads"
        raise UsageError(f"{tried} is for trying out, not for the record: name another file with --out")
    for name in names:
        print(f"== {name}", file=sys.stderr, flush=True)
        section, started = Section(name, setting), time.monotonic()
        SECTIONS[name](setting, section)
        result = {
            "command": _command(options, name),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            "seconds": round(time.monotonic() - started, 1),
            "load_average": round(os.getloadavg()[0], 2),
            "engine": setting.engine,
            "instruction_set": setting.instruction_set,
            "threads": setting.threads,
            "size": list(setting.size),
            **section.to_dict(),
        }
        report = load_json(out) if out.is_file() else {"sections": {}}
        report |= {
            "command": _command(options, None),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": f"{processor_name()}, {os.cpu_count()} cores",
            "versions": versions_of(_PACKAGES),
        }
        kept = report["sections"] | {name: _plain(result)}
        report["sections"] = {n: kept[n] for n in SECTIONS if n in kept}
        save_json(report, out)
        print(targets_table({name: report["sections"][name]}), file=sys.stderr, flush=True)


def _setting(options: argparse.Namespace) -> Setting:
    width, cross, height = options.size.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) % 4 == 0 and int(height) % 4 == 0):
        raise UsageError(f"--size is WIDTHxHEIGHT, multiples of 4, not {options.size!r}")
    for name in ("frames", "clip_frames", "rounds", "threads"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    return Setting(
        data=None if options.data is None else Path(options.data),
        engine=options.engine,
        instruction_set=options.instruction_set,
        threads=options.threads,
        size=(int(width), int(height)),
        frames=options.frames,
        clip_frames=options.clip_frames,
        threshold=options.threshold,
        rounds=options.rounds,
    )


def _hold_to(instruction_set: str) -> None:
    """Limit the instruction set of our engine, the peak and oneDNN (of OpenVINO) before anything is loaded."""
    if instruction_set:
        os.environ["ACUTANCE_INSTRUCTION_SET"] = instruction_set
        os.environ["ONEDNN_MAX_CPU_ISA"] = instruction_set.upper()


def _names(only: str | None) -> list[str]:
    if only is None:
        return [name for name in SECTIONS if name not in _ON_REQUEST]
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise UsageError(f"unknown section {', '.join(unknown) or only!r}; known: {', '.join(SECTIONS)}")
    return names


def _command(options: argparse.Namespace, section: str | None) -> str:
    """Return the command that measures this. Paths of this machine are left out, because they change nothing."""
    words = ["python", "benchmarks/speed.py", "--data", "DATA"]
    if section is not None:
        words += ["--only", section]
    defaults = _parser().parse_args([])
    for name in ("frames", "clip_frames", "rounds", "threads", "threshold", "engine", "instruction_set", "size"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _plain(value: Any) -> Any:
    """Return a value that fits JSON: six digits, None for what is not a number."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    sys.exit(main())
