"""What is published: built, put into clean environments, tried there."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from acutance.errors import AcutanceError

__all__ = ["PackageError", "run"]

_LINES = 30  # of what a command said, where it fails


class PackageError(AcutanceError, RuntimeError):
    """A package cannot be built or installed, or is not what it ought to be."""


def run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """What a command printed, errors among it. Raises PackageError where it fails or is not there."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except OSError as error:
        raise PackageError(f"{words[0]}: {error.strerror}; pip install -e '.[release]' brings it") from error
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_LINES:])
        raise PackageError(f"{' '.join(words)} failed with {done.returncode}:\n{said}")
    return done.stdout
