"""A clean environment, what it weighs once a wheel is in it, and whether that works there."""

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from _packages import PackageError, run

__all__ = ["Environment", "pipx_installs_it", "uvx_runs_it"]

_SMOKE = Path(__file__).resolve().parents[2] / "tests" / "smoke" / "installed.py"

_SIZES = """
import importlib.metadata, json, pathlib
def size(distribution):
    places = {pathlib.Path(f.locate()) for f in distribution.files or ()}
    return sum(place.stat().st_size for place in places if place.is_file())
print(json.dumps({d.name.lower(): size(d) for d in importlib.metadata.distributions()}))
"""


@dataclass
class Environment:
    """A virtual environment with nothing but what Python puts there, and a folder of wheels that it is filled from."""

    folder: Path
    interpreter: str | Path = sys.executable
    _before: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        run(self.interpreter, "-m", "venv", self.folder)
        self.version = run(self.python, "-c", "import platform; print(platform.python_version())").strip()
        self._before = set(self._all_sizes())

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    def install(self, wheel: Path, *exactly: str) -> None:
        """Fetch what the wheel needs, wheels alone, from where pip is set to look; then install, offline.

        exactly: requirements that hold instead of the newest. Raises PackageError.
        """
        wanted = (wheel, *exactly)
        common = ("-m", "pip", "--disable-pip-version-check", "--quiet")
        run(self.python, *common, "download", "--only-binary", ":all:", "--dest", self.wheels, *wanted)
        run(self.python, *common, "install", "--no-index", "--find-links", self.wheels, *wanted, environment=_UNSET)
        run(self.python, *common, "check")

    def sizes(self) -> dict[str, int]:
        """Bytes of each distribution that :meth:`install` brought, with its byte code, the largest first."""
        found = {name: size for name, size in self._all_sizes().items() if name not in self._before}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def fetched(self) -> int:
        """Bytes of the wheels that were fetched, acutance's own among them."""
        return sum(path.stat().st_size for path in self.wheels.iterdir())

    def smoke(self, *arguments: str, emulator: tuple[str, ...] = ()) -> int:
        """Run the smoke test away from the source tree; how many tests passed. Raises PackageError."""
        python: tuple[str | Path, ...] = (self.python,)
        if emulator:
            python = (*emulator, "-0", self.python, self.python.resolve())
        said = run(*python, "-I", _SMOKE, *arguments, cwd=self.folder)
        ran, skipped = re.search(r"Ran (\d+) tests", said), re.search(r"skipped=(\d+)", said)
        if ran is None:
            raise PackageError(f"the smoke test did not say what it ran: {said[-300:]}")
        return int(ran[1]) - (int(skipped[1]) if skipped else 0)

    def _all_sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = json.loads(run(self.python, "-I", "-c", _SIZES))
        return sizes


_UNSET = {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}
"""So that what is offline asks nobody."""


def pipx_installs_it(environment: Environment, command: str, folder: Path) -> None:
    """Run a command line that installs a wheel with pipx, in a home of its own. Raises PackageError."""
    folder.mkdir()
    places = {f"PIPX_{what}": str(folder / what.lower()) for what in ("HOME", "BIN_DIR", "MAN_DIR")}
    places |= {"PIPX_DEFAULT_PYTHON": str(environment.python.resolve())}
    places |= {**_UNSET, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(environment.wheels)}
    _in_a_shell(command, folder, places)
    if not list((folder / "bin_dir").glob("acutance*")):
        raise PackageError(f"{command}: installed nothing")


def uvx_runs_it(environment: Environment, command: str, folder: Path) -> None:
    """Run a command line that runs a wheel with uvx. Raises PackageError."""
    folder.mkdir()
    places = {"UV_CACHE_DIR": str(folder / "cache"), "UV_TOOL_DIR": str(folder / "tools"), "UV_OFFLINE": "1"}
    places |= {"UV_NO_CONFIG": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(environment.wheels)}
    places |= {"UV_PYTHON": str(environment.python), "UV_PYTHON_DOWNLOADS": "never"}
    _in_a_shell(command, folder, places)


def _in_a_shell(command: str, folder: Path, places: dict[str, str]) -> None:
    """What the command installs is found before what was installed beside the tools."""
    path = os.pathsep.join([str(folder / "bin_dir"), str(Path(sys.executable).parent), os.environ["PATH"]])
    run("bash", "-c", command, cwd=folder, environment={**places, "PATH": path})
