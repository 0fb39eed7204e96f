"""The promise of ``py.typed``: a type checker tells a program of its users what is misspelt."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

RIGHT = """
import numpy as np
from acutance import AcutanceError, Frame, LiveJob, ResumeError, Sharpener, VideoReader, open_engine
from acutance.live import Stage

sharpener = Sharpener("fast", engine="native", strength=1.5, look="faithful", threads=2, threshold=0, reuse=False)
image = np.zeros((8, 8, 3), np.uint8)
sharpener(image, out=image, order="bgr", scaled_by=2.0)
sharpener(memoryview(bytes(64)).cast("B", (8, 8)))
sharpener.strength = 0.5
sharpener.look = "natural"
sharpener.name = "balanced"
sharpener.choice = None
with sharpener.stream(1280, 720, "i420", time_budget=0.01) as stream:
    made = stream.process(image[..., 0], out=image[..., 0])
    made.mean()
with sharpener.session(tile_budget=0.5) as session:
    session.tile_budget = None
sharpener.video("a.mp4", "b.mp4", crf=18, resume=True)
stage = Stage("auto", strength=1.0)
"""

WRONG = {
    "Sharpener(treshold=3)": "call-arg",
    'Sharpener(strength="much")': "arg-type",
    'Sharpener(look="crisp")': "arg-type",
    "Sharpener().session(tile_budgets=0.5)": "call-arg",
    'Sharpener().stream(64, 64, "yuy2")': "arg-type",
    'Sharpener().video("a.mp4", "b.mp4", crv=18)': "call-arg",
    'Sharpener()(image, ordre="bgr")': "call-arg",
    'Sharpener().look = "crisp"': "assignment",
    'Stage("auto", treshold=3)': "call-arg",
    'open_sharpener("auto", treshold=3)': "call-arg",
}


def _mypy(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(text, encoding="utf-8")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    cache = Path(__file__).parents[1] / ".mypy_cache" / "programs"
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), "program.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_right_program_passes_mypy_strict(tmp_path: Path) -> None:
    done = _mypy(tmp_path, RIGHT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_misspelt_option_is_rejected_by_mypy_strict(tmp_path: Path) -> None:
    lines = [
        "import numpy as np",
        "from acutance import Sharpener",
        "from acutance.choosing.automatic import open_sharpener",
        "from acutance.live import Stage",
        "image = np.zeros((8, 8, 3), np.uint8)",
    ]
    done = _mypy(tmp_path, "\n".join([*lines, *WRONG]) + "\n")
    assert done.returncode == 1, done.stdout + done.stderr
    for number, (statement, code) in enumerate(WRONG.items(), start=len(lines) + 1):
        found = [line for line in done.stdout.splitlines() if line.startswith(f"program.py:{number}:")]
        assert any(f"[{code}]" in line for line in found), f"{statement}: {found or 'accepted'}"
