"""What an archive costs: frames a second of one core, two nodes against one, and what scheduling takes.

    python benchmarks/cluster.py --data FOLDER --update
    python benchmarks/cluster.py --from-json --update

FOLDER (or ACUTANCE_DATA) holds ``clips/``. Rates are frames over processor time, which other programs on the machine
hardly change. Nodes are processes of this machine, each pinned to a core; one and two of them take turns, and only
their ratio counts. Scheduling is the time in which a node with work left does none, from the times that Ray keeps of
each task.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from _results import add_update_option, update_between
from acutance import Sharpener
from acutance._util.machine import processor_name
from acutance.cluster import ArchiveSettings, archive_folder

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "cluster.json"
BEGIN, END = "<!-- cluster:begin -->", "<!-- cluster:end -->"
CLIPS = {"720p": "mixkit_call_720p.mp4", "1080p": "latentsync_demo1_1080x1920.mp4"}
ONE_CORE_SECONDS = 4.0  # of each clip
RATE = 25  # frames a second of the thousand hours


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ACUTANCE_DATA", ".")))
    parser.add_argument("--rounds", type=int, default=2, help="turns of one node and two nodes; 0 for none")
    parser.add_argument("--clips", type=int, default=8, help="clips of ten seconds in each archive")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; only make the table")
    add_update_option(parser, "cluster.md")
    options = parser.parse_args(arguments)
    if not options.from_json:
        report = {
            "when": datetime.now(UTC).isoformat(timespec="minutes"),
            "processor": processor_name(),
            "one core": {name: one_core(options.data / "clips" / clip) for name, clip in CLIPS.items()},
            "nodes": []
            if not options.rounds
            else nodes(options.data / "clips" / CLIPS["720p"], options.rounds, options.clips),
        }
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = tables(json.loads(RESULTS.read_text(encoding="utf-8")))
    print(text)
    if options.update:
        update_between(options.update, BEGIN, END, text)
    return 0


def one_core(clip: Path) -> dict[str, Any]:
    """Sharpen a part of a clip on one core, and return frames, size and seconds of processor time."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            sharpener = Sharpener(threads=1, engine="native")
            begun = time.process_time()
            report = sharpener.video(clip, Path(folder) / "out.mp4", duration=ONE_CORE_SECONDS, video_threads=1)
            seconds = time.process_time() - begun
    finally:
        os.sched_setaffinity(0, cores)
    return {
        "frames": report.frames, "size": f"{report.width}x{report.height}", "seconds": round(seconds, 2),
        "choices": [choice.reason for choice in report.choices],
    }  # fmt: skip


