"""Build the engine for browsers: ``python web/build_wasm.py`` writes ``web/wasm`` again, ``--check`` compares with it.

Needs Emscripten 3.1.6 (Debian 12: ``apt-get install emscripten``). Users do not: the modules are kept in the
repository, and ``tests/web`` checks that they are what this makes, byte for byte.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

VERSION = "3.1.6"
ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "web" / "wasm"
MODULES = {"acutance.wasm": (), "acutance-threads.wasm": ("-pthread",)}
_SOURCES = (*sorted((ROOT / "native" / "src").glob("*.cpp")), *sorted((ROOT / "native" / "wasm").glob("*.cpp")))


def _version() -> str:
    text = (ROOT / "src" / "acutance" / "__init__.py").read_text("utf-8")
    return re.findall(r'^__version__ = "([^"]+)"', text, re.MULTILINE)[0]


_VERSION = f'-DACUTANCE_VERSION="{_version()}"'
_COMPILE = ("-std=c++17", "-O3", "-msimd128", "-fwasm-exceptions", "-DACUTANCE_BUILDING", "-DNDEBUG", _VERSION)
# Compiled for size: what runs once for a stream or a frame, and what runs without SIMD, which only tests compare with.
_SMALL = {"kernels_portable", "c_api", "dispatch", "engine", "network", "parts", "pool", "runtime", "unwind"}
_EXPORTS = (
    "malloc", "free", "acutance_js_open", "acutance_free", "acutance_js_session", "acutance_session_close",
    "acutance_js_options", "acutance_js_process", "acutance_js_count", "acutance_session_reset", "acutance_last_error",
    "acutance_engine_threads", "acutance_enlarger_open", "acutance_enlarger_close", "acutance_enlarge",
)  # fmt: skip
_MEMORY = ("-sINITIAL_MEMORY=16777216", "-sALLOW_MEMORY_GROWTH=1", "-sMAXIMUM_MEMORY=536870912")
_FEATURES = ("simd", "exception-handling", "bulk-memory", "mutable-globals", "sign-ext", "threads")


def found_version() -> str | None:
    """Return the version of the Emscripten that is installed, or None."""
    if shutil.which("em++") is None:
        return None
    told = subprocess.run(["em++", "--version"], env=_environment(), capture_output=True, text=True, check=True).stdout
    match = re.search(r"\b\d+\.\d+\.\d+\b", told)
    return match[0] if match else None


def build(folder: Path) -> None:
    """Build both modules, and what JavaScript checks them by, into ``folder``."""
    for name, flags in MODULES.items():
        _build(folder / name, flags)
    (folder / "hashes.js").write_text(hashes(folder), "utf-8")


def hashes(folder: Path) -> str:
    """Return the JavaScript module that holds the SHA-256 of the modules in ``folder``."""
    lines = [f"  '{name}': '{hashlib.sha256((folder / name).read_bytes()).hexdigest()}'," for name in MODULES]
    return "\n".join(["// Written by web/build_wasm.py.", "export const HASHES = Object.freeze({", *lines, "});", ""])


def _environment() -> dict[str, str]:
    return {"NODE_PATH": "/usr/share/nodejs", **os.environ}  # where Debian keeps what its Emscripten requires


def _build(target: Path, flags: tuple[str, ...]) -> None:
    threads = "-pthread" in flags
    with tempfile.TemporaryDirectory() as scratch:
        objects = [str(Path(scratch) / f"{source.stem}.o") for source in _SOURCES]

        def compile_one(source: Path, target: str) -> None:
            # Relative paths, so that no path of this machine can end up in the module.
            relative = source.relative_to(ROOT).as_posix()
            size = ("-Oz",) if source.stem in _SMALL else ()
            _run("em++", *_COMPILE, *size, *flags, "-Inative/include", "-c", relative, "-o", target)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, _SOURCES, objects))
        linked = Path(scratch) / ("linked.js" if threads else "linked.wasm")
        exports = list(_EXPORTS) + (["acutance_thread_stack_top"] if threads else [])
        # -O2: at -O3 the linker shortens the names of imports and exports to suit the JavaScript that it writes and
        # nobody uses. wasm-opt does afterwards what it would have done.
        _run(
            "em++", "-O2", "-msimd128", "-fwasm-exceptions", *flags, *objects, "--no-entry", *_MEMORY,
            f"-sEXPORTED_FUNCTIONS={','.join('_' + name for name in exports)}", "-Wno-pthreads-mem-growth",
            "-o", str(linked),
        )  # fmt: skip
        features = [f"--enable-{feature}" for feature in _FEATURES if threads or feature != "threads"]
        _run(
            "wasm-opt", "-O3", *features, "--strip-debug", "--strip-producers",
            str(linked.with_suffix(".wasm")), "-o", str(target),
        )  # fmt: skip
    target.chmod(0o644)


def build_stress(target: Path) -> None:
    """Build native/tests/stress.cpp with threads, as a program for Node and for workers: ``target`` ends in .js."""
    sources = [path.relative_to(ROOT).as_posix() for path in _SOURCES if path.stem not in {"runtime", "enlarge"}]
    _run(
        "em++", "-std=c++17", "-O2", "-msimd128", "-fwasm-exceptions", "-pthread", "-Inative/include", _VERSION,
        *sources, "native/tests/stress.cpp", "-sPROXY_TO_PTHREAD", "-sEXIT_RUNTIME=1", "-sPTHREAD_POOL_SIZE=12",
        "-sINITIAL_MEMORY=268435456", "-sENVIRONMENT=web,worker,node", "-o", str(target),
    )  # fmt: skip


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, env=_environment(), check=True)


def main() -> int:
    """Build, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="build elsewhere and compare with what is kept")
    options = parser.parse_args()
    if found_version() != VERSION:
        print(f"web/wasm is made by Emscripten {VERSION}, found: {found_version() or 'none'}", file=sys.stderr)
        return 1
    if not options.check:
        OUT.mkdir(exist_ok=True)
        build(OUT)
        for name in MODULES:
            data = (OUT / name).read_bytes()
            print(f"{name}: {len(data):,} bytes, {len(gzip.compress(data, 9)):,} compressed by gzip")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        build(Path(scratch))
        stale = [name for name in MODULES if (Path(scratch) / name).read_bytes() != (OUT / name).read_bytes()]
    for name in stale:
        print(f"web/wasm/{name}: not what the sources make; run python web/build_wasm.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
