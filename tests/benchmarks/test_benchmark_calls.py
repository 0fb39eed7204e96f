"""What the call test and the test of harm say, from figures made for it."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def load(name: str) -> ModuleType:
    for known in [n for n in sys.modules if n in (name, "_results") or n.startswith("_calls")]:
        del sys.modules[known]
    return importlib.import_module(name)


def _row(factor: float, gain: float, *, middle: bool) -> dict[str, object]:
    def figures(psnr: float) -> dict[str, float]:
        return {"psnr": psnr, "ssim": psnr / 40, "gmsd": 1 / psnr}

    row: dict[str, object] = {
        "clip": "clip", "factor": factor, "codec": "h264", "kbps": 100.0,
        "methods": {"input": figures(30), "unsharp": figures(29), "fast": figures(30 + gain)},
        "psnr_at_best_setting": {"unsharp": 30.1}, "chosen": {"fast": ["fast-call-x2"]},
        "zoo": {"fast": {"": 30.0, "fast-call-x2": 30 + gain, "fast-call-x1": 30.2}},
    }  # fmt: skip
    if middle:
        row |= {"flicker": {"unsharp": 1.5, "fast": 1.02}, "vmaf": {"input": 50.0, "fast": 60.0}}
    return row


def test_tables_of_the_call_test_tell_gains_wins_and_choices() -> None:
    tables = load("_calls.tables").tables
    report = {
        "rows": [_row(1.0, -0.5, middle=True), _row(2.0, 1.0, middle=False), _row(2.0, 0.05, middle=False)],
        "filters": {"unsharp": 0.4}, "frames": 10, "chosen_on": ["a", "b"], "date": "today", "command": "calls",
        "vmaf": "model",
    }  # fmt: skip
    text = " ".join(tables(report).split())
    assert "| x2 | 2 | 30.00 | -1.00 (-1.00) | +0.53 (+0.05) |" in text
    assert "| all | 3 | 30.00 | -1.00 (-1.00) | +0.18 (-0.50) |" in text
    assert "| fast | 2 / 2 of 3 | 2 / 2 of 3 | 1 of 3 |" in text
    assert "| VMAF (model; H.264, middle rates) | 50.0 | – | 60.0 |" in text
    assert "1.50 (1.50) | 1.02 (1.02) |" in text
    # 0.7 lost where the choice is worse than another, 0.15 where another student is better, nothing else.
    assert "in 1 of 3 calls (within 0.005 dB); it lost 0.283 dB to the best choice on average, 0.70 dB at worst" in text


def test_words_read_wrong_are_counted_by_letters() -> None:
    harm = load("harm")
    assert harm._distance("kitten", "sitting") == 3
    assert harm._distance("", "abc") == 3
    assert harm._distance("abc", "") == 3
    assert harm._distance("same", "same") == 0


def test_a_page_of_text_says_what_it_says_it_does() -> None:
    harm = load("harm")
    picture, said = harm._page(1)
    assert picture.shape == (720, 960, 3)
    assert len(said.splitlines()) == 16
    np.testing.assert_array_equal(harm._page(1)[0], picture)


@pytest.mark.parametrize("name", ["calls", "cost", "harm", "live", "precision", "quality", "speed"])
def test_a_page_has_the_tables_of_the_committed_figures(name: str) -> None:
    module = load(name)
    report = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    path = BENCHMARKS.parent / "docs" / "benchmarks" / f"{'speed' if name == 'cost' else name}.md"
    tables = path.read_text(encoding="utf-8").split(module.BEGIN)[1].split(module.END)[0]
    assert tables.strip() == module.tables(report).strip()
