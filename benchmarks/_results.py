"""Shared by the benchmarks: JSON files, versions, and tables between the markers of a document."""

import argparse
import importlib.metadata
import json
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acutance.errors import InputNotFoundError, UsageError
from acutance.io import AtomicOutput

__all__ = ["DOCUMENTS", "add_update_option", "load_json", "save_json", "update_between", "versions_of"]

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs"
"""The folder of the documents."""


def add_update_option(parser: argparse.ArgumentParser, page: str) -> None:
    """Add ``--update [PAGE]``, which writes the tables into a document.

    Args:
        parser: gets the option ``update``, a path or None.
        page: the document in the folder ``docs`` that is written if no other one is given.
    """
    parser.add_argument(
        "--update",
        type=Path,
        nargs="?",
        const=DOCUMENTS / page,
        metavar="PAGE",
        help=f"write the tables between the markers of a document (docs/{page})",
    )


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of each package, or ``not installed``, and the kind of machine."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def save_json(report: dict[str, Any], path: Path) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    # Keep the figures of a picture on one line, so that a change shows as one line.
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m.group(1)) + "]", text)
    with AtomicOutput(path, overwrite=True) as output:
        output.temporary.write_text(text + "\n", encoding="utf-8")


def load_json(path: Path) -> dict[str, Any]:
    """Read a report. Raises InputNotFoundError or UsageError."""
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no results yet; run without --from-json first")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    return report


def update_between(path: Path, begin: str, end: str, text: str) -> None:
    """Replace the text between two markers. Raises UsageError unless each marker occurs once, in order."""
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such file")
    old = path.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
        raise UsageError(f"{path}: the tables go between one {begin} and one {end}")
    before, rest = old.split(begin)
    after = rest.split(end)[1]
    with AtomicOutput(path, overwrite=True) as output:
        output.temporary.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
