"""Making the sdist and the wheels, and what can be told of them without installing them."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from _packages import PackageError, run

__all__ = ["Built", "audit", "build", "differences", "pure_wheel", "wheel_for", "wheel_parts"]


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path
    """Made from the sdist, not from the source tree, by the Python that runs this."""


def build(tree: Path, folder: Path) -> Built:
    """The sdist of a source tree and the wheel of that sdist. Raises PackageError."""
    run(sys.executable, "-m", "build", "--outdir", folder, tree)
    return Built(_only(folder, "*.tar.gz"), _only(folder, "*.whl"))


def wheel_for(python: str | Path, sdist: Path, folder: Path) -> Path:
    """The wheel that another Python makes of the sdist; python needs pip. Raises PackageError."""
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sdist)
    return _only(folder, "*.whl")


def pure_wheel(sdist: Path, folder: Path) -> Path:
    """What comes of the sdist where no compiler works. Raises PackageError."""
    none = {"CC": "/bin/false", "CXX": "/bin/false"}
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir", "--wheel-dir", folder)
    run(*command, sdist, environment=none)
    wheel = _only(folder, "*.whl")
    if not wheel.name.endswith("-py3-none-any.whl"):
        raise PackageError(f"{wheel.name}: not the pure wheel that comes where nothing can be compiled")
    return wheel


def differences(tree: Path, wheel: Path, folder: Path) -> list[str]:
    """Files of the wheel that come out otherwise where it is made from the source tree.

    None, where the sdist lacks nothing and builds can be repeated; then the two wheels are the same bytes, or
    PackageError.
    """
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, tree)
    other = _only(folder, "*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(other) as two:
        names = sorted({*one.namelist(), *two.namelist()})
        found = [n for n in names if _content(one, n) != _content(two, n)]
    if not found and wheel.read_bytes() != other.read_bytes():
        raise PackageError(f"{wheel.name}: the same files, and yet other bytes than from the source tree")
    return found


def audit(*packages: Path) -> None:
    """What twine, check-wheel-contents and abi3audit have to say. Raises PackageError where they find anything."""
    wheels = [package for package in packages if package.suffix == ".whl"]
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    run(sys.executable, "-m", "check_wheel_contents", *wheels)
    abi3 = [wheel for wheel in wheels if "-abi3-" in wheel.name]
    if abi3:
        run(sys.executable, "-m", "abi3audit", "--strict", *abi3)


def wheel_parts(wheel: Path) -> dict[str, int]:
    """Compressed bytes of the engine, the students, the Python code and the rest."""
    parts = {"engine": 0, "students": 0, "python": 0, "metadata": 0}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts[_part(entry.filename)] += entry.compress_size
    return parts


def _part(name: str) -> str:
    if name.endswith((".so", ".pyd")):
        return "engine"
    if name.endswith(".safetensors"):
        return "students"
    return "metadata" if ".dist-info/" in name else "python"


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(f"acutance-{pattern}"))
    if len(found) != 1:
        raise PackageError(f"{folder}: one {pattern} was expected there, not {len(found)}")
    return found[0]


def _content(archive: zipfile.ZipFile, name: str) -> bytes | None:
    return archive.read(name) if name in archive.namelist() else None
