"""The report of a run: one HTML page that holds all it shows."""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from acutance.errors import OutputError
from acutance.training.data.pairs import PairSet
from acutance.training.distill.curves import draw_curves
from acutance.training.distill.facts import RunFacts, read_facts
from acutance.training.distill.log import read_log
from acutance.training.distill.samples import Sample, take_samples

__all__ = ["write_report"]

_KINDS = {"before": "before", "after": "after (student)", "teacher": "teacher", "truth": "truth"}
_STYLE = """
:root { color-scheme: light; --ink: #222; --faint: #6b6b6b; --line: #e3e3e3; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 32px 24px 64px; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; }
p { margin: 6px 0; max-width: 75ch; }
.faint { color: var(--faint); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 24px 0 0; }
.card { border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.card b { display: block; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: var(--faint); font-size: .86rem; }
.curves { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 10px; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 8px 32px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 8px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 400; color: var(--faint); width: 46%; }
.samples { display: grid; gap: 10px; }
.samples figure { margin: 0; }
.samples img { width: 100%; display: block; border-radius: 6px; image-rendering: pixelated; }
.samples figcaption { font-size: .86rem; padding: 3px 0 8px; font-variant-numeric: tabular-nums; }
pre { background: #f6f6f6; border-radius: 10px; padding: 16px; overflow-x: auto; font-size: .86rem; line-height: 1.45; }
"""


def write_report(
    out: Path, *, student: nn.Module | None = None, validation: PairSet | None = None, samples: int = 4
) -> Path:
    """Write ``curves.png`` and ``report.html`` from what a run has left in its folder; returns the page.

    student, validation: where both are given, crops of validation pictures are shown as this student restores them.
    Raises ConfigError (no run there), MissingExtraError (no matplotlib), OutputError.
    """
    facts = read_facts(out)
    log = read_log(out / "log.jsonl")
    teacher = facts.teacher
    figures = [event for event in log if event["event"] == "validate"]
    curves = draw_curves(
        log,
        title=str(facts.options["name"]),
        weights={name: weight for name, weight in facts.options["losses"].items() if weight > 0},
        input_psnr=figures[0]["psnr_y_input"] if figures else None,
        teacher_psnr=teacher.psnr_y if teacher else None,
    )
    shown: list[Sample] = []
    if student is not None and validation is not None:
        shown = take_samples(student, validation, count=samples)
    page = out / "report.html"
    _replace(out / "curves.png", curves)
    _replace(page, _page(facts, log, curves, shown).encode())
    return page


