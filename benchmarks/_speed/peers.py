"""Other networks for 1080p: four peers in time and quality, teachers, and the student of the report."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from _speed.clips import timing_clip
from _speed.filters import scale_runner, to_av
from _speed.graphs import PEERS, peer_macs_per_pixel, peer_model
from _speed.rates import runner_of
from _speed.runtimes import MissingRuntime, openvino_runner
from _speed.setting import Section, Setting, clip_path
from acutance.degrade import Yuv420, rgb_from_yuv420
from acutance.evaluate.quality import evaluate_set
from acutance.evaluate.restorers import InputRestorer, Restorer, Rgb, StudentRestorer
from acutance.evaluate.speed import Contender
from acutance.training.data.folders import ImageFolder

__all__ = ["peers", "teachers"]

TIERS = ("fast", "balanced", "quality")
COST = Path(__file__).resolve().parents[1] / "results" / "cost.json"
_CLIP = "mixkit_call_720p"
_DISTINCT = 24
_PUBLISHED = {"ESPCN": 36.87, "FSRCNN": 37.00, "ECBSR_M4C16": 37.18, "ETDS_M4C32": 37.38}
"""Set5 x2 in the protocol of the paper that released the weights, whose bicubic reads 33.95: 0.3 more than ours."""
_TOLERANCE = 0.15
_SLOW_BLOCK, _BLOCK = 2, 10


class _Peer(Restorer):
    """A peer on the small picture."""

    kind = "peer"

    def __init__(self, name: str, setting: Setting) -> None:
        folder = setting.folder / "peers"
        self.name = name
        self._run = openvino_runner(peer_model(folder, name), setting.threads)  # any size
        self.macs_per_pixel = peer_macs_per_pixel(folder, name)

    def restore(self, low: Rgb, degraded: Rgb) -> Rgb:
        out = np.empty((3, *degraded.shape[:2]), np.uint8)
        self._run(np.ascontiguousarray(low.transpose(2, 0, 1)), out)
        return np.ascontiguousarray(out.transpose(1, 2, 0))


def peers(setting: Setting, section: Section) -> None:
    """Measure four peers in OpenVINO from 960x540 RGB, and ours from 960x540 luma, enlargement included."""
    try:
        restorers: list[Restorer] = [_Peer(name, setting) for name in PEERS]
    except MissingRuntime as error:
        section.missing["OpenVINO"] = str(error)
        restorers = []
    students = {tier: StudentRestorer(setting.student(tier), threads=setting.threads) for tier in TIERS}
    pictures = ImageFolder(setting.folder / "test" / "Set5")
    measured = evaluate_set(pictures, [InputRestorer(), *students.values(), *restorers], name="Set5", factor=2.0)
    quality = {method.name: method.mean for method in measured.methods}
    for name in [r.name for r in restorers]:
        reads = quality[name].psnr_y
        if abs(reads - _PUBLISHED[name]) > _TOLERANCE:
            section.missing[name] = f"reads {reads:.2f} dB on Set5, not {_PUBLISHED[name]}: wrongly built"

    width, height = setting.size
    low = timing_clip(clip_path(setting, _CLIP), (width // 2, height // 2), _DISTINCT).frames
    contenders = [Contender(tier, _scaled_and_sharpened(setting, tier, low), _block(tier)) for tier in TIERS]
    for name in [r.name for r in restorers if r.name not in section.missing]:
        model = peer_model(setting.folder / "peers", name, height // 2, width // 2)
        contenders.append(Contender(name, _peer_runner(setting, model, low), _SLOW_BLOCK))
    timed = setting.race(contenders, rounds=setting.rounds, settle=1)
    section.add_conditions("peers", timed)
    for contender in contenders:
        name = contender.name
        student = students.get(name)
        mean = quality[student.name if student else name]
        macs = student.macs_per_pixel if student else next(r.macs_per_pixel for r in restorers if r.name == name)
        section.row(
            name=student.name if student else name,
            kind="ours" if student else "peer",
            runs_in=setting.engine if student else "OpenVINO fp32",
            works_on="luma" if student else "RGB",
            macs_per_pixel=macs,
            set5_psnr_y=mean.psnr_y,
            set5_ssim_y=mean.ssim_y,
            published_set5=None if student else _PUBLISHED[name],
            fast_is_faster_by=timed.speedup("fast", name),
            **timed.timing(name).to_dict(),
        )
    section.notes.append(
        "Set5 x2, cropped to a multiple of 12, Pillow's bicubic, PSNR on luma, border 2. Ours includes scaling the "
        "4:2:0 frame up (FFmpeg's bicubic). Peers run as they are, on RGB, planes in and out. published_set5: in "
        "another protocol"
    )


def _block(tier: str) -> int:
    return _SLOW_BLOCK if tier == "quality" else _BLOCK


def _scaled_and_sharpened(setting: Setting, tier: str, low: list[Yuv420]) -> Any:
    grey = [to_av(frame) for frame in low]
    scale, sharpen = scale_runner(grey, setting.size, setting.threads), runner_of(setting, tier)
    outs = [np.empty((setting.size[1], setting.size[0]), np.uint8) for _ in range(3)]
    return lambda number: sharpen(scale(number), outs[number % len(outs)])


def _peer_runner(setting: Setting, model: bytes, low: list[Yuv420]) -> Any:
    sources = [np.ascontiguousarray(rgb_from_yuv420(frame).transpose(2, 0, 1)) for frame in low]
    run = openvino_runner(model, setting.threads)
    outs = [np.empty((3, setting.size[1], setting.size[0]), np.uint8) for _ in range(3)]
    return lambda number: run(sources[number % len(sources)], outs[number % len(outs)])


def teachers(setting: Setting, section: Section) -> None:
    """Return the cost of teachers and of the report's student, from ``benchmarks/cost.py``."""
    if not COST.is_file():
        section.missing["cost.json"] = "run benchmarks/cost.py first"
        return
    report = json.loads(COST.read_text(encoding="utf-8"))
    fast = report["rows"][0]
    if fast["runner"] != setting.engine:
        section.missing["cost.json"] = (
            f"was measured with {fast['runner']}, not {setting.engine}: run benchmarks/cost.py again"
        )
    for row in report["rows"]:
        seconds = median(row["seconds"])
        section.row(
            name=row["name"],
            kind=row["kind"],
            runs_in=row["runner"],
            parameters=row["parameters"],
            macs_per_pixel=row["macs_per_pixel"],
            fps=1 / seconds,
            fast_is_faster_by=seconds / median(fast["seconds"]),
        )
    section.notes.append(f"from benchmarks/results/cost.json, measured {report['date']} by `{report['command']}`")
