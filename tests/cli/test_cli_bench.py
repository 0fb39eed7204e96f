"""``acutance bench``: every tier on every back end, and what that is enough for."""

import json
import subprocess
import sys

import pytest

from acutance.cli import bench
from acutance.cli.main import main
from acutance.engine import available_engines


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which even the plain twin takes no time."""
    monkeypatch.setattr(bench, "_SIZES", ((96, 64), (64, 48)))
    monkeypatch.setattr(bench, "_TURN", 0.01)
    monkeypatch.setattr(bench, "_DRAWN", 2)


@pytest.mark.usefixtures("small")
def test_every_tier_is_timed_on_every_back_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", "--seconds", "0.3", "--threads", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    pairs = [(r["engine"], r["tier"]) for r in report["rows"]]
    assert pairs == [(e, t) for e in available_engines() for t in ("fast", "balanced", "quality")]
    for row in report["rows"]:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["fps"] == pytest.approx(1000 / row["p50_ms"], rel=0.05)
    assert report["threads"] == 1
    assert report["engine"] == available_engines()[0]
    assert list(report["holds"]) == ["720p30", "1080p30", "1080p60", "4K30"]


@pytest.mark.usefixtures("small")
def test_the_table_says_what_the_machine_is_enough_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--seconds", "0.2"]) == 0
    text = capsys.readouterr().out
    assert "fps" in text
    assert "1080p60" in text
    assert "int16 peak" in text


def test_what_was_timed_on_fewer_pixels_is_marked() -> None:
    row = {"tier": "fast", "engine": "numpy", "timed_on": [320, 180], "share_of_int16_peak": 0.5}
    row |= dict.fromkeys(("fps", "p50_ms", "p95_ms", "p99_ms"), 2.0)
    report = {"rows": [row], "threads": 2, "processor": "P", "engine": "numpy", "holds": {"4K30": None}}
    report |= {"int16_peak_gmacs": 80.0, "steal": 0.1, "others": None}
    text = bench._text(report)
    assert "~2.0" in text
    assert "50 %" in text
    assert "no tier" in text
    assert "10 % of the processor stolen" in text


@pytest.mark.parametrize(
    ("peak", "threads", "warned"), [(80.0, 2, True), (150.0, 2, False), (70.0, 1, True), (None, 2, False)]
)
def test_a_machine_below_nominal_speed_is_warned_of(peak: float | None, threads: int, warned: bool) -> None:
    report = {"rows": [], "threads": threads, "processor": "P", "engine": "native", "holds": {}}
    report |= {"int16_peak_gmacs": peak, "steal": None, "others": None}
    text = bench._text(report)
    assert ("warning: below nominal speed" in text) == warned
    if warned:
        assert f"{peak:.0f} GMAC/s" in text
        assert f"{78 * threads}" in text


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--threads", "0"], ["--seconds", "nan"]])
def test_values_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *options]) == 2
    assert options[0] in capsys.readouterr().err


def test_its_help_loads_neither_torch_nor_a_video_library() -> None:
    probe = (
        "import sys\nfrom acutance.cli.main import main\n"
        "try:\n    main(['bench', '--help'])\nexcept SystemExit:\n    pass\n"
        "bad = {'torch', 'av', 'onnxruntime', 'PIL'} & set(sys.modules)\nassert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
