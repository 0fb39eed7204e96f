"""What is published: its version, what the sdist holds, and the figures about it."""

import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import acutance
import packages
from _packages import PackageError, run
from _packages.build import wheel_parts
from _packages.platforms import PLATFORMS, dependencies
from _packages.tables import LIMIT, tables

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = {".py", ".pyi", ".typed", ".safetensors", ".json", ".cpp"}


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads(packages.RESULTS.read_text(encoding="utf-8"))


def test_the_changelog_and_the_c_header_are_of_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    header = (ROOT / "native" / "include" / "acutance.h").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == acutance.__version__
    numbers = [re.search(rf"ACUTANCE_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR")]
    assert acutance.__version__.split(".")[:2] == numbers


def test_the_version_is_written_nowhere_else() -> None:
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"]
    assert "project(acutance VERSION ${version}" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_sdist_holds_what_building_and_testing_needs_and_no_training_state(tmp_path: Path) -> None:
    pytest.importorskip("scikit_build_core")
    command = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", command, tmp_path], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("acutance-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = ["LICENSE", "README.md", "CMakeLists.txt", "pyproject.toml", "constraints.txt", "check.py", ".ci/run"]
    needed += ["tests/smoke/installed.py", "docs/design.md", "benchmarks/results/packages.json"]
    needed += [path.relative_to(ROOT).as_posix() for path in (ROOT / "native").rglob("*.cpp")]
    needed += [path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*") if path.suffix in PACKAGED]
    assert sorted(set(needed) - names) == []
    assert not [name for name in names if name.startswith("training/") or name.endswith((".pyc", ".so"))]


def test_ci_tries_the_packages_in_clean_environments() -> None:
    assert "\n  python tools/packages.py --check " in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("tool", ["pipx", "uvx"])
def test_the_readmes_line_is_tried_with_the_built_wheel(tool: str) -> None:
    assert "/dist/a wheel.whl'" in packages.readme_command(tool, Path("/dist/a wheel.whl"))


def test_the_page_has_the_tables_of_the_committed_figures(report: dict) -> None:
    page = (ROOT / "docs" / "benchmarks" / "packages.md").read_text(encoding="utf-8")
    assert page.split(packages.BEGIN)[1].split(packages.END)[0].strip() == tables(report).strip()


def test_the_base_install_is_as_small_as_was_aimed_at(report: dict) -> None:
    assert sum(report["installed"].values()) < LIMIT
    assert not {"torch", "onnx", "onnxruntime", "openvino"} & set(report["installed"])


def test_the_committed_figures_are_of_what_the_base_install_needs_now(report: dict) -> None:
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in dependencies(ROOT)]
    assert set(names) <= set(report["installed"])
    assert names == [requirement.partition("==")[0] for requirement in report["lowest"]]


def test_every_platform_that_wheels_are_built_for_is_in_the_table(report: dict) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    machines = {platform.builds.partition("_")[2] for platform in PLATFORMS if platform.builds}
    archs = " ".join(settings[system]["archs"] for system in ("linux", "macos", "windows")).lower().split()
    assert machines == set(archs)
    assert [platform["name"] for platform in report["platforms"]] == [platform.name for platform in PLATFORMS]


def test_tables_say_what_was_missed_and_what_is_lacking(report: dict) -> None:
    grown = {**report, "installed": {**report["installed"], "numpy": LIMIT}}
    assert "**missed**" in tables(grown)
    assert "**missed**" not in tables(report)
    alone = {"name": "Elsewhere", "wheels": [], "lacking": ["av"], "here": False, "engine_emulated": False}
    assert "not supported: av without wheels" in tables({**report, "platforms": [alone]})


def test_a_wheels_parts_are_told_apart(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("acutance/_native.abi3.so", b"1")
        archive.writestr("acutance/students/weights/fast.safetensors", b"22")
        archive.writestr("acutance/students/bundled.py", b"333")
        archive.writestr("acutance-1.dist-info/METADATA", b"4444")
    assert wheel_parts(wheel) == {"engine": 1, "students": 2, "python": 3, "metadata": 4}


def test_a_step_that_fails_says_which_and_what_it_said() -> None:
    with pytest.raises(PackageError, match=r"failed with 3:\nno such thing"):
        run(sys.executable, "-c", "print('no such thing'); raise SystemExit(3)")
    with pytest.raises(PackageError, match=r"pip install -e '\.\[release\]'"):
        run("/nowhere/to/be/found")
