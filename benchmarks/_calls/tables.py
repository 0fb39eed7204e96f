"""The call test as Markdown."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from acutance.evaluate.table import render

__all__ = ["tables"]

_FILTERS = ("lanczos", "unsharp", "cas")


def tables(report: Mapping[str, Any]) -> str:
    """What each method gains over the input, by rung; on how many calls it is the best; and how well auto chose."""
    rows = report["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row["methods"] if name != "input"))
    students = [name for name in names if name not in _FILTERS]
    names = [n for n in _FILTERS if n in names] + students
    rungs = [(f"x{f:g}", [r for r in rows if r["factor"] == f]) for f in sorted({r["factor"] for r in rows})]
    rungs.append(("all", rows))
    gains = [[rung, str(len(some)), _input(some), *(_gain(some, n) for n in names)] for rung, some in rungs]
    filters = ", ".join(f"{name} {value:g}" for name, value in report["filters"].items())
    parts = [
        "Gain over the input in dB of PSNR, mean (worst call):",
        render(["rung", "calls", "input, dB", *names], gains, markdown=True),
        "On how many calls each is better, in PSNR / SSIM:",
        render(
            ["student", "than the input", "than lanczos, unsharp and cas too", "than their best on that call, PSNR"],
            [[n, *_wins(rows, n)] for n in students],
            markdown=True,
        ),
    ]
    others = [
        ("SSIM", "ssim", 4, rows),
        ("GMSD (smaller is better)", "gmsd", 4, rows),
        (f"VMAF ({report.get('vmaf')}; H.264, middle rates)", "vmaf", 1, [r for r in rows if "vmaf" in r]),
    ]
    table = []
    for title, key, digits, some in others:
        if some:
            table.append([title, *(_mean(some, key, name, digits) for name in ("input", *names))])
    still = [row for row in rows if "flicker" in row]
    if still:
        shares = [[row["flicker"].get(n) for row in still] for n in names]
        worst = [_ratio([v for v in values if v is not None]) for values in shares]
        table.append(["change from frame to frame where the truth stands still, of the input's (worst)", "1", *worst])
    parts += ["Means by other measures:", render(["", "input", *names], table, markdown=True)]
    for tier in dict.fromkeys(t for row in rows for t in row.get("zoo", {})):
        parts.append(_choices([row for row in rows if tier in row.get("zoo", {})], tier))
    parts.append(
        f"{len(rows)} calls of {len({r['clip'] for r in rows})} clips, {report['frames']} frames each, luma; filters at"
        f" their best setting on {' and '.join(report['chosen_on'])} ({filters}). Measured {report['date']} by "
        f"`{report['command']}`."
    )
    return "\n\n".join(parts)


def _mean(rows: list[dict[str, Any]], key: str, name: str, digits: int) -> str:
    values = [row["vmaf"].get(name) if key == "vmaf" else row["methods"].get(name, {}).get(key) for row in rows]
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.{digits}f}" if known else "–"


def _ratio(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ({max(values):.2f})" if values else "–"


def _choices(rows: list[dict[str, Any]], tier: str) -> str:
    """How often the student that auto chose is the best of the zoo, and what is lost where it is not."""
    losses = []
    for row in rows:
        chosen = row["chosen"].get(tier, [])
        if chosen:
            zoo = row["zoo"][tier]
            losses.append(max(zoo.values()) - zoo[chosen[-1]])
    if not losses:
        return ""
    best = sum(loss < 0.005 for loss in losses)
    return (
        f"`{tier}` chose the best of its students, none included, in {best} of {len(losses)} calls (within 0.005 dB); "
        f"it lost {np.mean(losses):.3f} dB to the best choice on average, {max(losses):.2f} dB at worst."
    )


def _input(rows: list[dict[str, Any]]) -> str:
    return f"{np.mean([row['methods']['input']['psnr'] for row in rows]):.2f}"


def _gain(rows: list[dict[str, Any]], name: str) -> str:
    values = [r["methods"][name]["psnr"] - r["methods"]["input"]["psnr"] for r in rows if name in r["methods"]]
    return f"{np.mean(values):+.2f} ({min(values):+.2f})" if values else "–"


def _wins(rows: list[dict[str, Any]], name: str) -> list[str]:
    over_input, over_all = np.zeros(2, int), np.zeros(2, int)
    over_best = 0
    for row in rows:
        methods = row["methods"]
        mine = methods[name]
        for index, metric in enumerate(("psnr", "ssim")):
            over_input[index] += mine[metric] > methods["input"][metric]
            rivals = ["input", *(f for f in _FILTERS if f in methods)]
            over_all[index] += all(mine[metric] > methods[rival][metric] for rival in rivals)
        over_best += mine["psnr"] > max(row["psnr_at_best_setting"].values())
    total = len(rows)
    return [
        f"{over_input[0]} / {over_input[1]} of {total}",
        f"{over_all[0]} / {over_all[1]} of {total}",
        f"{over_best} of {total}",
    ]
