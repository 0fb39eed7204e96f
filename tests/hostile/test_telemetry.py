"""Nobody is told what a user does: libraries that report to their makers are silenced before they are loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

_PICTURE = """
import numpy as np
from acutance import Sharpener
Sharpener("fast-clean-x2", engine="onnxruntime")(np.zeros((32, 32, 3), np.uint8))
"""
_RUNS = {
    "doctor": ["-m", "acutance", "doctor"],
    "engine": ["-c", _PICTURE],
}


def environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home), "ACUTANCE_CACHE": str(home)}


@pytest.mark.parametrize("name", _RUNS)
def test_no_device_identifier_is_written_and_no_address_is_asked(tmp_path: Path, name: str) -> None:
    strace = shutil.which("strace")
    trace = tmp_path / "trace"
    home = tmp_path / "home"
    home.mkdir()
    watched = [strace, "-f", "-e", "trace=connect,sendto", "-o", str(trace)] if strace else []
    done = subprocess.run(
        [*watched, sys.executable, *_RUNS[name]], env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = [str(path.relative_to(home)).lower() for path in home.rglob("*")]
    assert not [path for path in written if "microsoft" in path or "onnxruntime" in path or "deviceid" in path]
    if strace:
        calls = [line for line in trace.read_text().splitlines() if "AF_INET" in line or "AF_NETLINK" in line]
        assert not calls
