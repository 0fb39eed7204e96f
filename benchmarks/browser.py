"""How fast the engine is in Chromium, against the native one with AVX2: ``python benchmarks/browser.py``.

Both take turns on the same frames of 1920 x 1080 with equal numbers of threads. The results are the ratio of processor
times, and that of two threads over one.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "web"))
from server_thread import ServerThread

from acutance.engine.base import TileOptions
from acutance.engine.native_engine import NativeEngine
from acutance.students.bundled import find_student
from acutance.web.files import module_files

WIDTH, HEIGHT = 1920, 1080
CASES = {
    "every tile": (TileOptions(), {"threshold": 0, "reuse": False}),
    "default threshold": (TileOptions(threshold=8, reuse=True), {"threshold": 8, "reuse": True}),
}
SETUP = """async ({ file, threads, model }) => {
  const module = await WebAssembly.compile(await (await fetch('/wasm/' + file)).arrayBuffer());
  const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  const worker = new Worker('/bench_worker.js', { type: 'module' });
  const ask = (message) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(Error(data.error)) : resolve(data));
    worker.postMessage(message);
  });
  (window.ask ??= {})[threads] = ask;
  return ask({ module, threads, model: await bytes(model), planes: await bytes('/planes.bin') });
}"""


def call_planes(clip: Path, count: int) -> np.ndarray:
    """Return luma of a clip, scaled to half of 1080p and up again, as a call gives it."""
    planes = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(width=WIDTH // 2, height=HEIGHT // 2, format="yuv420p", interpolation="BICUBIC")
            large = small.reformat(width=WIDTH, height=HEIGHT, interpolation="BICUBIC")
            planes.append(large.to_ndarray()[:HEIGHT, :WIDTH])
            if len(planes) == count:
                break
    return np.ascontiguousarray(np.stack(planes))


def renderer_seconds() -> float:
    """Return the processor time of all renderers of Chromium that this process started, so far."""
    total, children = 0, {os.getpid()}
    processes = {}
    for entry in Path("/proc").iterdir():
        try:
            text = (entry / "stat").read_text()
            fields = text[text.rindex(")") + 2 :].split()
            processes[int(entry.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
        except (OSError, ValueError):
            continue
    grew = True
    while grew:
        found = {pid for pid, (parent, _) in processes.items() if parent in children} - children
        children |= found
        grew = bool(found)
    for pid in children - {os.getpid()}:
        try:
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                total += processes[pid][1]
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def measure(clip: Path, rounds: int, frames: int, model: str) -> dict[str, Any]:
    """Return the medians of every case."""
    from playwright.sync_api import sync_playwright

    planes = call_planes(clip, 12)
    files = {**module_files(), "planes.bin": planes.tobytes(), "index.html": b"<!doctype html><title>bench</title>"}
    files["bench_worker.js"] = (Path(__file__).parent / "_browser" / "worker.js").read_bytes()
    engines = {
        threads: NativeEngine(find_student(model), threads=threads, instruction_set="avx2") for threads in (1, 2)
    }
    results: dict[str, Any] = {"model": model, "load": os.getloadavg()[0], "cases": {}}
    with ServerThread(files) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        results["chromium"] = browser.version
        page = browser.new_page()
        page.goto(server.address)
        for threads, file in ((1, "acutance.wasm"), (2, "acutance-threads.wasm")):
            page.evaluate(SETUP, {"file": file, "threads": threads, "model": f"/models/{model}.acu"})
        for name, (tiles, options) in CASES.items():
            told: dict[int, list[dict[str, float]]] = {1: [], 2: []}
            for turn in range(rounds + 1):
                for threads in (1, 2):
                    session = engines[threads].session(tiles)
                    wall, cpu = 0.0, 0.0
                    out = np.empty_like(planes[0])
                    for number in range(frames):
                        began, used = time.perf_counter(), time.process_time()
                        session.process(planes[number % len(planes)], out=out)
                        wall += time.perf_counter() - began
                        cpu += time.process_time() - used
                    session.close()
                    before = renderer_seconds()
                    there = page.evaluate(
                        "([threads, message]) => ask[threads](message)",
                        [threads, {"width": WIDTH, "height": HEIGHT, "options": options, "frames": frames}],
                    )
                    spent = renderer_seconds() - before
                    if turn > 0:  # the first one warms up
                        told[threads].append(
                            {
                                "native_ms": 1000 * wall / frames,
                                "browser_ms": there["milliseconds"],
                                "cpu_ratio": cpu / spent,
                                "wall_ratio": 1000 * wall / frames / there["milliseconds"],
                                "share": there["share"],
                            }
                        )
            medians = {
                threads: {key: statistics.median(one[key] for one in rows) for key in rows[0]}
                for threads, rows in told.items()
            }
            scaling = statistics.median(
                a["browser_ms"] / b["browser_ms"] for a, b in zip(told[1], told[2], strict=True)
            )
            results["cases"][name] = {"threads": medians, "two_over_one": scaling}
        browser.close()
    return results


def main() -> int:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="a clip of a call")
    parser.add_argument("--model", default="fast-call-x2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = measure(options.clip, options.rounds, options.frames, options.model)
    text = json.dumps(results, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
