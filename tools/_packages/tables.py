"""The tables of docs/benchmarks/packages.md: sizes and platforms."""

from typing import Any

from acutance.evaluate.table import render

__all__ = ["LIMIT", "tables"]

LIMIT = 290_000_000
"""Bytes: the limit for the base install with its dependencies."""

_NAMED = 5_000_000  # bytes; larger packages are named
_WHAT = {"av": "PyAV with FFmpeg", "numpy": "numpy", "pillow": "Pillow", "pygments": "Pygments"}


def tables(report: dict[str, Any]) -> str:
    """Return sizes, platforms and a footnote in Markdown."""
    return "\n\n".join([_sizes(report), _platforms(report), _footnote(report)])


def _sizes(report: dict[str, Any]) -> str:
    installed = report["installed"]
    total = sum(installed.values())
    large = {name: size for name, size in installed.items() if size >= _NAMED and name != "acutance"}
    named = [f"{_WHAT.get(name, name)} {_mb(size)}" for name, size in large.items()]
    named += [f"acutance {_mb(installed['acutance'])}", f"{len(installed) - len(large) - 1} others"]
    parts = ", ".join(f"{name} {_kb(size)}" for name, size in report["wheel_parts"].items())
    met = "met" if total < LIMIT and "torch" not in installed else "**missed**"
    return (
        f"The base install takes {_mb(total)} on disk and downloads {_mb(report['fetched'])} (target: below "
        f"{_mb(LIMIT)}, no torch; {met}): {', '.join(named)}. The wheel has {_kb(report['wheel'])}: {parts}. The sdist "
        f"has {_kb(report['sdist'])}."
    )


def _platforms(report: dict[str, Any]) -> str:
    pythons = {tried["python"] for tried in report["environments"]}
    tested = ", ".join(sorted(pythons, key=lambda version: [int(part) for part in version.split(".")]))
    rows = []
    for platform in report["platforms"]:
        wheels = ", ".join(platform["wheels"])
        lacking = f"{', '.join(platform['lacking']) or 'acutance'} without wheels"
        if platform["here"]:
            state = f"tested here ({report['libc']}): Python {tested}"
        elif wheels:
            state = "built by configuration" + (f", but {lacking}" if platform["lacking"] else "")
        else:
            state = f"not supported: {lacking}"
        if platform["engine_emulated"]:
            state += "; engine tried in an emulator"
        rows.append([platform["name"], f"{wheels} and newer" if wheels else "–", state])
    rows.append(["others with the dependencies", "–", "from the sdist; slow (numpy) without a C++17 compiler"])
    return render(["platform", "wheels", "state"], rows, markdown=True)


def _footnote(report: dict[str, Any]) -> str:
    lowest = ", ".join(report["lowest"]).replace("==", " ")
    emulated = f"on an emulated {' and '.join(report['emulated'])}, " if report["emulated"] else ""
    return (
        "`tests/smoke/installed.py` tried these in clean environments: the wheel from the sdist, which has the same "
        f"bytes as the wheel from a clone, with the newest and the oldest dependencies ({lowest}), {emulated}with pipx "
        f"and with uvx; and the wheel without the engine. auditwheel accepts the local build as {report['manylinux']}. "
        '"Built by configuration": cibuildwheel is set up for it but has not run here; pip found wheels of all '
        "dependencies. "
        f"Measured {report['date']} by `{report['command']}`."
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _kb(size: int) -> str:
    return f"{size / 1e3:,.0f} kB"
