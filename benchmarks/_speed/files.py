"""File jobs against those of FFmpeg, and the memory that an engine takes."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median

from _speed.clips import Clip, timing_clip
from _speed.filters import to_av
from _speed.setting import Section, Setting, clip_path
from acutance._util.av import av
from acutance.engine import available_engines
from acutance.evaluate.speed import LoadMeter, int16_peak

__all__ = ["job", "memory"]

_CLIP = "mixkit_call_720p"
_PRESETS = ("ultrafast", "veryfast")
_CRF = "18"
_JUDGED = "veryfast"
_OURS = "acutance sharpen, fast"
_TIMES = 2  # the clip over and over: a job is minutes rather than seconds
_ROUNDS = 3
_LIMIT_MB = 16.0
# x264 and ffmpeg take whatever instructions they find, so here ours does too.
_AS_IT_COMES = {k: v for k, v in os.environ.items() if k != "ACUTANCE_INSTRUCTION_SET"}


def job(setting: Setting, section: Section) -> None:
    """Time ``acutance sharpen`` and FFmpeg with ``unsharp`` as whole processes, in turns."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        section.missing["ffmpeg"] = "the program is not installed"
        return
    with tempfile.TemporaryDirectory(prefix="acutance-speed-") as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        clip = timing_clip(clip_path(setting, _CLIP), setting.size, setting.clip_frames)
        _write(clip, source)
        engine = "auto" if available_engines()[0] == setting.engine else setting.engine
        for preset in _PRESETS:
            encoder = ["libx264", "-preset", preset, "-crf", _CRF]
            commands = {
                _OURS: [
                    *(sys.executable, "-m", "acutance", "sharpen", str(source), str(target), "-y", "-m", "fast"),
                    *("--engine", engine, "--threads", str(setting.threads), "--progress", "json"),
                    *("--encoder", "libx264", "--preset", preset, "--crf", _CRF),
                ],
                "ffmpeg, unsharp": [
                    *(ffmpeg, "-y", "-v", "error", "-filter_threads", str(setting.threads), "-i", str(source)),
                    *("-vf", "unsharp=5:5:1.0", "-c:v", *encoder, str(target)),
                ],
                "ffmpeg, no filter": [ffmpeg, "-y", "-v", "error", "-i", str(source), "-c:v", *encoder, str(target)],
            }
            _race_jobs(setting, section, preset, commands, target, _TIMES * len(clip.frames))
    section.notes.append(
        f"{_TIMES * len(clip.frames)} frames of {clip.size[0]}x{clip.size[1]}, H.264 to libx264 with crf {_CRF}; "
        "all with whatever instructions they find; "
        f"start-up of the processes included; medians of {_ROUNDS} turns"
    )


def _race_jobs(
    setting: Setting, section: Section, preset: str, commands: dict[str, list[str]], target: Path, frames: int
) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    sizes: dict[str, int] = {}
    meter, peaks = LoadMeter(), [int16_peak(setting.threads)]
    running: list[float] = []
    for number in range(_ROUNDS + 1):
        for name, command in commands.items():
            target.unlink(missing_ok=True)
            started = time.perf_counter()
            done = subprocess.run(
                command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=_AS_IT_COMES
            )
            if not number:  # the first turn is for the caches
                continue
            seconds[name].append(time.perf_counter() - started)
            sizes[name] = target.stat().st_size
            if name == _OURS:
                running.append(float(json.loads(done.stdout.splitlines()[-1])["seconds"]))
        peaks.append(int16_peak(setting.threads))
    known = [p / 1e9 for p in peaks if p is not None]
    conditions: dict[str, object] = {"race": preset, **meter.result().to_dict()}
    if known:
        conditions["int16_peak_gmacs"] = {
            "lowest": round(min(known), 2), "median": round(median(known), 2), "highest": round(max(known), 2),
        }  # fmt: skip
    section.conditions.append(conditions)
    theirs, ours = (median(seconds[name]) for name in ("ffmpeg, unsharp", _OURS))
    for name, times in seconds.items():
        section.row(
            preset=preset,
            name=name,
            seconds=median(times),
            seconds_without_start=median(running) if name == _OURS else None,
            fps=frames / median(times),
            bytes=sizes[name],
        )
    if preset == _JUDGED:
        section.target(f"file job at 1080p, preset {preset}: times ffmpeg with unsharp", theirs / ours, 1.0)


def _write(clip: Clip, path: Path) -> None:
    """Write a clip as a file of good quality, the input of a job."""
    rate = Fraction(clip.rate).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height = clip.size
        stream.pix_fmt = "yuv420p"
        for frame in _TIMES * clip.frames:
            output.mux(stream.encode(to_av(frame)))
        output.mux(stream.encode(None))


# -- memory ---------------------------------------------------------------------------------------------------------

_PROBE = """
import json, sys
import numpy as np
from acutance.engine import open_engine
from acutance.students.bundled import find_student

tier, name, threads, width, height, options = json.loads(sys.argv[1])
student = find_student(tier)
frames = [np.random.default_rng(i).integers(16, 236, (height, width), dtype=np.uint8) for i in range(4)]
out = np.zeros((height, width), np.uint8)  # written, so that its pages are there
out[...] = frames[0]

def resident(key):
    line = next(l for l in open("/proc/self/status") if l.startswith(key))
    return int(line.split()[1]) * 1024

open("/proc/self/clear_refs", "w").write("5")  # the highest so far is forgotten
before = resident("VmRSS")
engine = open_engine(student, name, threads=threads)
if options is None:
    process = engine.process
else:
    from acutance.engine.base import TileOptions
    process = engine.session(TileOptions(**options)).process
for i in range(24):
    process(frames[i % 4], out=out)
print(json.dumps({"lasting": resident("VmRSS") - before, "highest": resident("VmHWM") - before}))
"""


def memory(setting: Setting, section: Section) -> None:
    """Measure how much a fresh process grows by an engine and a session that run 1080p; frames do not count."""

    def tiles(tier: str) -> dict[str, object]:
        return {"threshold": setting.threshold_of(tier), "reuse": True}

    runs: list[tuple[str, str, dict[str, object] | None]] = [("fast", setting.engine, None)]
    runs += [(tier, setting.engine, tiles(tier)) for tier in ("fast", "balanced", "quality")]
    if setting.engine != "onnxruntime":
        runs.append(("fast", "onnxruntime", None))
    worst = None
    for tier, engine, options in runs:
        arguments = json.dumps([tier, engine, setting.threads, *setting.size, options])
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        label = f"{tier}, {engine}, {'every tile' if options is None else 'threshold and reuse'}"
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["failed"])[-1]
            section.missing[label] = reason
            continue
        grown = {key: value / 1e6 for key, value in json.loads(done.stdout).items()}
        section.row(name=label, highest_mb=grown["highest"], lasting_mb=grown["lasting"])
        if engine == setting.engine and tier == "fast":
            worst = max(worst or 0.0, grown["highest"])
    section.target("fast: memory beyond the frames", worst, _LIMIT_MB, unit="MB", at_least=False, strict=True)
    section.notes.append("resident set, in a process of its own, from before the engine is opened to its highest")
