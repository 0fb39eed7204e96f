"""Where the package can be: what cibuildwheel is set to build, and whether pip finds wheels of what it needs there."""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from _packages import PackageError, run

__all__ = ["PLATFORMS", "Platform", "built_by_configuration", "dependencies", "lacking"]


@dataclass(frozen=True)
class Platform:
    """name: for people. builds: cibuildwheel's name of it; none are built where empty. tags, python, abi: as pip's
    ``--platform``, ``--python-version`` and ``--abi`` take them, the oldest system that everything needed has wheels
    for."""

    name: str
    builds: str
    tags: tuple[str, ...]
    python: str = "3.12"
    abi: tuple[str, ...] = ()


def _manylinux(machine: str) -> tuple[str, ...]:
    return tuple(f"manylinux_2_{glibc}_{machine}" for glibc in (28, 27, 24, 17, 12, 5))


PLATFORMS = (
    Platform("Linux x86-64, glibc 2.28 or newer", "manylinux_x86_64", _manylinux("x86_64")),
    Platform("Linux ARM64, glibc 2.28 or newer", "manylinux_aarch64", _manylinux("aarch64")),
    Platform("Linux x86-64, musl 1.2 or newer", "musllinux_x86_64", ("musllinux_1_2_x86_64",)),
    Platform("Linux ARM64, musl 1.2 or newer", "musllinux_aarch64", ("musllinux_1_2_aarch64",)),
    Platform("macOS 14 or newer, Apple silicon", "macosx_arm64", ("macosx_14_0_arm64",)),
    Platform("macOS 11 or newer, Intel", "macosx_x86_64", ("macosx_11_0_x86_64",)),
    Platform("Windows x86-64", "win_amd64", ("win_amd64",)),
    Platform("Windows ARM64", "win_arm64", ("win_arm64",)),
    Platform("Windows, 32 bits", "", ("win32",)),
    Platform("Linux x86, 32 bits", "", _manylinux("i686")),
    Platform("PyPy 3.11", "", _manylinux("x86_64"), "3.11", ("pypy311_pp73", "none")),
    Platform("Python 3.14 without the global lock", "", _manylinux("x86_64"), "3.14", ("cp314t", "none")),
)
"""Everything that wheels are built for, and what one might also ask for."""


def built_by_configuration(tree: Path) -> dict[str, list[str]]:
    """cibuildwheel's platforms, as ``[tool.cibuildwheel]`` says, each with its Pythons: ``["cp311", "cp312"]``.

    Raises PackageError.
    """
    found: dict[str, list[str]] = {}
    for system in ("linux", "macos", "windows"):
        said = run(sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", system, tree)
        for identifier in said.split():
            python, _, platform = identifier.partition("-")
            found.setdefault(platform, []).append(python)
    return found


def dependencies(tree: Path) -> list[str]:
    """What the base install needs, as pyproject.toml says it."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [str(requirement) for requirement in project["dependencies"]]


def lacking(platform: Platform, requirements: list[str], folder: Path) -> list[str]:
    """Those requirements of which pip finds no wheel for a platform, by name."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", platform.python]
    for tag in platform.tags:
        command += ["--platform", tag]
    for abi in platform.abi:
        command += ["--abi", abi]
    if platform.abi and platform.abi[0].startswith("pypy"):
        command += ["--implementation", "pp"]
    missing = []
    for requirement in requirements:
        try:
            run(*command, "--target", folder, requirement)
        except PackageError as error:
            if "No matching distribution" not in str(error):
                raise
            missing.append(requirement.partition(">")[0])
    return missing
