"""A picture of quality against speed."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from _results import load_json
from acutance._util.extras import require
from acutance.errors import UsageError

__all__ = ["draw"]

_RESULTS = Path(__file__).resolve().parents[1] / "results"
_COLOURS = {"ours": "#0b6e4f", "peer": "#b5542a", "teacher": "#5b5f97"}
_LABELS = {"ours": "acutance", "peer": "published networks, OpenVINO", "teacher": "teachers, torch"}


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw PSNR on Set5 x2 against frames per second at 1080p, from section ``peers`` and two other results.

    Raises:
        UsageError: The section is missing.
        MissingExtraError: matplotlib is not installed.
    """
    if "peers" not in report["sections"]:
        raise UsageError("the picture needs the section peers")
    section = report["sections"]["peers"]
    points = [(r["name"], r["kind"], r["fps"], r["set5_psnr_y"]) for r in section["rows"]]
    points += _teachers()
    require("matplotlib", extra="eval", purpose="the picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for kind, colour in _COLOURS.items():
        chosen = sorted((fps, psnr, name) for name, k, fps, psnr in points if k == kind)
        if not chosen:
            continue
        xs, ys = [c[0] for c in chosen], [c[1] for c in chosen]
        line = "-" if kind == "ours" else ""
        axes.plot(xs, ys, f"o{line}", color=colour, label=_LABELS[kind], markersize=8 if kind == "ours" else 6)
        for x, y, name in chosen:
            axes.annotate(
                name, (x, y), xytext=(6, 6) if kind == "ours" else (-5, -14), textcoords="offset points", fontsize=9,
                color=colour, ha="left" if kind == "ours" else "right",
            )  # fmt: skip
    for rate in (30, 60):
        axes.axvline(rate, color="#999999", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{rate} fps", (rate, 0.9), xycoords=("data", "axes fraction"), rotation=90, ha="right", fontsize=8,
            color="#777777",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.margins(x=0.18, y=0.12)
    axes.set_xlabel(f"frames a second to 1920x1080, threads: {section['threads']}")
    axes.set_ylabel("PSNR on luma, Set5 x2, dB")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower left", frameon=False)
    axes.set_title(f"{report['machine']}, measured {section['date'][:10]}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _teachers() -> list[tuple[str, str, float, float]]:
    """Return the teachers that were measured in time and in quality."""
    cost, quality = _RESULTS / "cost.json", _RESULTS / "quality.json"
    if not (cost.is_file() and quality.is_file()):
        return []
    set5 = next((s for s in load_json(quality)["sets"] if s["name"] == "Set5" and s["factor"] == 2), None)
    psnr = {m["name"]: m["mean"]["psnr_y"] for m in set5["methods"]} if set5 else {}
    return [
        (row["name"], "teacher", 1 / median(row["seconds"]), psnr[row["name"]])
        for row in load_json(cost)["rows"]
        if row["kind"] == "teacher" and row["name"] in psnr
    ]
