"""Other processors than this machine's, emulated by qemu-user where it is."""

import shutil
from pathlib import Path

from _packages import run
from _packages.environment import Environment

__all__ = ["engine_on_arm", "old_processors"]

_OLD = ("Nehalem",)  # of 2008: the oldest that numpy's own wheels run on
_ENGINE = ("-k", "bundled_student", "-k", "the_engine_is_there")  # of the smoke test: what runs in its own process


def old_processors(environment: Environment) -> list[str]:
    """Those on which every bundled student ran, with the bits of its numpy twin. Raises PackageError."""
    if shutil.which("qemu-x86_64") is None:
        return []
    for processor in _OLD:
        environment.smoke(*_ENGINE, emulator=("qemu-x86_64", "-cpu", processor))
    return list(_OLD)


def engine_on_arm(tree: Path, folder: Path) -> bool:
    """Whether the engine was compiled for ARM64 and did not fail its stress test. Raises PackageError where it did."""
    compilers = [shutil.which(f"aarch64-linux-gnu-{name}") for name in ("gcc", "g++")]
    if None in compilers or shutil.which("qemu-aarch64") is None:
        return False
    options = ["-DACUTANCE_TESTS=ON", "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    options += [f"-DCMAKE_C_COMPILER={compilers[0]}", f"-DCMAKE_CXX_COMPILER={compilers[1]}"]
    run("cmake", "-S", tree, "-B", folder, "-DCMAKE_EXE_LINKER_FLAGS=-static", *options)
    run("cmake", "--build", folder)
    run("qemu-aarch64", folder / "acutance_stress", "40", environment={"ACUTANCE_NO_FORK": "1"})
    return True
