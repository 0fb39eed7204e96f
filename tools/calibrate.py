"""The activity threshold each bundled student has by default: the highest that costs a call next to nothing.

    python tools/calibrate.py --data FOLDER             measures, writes benchmarks/results/thresholds.json
    python tools/calibrate.py --data FOLDER --write     also puts the thresholds into the bundled weight files

FOLDER (or ACUTANCE_DATA) holds ``clips`` and ``val/clic2025``. Content is what a student is for: the validation clips
as its first factor's rung of the call test leaves them (H.264, middle rate), and, for students of the task clean, the
stills scaled down and up by it. Each runs through a session with one threshold after the other, as a file job would,
until PSNR on luma, mean over frames, has lost more than it may. The
least of what the contents allow is the student's threshold. A call is to lose no more than 0.02 dB; what is allowed
here is less, since other calls are other content. Stills, which stand for video without compression, may lose 0.05 dB.
New weights bring no threshold: run this after
``tools/ship.py take``.
"""

import argparse
import hashlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import _benchmarks  # noqa: F401
from _results import save_json, versions_of
from _speed.clips import Luma, call_rung, rung_rates
from _speed.seams import SeamMeter
from _speed.setting import VAL_CLIPS, Setting, clip_path, threads_here
from acutance._util.machine import processor_name
from acutance.cli.exit_codes import exit_code
from acutance.degrade import crop_to_multiple, down_up, resize, yuv420_from_rgb
from acutance.engine import Engine, TileCounts, TileOptions, open_engine
from acutance.engine.tiles import tile_side
from acutance.errors import AcutanceError, UsageError
from acutance.metrics import psnr
from acutance.students.bundled import bundled_models
from acutance.students.spec import Student, load_student, save_student
from acutance.training.data.folders import ImageFolder

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "thresholds.json"
LIMIT_DB = 0.02
CALIBRATED_TO_DB = 0.015
STILLS_MAY_LOSE_DB = 0.05  # detail without compression has more to gain than a call has
STILLS = "val/clic2025"
_SEAMS_ON = VAL_CLIPS[0]
_FRAMES = 120
_HIGHEST = 64  # beyond that next to nothing is computed; content that a student makes worse allows any threshold


@dataclass(frozen=True)
class Content:
    """What is shown and what it should look like, luma in step. moving: the frames follow each other in time."""

    name: str
    truth: list[Luma]
    shown: list[Luma]
    moving: bool


@dataclass(frozen=True)
class Trial:
    """What one threshold costs on one content. loss_db: PSNR without it less PSNR with it, mean over frames."""

    threshold: int
    loss_db: float
    passed_share: float


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        report = calibrate(options)
        save_json(report, options.out)
        print(f"wrote {options.out}")
        for name, result in report["students"].items():
            print(f"{name}: {result['threshold']}")
            if options.write:
                write_threshold(bundled_models()[name], result["threshold"])
    except AcutanceError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--models", nargs="*", metavar="NAME", help="bundled students; all where not given")
    parser.add_argument("--frames", type=int, default=_FRAMES, help="of each clip")
    parser.add_argument("--stills", type=int, metavar="COUNT", help="no more than so many, for a quick look")
    parser.add_argument("--threads", type=int, default=threads_here(), help="of the engine")
    parser.add_argument("--engine", default="native", help="native, or its slow twin numpy: the figures are the same")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file (benchmarks/results/thresholds.json)")
    parser.add_argument("--write", action="store_true", help="put the thresholds into the bundled files' metadata")
    return parser


