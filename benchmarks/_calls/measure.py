"""Measure the calls of one clip, and keep every figure on disk so that a run can be resumed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _calls.cases import Case
from _calls.clips import CLIPS, Clip, Luma, read_source
from _calls.cvvdp import Cvvdp
from _calls.restorers import Restorer, open_restorers
from _calls.send import Call, send
from _calls.text import characters_wrong, draw_page, readers
from _calls.vmaf import find_ffmpeg, vmaf
from acutance.io import AtomicOutput
from acutance.metrics import CallMeter, TruthWindows, psnr

__all__ = ["Task", "measure_clip"]

_VERSION = 1  # part of every key: raise it where figures come to mean something else


@dataclass(frozen=True)
class Task:
    """The calls of one clip, as a process gets them.

    Attributes:
        data: The data folder.
        clip: The clip's name.
        cases: Its calls.
        restorers: As :func:`~_calls.restorers.open_restorers` takes them.
        students: Folder of fixed students, or None.
        frames: Frames of each call.
        cache: Folder of figures that were measured before.
        cvvdp: Python that has ColorVideoVDP, or None: it is not measured.
        vmaf: Whether VMAF is measured, where it is installed.
    """

    data: Path
    clip: str
    cases: tuple[Case, ...]
    restorers: tuple[str, ...]
    students: Path | None
    frames: int
    cache: Path
    cvvdp: str | None = None
    vmaf: bool = False


def measure_clip(task: Task) -> list[dict[str, Any]]:
    """Return a row for each call of a clip; what the cache holds is not measured again."""
    restorers = open_restorers(task.restorers, task.students)
    clip = next(c for c in CLIPS if c.name == task.clip)
    cvvdp = Cvvdp(task.cvvdp) if task.cvvdp else None
    try:
        return [_measure_case(task, clip, case, restorers, cvvdp) for case in task.cases]
    finally:
        if cvvdp is not None:
            cvvdp.close()


def _measure_case(
    task: Task, clip: Clip, case: Case, restorers: Sequence[Restorer], cvvdp: Cvvdp | None
) -> dict[str, Any]:
    path = task.cache / f"{case.key}-{task.frames}-v{_VERSION}.json"
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"restorers": {}}
    keys = {r.name: f"{r.name} {r.identity}" for r in restorers}
    wanted = {"jod"} if cvvdp else set()
    if task.vmaf and find_ffmpeg():
        wanted.add("vmaf")
    missing = [r for r in restorers if not _complete(stored["restorers"].get(keys[r.name]), wanted)]
    if missing or "facts" not in stored:
        source = read_source(task.data, clip, frames=task.frames, step=2 if case.halved else 1)
        call = send(source, case)
        height, width = call.truth[0].luma.shape
        stored["facts"] = {
            "size": [width, height],
            "coded": list(call.coded),
            "frame_rate": round(call.rate, 3),
            "frames": len(call.truth),
            "kbps": round(call.kbps, 1),
        }
        for name, figures in _figures(call, clip, missing, cvvdp, "vmaf" in wanted).items():
            stored["restorers"][keys[name]] = figures
        path.parent.mkdir(parents=True, exist_ok=True)
        with AtomicOutput(path, overwrite=True) as output:
            output.temporary.write_text(json.dumps(stored), encoding="utf-8")
    figures = {r.name: stored["restorers"][keys[r.name]] for r in restorers}
    return {"role": clip.role, **case.to_dict(), "key": case.key, **stored["facts"], "methods": figures}


def _complete(figures: dict[str, Any] | None, wanted: set[str]) -> bool:
    return figures is not None and wanted <= set(figures)


def _figures(
    call: Call, clip: Clip, restorers: Sequence[Restorer], cvvdp: Cvvdp | None, with_vmaf: bool
) -> dict[str, dict[str, Any]]:
    shown, truth = call.lumas
    outcomes = {r.name: r.restore(call) for r in restorers}
    meters = {name: CallMeter() for name in outcomes}
    received = CallMeter()
    for number, wanted in enumerate(truth):
        windows = TruthWindows(wanted)  # once for all: it is half of the work
        received.add(shown[number], windows)
        for name, (planes, _) in outcomes.items():
            meters[name].add(planes[number], windows)
    table = {}
    for name, (planes, facts) in outcomes.items():
        figures = _rounded(meters[name].figures(received))
        figures["psnr_first"] = round(min(psnr(planes[0], truth[0]), 100.0), 3)
        figures |= facts
        if clip.role == "text":
            figures["wrong"] = _wrong(clip, planes[-1])
        if cvvdp is not None:
            figures["jod"] = round(cvvdp.jod(planes, truth, rate=call.rate), 4)
        if with_vmaf:
            figures["vmaf"] = round(vmaf(find_ffmpeg() or "", planes, truth, rate=call.rate), 3)
        table[name] = figures
    return table


def _wrong(clip: Clip, plane: Luma) -> dict[str, float]:
    """Return the share of characters that each OCR reads wrong on the last frame, in per cent."""
    said = draw_page(int(clip.name.removeprefix("text_page_")))[1]
    total = sum(len("".join(column.split())) for column in said)
    return {reader: round(100 * characters_wrong(plane, said, reader) / total, 2) for reader in readers()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(value, 5) if isinstance(value, float) else value
