"""The tables of docs/benchmarks/speed.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from acutance.evaluate.table import NOTHING, render

__all__ = ["tables", "targets_table"]

_Section = Mapping[str, Any]


def tables(report: Mapping[str, Any]) -> str:
    """Return all tables in Markdown: the targets, then each section."""
    sections: Mapping[str, _Section] = report["sections"]
    parts = ["Targets and measured figures:", targets_table(sections)]
    for name, make in _TABLES.items():
        if name in sections and sections[name]["rows"]:
            heading, table = make(sections[name])
            parts += [heading, table]
    missing = [f"{name}: {what} ({why})" for name, s in sections.items() for what, why in s["missing"].items()]
    if missing:
        parts.append("Missing: " + "; ".join(missing) + ".")
    parts.append(_conditions(report))
    return "\n\n".join(parts)


def targets_table(sections: Mapping[str, _Section]) -> str:
    rows = []
    for section in sections.values():
        for target in section["targets"]:
            met = {True: "yes", False: "**no**", None: "not judged"}[target["met"]]
            wanted = f"{target['relation'].replace('>=', '≥').replace('<=', '≤')} {target['limit']:g} {target['unit']}"
            rows.append([target["what"], wanted.strip(), _number(target["value"]), met])
    return render(["target", "wanted", "measured", "met"], rows, markdown=True) if rows else "No targets."


def _conditions(report: Mapping[str, Any]) -> str:
    races = [race for s in report["sections"].values() for race in s["conditions"]]
    peaks = [race["int16_peak_gmacs"] for race in races if "int16_peak_gmacs" in race]
    said = (
        "Frames a second come from medians. GMAC/s counts the plain convolutions. Two rows at once need two thirds of "
        "them, so the share of the peak can exceed 100 %. "
    )
    said += (
        f"Measured on {report['machine']}, held to {_held_to(report)}, up to {report['date']}, by `{report['command']}`"
    )
    if peaks:
        low, high = min(p["lowest"] for p in peaks), max(p["highest"] for p in peaks)
        said += f"; int16 peak of the same runs {low:.0f} to {high:.0f} GMAC/s"
    for key, what in (("steal", "stolen by the hypervisor"), ("others", "used by other processes")):
        shares = [race[key] for race in races if race[key] is not None]
        if shares:
            said += f"; at most {max(shares) * 100:.1f} % {what}"
    versions = ", ".join(f"{n} {v}" for n, v in report["versions"].items() if n not in ("machine", "python"))
    return f"{said}. {versions}."


def _held_to(report: Mapping[str, Any]) -> str:
    names = {s.get("instruction_set") or "its best" for s in report["sections"].values()}
    return ", ".join(sorted(names)).replace("avx2", "AVX2")


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _fps(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def _times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}x"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value * 100:.0f} %"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return render(headers, rows, markdown=True)


def _floors(section: _Section) -> tuple[str, str]:
    rows = [
        [
            r["name"], _fps(r["fps"]), f"{r['median_ms']:.2f}", f"{r['p95_ms']:.2f}", f"{r['p99_ms']:.2f}",
            f"{r['gmacs']:.0f}", _percent(r["share_of_int16_peak"]), _fps(r["fps_at_nominal_peak"]), str(r["frames"]),
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = [
        "1080p luma, every tile",
        "fps",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "GMAC/s",
        "of int16 peak",
        "fps at 2 x 78 GMAC/s",
        "frames",
    ]
    return f"Every tile, {section['threads']} threads:", _table(heads, rows)


def _sets(section: _Section) -> tuple[str, str]:
    rows = [
        [
            r["instruction_set"], r["tier"], _fps(r["fps"]), f"{r['p99_ms']:.2f}",
            _number(r["peak_gmacs"]), _percent(r["share_of_int16_peak"]),
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["instruction set", "tier", "fps", "p99 ms", "peak, GMAC/s", "share of the peak"]
    return "Instruction sets of this processor:", _table(heads, rows)


def _runtimes(section: _Section) -> tuple[str, str]:
    rows = [
        [
            f"{r['tier']}: {r['name'] if r['ours_is_faster_by'] else 'acutance, ' + r['engine']}", _fps(r["fps"]),
            f"{r['median_ms']:.2f}", _times(r["ours_is_faster_by"]), f"{r['psnr_to_float']:.1f}",
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["same network, 1080p", "fps", "p50 ms", "ours is faster by", "PSNR to float, dB"]
    return "The same networks in other runtimes, each with its best settings:", _table(heads, rows)


def _peers(section: _Section) -> tuple[str, str]:
    rows = [
        [
            r["name"], r["runs_in"], r["works_on"], f"{r['macs_per_pixel']:,.0f}", _fps(r["fps"]),
            f"{r['set5_psnr_y']:.2f}", _times(r["fast_is_faster_by"]),
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["540p to 1080p", "runs in", "on", "MAC per pixel", "fps", "Set5 x2 PSNR-Y", "`fast` is faster by"]
    return "Beside published networks, from 540p to 1080p (ours with the scaling):", _table(heads, rows)


def _teachers(section: _Section) -> tuple[str, str]:
    rows = [
        [
            r["name"], r["kind"], f"{r['parameters']:,}", f"{r['macs_per_pixel']:,.0f}", _fps(r["fps"]),
            f"{r['fast_is_faster_by']:,.1f}x",
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["to 1080p", "kind", "parameters", "MAC per pixel", "fps", "`fast` is faster by"]
    return "Teachers, and the student of the report:", _table(heads, rows)


def _filters(section: _Section) -> tuple[str, str]:
    names = list(dict.fromkeys(r["name"] for r in section["rows"]))
    clips = list(dict.fromkeys(r["clip"] for r in section["rows"]))
    fps = {(r["clip"], r["name"]): 1000 / r["mean_ms"] for r in section["rows"]}
    rows = [[clip, *(_fps(fps.get((clip, name))) for name in names)] for clip in clips]
    return "Frames a second (mean), and filters of ffmpeg:", _table(["1080p call", *names], rows)


def _threshold(section: _Section) -> tuple[str, str]:
    rows = [
        [
            f"{r['tier']}: {r['clip']}", str(r["threshold"]),
            _fps(1000 / r["off"]["mean_ms"]), _fps(1000 / r["on"]["mean_ms"]),
            _times(r["speedup"]), _percent(r["computed_share"]), f"{max(r['loss_db_by_kbps'].values()):.3f}",
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["1080p call", "threshold", "fps, every tile", "fps, threshold", "faster by", "tiles computed", "loss, dB"]
    return "Activity threshold, compared with every tile:", _table(heads, rows)


def _reuse(section: _Section) -> tuple[str, str]:
    rows = [
        [
            r["clip"], _fps(1000 / r["none"]["mean_ms"]), _fps(1000 / r["reuse"]["mean_ms"]), _times(r["speedup"]),
            _percent(r["reused_share"]), f"{r['frames_that_differ']} of {r['frames_compared']}",
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["`fast`, 1080p", "fps, without", "fps, with reuse", "faster by", "tiles reused", "frames that differ"]
    return "Reuse of tiles that did not change:", _table(heads, rows)


def _seams(section: _Section) -> tuple[str, str]:
    rows = [
        [
            f"{r['tier']}: {r['clip']}",
            _number(r["deviation_of_all_borders_percent"]), _number(r["deviation_percent"]),
            _number(r["flicker_with_threshold"]), _number(r["flicker_without"]),
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = [
        "1080p call",
        "gradient at tile borders, % off",
        "computed to passed only, % off",
        "flicker, threshold",
        "flicker, every tile",
    ]
    return "Seams at tile borders, and flicker relative to the input:", _table(heads, rows)


def _job(section: _Section) -> tuple[str, str]:
    rows = [
        [
            f"{r['preset']}: {r['name']}", _fps(r["fps"]), f"{r['seconds']:.2f}",
            _number(r["seconds_without_start"]), f"{r['bytes'] / 1e6:.1f}",
        ]
        for r in section["rows"]
    ]  # fmt: skip
    heads = ["libx264 preset: job", "fps", "seconds", "without starting Python", "MB written"]
    return "Whole file jobs at 1080p:", _table(heads, rows)


def _memory(section: _Section) -> tuple[str, str]:
    rows = [[r["name"], f"{r['highest_mb']:.1f}", f"{r['lasting_mb']:.1f}"] for r in section["rows"]]
    return "Memory at 1080p, without the frames:", _table(["engine", "highest, MB", "lasting, MB"], rows)


def _sweep(section: _Section) -> tuple[str, str]:
    rows = [
        [f"{r['tier']}: {r['clip']}", str(r["threshold"]), _percent(r["computed_share"]), f"{r['loss_db']:.4f}"]
        for r in section["rows"]
    ]
    heads = ["validation clip, x2 rung", "threshold", "tiles computed", "loss, dB"]
    return "Choice of the threshold:", _table(heads, rows)


_TABLES = {
    "floors": _floors,
    "sets": _sets,
    "runtimes": _runtimes,
    "peers": _peers,
    "teachers": _teachers,
    "filters": _filters,
    "threshold": _threshold,
    "reuse": _reuse,
    "seams": _seams,
    "job": _job,
    "memory": _memory,
    "sweep": _sweep,
}
