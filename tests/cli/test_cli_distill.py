"""``acutance distill`` and ``acutance teachers`` as a person runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import acutance._util.extras as extras
from acutance._util.machine import cache_folder
from acutance.cli.main import main
from acutance.training.data.places import default_data_root

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "miniature.toml"
QUICK = ["--set", "epochs=2", "--set", "steps_per_epoch=4", "--set", "crop=24", "--set", "batch=2"]


@pytest.fixture
def command(miniature_root, tmp_path, monkeypatch):
    """A command line that trains the miniature configuration into ``tmp_path / run``."""
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")
    monkeypatch.setenv("ACUTANCE_DATA", str(miniature_root))
    threads = torch.get_num_threads()
    yield [
        "distill", "--config", str(CONFIG), "--cache", str(miniature_root / "cache"), "--out", str(tmp_path / "run"),
        *QUICK,
    ]  # fmt: skip
    torch.set_num_threads(threads)


def test_a_run_tells_what_it_found_and_where_the_student_is(command, tmp_path, capsys):
    assert main([*command, "--progress", "plain"]) == 0
    said = capsys.readouterr().err
    run = tmp_path / "run"
    for line in (
        "miniature-clean-x2: 8 steps",
        "preparing: 1/10 pictures",
        "10 training and 2 validation tiles",
        "teacher miniature:",
        "training: 8/8 steps",
        f"student: {run / 'student.safetensors'}",
        f"report: {run / 'report.html'}",
    ):
        assert line in said, line
    assert (run / "student.safetensors").exists()


def test_json_progress_is_for_programs(command, capsys):
    assert main([*command, "--progress", "json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    events = [json.loads(line) for line in captured.out.splitlines()]
    progress = [event for event in events if event["event"] == "progress"]
    assert {event["phase"] for event in progress} == {"preparing", "training"}
    assert "best" in progress[-1]["note"]
    assert events[-1]["event"] == "done"
    assert events[-1]["steps"] == 8
    assert Path(events[-1]["student"]).exists()


def test_no_progress_says_nothing(command, capsys):
    assert main([*command, "--progress", "none"]) == 0
    assert capsys.readouterr() == ("", "")


def test_control_trains_without_a_teacher_into_its_own_folder(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    at = command.index("--out")
    assert main([*command[:at], *command[at + 2 :], "--control", "--progress", "plain"]) == 0
    assert (tmp_path / "runs" / "miniature-clean-x2-control" / "student.safetensors").exists()
    assert "teacher" not in capsys.readouterr().err


def test_started_again_it_goes_on_and_with_other_options_it_asks(command, capsys):
    assert main([*command, "--progress", "none"]) == 0
    assert main([*command, "--progress", "none"]) == 0
    assert main([*command, "--set", "lr=1e-3", "--progress", "none"]) == 11
    assert "optimizer.lr: 0.005 -> 0.001" in capsys.readouterr().err
    assert main([*command, "--set", "lr=1e-3", "--fresh", "--progress", "none"]) == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--set", "nonsense=1"], 11, "nonsense: no such option"),
        (["--set", "train.nonsense=1"], 11, "unknown key nonsense"),
        (["--set", "margin_db=9.0"], 13, "demanded +9.00 dB"),
        (["--set", "teacher.weights=teachers/none.safetensors"], 3, "none.safetensors: no such teacher file"),
        (["--config", "none.toml"], 3, "none.toml"),
        (["--data", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(command, capsys, more, code, said):
    assert main([*command, "--progress", "none", *more]) == code
    err = capsys.readouterr().err
    assert err.startswith("acutance: ")
    assert err.count("\n") == 1
    assert said in err


def test_an_output_folder_that_cannot_be_made_is_named(command, tmp_path, capsys):
    (tmp_path / "run").write_text("a file")
    assert main([*command, "--progress", "none"]) == 9
    assert str(tmp_path / "run") in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["distill", "--config", str(CONFIG)], ["teachers", "x.safetensors"]])
def test_without_torch_one_line_names_the_extra(verb, monkeypatch, capsys):
    def without(name, *_):
        raise ImportError(f"No module named {name!r}")

    real = extras.importlib.import_module
    monkeypatch.setattr(
        extras.importlib, "import_module", lambda name, *a: (without if name == "torch" else real)(name, *a)
    )
    assert main(verb) == 12
    err = capsys.readouterr().err
    assert "acutance[train]" in err
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on_and_the_checkpoint_is_good(command, miniature_root, tmp_path):
    """As a process of its own, with a real signal: what a person's Ctrl-C is."""
    # Enough epochs never to end by itself within the test.
    process = subprocess.Popen(
        [sys.executable, "-m", "acutance.cli.main", *command, "--set", "epochs=5000", "--progress", "none"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ACUTANCE_DATA": str(miniature_root)},
    )
    checkpoint = tmp_path / "run" / "last.pt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert "the same command goes on" in err
    assert (tmp_path / "run" / "report.html").exists()
    import torch

    from acutance.training.distill.checkpoint import load_checkpoint
    from acutance.training.distill.options import load_config

    options = load_config(CONFIG, ["epochs=5000", "steps_per_epoch=4", "crop=24", "batch=2"])
    state = load_checkpoint(checkpoint, options)
    assert state.step % 4 == 0
    assert all(bool(torch.isfinite(t).all()) for t in state.student.values())


def test_teachers_are_described_with_their_cost_and_measured_speed(miniature_root, capsys):
    pytest.importorskip("torch")
    weights = str(miniature_root / "teachers" / "miniature.safetensors")
    assert main(["teachers", weights]) == 0
    out = capsys.readouterr().out
    for said in ("552,483", "140,649", "x2", "estimated from a run on 192x192 output pixels"):
        assert said in out, said


def test_teachers_are_checked_against_bicubic_on_a_folder(miniature_root, capsys):
    pytest.importorskip("torch")
    weights = str(miniature_root / "teachers" / "miniature.safetensors")
    assert main(["teachers", weights, "--check", str(miniature_root / "pictures"), "--json", "--progress", "none"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["pictures"] == 12
    assert row["psnr_y"] > row["psnr_y_bicubic"] + 0.3
    assert row["architecture"] == "upconv_7"
    assert row["fps_1080p"] > 0


def test_a_published_teacher_reaches_its_published_figure(data_folder, tmp_path, capsys):
    """LKDN x2 on a picture of Set5: 36.07 dB, says the data folder's README."""
    pytest.importorskip("torch")
    shutil.copy(data_folder / "test" / "Set5" / "head.png", tmp_path)
    weights = str(data_folder / "teachers" / "LKDN_x2.safetensors")
    assert main(["teachers", weights, "--check", str(tmp_path), "--json", "--progress", "none"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["psnr_y"] == pytest.approx(36.07, abs=0.01)


def test_no_weight_file_is_a_usage_error(capsys):
    pytest.importorskip("torch")
    assert main(["teachers"]) == 2
    assert "no weight file" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="where Linux keeps caches")
def test_caches_and_data_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("ACUTANCE_DATA", str(tmp_path / "data"))
    assert cache_folder() == tmp_path / "acutance"
    assert default_data_root() == tmp_path / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("ACUTANCE_DATA")
    assert cache_folder() == Path.home() / ".cache" / "acutance"
    assert default_data_root() == Path()
