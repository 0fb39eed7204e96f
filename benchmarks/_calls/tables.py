"""The call test as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from _calls.clips import LEFT_OUT
from acutance.evaluate.table import render
from acutance.metrics import restored_share

__all__ = ["tables"]

Row = Mapping[str, Any]
Rows = Sequence[Row]

_COHERENT = 0.3  # bands with less are not asked to have the truth's power
_POWER = (0.85, 1.15)  # the truth's power, as far as it is asked for
_VARIED = ("codec", "rate", "down", "up", "look", "halved", "again")
_NONE = "–"


def tables(report: Row, baseline: Row | None = None) -> str:
    """Return the tables of a report: clips that nothing is trained on first.

    Args:
        report: What ``calls.py`` wrote.
        baseline: An earlier report, whose calls are compared one by one.
    """
    rows, names = report["rows"], list(report["methods"])
    left_out = [row for row in rows if row["role"] in LEFT_OUT]
    train = [row for row in rows if row["role"] == "train"]
    text = [row for row in rows if row["role"] == "text"]
    parts = []
    for title, some in (("Clips that nothing is trained on", left_out), ("Training clips", train)):
        if some:
            parts += [
                f"{title}. A: acutance, C: coherence; gain in dB of PSNR over the input, mean (worst call); share of "
                "the lost acutance that is restored:",
                _by_factor(some, names),
            ]
    if left_out and train:
        parts += ["Clips that nothing is trained on less training clips: gain in dB; share restored, in points:"]
        parts.append(_difference(left_out, train, names))
    if left_out:
        parts += ["Other measures, clips that nothing is trained on:", _measures(left_out, names)]
        parts += [_choice(left_out, names)]
        parts += ["Gain in dB by what varied, clips that nothing is trained on:", _by_variation(left_out, names)]
    if text:
        parts += ["Characters of pages of text that an OCR reads wrong, in per cent:", _text(text, names)]
    if baseline is not None:
        parts += ["Against the earlier result, gain in dB / acutance / coherence, mean (worst call in dB):"]
        parts.append(_against(rows, names, baseline))
    parts.append(
        f"{len(rows)} calls of {len({row['clip'] for row in rows})} clips, {report['frames']} frames each, luma. "
        f"Measured {report['date']} by `{report['command']}`."
    )
    return "\n\n".join(part for part in parts if part)


def _values(rows: Rows, method: str, figure: str) -> list[float]:
    found = (row["methods"].get(method, {}).get(figure) for row in rows)
    return [float(value) for value in found if value is not None]


def _mean(rows: Rows, method: str, figure: str) -> float:
    values = _values(rows, method, figure)
    return float(np.mean(values)) if values else float("nan")


def _restored(rows: Rows, method: str) -> float:
    """Return the share that is restored of the mean loss: a mean of shares would be ruled by calls that lost little."""
    return 100 * restored_share(_mean(rows, method, "acutance"), _mean(rows, "input", "acutance"))


def _factors(rows: Rows) -> list[tuple[str, list[Row]]]:
    return [(f"x{f:g}", [r for r in rows if r["factor"] == f]) for f in sorted({r["factor"] for r in rows})]


def _gain(rows: Rows, name: str) -> str:
    values = _values(rows, name, "psnr_gain")
    return f"{np.mean(values):+.2f} ({min(values):+.2f})" if values else _NONE


def _by_factor(rows: Rows, names: Sequence[str]) -> str:
    table = []
    for factor, some in _factors(rows):
        cells = [factor, str(len(some))]
        for name in names:
            sharp = f"A {_mean(some, name, 'acutance'):.3f} C {_mean(some, name, 'coherence'):.3f}"
            if name == "input":
                cells.append(f"{sharp}, {_mean(some, name, 'psnr'):.2f} dB")
            else:
                cells.append(f"{sharp}, {_gain(some, name)}, {_restored(some, name):.0f} %")
        table.append(cells)
    return render(["factor", "calls", *names], table, markdown=True)


def _difference(left_out: Rows, train: Rows, names: Sequence[str]) -> str:
    methods = [name for name in names if name != "input"]
    table = []
    for factor, some in [*_factors(left_out), ("all", list(left_out))]:
        others = [row for row in train if factor in (f"x{row['factor']:g}", "all")]
        if not others:
            continue
        cells = [factor]
        for name in methods:
            gain = _mean(some, name, "psnr_gain") - _mean(others, name, "psnr_gain")
            cells.append(f"{gain:+.2f}; {_restored(some, name) - _restored(others, name):+.0f}")
        table.append(cells)
    return render(["factor", *methods], table, markdown=True)


def _measures(rows: Rows, names: Sequence[str]) -> str:
    def line(title: str, cell: Callable[[str], str]) -> list[str]:
        return [title, *(cell(name) for name in names)]

    def mean(figure: str, digits: int) -> Callable[[str], str]:
        return lambda name: f"{_mean(rows, name, figure):.{digits}f}" if _values(rows, name, figure) else _NONE

    table = [
        line("SSIM", mean("ssim", 4)),
        line("natural acutance", mean("natural", 3)),
        line("acutance less natural acutance, mean (largest distance)", lambda name: _natural_gap(rows, name)),
        line("coherence less the input's, worst call", lambda name: _worst_coherence(rows, name)),
        line("bands of coherence above 0.3 with 0.85 to 1.15 of the truth's power", lambda name: _power(rows, name)),
        line("change on static regions, of the input's, mean (worst)", lambda name: _flicker(rows, name)),
        line("gain of the first frame, dB", lambda name: _first(rows, name)),
    ]
    for title, figure in (("ColorVideoVDP, JOD", "jod"), ("VMAF (NEG)", "vmaf")):
        if _values(rows, "input", figure):
            table.append(line(title, mean(figure, 2)))
            table.append(line(f"{title}: gain; calls above the input; worst", lambda n, f=figure: _above(rows, n, f)))  # type: ignore[misc]
    return render(["", *names], table, markdown=True)


def _pairs(rows: Rows, name: str, figure: str, other: str, other_figure: str) -> list[tuple[float, float]]:
    found = []
    for row in rows:
        one, two = row["methods"].get(name, {}).get(figure), row["methods"].get(other, {}).get(other_figure)
        if one is not None and two is not None:
            found.append((float(one), float(two)))
    return found


def _natural_gap(rows: Rows, name: str) -> str:
    gaps = [a - n for a, n in _pairs(rows, name, "acutance", name, "natural")]
    return f"{np.mean(gaps):+.3f} ({max(gaps, key=abs):+.3f})" if gaps else _NONE


def _worst_coherence(rows: Rows, name: str) -> str:
    gains = [a - b for a, b in _pairs(rows, name, "coherence", "input", "coherence")]
    return f"{min(gains):+.3f}" if gains else _NONE


def _power(rows: Rows, name: str) -> str:
    asked = good = 0
    for row in rows:
        figures = row["methods"].get(name, {})
        for power, coherence in zip(figures.get("power_ratio", ()), figures.get("band_coherence", ()), strict=True):
            if power is not None and coherence > _COHERENT:
                asked += 1
                good += _POWER[0] <= power <= _POWER[1]
    return f"{good} of {asked}" if asked else _NONE


def _flicker(rows: Rows, name: str) -> str:
    values = _values(rows, name, "flicker_ratio")
    return f"{np.mean(values):.2f} ({max(values):.2f})" if values else _NONE


def _first(rows: Rows, name: str) -> str:
    gains = [a - b for a, b in _pairs(rows, name, "psnr_first", "input", "psnr_first")]
    return f"{np.mean(gains):+.2f} ({min(gains):+.2f})" if gains else _NONE


def _above(rows: Rows, name: str, figure: str) -> str:
    gains = [a - b for a, b in _pairs(rows, name, figure, "input", figure)]
    if not gains or name == "input":
        return _NONE
    return f"{np.mean(gains):+.2f}; {sum(g > 0 for g in gains)} of {len(gains)}; {min(gains):+.2f}"


def _choice(rows: Rows, names: Sequence[str]) -> str:
    """Return how far each method is below the best fixed student, over calls, in words."""
    sentences = []
    for best in (name for name in names if name.startswith("best")):
        for name in names:
            if name == "input" or name.startswith("best"):
                continue
            losses = [b - a for a, b in _pairs(rows, name, "psnr", best, "psnr")]
            if losses:
                sentences.append(
                    f"`{name}` is {np.mean(losses):.2f} dB below `{best}` on average, {max(losses):.2f} at worst"
                )
    scaled = [row for row in rows if row["factor"] == 1]
    for name in names:
        gains = _values(scaled, name, "psnr_gain")
        if name != "input" and not name.startswith("best") and gains:
            count = sum(gain < -0.05 for gain in gains)
            sentences.append(f"`{name}` is more than 0.05 dB below its input on {count} of {len(gains)} calls at x1")
    return "; ".join(sentences) + "." if sentences else ""


def _by_variation(rows: Rows, names: Sequence[str]) -> str:
    methods = [name for name in names if name != "input"]
    table = []
    for key in _VARIED:
        # What does not scale has no filter, and what is not encoded has no rate.
        told = [r for r in rows if (key not in ("down", "up") or r["factor"] > 1) and (key != "rate" or r["codec"])]
        for value in dict.fromkeys(row[key] for row in told):
            some = [row for row in told if row[key] == value]
            label = {True: "yes", False: "no", None: "none"}.get(value, value)
            table.append([f"{key}: {label}", str(len(some)), *(_gain(some, name) for name in methods)])
    return render(["", "calls", *methods], table, markdown=True)


def _text(rows: Rows, names: Sequence[str]) -> str:
    table = []
    for factor, some in _factors(rows):
        for reader in dict.fromkeys(r for row in some for r in row["methods"]["input"].get("wrong", ())):
            cells = [factor, reader, str(len(some))]
            for name in names:
                values = [row["methods"][name]["wrong"][reader] for row in some if name in row["methods"]]
                cells.append(f"{np.mean(values):.1f}" if values else _NONE)
            table.append(cells)
    return render(["factor", "read by", "calls", *names], table, markdown=True)


def _against(rows: Rows, names: Sequence[str], baseline: Row) -> str:
    """Compare methods of this report with those of an earlier one on the calls that both have."""
    old = {row["key"]: row for row in baseline["rows"]}
    table = []
    for role, those in (("left out", LEFT_OUT), ("train", ("train",))):
        for factor, some in _factors([row for row in rows if row["role"] in those and row["key"] in old]):
            for name in names:
                cells = [f"{role}, {factor}", name]
                for other in baseline["methods"]:
                    pairs = [
                        (row["methods"][name], old[row["key"]]["methods"][other])
                        for row in some
                        if name in row["methods"] and other in old[row["key"]]["methods"]
                    ]
                    cells.append(_versus(pairs))
                table.append(cells)
    return render(["", "method", *(f"against {name}" for name in baseline["methods"])], table, markdown=True)


def _versus(pairs: Sequence[tuple[Row, Row]]) -> str:
    if not pairs:
        return _NONE
    gains = [new["psnr"] - old["psnr"] for new, old in pairs]
    sharp = [
        np.mean([new[f] - old[f] for new, old in pairs if new[f] is not None and old[f] is not None] or [np.nan])
        for f in ("acutance", "coherence")
    ]
    return f"{np.mean(gains):+.2f} / {sharp[0]:+.3f} / {sharp[1]:+.3f} ({min(gains):+.2f})"