def calibrate(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything; returns what goes into the JSON file. Raises UsageError, InputNotFoundError."""
    for name in ("frames", "threads", "stills"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1, not {getattr(options, name)}")
    names = list(bundled_models()) if options.models is None else options.models
    unknown = [name for name in names if name not in bundled_models()]
    if unknown or not names:
        raise UsageError(f"no bundled student is called {', '.join(unknown) or 'nothing'}")
    setting = Setting(data=None if options.data is None else Path(options.data))
    shown = {name: load_student(bundled_models()[name]) for name in names}
    students, frames = {}, {}
    for factor in sorted({first_factor(student) for student in shown.values()}):
        moving = list(clips(setting, options.frames, factor))
        tasks = {"call": moving, "clean": moving}
        of_factor = {name: student for name, student in shown.items() if first_factor(student) == factor}
        if any(student.spec.task != "call" for student in of_factor.values()):
            tasks["clean"] = [*moving, stills(setting.folder / STILLS, options.stills, factor)]
        for name, student in of_factor.items():
            engine = open_engine(student, options.engine, threads=options.threads)
            students[name] = _student_report(student, engine, tasks.get(student.spec.task, tasks["clean"]))
        frames |= {content.name: len(content.shown) for content in tasks["clean"]}
    return {
        "command": _command(options),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{processor_name()}, {os.cpu_count()} cores",
        "versions": versions_of(("acutance", "numpy", "av", "pillow")),
        "limit_db": LIMIT_DB,
        "calibrated_to_db": CALIBRATED_TO_DB,
        "frames": frames,
        "students": {name: students[name] for name in names},
    }


def _student_report(student: Student, engine: Engine, contents: Sequence[Content]) -> dict[str, Any]:
    trials = {}
    for content in contents:
        most = _most(content)
        trials[content.name] = list(try_thresholds(engine, content, most))
        last = trials[content.name][-1]
        print(
            f"{student.spec.name}, {content.name}: {allowed(trials[content.name], most)} "
            f"({last.threshold} loses {last.loss_db:.4f} dB and passes {last.passed_share:.0%})",
            file=sys.stderr,
            flush=True,
        )
    limits = {content.name: _most(content) for content in contents}
    threshold = min(allowed(made, limits[name]) for name, made in trials.items())
    return {
        "threshold": threshold,
        "weights_sha256": _digest(student),
        "contents": [
            {
                "clip": name,
                "may_lose_db": limits[name],
                "allows": allowed(made, limits[name]),
                "loss_db": round(made[threshold].loss_db, 5),
                "passed_share": round(made[threshold].passed_share, 4),
                "columns": ["threshold", "loss_db", "passed_share"],
                "trials": [[t.threshold, round(t.loss_db, 5), round(t.passed_share, 4)] for t in made],
            }
            for name, made in trials.items()
        ],
        "seams": _seams(student, engine, threshold, next(c for c in contents if c.name == _SEAMS_ON)),
    }


def _most(content: Content) -> float:
    return CALIBRATED_TO_DB if content.moving else STILLS_MAY_LOSE_DB


# -- content --------------------------------------------------------------------------------------------------------


def first_factor(student: Student) -> float:
    """That a student is calibrated at."""
    return min(student.spec.factors, default=2.0)


def clips(setting: Setting, frames: int, factor: float) -> Iterator[Content]:
    """The validation clips as calls bring them: the factor's rung, H.264 at the middle rate."""
    for name in VAL_CLIPS:
        path = clip_path(setting, name)
        (rung,) = call_rung(path, (rung_rates(path)[1],), frames, factor)
        yield Content(name, rung.truth, rung.shown, moving=True)


def stills(folder: Path, limit: int | None, factor: float) -> Content:
    """Pictures that fit into 1920x1080 (upright ones into 1080x1920), luma scaled down and up by the factor.

    limit: no more than so many. Raises InputNotFoundError where there are none.
    """
    truth = []
    for picture in ImageFolder(folder)[:limit]:
        rgb = picture.load()
        height, width = rgb.shape[:2]
        long_side, short_side = max(height, width), min(height, width)
        share = min(1.0, 1920 / long_side, 1080 / short_side)
        luma = yuv420_from_rgb(resize(rgb, round(width * share), round(height * share))).luma
        truth.append(crop_to_multiple(luma, 4 if factor == 2 else 12))
    return Content(STILLS, truth, [down_up(luma, factor).same_size for luma in truth], moving=False)


# -- thresholds -----------------------------------------------------------------------------------------------------


def try_thresholds(engine: Engine, content: Content, most_db: float) -> Iterator[Trial]:
    """One threshold after the other from 0, up to and with the first that loses more than ``most_db``."""
    whole = [psnr(engine.process(s), t) for s, t in zip(content.shown, content.truth, strict=True)]
    for threshold in count():
        trial = _try(engine, content, threshold, whole)
        yield trial
        if trial.loss_db > most_db or threshold == _HIGHEST:
            return


def allowed(trials: Sequence[Trial], most_db: float) -> int:
    """The highest threshold up to which none loses more."""
    return max(t.threshold for t in trials if t.loss_db <= most_db)


def _try(engine: Engine, content: Content, threshold: int, whole: Sequence[float]) -> Trial:
    losses, total = [], TileCounts()
    with engine.session(TileOptions(threshold=threshold)) as session:
        for shown, truth, best in zip(content.shown, content.truth, whole, strict=True):
            losses.append(best - psnr(session.process(shown), truth))
            total += session.counts
            if not content.moving:
                session.reset()
    return Trial(threshold, float(np.mean(losses)), total.passed / total.tiles)


def _seams(student: Student, engine: Engine, threshold: int, content: Content) -> dict[str, Any]:
    """Mean step across the borders of computed and passed tiles, and at the same places with all computed."""
    meter = SeamMeter(tile_side(student.spec.shape.unshuffle))
    with engine.session(TileOptions(threshold=threshold)) as session:
        for shown in content.shown:
            meter.add(shown, np.asarray(session.process(shown), np.uint8), np.asarray(engine.process(shown), np.uint8))
    steps = max(1, meter.steps)
    return {
        "clip": content.name,
        "border_samples": meter.steps,
        "step_with_threshold": round(meter.tiled / steps, 5),
        "step_all_computed": round(meter.untiled / steps, 5),
        "deviation_percent": None if meter.deviation is None else round(meter.deviation, 4),
    }


# -- files ----------------------------------------------------------------------------------------------------------


def write_threshold(path: Path, threshold: int) -> None:
    """Put a threshold into a student's file; all else of it stays."""
    student = load_student(path)
    save_student(replace(student, spec=replace(student.spec, threshold=threshold)), path)
    path.chmod(0o644)


def _digest(student: Student) -> str:
    """The hash of a student's weights that quality.json has too: figures belong to exactly these."""
    digest = hashlib.sha256()
    for name, tensor in sorted(student.tensors().items()):
        digest.update(name.encode() + tensor.tobytes())
    return digest.hexdigest()


def _command(options: argparse.Namespace) -> str:
    """What makes these figures again. Where files lie on this machine is left out, as it changes nothing."""
    words = ["python", "tools/calibrate.py", "--data", "DATA"]
    if options.models is not None:
        words += ["--models", *options.models]
    if options.frames != _FRAMES:
        words += ["--frames", str(options.frames)]
    if options.stills is not None:
        words += ["--stills", str(options.stills)]
    return shlex.join([*words, "--write"] if options.write else words)


if __name__ == "__main__":
    sys.exit(main())
