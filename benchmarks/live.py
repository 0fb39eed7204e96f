"""Live jobs: whether 1080p is sharpened in time, at which latency and cost, alone and beside a process on one core.

    python benchmarks/live.py --data FOLDER                            a quarter of an hour, on an idle machine
    python benchmarks/live.py --from-json --update

FOLDER (or ACUTANCE_DATA) is the data folder. Test clips as calls bring them (960x540, H.264 at 800 kbit/s, scaled up to
1080p) are written to files and played at their own rate, like cameras. Each case is a job in a process of its own, with
a sink that shows nothing, or with a real window under Xvfb. The same job runs before without sharpening, and its cost
is subtracted. Writes benchmarks/results/live.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from _results import add_update_option, load_json, save_json, update_between, versions_of
from _speed.clips import timing_clip
from _speed.setting import Setting, clip_path
from acutance._util.av import av
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError, UsageError
from acutance.evaluate.table import render
from acutance.frame import Frame
from acutance.io._frames import picture_of

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "live.json"
TRACES = ROOT / "tests" / "live_traces.json"
BEGIN, END = "<!-- live:begin -->", "<!-- live:end -->"
_FRAMES = 300
_TRACE_FRAMES = 240
_LOST = 0.4  # at least so much of what an idle run computes is computed beside a process that takes a core


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        clip: Clip that is played.
        rate: Its frames per second.
        model: As for ``acutance live``.
        threshold: As for ``acutance live``.
        window: Whether a real window is open.
        load: Cores that another process takes.
        seconds: Duration.
    """

    name: str
    clip: str
    rate: float
    model: str
    threshold: int | None = None
    window: bool = False
    load: int = 0
    seconds: float = 15.0
    off: bool = False


