"""Write the README's table of the tiers, from the JSON files in benchmarks/results.

    python tools/readme_table.py             write the table
    python tools/readme_table.py --check     exit with 1 if the README differs

Speed comes from benchmarks/speed.py (section ``floors``), the gains come from benchmarks/calls.py and
benchmarks/quality.py. The size is that of the tier's largest student file.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import _benchmarks  # noqa: F401
from _calls.clips import LEFT_OUT
from _results import load_json, update_between
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError
from acutance.metrics import restored_share
from acutance.students.bundled import bundled_models

ROOT = Path(__file__).resolve().parents[1]
METHODS = {"fast": "auto", "balanced": "balanced", "quality": "quality"}
"""What the call test calls a tier: ``auto`` is the tier ``fast``."""

README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- tiers:begin -->", "<!-- tiers:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args(arguments)
    try:
        text = table(*(load_json(RESULTS / f"{name}.json") for name in ("speed", "calls", "quality")))
        if options.check:
            written = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
            print(f"README.md: the table is {'up to date' if written == text else 'out of date'}")
            return 0 if written == text else 1
        update_between(README, BEGIN, END, text)
    except AcutanceError as error:
        print(f"readme_table: {error}", file=sys.stderr)
        return exit_code(error)
    print(text)
    return 0


def table(speed: dict[str, Any], calls: dict[str, Any], quality: dict[str, Any]) -> str:
    """Return the table in Markdown, without a blank line at its ends."""
    lines = [
        "| tier | 1080p frames a second | lost acutance restored | coherence gained | gain on calls, dB "
        "| gain on Set5 x2, dB | model file |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    set5 = next(s for s in quality["sets"] if (s["name"], s["factor"]) == ("Set5", 2))
    means = {method["name"]: method["mean"]["psnr_y"] for method in set5["methods"]}
    rows = [row["methods"] for row in calls["rows"] if row["role"] in LEFT_OUT and row["factor"] > 1 and row["codec"]]

    def mean(method: str, figure: str) -> float:
        return fmean(row[method][figure] for row in rows)

    def on_calls(method: str) -> str:
        if method not in calls["methods"]:
            return "– | – | –"
        restored = 100 * restored_share(mean(method, "acutance"), mean("input", "acutance"))
        coherence = mean(method, "coherence") - mean("input", "coherence")
        return f"{restored:.0f} % | {coherence:+.3f} | {mean(method, 'psnr_gain'):+.2f}"

    for row in speed["sections"]["floors"]["rows"]:
        tier = row["name"]
        largest = max(path.stat().st_size for name, path in bundled_models().items() if name.startswith(f"{tier}-"))
        clean = means[f"{tier}-clean-x2"] - means["bicubic"]
        lines.append(
            f"| `{tier}` | {row['fps']:.0f} | {on_calls(METHODS[tier])} | {clean:+.2f} | {largest / 1000:.0f} kB |"
        )
    floors = speed["sections"]["floors"]
    note = (
        f"Speed: luma, every tile, {speed['machine']}, {floors['instruction_set'].upper()}. Calls: {len(rows)} encoded "
        f"calls at x1.5 to x4 of clips that nothing is trained on; lost acutance in the mean, gain in PSNR of luma. "
        f"Set5: at x2 without an encoder."
    )
    return "\n".join([*lines, "", note])


if __name__ == "__main__":
    sys.exit(main())
