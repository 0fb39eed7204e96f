"""What the page consists of: the module, the engine in WebAssembly, the students, and the page itself."""

import hashlib
import json
from functools import cache
from pathlib import Path

from acutance import __version__
from acutance.engine.integer import convert
from acutance.errors import OutputError, UsageError
from acutance.students.bundled import bundled_models, factors_of, find_student

__all__ = ["module_files", "page_files", "student_files", "write_page"]

_PARTS = {"*.js", "*.d.ts", "wasm/*", "recipes/*.js"}
_PAGE = {"index.html", "page/*"}
_LARGEST = 16 << 20  # bytes of a file: nothing here is near


def static_folder() -> Path:
    """Return the folder of the files that are not made: in the package, or in the source tree it is run from."""
    installed = Path(__file__).parent / "web"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "web"


@cache
def module_files() -> dict[str, bytes]:
    """Return the files of the JavaScript module: path, with slashes, to content."""
    return _read(_PARTS) | student_files()


@cache
def page_files() -> dict[str, bytes]:
    """Return every file of the page: path, with slashes, to content."""
    return _read(_PAGE) | module_files()


@cache
def student_files() -> dict[str, bytes]:
    """Return ``models/models.json``, and every bundled student as the engine loads it (docs/engine.md)."""
    files, entries = {}, []
    for name in bundled_models():
        data = convert(find_student(name)).to_bytes()
        tier, task = name.split("-")[:2]
        entries.append(
            {
                "file": f"{name}.acu",
                "tier": tier,
                "task": task,
                "look": "faithful",
                "factors": [f for f in factors_of(name) if f >= 1],
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
        files[f"models/{name}.acu"] = data
    manifest = {"format": 1, "version": __version__, "models": entries}
    return {"models/models.json": json.dumps(manifest, indent=1).encode()} | files


def write_page(folder: Path) -> list[Path]:
    """Write the page as static files, as GitHub Pages serves them.

    Args:
        folder: is made; must be empty where it exists.

    Returns:
        The files written.

    Raises:
        UsageError: the folder is not empty.
        OutputError: a file cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder")
    written = []
    for path, data in page_files().items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
        written.append(target)
    return written


def _read(patterns: set[str]) -> dict[str, bytes]:
    folder = static_folder()
    found = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
