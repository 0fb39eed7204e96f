"""The form of ``acutance sharpen IN... [-o OUT]``: no input is ever replaced, and every output goes where it should."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from acutance.cli.main import main
from acutance.io.files import AtomicOutput


@pytest.fixture
def shoot(tmp_path: Path, student_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run ``acutance sharpen`` in a folder of its own and return (exit code, lines on stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, list[str]]:
        code = main(["sharpen", *words, "-m", str(student_file)])
        return code, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def photos(tmp_path: Path, picture: NDArray[np.uint8]) -> dict[str, bytes]:
    """Make a.jpg and b.jpg in the folder and return their bytes."""
    for name, pixels in (("a.jpg", picture), ("b.jpg", picture[::-1])):
        Image.fromarray(pixels).save(tmp_path / name)
    return {name: (tmp_path / name).read_bytes() for name in ("a.jpg", "b.jpg")}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_two_files_that_exist_are_two_inputs_even_with_overwrite(
    shoot, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    code, _ = shoot("-y", "a.jpg", "b.jpg")
    assert code == 0
    assert {name: (tmp_path / name).read_bytes() for name in photos} == photos
    assert names(tmp_path) == ["a-sharp.jpg", "a.jpg", "b-sharp.jpg", "b.jpg"]


@pytest.mark.parametrize("words", [["a.jpg", "c.jpg"], ["a.jpg", "-o", "c.jpg"], ["-o", "c.jpg", "a.jpg"]])
def test_a_second_name_that_does_not_exist_is_the_output(
    shoot, tmp_path: Path, photos: dict[str, bytes], words: list[str]
) -> None:
    assert shoot(*words)[0] == 0
    assert names(tmp_path) == [*photos, "c.jpg"]


def test_a_second_name_that_is_a_folder_is_the_output(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    (tmp_path / "done").mkdir()
    assert shoot("a.jpg", "done")[0] == 0
    assert names(tmp_path / "done") == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == photos["a.jpg"]


def test_a_second_pattern_is_an_input(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    assert shoot("a.jpg", "b*.jpg")[0] == 0
    assert names(tmp_path) == ["a-sharp.jpg", "a.jpg", "b-sharp.jpg", "b.jpg"]
    assert (tmp_path / "b.jpg").read_bytes() == photos["b.jpg"]


def test_of_three_names_each_is_an_input(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    code, lines = shoot("a.jpg", "b.jpg", "c.jpg")
    assert code == 3
    assert "c.jpg: no such file" in lines[0]
    assert names(tmp_path) == ["a-sharp.jpg", "a.jpg", "b-sharp.jpg", "b.jpg"]


def test_several_inputs_go_into_the_folder_that_is_named(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    assert shoot("a.jpg", "b.jpg", "-o", "made")[0] == 0
    assert names(tmp_path / "made") == [*photos]


def test_folders_among_several_inputs_keep_what_lies_below_them(
    shoot, tmp_path: Path, photos: dict[str, bytes], picture: NDArray[np.uint8]
) -> None:
    (tmp_path / "in/below").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "in/below/c.png")
    assert shoot("a.jpg", "in", "-r", "-o", "made")[0] == 0
    assert (tmp_path / "made/a.jpg").exists()
    assert (tmp_path / "made/below/c.png").exists()


def test_several_inputs_never_share_one_file(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    code, lines = shoot("a.jpg", "b.jpg", "-o", "c.jpg")
    assert code == 2
    assert "c.jpg: several inputs need a folder" in lines[0]
    assert names(tmp_path) == [*photos]


def test_one_input_and_a_name_without_a_suffix_asks_what_is_meant(
    shoot, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    code, lines = shoot("a.jpg", "result")
    assert code == 2
    assert "result: has no suffix" in lines[0]
    assert names(tmp_path) == [*photos]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["a.jpg", "/dev/full"], ["a.jpg", "-o", "/dev/full"]])
def test_a_device_is_no_output(shoot, photos: dict[str, bytes], words: list[str]) -> None:
    code, lines = shoot(*words)
    assert code == 9
    assert "/dev/full: is not a regular file" in lines[0]
    assert photos


def test_an_address_is_named_as_it_was_given(shoot, photos: dict[str, bytes]) -> None:
    for words in (["http://host.invalid/call.mp4"], ["a.jpg", "http://host.invalid/call.mp4"]):
        code, lines = shoot(*words)
        assert code == 3
        assert "http://host.invalid/call.mp4: is an address" in lines[0]
    assert photos


def test_pictures_of_a_folder_that_are_not_read_are_named(shoot, tmp_path: Path, photos: dict[str, bytes]) -> None:
    (tmp_path / "in/below").mkdir(parents=True, exist_ok=True)
    (tmp_path / "in/a.jpg").write_bytes(photos["a.jpg"])
    for name in ("one.HEIC", "two.psd", "notes.txt", ".hidden.heic", "below/three.dng"):
        (tmp_path / "in" / name).write_bytes(b"anything")
    code, lines = shoot("in", "-o", "made")
    assert code == 0
    assert [line.split(": ")[1] for line in lines if "is left out" in line] == ["in/one.HEIC", "in/two.psd"]
    code, lines = shoot("in", "-o", "made", "-r", "-y")
    assert sum("is left out" in line for line in lines) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="counts bytes of names as Linux does")
def test_a_name_of_eighty_kana_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / f"{'か' * 80}.mp4"
    with AtomicOutput(target) as output:
        assert len(os.fsencode(output.temporary.name)) <= 255
        output.temporary.write_bytes(b"whole")
    assert target.read_bytes() == b"whole"
