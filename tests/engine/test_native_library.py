"""The C library on its own: built as a C program would use it, and under sanitizers. And the package without it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from acutance import __version__
from acutance.engine.integer import convert
from acutance.engine.numpy_engine import NumpyEngine
from acutance.students.bundled import find_student

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent  # cmake and ninja come with the dev extra

pytestmark = [
    pytest.mark.long,  # they compile
    pytest.mark.skipif(not (ROOT / "CMakeLists.txt").exists(), reason="not a source tree"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler"),
]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done


def build(folder: Path, *options: str) -> Path:
    if shutil.which("cmake", path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}") is None:
        pytest.skip("no CMake")
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options)
    run("cmake", "--build", folder)
    return folder


def test_the_library_is_clean_under_address_and_undefined_behaviour_sanitizers(tmp_path: Path) -> None:
    from acutance.engine.native_engine import instruction_sets

    folder = build(tmp_path / "checked", "-DACUTANCE_TESTS=ON", "-DACUTANCE_SANITIZE=address")
    assert " 0 failures" in run(folder / "acutance_stress", "40").stdout
    assert run(folder / "acutance_kernels", "300").stdout.count(" 0 failures") == len(instruction_sets())
    assert run(folder / "acutance_fuzz_model", "5000", "1").stdout == "5000 runs\n"


def test_the_library_is_free_of_data_races(tmp_path: Path) -> None:
    folder = build(tmp_path / "threads", "-DACUTANCE_TESTS=ON", "-DACUTANCE_SANITIZE=thread")
    assert " 0 failures" in run(folder / "acutance_stress", "10", ACUTANCE_NO_FORK="1").stdout


def test_the_model_parser_survives_libfuzzer(tmp_path: Path) -> None:
    """Skips where there is no Clang; the fuzzer's seeded mutations run with any compiler, in the test above."""
    compiler = next((name for name in ("clang++", "clang++-16") if shutil.which(name)), None)
    if compiler is None:
        pytest.skip("no Clang, which libFuzzer comes with")
    options = ("-DACUTANCE_TESTS=ON", "-DACUTANCE_SANITIZE=address", "-DACUTANCE_LIBFUZZER=ON")
    languages = (f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_C_COMPILER={compiler.replace('++', '')}")
    folder = build(tmp_path / "fuzz", *options, *languages)
    run(folder / "acutance_fuzz_model", "-runs=20000", "-seed=1", "-max_len=4096")


def test_a_c_program_finds_links_and_uses_the_library(tmp_path: Path) -> None:
    """Installed, found by another project's CMake, and run: the bits are the twin's."""
    folder = build(tmp_path / "library")
    run("cmake", "--install", folder, "--prefix", tmp_path / "prefix")
    user = tmp_path / "user"
    user.mkdir()
    shutil.copy(ROOT / "native/examples/acutance_pgm.c", user)
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(user C CXX)\n"
        f"find_package(acutance {__version__} EXACT REQUIRED)\n"
        "add_executable(acutance_pgm acutance_pgm.c)\ntarget_link_libraries(acutance_pgm acutance::acutance)\n"
        "set_target_properties(acutance_pgm PROPERTIES LINKER_LANGUAGE CXX)\n"
    )
    run("cmake", "-S", user, "-B", user / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    run("cmake", "--build", user / "build")
    network = convert(find_student("fast"))
    (tmp_path / "fast.acu").write_bytes(network.to_bytes())
    luma = np.random.default_rng(0).integers(0, 256, (45, 77), dtype=np.uint8)
    (tmp_path / "in.pgm").write_bytes(b"P5\n77 45\n255\n" + luma.tobytes())
    run(user / "build/acutance_pgm", tmp_path / "fast.acu", tmp_path / "in.pgm", tmp_path / "out.pgm")
    header, _, samples = (tmp_path / "out.pgm").read_bytes().partition(b"255\n")
    assert header == b"P5\n77 45\n"
    expected = NumpyEngine(network).process(luma, full_range=True)
    np.testing.assert_array_equal(np.frombuffer(samples, np.uint8).reshape(45, 77), expected)


def test_pkg_config_finds_the_library_wherever_its_folder_was_moved(tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("no pkg-config")
    folder = build(tmp_path / "library")
    run("cmake", "--install", folder, "--prefix", tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "moved")
    (description,) = (tmp_path / "moved").rglob("acutance.pc")
    found = {"PKG_CONFIG_PATH": str(description.parent)}
    assert run("pkg-config", "--modversion", "acutance", **found).stdout.strip() == __version__
    flags = run("pkg-config", "--cflags", "--libs", "acutance", **found).stdout.split()
    source = tmp_path / "version.c"
    source.write_text(
        "#include <acutance.h>\n#include <stdio.h>\nint main(void) { return puts(acutance_version()) < 0; }\n"
    )
    run("cc", "-o", tmp_path / "version", source, *flags)
    assert run(tmp_path / "version").stdout.strip() == __version__


def test_where_nothing_can_be_compiled_a_pure_wheel_results(tmp_path: Path) -> None:
    pytest.importorskip("scikit_build_core")
    pytest.importorskip("nanobind")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".git", "build", "tests", "benchmarks", "tools", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored)
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    done = run(*command, CXX="/bin/false", CC="/bin/false")
    (wheel,) = tmp_path.glob("acutance-*.whl")
    assert wheel.name.endswith("-py3-none-any.whl"), done.stdout
    names = zipfile.ZipFile(wheel).namelist()
    assert "acutance/students/weights/fast-clean-x2.safetensors" in names
    assert not [name for name in names if name.endswith((".so", ".pyd"))]
