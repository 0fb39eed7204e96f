"""Formats of two files: a description, and its weights beside it."""

from pathlib import Path

__all__ = ["companion"]


def companion(path: Path) -> Path:
    """The file of weights that belongs to an OpenVINO or ncnn description."""
    return path.with_suffix(".bin")
