"""The call test as Markdown."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from acutance.evaluate.table import render

__all__ = ["tables"]

_FILTERS = ("lanczos", "unsharp", "cas")


def tables(report: Mapping[str, Any]) -> str:
    """What each method gains over the input, by rung; and on how many calls each student is the best of all."""
    rows = report["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row["methods"] if name != "input"))
    students = [name for name in names if name not in _FILTERS]
    names = [n for n in _FILTERS if n in names] + students
    factors = sorted({row["factor"] for row in rows})
    gains = []
    for factor in factors:
        of_rung = [row for row in rows if row["factor"] == factor]
        gains.append([f"x{factor:g}", str(len(of_rung)), _input(of_rung), *(_gain(of_rung, n) for n in names)])
    gains.append(["all", str(len(rows)), _input(rows), *(_gain(rows, n) for n in names)])
    wins = [[n, *_wins(rows, n)] for n in students]
    filters = ", ".join(f"{name} {value:g}" for name, value in report["filters"].items())
    heads = ["student", "than the input", "than lanczos, unsharp and cas too", "than their best on that call, PSNR"]
    how = (
        f"{len(rows)} calls of {len({r['clip'] for r in rows})} clips, {report['frames']} frames each, luma; filters at"
        f" their best setting on {' and '.join(report['chosen_on'])} ({filters}). Measured {report['date']} by "
        f"`{report['command']}`."
    )
    return "\n\n".join(
        [
            "Gain over the input in dB of PSNR, mean (worst call):",
            render(["rung", "calls", "input, dB", *names], gains, markdown=True),
            "On how many calls each student is better, in PSNR / SSIM:",
            render(heads, wins, markdown=True),
            how,
        ]
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
