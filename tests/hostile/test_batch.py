"""Many files at once: the trouble of one, whatever it is, costs that one; it is listed, and the exit code says so."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from acutance.cli.exit_codes import exit_code
from acutance.cli.failures import INTERNAL_ERROR, SHORTAGE
from acutance.cli.main import main
from acutance.errors import CorruptInputError, InputNotFoundError, NotMediaError, OutputError
from acutance.io import read_image
from acutance.training.data.folders import load_rgb

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def picture(path: Path, size: tuple[int, int] = (64, 48), **options: Any) -> Path:
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three good pictures; the current folder is the one above."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / "in" / name)
    return tmp_path / "in"


def sharpen(*words: str, student_file: Path) -> int:
    return main(["sharpen", *words, "-m", str(student_file), "--progress", "none"])


def made(folder: str = "in-sharp") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def damaged_avif(path: Path) -> Path:
    """An AVIF whose coded picture is overwritten: Pillow raises a RuntimeError."""
    picture(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    data[at : at + 40] = b"\xff" * 40
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("codec of doom"), INTERNAL_ERROR, "internal error: RuntimeError: codec of doom"),
        (IndexError("list index out of range"), INTERNAL_ERROR, "internal error: IndexError"),
        (AttributeError("no name"), INTERNAL_ERROR, "internal error: AttributeError"),
        (RecursionError("too deep"), INTERNAL_ERROR, "internal error: RecursionError"),
        (MemoryError(), SHORTAGE, "out of memory"),
        (RuntimeError("can't start new thread"), SHORTAGE, "no more threads can be started"),
        (OSError(24, "Too many open files"), SHORTAGE, "too many files are open"),
        (OSError(5, "Input/output error"), exit_code(OutputError), "Input/output error"),
    ],
)
def test_any_exception_of_one_file_costs_that_file(
    folder: Path,
    student_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    words: str,
) -> None:
    from acutance.jobs import pipeline

    real = pipeline.read_image

    def read(path: Path) -> Any:
        if Path(path).name == "b.png":
            raise error
        return real(path)

    monkeypatch.setattr(pipeline, "read_image", read)
    assert sharpen("in", student_file=student_file) == code
    assert made() == ["a.png", "c.png"]
    said = capsys.readouterr().err
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith(f"acutance: {Path('in/b.png')}: ")
    assert words in last
    assert sharpen("in/b.png", student_file=student_file) == code  # alone: the same code, and one line
    assert capsys.readouterr().err.count("\n") == 1


def test_all_that_failed_are_listed_at_the_end(
    folder: Path, student_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.png", "d.png"):
        (folder / name).write_text("no picture")
    assert sharpen("in", student_file=student_file) == exit_code(NotMediaError)
    end = capsys.readouterr().err.splitlines()[-3:]
    assert end[0] == "acutance: 2 of 4 files failed:"
    assert [str(Path(f"in/{name}.png")) in line for name, line in zip("bd", end[1:], strict=True)] == [True, True]
    assert made() == ["a.png", "c.png"]


@pytest.mark.parametrize("read", [read_image, load_rgb])
def test_a_damaged_avif_is_one_kind_of_damage(tmp_path: Path, read: Any) -> None:
    pytest.importorskip("PIL._avif")
    with pytest.raises(CorruptInputError, match=r"a\.avif"):
        read(damaged_avif(tmp_path / "a.avif"))


def test_evaluating_a_folder_leaves_out_a_damaged_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("PIL._avif")
    damaged_avif(folder / "bad.avif")
    assert main(["evaluate", "in", "-m", "fast-clean-x2", "--progress", "none"]) == exit_code(CorruptInputError)
    out, err = capsys.readouterr()
    assert "3 pictures" in out
    assert err.count("acutance: ") == 1
    assert "bad.avif: " in err


def test_degrading_a_folder_leaves_out_a_damaged_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.png").write_bytes((folder / "a.png").read_bytes()[:300])
    assert main(["degrade", "in", "out", "--progress", "none"]) == exit_code(CorruptInputError)
    assert made("out/sharp") == ["a.png", "b.png", "c.png"]
    assert "bad.png: " in capsys.readouterr().err


def test_degrading_does_not_replace_files_of_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = picture(Path("out/degraded/b.png"))
    before = mine.read_bytes()
    assert main(["degrade", "in", "out", "--progress", "none"]) == 8
    assert mine.read_bytes() == before
    assert str(Path("out/degraded/b.png")) in capsys.readouterr().err
    assert main(["degrade", "in", "out", "--progress", "none", "-y"]) == 0
    assert mine.read_bytes() != before
    assert main(["degrade", "in", "out", "--progress", "none"]) == 0  # its own are kept


def test_a_missing_file_among_several_costs_itself(
    folder: Path, student_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("in/a.png", "in/missing.png", "in/c.png")
    assert sharpen(*words, student_file=student_file) == exit_code(InputNotFoundError)
    assert {"a-sharp.png", "c-sharp.png"} <= {path.name for path in folder.iterdir()}
    assert f"acutance: {Path('in/missing.png')}: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["in"], ["in/*.png", "-o", "in-sharp/"]], ids=["folder", "pattern"])
def test_a_file_that_may_not_be_read_is_not_skipped(
    folder: Path,
    student_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    from acutance.io import _checks

    real = _checks.open_plain

    def refuse(path: Path) -> Any:
        if Path(path).name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(_checks, "open_plain", refuse)  # root may read everything
    assert sharpen(*words, student_file=student_file) == exit_code(InputNotFoundError)
    assert made() == ["a.png", "c.png"]
    assert "b.png: cannot be read: Permission denied" in capsys.readouterr().err


@needs_pipes
def test_pipes_and_devices_in_a_folder_are_passed_over(folder: Path, student_file: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "zero.png").symlink_to("/dev/zero")
    assert sharpen("in", student_file=student_file) == 0
    assert made() == ["a.png", "b.png", "c.png"]


@needs_pipes
@pytest.mark.parametrize("verb", ["sharpen", "evaluate"])
def test_a_pipe_that_is_named_points_to_the_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    os.mkfifo("pipe.y4m")
    assert main([verb, "pipe.y4m"]) == exit_code(NotMediaError)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pipe.y4m: is a pipe" in said
    assert "'-'" in said


@needs_pipes
def test_a_device_that_is_named_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("z.png").symlink_to("/dev/zero")
    assert main(["sharpen", "z.png"]) == exit_code(NotMediaError)
    assert "z.png: is a device, not a picture or video" in capsys.readouterr().err


@pytest.mark.parametrize("head", [b"", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xffWEBP", b"\xff\xd8\xff"])
def test_a_huge_file_that_is_no_picture_is_not_read(folder: Path, head: bytes) -> None:
    big = folder / "big.png"
    with big.open("wb") as file:
        file.write(head)
        file.truncate(20 << 30)
    tracked = _peak_of_reading(big)
    assert tracked < 64 << 20


def _peak_of_reading(path: Path) -> int:
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises((NotMediaError, CorruptInputError, ValueError)):
            read_image(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_picture_in_a_file_far_larger_than_it_can_need_is_refused(folder: Path) -> None:
    from acutance.errors import UnsupportedMediaError

    with (folder / "a.png").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(UnsupportedMediaError, match="more than a picture of its size can need"):
        read_image(folder / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_pattern_over_folders_that_hold_themselves_ends(folder: Path, student_file: Path) -> None:
    (folder / "one").symlink_to(".")
    (folder / "two").symlink_to(".")
    (folder / ".hidden").mkdir()
    picture(folder / ".hidden" / "d.png")
    picture(folder / "deep" / "e.png")
    assert sharpen("in/**/*.png", "-o", "out/", student_file=student_file) == 0
    assert made("out") == ["a.png", "b.png", "c.png", "e.png"]


def test_a_jpeg_of_thousands_of_scans_is_refused_at_once(tmp_path: Path) -> None:
    from acutance.errors import UnsupportedMediaError

    path = picture(tmp_path / "a.jpg", progressive=True)
    data = path.read_bytes()
    scan = data.rindex(b"\xff\xda")
    path.write_bytes(data[:scan] + data[scan:-2] * 20_000 + data[-2:])
    with pytest.raises(UnsupportedMediaError, match=r"a JPEG of 200\d\d scans"):
        read_image(path)


def test_ordinary_jpegs_of_many_kinds_are_read(tmp_path: Path) -> None:
    for number, options in enumerate(({}, {"progressive": True}, {"restart_marker_rows": 1}, {"exif": b"Exif\0\0MM"})):
        path = picture(tmp_path / f"{number}.jpg", size=(80, 72), **options)
        assert read_image(path).pixels.shape == (72, 80, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_a_replaced_file_keeps_its_mode(folder: Path, student_file: Path) -> None:
    target = folder / "a-sharp.png"
    target.write_bytes(b"old")
    target.chmod(0o600)
    assert sharpen("in/a.png", "-y", student_file=student_file) == 0
    assert target.read_bytes() != b"old"
    assert target.stat().st_mode & 0o777 == 0o600
