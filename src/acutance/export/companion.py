"""Formats of two files: a description and its weights."""

from pathlib import Path

__all__ = ["companion"]


def companion(path: Path) -> Path:
    """Return the path of the weights that belong to an OpenVINO or ncnn description."""
    return path.with_suffix(".bin")