def _page(facts: RunFacts, log: Sequence[Mapping[str, Any]], curves: bytes, samples: Sequence[Sample]) -> str:
    name = html.escape(str(facts.options["name"]))
    state = _state(facts, log)
    sections = [
        f"<h1>{name}</h1>",
        f'<p class="faint">{html.escape(state)}</p>',
        _cards(_highlights(facts, log)),
        "<h2>Curves</h2>",
        f'<img class="curves" alt="training curves" src="{_inline(curves)}">',
    ]
    if samples:
        sections += ["<h2>Validation pictures</h2>", _samples(samples, facts)]
    sections += [
        '<div class="tables">',
        f"<div><h2>Student</h2>{_table(_student_rows(facts))}</div>",
        f"<div><h2>Teacher</h2>{_table(_teacher_rows(facts))}</div>",
        f"<div><h2>Data</h2>{_table(_data_rows(facts))}</div>",
        "</div>",
        "<h2>Configuration</h2>",
        f'<p class="faint">As resolved; SHA-256 {html.escape(facts.config_sha256)}</p>',
        f"<pre>{html.escape(_toml(facts.options))}</pre>",
    ]
    body = "\n".join(sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name} - acutance</title>\n<style>{_STYLE}</style>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _validations(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of trained students: what was measured before the first step is not one."""
    return [event for event in log if event["event"] == "validate" and event["step"] > 0]


def _state(facts: RunFacts, log: Sequence[Mapping[str, Any]]) -> str:
    schedule = facts.options["schedule"]
    planned = int(schedule["epochs"]) * int(schedule["steps_per_epoch"])
    steps = max((int(event["step"]) for event in log), default=0)
    done = len(_validations(log))
    if steps >= planned:
        return f"Finished: {steps:,} steps in {done} epochs."
    stale = done - 1 - max(range(done), key=lambda i: float(_validations(log)[i]["psnr_y"])) if done else 0
    patience = int(facts.options["train"]["patience"])
    if patience and stale >= patience:
        return f"Stopped early after {steps:,} of {planned:,} steps: {stale} epochs brought nothing better."
    return f"Unfinished: {steps:,} of {planned:,} steps. The same command goes on from the last whole epoch."


def _highlights(facts: RunFacts, log: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(figure, what it is) for the cards."""
    done = _validations(log)
    if not done:
        return [("-", "no whole epoch yet")]
    best = max(done, key=lambda event: float(event["psnr_y"]))
    gain = best["psnr_y"] - best["psnr_y_input"]
    cards = [
        (f"{best['psnr_y']:.2f} dB", f"best PSNR on luma, epoch {best['epoch']:g}"),
        (f"{gain:+.2f} dB", f"over the input ({best['psnr_y_input']:.2f} dB)"),
        (f"{best['ssim_y']:.4f}", "SSIM on luma, that epoch"),
    ]
    if facts.teacher is not None and facts.teacher.psnr_y > facts.teacher.psnr_y_input:
        teacher_gain = facts.teacher.psnr_y - facts.teacher.psnr_y_input
        cards.append((f"{gain / teacher_gain:.0%}", f"of the teacher's gain ({teacher_gain:+.2f} dB)"))
    cards.append((f"{facts.student.macs_per_pixel:,.0f}", "multiply-accumulates per pixel"))
    cards.append((_duration(_seconds(done)), "training time"))
    return cards


def _seconds(validations: Sequence[Mapping[str, Any]]) -> float:
    """The log counts from the start of each process: a resumed run starts from nought again."""
    total = previous = 0.0
    for event in validations:
        seconds = float(event.get("seconds", 0.0))
        total += seconds - previous if seconds >= previous else seconds
        previous = seconds
    return total


def _student_rows(facts: RunFacts) -> list[tuple[str, str]]:
    student = facts.student
    rows = [
        ("tier", str(facts.options["student"]["tier"])),
        ("parameters", f"{student.parameters:,}"),
    ]
    if student.trained_parameters != student.parameters:
        rows.append(("while training", f"{student.trained_parameters:,}, which fold into these"))
    return [*rows, ("multiply-accumulates per pixel", f"{student.macs_per_pixel:,.0f}"), _gmacs(student.macs_per_pixel)]


def _teacher_rows(facts: RunFacts) -> list[tuple[str, str]]:
    teacher = facts.teacher
    if teacher is None:
        return [("teacher", "none")]
    side = round(teacher.measured_pixels**0.5)
    threads = "1 thread" if teacher.threads == 1 else f"{teacher.threads} threads"
    return [
        ("weights", f"{teacher.name} ({teacher.architecture})"),
        ("PSNR on luma", f"{teacher.psnr_y:.2f} dB"),
        ("its input", f"{teacher.psnr_y_input:.2f} dB"),
        ("gain", f"{teacher.psnr_y - teacher.psnr_y_input:+.2f} dB, demanded {teacher.margin_db:+.2f} dB"),
        ("parameters", f"{teacher.parameters:,}"),
        ("multiply-accumulates per pixel", f"{teacher.macs_per_pixel:,.0f}"),
        _gmacs(teacher.macs_per_pixel),
        ("speed at 1080p", f"about {teacher.fps_1080p:.2g} fps: estimated from {side}x{side} pixels, torch, {threads}"),
    ]


def _gmacs(macs_per_pixel: float) -> tuple[str, str]:
    return "for one 1080p frame", f"{macs_per_pixel * 1920 * 1080 / 1e9:,.1f} GMAC"


def _data_rows(facts: RunFacts) -> list[tuple[str, str]]:
    data = facts.options["data"]
    rows = []
    for name, kind in (("training", facts.training), ("validation", facts.validation)):
        sizes = f"{kind.pictures:,} pictures, {kind.tiles:,} tiles, {kind.pixels / 1e6:,.1f} Mpixel"
        rows.append((name, sizes))
    rows.append(("training folders", ", ".join(data["train"])))
    held_out = ", ".join(data["validation"]) or f"{data['validation_share']:.0%} of these, by picture"
    return [*rows, ("validation folders", held_out), ("a step", f"{data['batch']} crops of {data['crop']} pixels")]


def _cards(cards: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f'<div class="card"><b>{html.escape(a)}</b><span>{html.escape(b)}</span></div>' for a, b in cards)
    return f'<div class="cards">{inner}</div>'


def _table(rows: Sequence[tuple[str, str]]) -> str:
    inner = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in rows)
    return f"<table>{inner}</table>"


def _samples(samples: Sequence[Sample], facts: RunFacts) -> str:
    figures = []
    for sample in samples:
        for kind, label in _KINDS.items():
            if kind in sample.pictures:
                psnr = f" {sample.psnr_y[kind]:.2f} dB" if kind in sample.psnr_y else ""
                figures.append(
                    f'<figure><img alt="{label}" src="{_inline(sample.pictures[kind])}">'
                    f"<figcaption>{label}<b>{psnr}</b></figcaption></figure>"
                )
    columns = len(samples[0].pictures)
    luma = "" if facts.options["student"]["tier"] == "report2025" else " Luma is shown, which is all that changes."
    return (
        f'<p class="faint">The most detailed crop of some of them; PSNR on luma of the crop.{luma}</p>'
        f'<div class="samples" style="grid-template-columns: repeat({columns}, 1fr)">{"".join(figures)}</div>'
    )


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _toml(options: Mapping[str, Any]) -> str:
    """The options as the file would say them."""
    lines = [f"{key} = {_value(value)}" for key, value in options.items() if not isinstance(value, Mapping)]
    for section, table in options.items():
        if not isinstance(table, Mapping):
            continue
        recipes = {key: value for key, value in table.items() if _is_array_of_tables(value)}
        lines += ["", f"[{section}]", *(f"{k} = {_value(v)}" for k, v in table.items() if k not in recipes)]
        for key, tables in recipes.items():
            for recipe in tables:
                lines += ["", f"[[{section}.{key}]]", *(f"{k} = {_value(v)}" for k, v in recipe.items())]
    return "\n".join(lines)


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _value(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
