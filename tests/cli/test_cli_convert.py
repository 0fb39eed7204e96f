"""``acutance convert``: the file it writes, what it tells, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from acutance.cli.main import main
from acutance.engine.integer import IntegerNetwork, convert
from acutance.students.bundled import find_student
from acutance.students.spec import ConvLayer, Student, load_student, save_student
from small_students import upscaling_student


@pytest.fixture
def shoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command line in a folder of its own: (exit code, stderr, stdout)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["convert", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.err, captured.out

    return run


@pytest.fixture
def photos(tmp_path: Path, picture: NDArray[np.uint8]) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(picture[::-1, ::-1]).save(folder / "b.png")
    return folder


def test_a_bundled_student_is_written_as_its_integer_network(shoot, tmp_path: Path) -> None:
    code, _, out = shoot("fast", "fast.acu")
    assert code == 0
    written = (tmp_path / "fast.acu").read_bytes()
    assert written == convert(find_student("fast")).to_bytes()
    assert IntegerNetwork.from_bytes(written).shape == find_student("fast").spec.shape
    assert f"fast.acu: {len(written):,} bytes" in out
    assert "PSNR between float and integer outputs" in out
    assert [p.name for p in tmp_path.iterdir()] == ["fast.acu"]


def test_a_students_file_is_taken_and_nothing_is_written_without_a_name(
    shoot, tmp_path: Path, student_file: Path
) -> None:
    code, _, out = shoot(student_file)
    assert code == 0
    assert "tiny-clean-x2" in out
    assert list(tmp_path.iterdir()) == []


def test_an_upscaler_is_measured_on_small_pictures(shoot, tmp_path: Path, photos: Path) -> None:
    save_student(upscaling_student(2), tmp_path / "up2.safetensors")
    code, _, out = shoot("up2.safetensors", "up2.acu", "--images", photos)
    assert code == 0
    assert "fast-clean-up3: 1 to 2, 1, 0 in int16; measured on 2 picture(s), x2 bicubic" in out
    assert IntegerNetwork.from_bytes((tmp_path / "up2.acu").read_bytes()).shape.scale == 2
    code, _, out = shoot("up2.safetensors")
    assert (code, "measured on the drawn picture" in out) == (0, True)


def test_json_tells_of_each_layer(shoot) -> None:
    code, _, out = shoot("fast", "--json")
    assert code == 0
    told = json.loads(out)
    network = convert(find_student("fast"))
    assert [layer["shift"] for layer in told["layers"]] == [layer.shift for layer in network.layers]
    assert all(0 < layer["bound"] < 1 for layer in told["layers"])
    assert all(0.05 < layer["largest"] <= 1 and layer["saturated"] == 0 for layer in told["layers"][:-1])
    assert told["measured_on"] == "drawn"
    assert told["psnr_outputs"] > 50
    assert told["delta"] is None


def test_on_pictures_the_loss_against_the_truth_is_told(shoot, photos: Path) -> None:
    code, _, out = shoot("fast", "--images", photos, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["pictures"] == 2
    assert told["psnr_outputs"] > 60
    assert told["delta"] == pytest.approx(told["psnr_y_float"] - told["psnr_y_integer"])
    assert abs(told["delta"]) < 0.02
    assert not any(layer["saturated"] for layer in told["layers"])
    assert "on 1 picture(s)" in shoot("fast", "--images", photos / "a.png")[2]


def test_the_figures_are_those_of_evaluate(shoot, photos: Path, tmp_path: Path) -> None:
    """Same pictures, same convention: the integer engine reads there what convert foretold."""
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.metrics import psnr_y
    from acutance.sharpening.single import FrameSharpener

    told = json.loads(shoot("fast", "--images", photos / "a.png", "--json")[2])
    sharp = crop_to_multiple(np.asarray(Image.open(photos / "a.png")))
    restored = FrameSharpener("fast", engine="numpy")(down_up(sharp, 2).same_size)
    assert told["psnr_y_integer"] == pytest.approx(psnr_y(restored, sharp, border=2))


def test_what_exists_is_replaced_only_when_asked(shoot, tmp_path: Path) -> None:
    (tmp_path / "fast.acu").write_bytes(b"mine")
    code, err, _ = shoot("fast", "fast.acu")
    assert code == 8
    assert "exists already" in err
    assert (tmp_path / "fast.acu").read_bytes() == b"mine"
    assert shoot("fast", "fast.acu", "-y")[0] == 0
    assert (tmp_path / "fast.acu").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["sharpest"], 10, "unknown model"),
        (["none.safetensors"], 3, "no such model file"),
        (["fast", "fast.bin"], 2, "ends in .acu"),
        (["fast", "nowhere/fast.acu"], 9, "no folder"),
        (["fast", "--images", "nothing.png"], 3, "no such image"),
    ],
)
def test_what_does_not_fit_is_one_line(shoot, arguments: list[str], code: int, reason: str) -> None:
    returned, err, out = shoot(*arguments)
    assert returned == code
    assert reason in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_pictures_too_small_to_blur_are_named(shoot, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    code, err, _ = shoot("fast", "--images", "small.png")
    assert code == 2
    assert "small.png: a picture of 8x8 is smaller than 12x12" in err


def test_a_student_that_integers_cannot_hold_is_refused_by_name(shoot, student_file: Path, tmp_path: Path) -> None:
    student = load_student(student_file)
    last = student.layers[-1]
    layers = (*student.layers[:-1], ConvLayer(last.weight * np.float32(1e8), last.bias, None))
    save_student(Student(student.spec, layers), tmp_path / "huge.safetensors")
    code, err, _ = shoot("huge.safetensors", "huge.acu")
    assert code == 10
    assert "huge.safetensors: cannot be run in integers: layer 2 could overflow" in err
    assert not (tmp_path / "huge.acu").exists()