CASES = (
    Case("1080p30, balanced", "mixkit_call_720p", 30, "balanced"),
    Case("1080p60, fast", "latentsync_demo1_1080x1920", 60, "auto"),
    Case("1080p60, fast, everything computed", "latentsync_demo1_1080x1920", 60, "auto", threshold=0),
    Case("1080p30, balanced, in a window", "mixkit_call_720p", 30, "balanced", window=True),
    Case("1080p60, fast, in a window", "latentsync_demo1_1080x1920", 60, "auto", window=True),
    Case("1080p30, balanced, another process on one core", "mixkit_call_720p", 30, "balanced", load=1),
    Case("1080p60, fast, another process on one core", "latentsync_demo1_1080x1920", 60, "auto", load=1),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("ACUTANCE_DATA"), help="the data folder")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each job")
    parser.add_argument("--traces", action="store_true", help="also record the traces that the controller's tests play")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a case as JSON: what a process of its own runs
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the table from --out")
    add_update_option(parser, "benchmarks/live.md")
    options = parser.parse_args(arguments)
    try:
        if options.one:
            print(json.dumps(_run(json.loads(options.one))))
            return 0
        if not options.from_json:
            if options.data is None:
                raise UsageError("name the data folder with --data or ACUTANCE_DATA")
            save_json(measure(Path(options.data), options.seconds, traces=options.traces), options.out)
        text = tables(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"live: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def measure(data: Path, seconds: float, *, traces: bool) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        most = {name: seconds * max(c.rate for c in CASES if c.clip == name) for name in {c.clip for c in CASES}}
        files = {name: _played(data, name, Path(folder), int(frames) + 60) for name, frames in sorted(most.items())}
        for case in CASES:
            if case.window and shutil.which("Xvfb") is None:
                continue
            case = replace(case, seconds=seconds)
            with _busy(case.load):
                through, found = (_apart(replace(case, off=off), files[case.clip]) for off in (True, False))
            rows.append({"case": case.name, "rate": case.rate, "window": case.window, "load": case.load,
                         "passed_through": through, "sharpened": found})  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
        if traces:
            _record(files)
    return {
        "command": "python benchmarks/live.py --data DATA",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "versions": versions_of(("acutance", "numpy", "av", "pysdl2", "pysdl2-dll")),
        "rows": rows,
    }


def _played(data: Path, name: str, folder: Path, frames: int) -> Path:
    """Return the clip as a call brings it, repeated, in a file that is quick to decode.

    To open a file takes longer than a frame, and no camera does that during a call.
    """
    clip = timing_clip(clip_path(Setting(data), name), (1920, 1080), _FRAMES)
    path = folder / f"{name}.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=round(clip.rate), options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *clip.size, "yuv420p"
        for number, planes in enumerate(islice(cycle(clip.frames), frames)):
            picture = picture_of(Frame(planes.luma, (planes.cb, planes.cr)))
            picture.pts = number
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    timing_clip.cache_clear()
    return path


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """Run so many processes that only take time."""
    code = "while True: sum(range(1000))"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _apart(case: Case, path: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", json.dumps({**case.__dict__, "path": str(path)})]
    if case.window:
        command = ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{case.name}: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(case: dict[str, Any]) -> dict[str, Any]:
    import threading

    from acutance.io.null import NullSink
    from acutance.io.paced import PacedFile
    from acutance.io.window import Window
    from acutance.live import LiveJob
    from acutance.live.stage import Stage

    stage = Stage(case["model"], threshold=case["threshold"])
    stage.enabled = not case["off"]
    sink = Window() if case["window"] else NullSink()
    job = LiveJob(PacedFile(case["path"], rate=case["rate"], loop=True), [sink], stage, cores=os.cpu_count() or 1)
    timer = threading.Timer(case["seconds"], job.stop)
    timer.start()
    report = job.run()
    timer.cancel()
    shown = report.sinks[sink.name]
    tiles = report.tiles
    return {
        "seconds": round(report.seconds, 2),
        "captured": report.captured,
        "shown": shown.shown,
        "dropped": shown.dropped,
        "fps": round(shown.shown / report.seconds, 2),
        "latency_ms": [round(1000 * value, 1) for value in shown.latency],
        "work_ms": [round(1000 * value, 1) for value in report.work],
        "computed": round(tiles.computed / max(1, tiles.tiles), 4),
        "computed_per_second": round(tiles.computed / report.seconds),
        "reused": round(tiles.reused / max(1, tiles.tiles), 4),
        "processors": round(report.cpu, 2),
        "resident_mb": _peak_resident(),
        "changes": [[when, text] for when, text in report.changes[:40]],
    }


def _peak_resident() -> int:
    """Return megabytes of this process alone; ``getrusage`` may return the parent's."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def _record(files: dict[str, Path]) -> None:
    """Return the time of frames with every tile computed, alone and beside a process on one core."""
    from acutance.io import VideoReader
    from acutance.live.stage import Stage

    traces = {}
    for label, load in (("idle", 0), ("loaded", 1)):
        for name, model, rate in (("fast60", "auto", 60), ("balanced30", "balanced", 30)):
            stage = Stage(model)
            taken = []
            path = files["latentsync_demo1_1080x1920" if rate == 60 else "mixkit_call_720p"]
            with _busy(load), VideoReader(path) as reader:
                for frame in reader:
                    started = time.perf_counter()
                    stage.process(frame)
                    seconds = time.perf_counter() - started
                    counts = stage.counts
                    active = (counts.computed + counts.reused) / max(1, counts.tiles)
                    taken.append([round(seconds, 5), round(active, 4)])
                    time.sleep(max(0.0, 1 / rate - seconds))
                    if len(taken) == _TRACE_FRAMES:
                        break
            traces[f"{label} {name}"] = {"interval": 1 / rate, "cost": stage.cost, "frames": taken}
            stage.close()
    TRACES.write_text(json.dumps(traces) + "\n", encoding="utf-8")


def tables(report: dict[str, Any]) -> str:
    rows = []
    idle = {row["case"]: row["sharpened"] for row in report["rows"]}
    for row in report["rows"]:
        found, through = row["sharpened"], row["passed_through"]
        beside = idle.get(row["case"].replace(", another process on one core", ""))
        part = ""
        if row["load"] and beside:
            part = f", {found['computed_per_second'] / max(1, beside['computed_per_second']):.0%} of the idle run's"
        dropped = sum(found["dropped"].values())
        own = found["dropped"].get("sharpening was busy", 0)
        rows.append(
            [
                row["case"], f"{found['fps']:.1f}", f"{dropped} ({own})",
                " / ".join(f"{value:.0f}" for value in found["latency_ms"]),
                f"{found['latency_ms'][1] - through['latency_ms'][1]:+.0f}",
                " / ".join(f"{value:.0f}" for value in found["work_ms"]),
                f"{found['computed']:.0%}{part}", f"{found['processors']:.2f} ({through['processors']:.2f})",
                f"{found['resident_mb']}",
            ]
        )  # fmt: skip
    heads = [
        "", "shown a second", "dropped (by sharpening)", "latency, ms", "p95 over passing through, ms",
        "sharpening, ms", "tiles computed", "processors (passing through)", "resident, MB",
    ]  # fmt: skip
    frames = report["rows"][0]["sharpened"]["captured"] if report["rows"] else 0
    return "\n\n".join(
        [
            render(heads, rows, markdown=True),
            f"Latency from capture to shown and the time of sharpening: median / 95 % / 99 %. {report['cores']} cores,"
            f" {report['versions']['machine']}; {frames} frames and more of each. Measured {report['date']} by"
            f" `{report['command']}`.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
