"""The engine in WebAssembly gives the bits of the native one: every student, size, strength, budget, thread count."""

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from acutance.engine import open_engine
from acutance.engine.base import TileOptions
from acutance.engine.integer import convert
from acutance.students.bundled import bundled_models, find_student

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")
BUILDS = [
    ("acutance.wasm", 1),
    ("acutance-threads.wasm", 1),
    ("acutance-threads.wasm", 2),
    ("acutance-threads.wasm", 3),
]
SIZES = (
    ((64, 36), (128, 72)),
    ((160, 90), (431, 243)),
    ((320, 180), (1280, 720)),
    ((8, 8), (9, 64)),
    ((90, 160), (135, 240)),
)

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def moving_planes(width: int, height: int, frames: int, bit_depth: int = 8, seed: int = 0) -> np.ndarray:
    """Return planes of noise on a flat ground, of which half moves by a pixel a frame."""
    rng = np.random.default_rng(seed)
    top = 1 << bit_depth
    still = rng.integers(0, top, (height, width))
    still[: height // 3] = top // 2
    planes = np.stack([still] * frames)
    for number in range(frames):
        planes[number, :, width // 2 :] = np.roll(planes[number, :, width // 2 :], number, axis=1)
    return planes.astype(np.uint8 if bit_depth == 8 else np.uint16)


def run_wasm(folder: Path, wasm: str, threads: int, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what tests/web/js/conformance.mjs prints for the cases, whose ``planes`` are written to files first."""
    jobs = []
    for number, case in enumerate(cases):
        path = folder / f"{number}.luma"
        path.write_bytes(case["planes"].tobytes())
        jobs.append({**{key: value for key, value in case.items() if key != "planes"}, "luma": str(path)})
    job = {"wasm": str(ROOT / "web" / "wasm" / wasm), "threads": threads, "cases": jobs}
    script = ROOT / "tests" / "web" / "js" / "conformance.mjs"
    done = subprocess.run(
        [NODE, str(script)], input=json.dumps(job), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def load_builder() -> Any:
    """Return web/build_wasm.py as a module."""
    spec = spec_from_file_location("build_wasm", ROOT / "web" / "build_wasm.py")
    assert spec is not None
    assert spec.loader is not None
    builder = module_from_spec(spec)
    spec.loader.exec_module(builder)
    return builder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every bundled student as the file that the engine loads."""
    folder = tmp_path_factory.mktemp("models")
    for name in bundled_models():
        (folder / f"{name}.acu").write_bytes(convert(find_student(name)).to_bytes())
    return {name: folder / f"{name}.acu" for name in bundled_models()}


def all_cases(models: dict[str, Path]) -> list[dict[str, Any]]:
    """Return cases of every student, and of every option with the cheapest."""

    def case(model: str, width: int, height: int, frames: int = 1, bit_depth: int = 8, **more: Any) -> dict[str, Any]:
        planes = moving_planes(width, height, frames, bit_depth, seed=width + height)
        default = {"fullRange": False, "strength": 1.0, "options": {}}
        return {
            "name": model, "model": str(models[model]), "planes": planes, "width": width, "height": height,
            "frames": frames, "bitDepth": bit_depth, **default, **more,
        }  # fmt: skip

    cases = [case(model, 130, 98) for model in models]
    first = next(iter(models))
    cases += [case(first, width, height) for width, height in ((1, 1), (2, 3), (17, 5), (257, 31), (640, 360))]
    cases += [case(first, 129, 67, strength=strength) for strength in (0.0, 0.35, 1.7, 2.0)]
    cases += [case(first, 96, 64, fullRange=True), case(first, 97, 63, bit_depth=10), case(first, 96, 64, bit_depth=16)]
    sessions = (
        {"threshold": 8, "reuse": True}, {"threshold": 0, "reuse": True}, {"threshold": 40}, {"tileBudget": 0.25},
        {"threshold": 8, "tileBudget": 0.5, "reuse": True}, {"timeBudget": 3600.0},
    )  # fmt: skip
    return cases + [case(first, 320, 180, frames=6, options=options) for options in sessions]


def native_results(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of every case what the native engine makes of it, as conformance.mjs tells it."""
    results = []
    for case in cases:
        options = case["options"]
        tiles = TileOptions(
            threshold=options.get("threshold", 0), tile_budget=options.get("tileBudget"),
            time_budget=options.get("timeBudget"), reuse=options.get("reuse", False),
        )  # fmt: skip
        session = open_engine(find_student(case["name"]), "native").session(tiles)
        frames, counts = [], []
        for plane in case["planes"]:
            sharp = session.process(
                plane, strength=case["strength"], bit_depth=case["bitDepth"], full_range=case["fullRange"]
            )
            frames.append(hashlib.sha256(sharp.tobytes()).hexdigest())
            now = session.counts
            counts.append([now.tiles, now.computed, now.passed, now.reused])
        results.append({"frames": frames, "counts": counts})
    return results


@pytest.mark.parametrize(("wasm", "threads"), BUILDS)
def test_bits_are_those_of_the_native_engine(wasm: str, threads: int, models: dict[str, Path], tmp_path: Path) -> None:
    cases = all_cases(models)
    found = run_wasm(tmp_path, wasm, threads, cases)
    for case, here, there in zip(cases, found, native_results(cases), strict=True):
        told = {key: value for key, value in case.items() if key not in {"planes", "model"}}
        assert here == there, f"{wasm}, {threads} threads: {told}"


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_enlargement_is_that_of_pillow(source: tuple[int, int], target: tuple[int, int], tmp_path: Path) -> None:
    plane = moving_planes(*source, 1)[0]
    case = {"planes": plane, "width": source[0], "height": source[1], "enlarge": list(target)}
    (found,) = run_wasm(tmp_path, "acutance.wasm", 1, [case])
    resized = Image.fromarray(plane).resize(target, Image.Resampling.BICUBIC)
    assert found["frames"] == [hashlib.sha256(np.asarray(resized).tobytes()).hexdigest()]


def test_what_is_wrong_is_refused_with_a_message(models: dict[str, Path]) -> None:
    script = ROOT / "tests" / "web" / "js" / "refusals.mjs"
    command = [NODE, str(script), str(ROOT / "web" / "wasm"), str(next(iter(models.values())))]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert told["acutance.wasm"] == told["acutance-threads.wasm"]
    for name, message in told["acutance.wasm"].items():
        assert message is not None, f"{name} is taken"
        assert message.startswith("EngineError: "), message
        assert len(message) > len("EngineError: "), f"{name} is refused without a word"


def test_stress_test_passes_under_node(tmp_path: Path) -> None:
    builder = load_builder()
    if builder.found_version() != builder.VERSION:
        pytest.skip(f"Emscripten {builder.VERSION} is not installed")
    builder.build_stress(tmp_path / "stress.js")
    # This Emscripten takes Node's fetch for a browser's, which reads no files.
    (tmp_path / "before.cjs").write_text("delete globalThis.fetch", "utf-8")
    command = [NODE, "--require", str(tmp_path / "before.cjs"), str(tmp_path / "stress.js"), "20"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "20 rounds, 0 failures; instruction sets: wasm portable" in done.stdout


def test_kept_modules_are_what_the_sources_make() -> None:
    builder = load_builder()
    assert (ROOT / "web" / "wasm" / "hashes.js").read_text("utf-8") == builder.hashes(ROOT / "web" / "wasm")
    if builder.found_version() != builder.VERSION:
        pytest.skip(f"Emscripten {builder.VERSION} is not installed")
    assert subprocess.run([sys.executable, "web/build_wasm.py", "--check"], cwd=ROOT, check=False).returncode == 0