def nodes(clip: Path, rounds: int, count: int) -> list[dict[str, Any]]:
    """Archive copies of a clip on one node and on two, in turns."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        sharpener = Sharpener(engine="native")
        small = Path(folder) / "small.mp4"
        # Ten seconds of 360p, so that what scheduling takes shows more than in large pictures.
        sharpener.video(clip, small, scale=0.5, duration=10.0, preset="veryfast")
        for number in range(count):
            shutil.copyfile(small, source / f"{number}.mp4")
        for turn in range(rounds):
            for many in (1, 2) if turn % 2 == 0 else (2, 1):
                found.append(archive_on(many, source, Path(folder) / f"out-{turn}-{many}"))
                print(found[-1], file=sys.stderr, flush=True)
    return found


def archive_on(many: int, source: Path, target: Path) -> dict[str, Any]:
    """Archive on so many nodes of one core, each pinned to its own."""
    import ray
    from ray.cluster_utils import Cluster
    from ray.util.state import list_tasks

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True})
    try:
        for core in range(many):
            node = cluster.add_node(num_cpus=1)
            # Before it starts workers, which keep the core of their parent.
            os.sched_setaffinity(node.all_processes["raylet"][0].process.pid, {core})
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        settings = ArchiveSettings(model="fast", engine="native", preset="veryfast")
        warm = target.with_name(f"{target.name}-warm")
        archive_folder(source, warm, cluster=cluster.address, settings=settings)
        begun = time.time() * 1000
        report = archive_folder(source, target, cluster=cluster.address, settings=settings)
        time.sleep(2)  # until the last task is in the list
        tasks = [t for t in list_tasks(limit=10_000, detail=True) if t.start_time_ms and t.start_time_ms >= begun]
    finally:
        ray.shutdown()
        cluster.shutdown()
    work = [t for t in tasks if not str(t.name).startswith("acutance:") and t.end_time_ms]
    idle = 0.0
    for node in {t.node_id for t in work}:
        times = sorted((t.start_time_ms, t.end_time_ms) for t in work if t.node_id == node)
        idle += sum(max(0, later[0] - earlier[1]) for earlier, later in pairwise(times))
    busy = sum(t.end_time_ms - t.start_time_ms for t in work)
    return {
        "nodes": many, "frames": report.frames, "seconds": round(report.seconds, 2), "tasks": len(work),
        "busy": round(busy / 1000, 2), "idle between tasks": round(idle / 1000, 3), "load": os.getloadavg()[0],
    }  # fmt: skip


IQIYI = (
    "https://www.besthub.dev/articles/"
    "accelerating-4k-video-super-resolution-with-tensorrt-iqiyi-s-optimization-and-production-practices-356c4e41f52a"
)
ZHANG = "https://bozhang-26963.medium.com/real-time-video-super-resolution-for-live-video-upscaling-078857e5ad60"


def tables(report: dict[str, Any]) -> str:
    lines = [
        f"Measured on {report['processor']}, which other programs used at the same time.",
        "Model `auto`, x264 at its defaults, everything from decoding to the file on one core:",
        "",
        f"| video | frames a second of one core | core-hours for 1,000 hours at {RATE} frames a second |",
        "|---|--:|--:|",
    ]
    for name, one in report["one core"].items():
        fps = one["frames"] / one["seconds"]
        lines.append(f"| {name} ({one['size']}) | {fps:.1f} | {1000 * RATE / fps:,.0f} |")
    lines += [
        "",
        "The price of 1,000 hours is the core-hours times the price of a core for an hour, plus storage and transfer.",
        "Segments do not need each other, so machines that may be taken away at any time will do.",
        "",
        "For comparison, two GPU upscalers by their makers' figures. They enlarge the picture, so the work differs:",
        "",
        f"- [iQIYI]({IQIYI}): 1080p to 4K by TensorRT, about 180 ms a frame: {1000 * RATE * 0.18:,.0f} GPU-hours",
        f"  for 1,000 hours at {RATE} frames a second.",
        f"- [Zhang]({ZHANG}): 320x180 to 720p on an RTX 4060, 0.44 times the video's own rate. That is",
        f"  {1000 / 0.44:,.0f} GPU-hours for 1,000 hours.",
    ]
    if report["nodes"]:
        lines += [*nodes_table(report["nodes"])]
    return "\n".join(lines)


def nodes_table(runs: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        "Archives of clips of ten seconds (640x360) on nodes of one core, each pinned to its own, in turns:",
        "",
        "| nodes | frames a second | idle between tasks | load of the machine |",
        "|--:|--:|--:|--:|",
    ]
    rates = {}
    for run in runs:
        share = run["idle between tasks"] / max(1e-9, run["busy"] + run["idle between tasks"])
        fps = run["frames"] / run["seconds"]
        lines.append(f"| {run['nodes']} | {fps:.1f} | {100 * share:.1f} % | {run['load']:.0f} |")
        rates.setdefault(run["nodes"], []).append(fps)
    one, two = (sum(rates[many]) / len(rates[many]) for many in (1, 2))
    return [*lines, "", f"Two nodes make {two / one:.2f} times the frames of one."]


if __name__ == "__main__":
    sys.exit(main())
