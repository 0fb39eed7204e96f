"""``acutance evaluate`` and benchmarks/quality.py, on folders and clips made here."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from acutance.cli.exit_codes import exit_code
from acutance.cli.main import main
from acutance.errors import UsageError
from acutance.students.spec import save_student
from io_clips import make_clip
from small_students import Rgb, sharpening_student


@pytest.fixture
def folder(tmp_path: Path, picture: Rgb) -> Path:
    made = tmp_path / "sharp"
    made.mkdir()
    Image.fromarray(picture).save(made / "one.png")
    Image.fromarray(np.ascontiguousarray(picture[::-1])).save(made / "two.png")
    return made


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_student(sharpening_student(), tmp_path / "student.safetensors")
    return str(tmp_path / "student.safetensors")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.startswith("acutance: ")
    assert error.count("\n") == 1
    return error


def test_folder_is_degraded_restored_and_measured(
    folder: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_file, sheet = tmp_path / "out.json", tmp_path / "sheet.png"
    arguments = ["evaluate", str(folder), "--model", model, "--unsharp", "--json", str(json_file)]
    assert main([*arguments, "--sheet", str(sheet)]) == 0
    out = capsys.readouterr().out
    for name in ("bicubic (input)", "bilinear", "lanczos", "unsharp", "fast-clean-x2", "chosen on these very pictures"):
        assert name in out
    table = json.loads(json_file.read_text())
    assert table["images"] == ["one.png", "two.png"]
    assert [m["name"] for m in table["methods"]] == ["bicubic", "bilinear", "lanczos", "unsharp", "fast-clean-x2"]
    assert len(table["methods"][0]["per_image"]["psnr_y"]) == 2
    with Image.open(sheet) as picture:
        assert picture.width == 2 * 28 + 4 * 216 + 3 * 14


def test_factor_filters_and_limit_are_used(folder: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "o.json"
    arguments = ["--model", model, "--factor", "4", "--down", "bilinear", "--up", "lanczos", "--limit", "1"]
    assert main(["evaluate", str(folder), *arguments, "--json", str(out)]) == 0
    table = json.loads(out.read_text())
    assert (table["factor"], table["border"], table["down"], table["up"]) == (4.0, 4, "bilinear", "lanczos")
    assert table["images"] == ["one.png"]
    assert [m["name"] for m in table["methods"]] == ["lanczos", "bilinear", "fast-clean-x2"]


def test_same_named_students_are_told_apart_by_path(folder: Path, model: str, tmp_path: Path) -> None:
    other, out = tmp_path / "other.safetensors", tmp_path / "o.json"
    save_student(sharpening_student(gain=0.05), other)
    assert main(["evaluate", str(folder), "--model", model, str(other), "--json", str(out)]) == 0
    assert [m["name"] for m in json.loads(out.read_text())["methods"]][-2:] == [model, str(other)]


def test_video_against_its_reference(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    truth, bad = make_clip(tmp_path / "a.mp4"), make_clip(tmp_path / "b.mp4", options={"crf": "40"})
    assert main(["evaluate", str(bad), "--reference", str(truth)]) == 0
    out = capsys.readouterr().out
    assert "10 frames" in out
    assert "as it is" in out
    assert "fast-clean-x2" not in out
    assert main(["evaluate", str(bad), "--reference", str(truth), "--model", model]) == 0
    assert "fast-clean-x2" in capsys.readouterr().out


def test_acutance_and_the_share_restored_are_reported(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = make_clip(tmp_path / "a.mp4", size=(96, 80))
    bad, out = make_clip(tmp_path / "b.mp4", size=(96, 80), options={"crf": "40"}), tmp_path / "o.json"
    words = ["evaluate", str(bad), "--reference", str(truth), "--model", model, "--json", str(out)]
    assert main(words) == 0
    table = json.loads(out.read_text())
    before, after = table["before"], table["after"]["fast-clean-x2"]
    share = (after["acutance"] - before["acutance"]) / (1 - before["acutance"])
    printed = capsys.readouterr().out
    assert f"{after['acutance']:.3f}      {after['coherence']:.3f}" in printed
    assert f"{100 * share:.0f} %" in printed


def test_picture_without_reference_shows_the_change(
    folder: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "s.png"
    assert main(["evaluate", str(folder / "one.png"), "--model", model, "--sheet", str(sheet)]) == 0
    assert "overshoot" in capsys.readouterr().out
    assert sheet.exists()


def test_mismatched_reference_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make_clip(tmp_path / "a.mp4"), make_clip(tmp_path / "b.mp4", size=(80, 48))
    assert main(["evaluate", str(a), "--reference", str(b), "--progress", "none"]) == exit_code(UsageError)
    error = one_line(capsys)
    assert "64x48" in error
    assert "80x48" in error
    c = make_clip(tmp_path / "c.mp4", pts=[0, 512, 1024])
    assert main(["evaluate", str(a), "--reference", str(c), "--progress", "none"]) == exit_code(UsageError)
    assert "10 frames" in one_line(capsys)


def test_truncated_video_is_measured_with_its_own_exit_code(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "a.mkv", size=(256, 256), encoder="ffv1")
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    assert main(["evaluate", str(clip), "--model", model, "--progress", "none"]) == 6
    assert "what could be read was measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{tmp}/none"], 3, "none: no such file"),
        (["{folder}", "--reference", "{folder}/one.png"], 2, "--reference is for"),
        (["{folder}/one.png", "--teacher", "x.safetensors"], 2, "--teacher is for a folder"),
        (["{folder}/one.png", "--unsharp"], 2, "--unsharp is for a folder"),
        (["{folder}", "--model", "nonsense"], 10, "unknown model 'nonsense'"),
        (["{folder}", "--model", "{model}", "--factor", "2.5"], 2, "factor must be one of"),
        (["{folder}", "--model", "{model}", "--limit", "0"], 2, "--limit"),
        (["{folder}", "--model", "{model}", "--sheet", "{tmp}/x.jpg"], 2, "--sheet writes PNG"),
        (["{folder}", "--model", "{model}", "--json", "{folder}/one.png"], 8, "exists already"),
        (["{folder}", "--model", "{model}", "--json", "{tmp}/no/x.json"], 9, "no folder"),
        (["{tmp}/empty"], 3, "holds no images"),
    ],
)
def test_bad_input_gives_one_line_and_its_exit_code(
    arguments: list[str],
    code: int,
    words: str,
    folder: Path,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    filled = [a.format(tmp=tmp_path, folder=folder, model=model) for a in arguments]
    assert main(["evaluate", *filled, "--progress", "none"]) == code
    assert words in one_line(capsys)


def load_benchmark() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "quality.py"
    spec = importlib.util.spec_from_file_location("benchmark_quality", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path, folder: Path) -> Path:
    """A data folder in small, without teachers."""
    root = tmp_path / "data"
    for part in ("test/Tiny", "val/cid22"):
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).symlink_to(folder)
    return root


def test_benchmark_writes_json_and_the_page(
    data: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = load_benchmark()
    monkeypatch.setattr(benchmark, "TEACHERS", {})
    out, page = tmp_path / "quality.json", tmp_path / "quality.md"
    page.write_text("# top\n<!-- quality:begin -->\nold\n<!-- quality:end -->\nbottom\n")
    arguments = ["--data", str(data), "--models", model, "--control", f"alone={model}", "--sets", "Tiny"]
    assert benchmark.main([*arguments, "--out", str(out), "--update", str(page)]) == 0
    report = json.loads(out.read_text())
    assert [m["name"] for m in report["sets"][0]["methods"]] == [
        "bicubic", "bilinear", "lanczos", "unsharp", "fast-clean-x2", "alone"
    ]  # fmt: skip
    assert report["unsharp"]["chosen_on"] == "val/cid22"
    assert str(tmp_path) not in out.read_text()
    text = page.read_text()
    assert text.startswith("# top\n<!-- quality:begin -->\n")
    assert text.endswith("<!-- quality:end -->\nbottom\n")
    assert "old" not in text
    assert "| alone (control)" in text
    capsys.readouterr()
    assert benchmark.main(["--from-json", "--out", str(out), "--update", str(page)]) == 0
    assert page.read_text() == text


def test_benchmark_refuses_a_page_without_markers(tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    page.write_text("# nothing here\n")
    benchmark = load_benchmark()
    with pytest.raises(UsageError, match="quality:begin"):
        benchmark.update_between(page, benchmark.BEGIN, benchmark.END, "text")


def test_benchmark_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = load_benchmark()
    assert benchmark.main(["--data", str(tmp_path)]) == 3
    assert benchmark.main(["--from-json", "--out", str(tmp_path / "none.json")]) == 3
    assert "no results yet" in capsys.readouterr().err
