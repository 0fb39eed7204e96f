"""Values that make no sense are refused with one kind of error, wherever they are given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance import Sharpener
from acutance.cli.exit_codes import exit_code
from acutance.cli.main import main
from acutance.errors import AcutanceError, UsageError
from io_clips import make_clip

NO_NUMBERS: list[Any] = [
    "1", b"x", 1j, [1], object(), float("nan"), float("inf"), -1, 1e20, 10**400, 10**5000, True,
    np.matrix([[1.0]]), np.array([1.0, 2.0]),
]  # fmt: skip
NO_NAMES: list[Any] = [1, 1j, b"x", [1], object(), np.matrix([[1]])]


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file, threads=1)


def refused(call: Callable[[Any], object], values: list[Any]) -> list[str]:
    """Return what happens for each value that is not refused as it should be."""
    wrong = []
    for value in values:
        try:
            call(value)
            wrong.append(f"{type(value).__name__}: accepted")
        except AcutanceError as error:
            if not isinstance(error, ValueError | TypeError) or "\n" in str(error) or len(str(error)) > 400:
                wrong.append(f"{type(value).__name__}: {type(error).__name__}: {error}")
        except Exception as error:
            wrong.append(f"{type(value).__name__}: {type(error).__name__}: {error}")
    return wrong


def test_the_numbers_of_a_sharpener(student_file: Path) -> None:
    for name in ("strength", "threads", "threshold"):
        found = refused(lambda value, name=name: Sharpener(student_file, **{name: value}), NO_NUMBERS)
        assert not found, f"{name}: {found}"
    assert not refused(lambda value: Sharpener(student_file, strength=value), [None])


def test_the_names_of_a_sharpener(student_file: Path) -> None:
    assert not refused(Sharpener, [*NO_NAMES, None, "nope"])
    assert not refused(lambda value: Sharpener(student_file, engine=value), [*NO_NAMES, None, "nope"])


def test_what_a_picture_was_scaled_by(sharpener: Sharpener) -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    assert not refused(lambda value: sharpener(picture, scaled_by=value), [*NO_NUMBERS, None, 0])


def test_what_is_no_picture(sharpener: Sharpener) -> None:
    picture = np.zeros((16, 16), np.uint8)
    values = [np.matrix(picture), np.ma.masked_array(picture), "x", None, 1j, picture.astype(complex), picture[:0]]
    assert not refused(sharpener, values)


def test_the_numbers_and_names_of_a_file_job(sharpener: Sharpener, tmp_path: Path) -> None:
    clip, target = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    for name in ("start", "duration", "scale", "crf", "bitrate", "segment_frames"):
        values = [value for value in NO_NUMBERS if name != "segment_frames" or value is not True]
        found = refused(lambda value, name=name: sharpener.video(clip, target, **{name: value}), values)
        assert not found, f"{name}: {found}"
    for name in ("encoder", "preset"):
        found = refused(lambda value, name=name: sharpener.video(clip, target, **{name: value}), NO_NAMES)
        assert not found, f"{name}: {found}"
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize(
    "words",
    [
        ("--bitrate", "inf"),
        ("--bitrate", "nan"),
        ("--bitrate", "1e400"),
        ("--bitrate", "99999999M"),
        ("--start", "10000000000000"),
        ("--start", "9999999999:00:00"),
        ("--duration", "1" + "0" * 400),
        ("--crf", "nan"),
        ("--crf", "inf"),
        ("--scale", "nan"),
        ("--scale", "inf"),
        ("--strength", "nan"),
        ("--quality", "101"),
    ],
    ids=" ".join,
)
def test_the_command_line_refuses_absurd_numbers_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    student_file: Path,
    words: tuple[str, ...],
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.mp4")
    Image.new("L", (16, 16)).save("a.png")
    name = "a.png" if words[0] == "--quality" else "a.mp4"
    assert main(["sharpen", name, "-m", str(student_file), *words]) == exit_code(UsageError)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 600
