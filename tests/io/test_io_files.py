"""Which files a pattern means, and how a result appears whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

from acutance.errors import InputNotFoundError, NotMediaError, OutputError, OutputExistsError
from acutance.io import AtomicOutput, default_output, expand_inputs
from io_clips import make_clip


def test_importing_io_loads_neither_video_nor_image_library() -> None:
    code = "import sys, acutance.io; print([m for m in ('av', 'PIL', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_resolves() -> None:
    import acutance.io

    assert all(getattr(acutance.io, name) is not None for name in acutance.io.__all__)


# -- inputs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "below").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "below/c.webp", ".hidden.png"):
        PIL.Image.new("RGB", (8, 8)).save(root / name)
    make_clip(root / "talk.mkv")
    (root / "notes.txt").write_text("hello")
    return root


def names(folder: Path, *patterns: str, recursive: bool = False) -> list[tuple[str, str]]:
    files = expand_inputs([folder / p for p in patterns], recursive=recursive)
    return [(str(f.path.relative_to(folder)), f.kind) for f in files]


def test_a_folder_means_its_media_sorted(folder: Path) -> None:
    assert names(folder, ".") == [("a.jpg", "image"), ("b.png", "image"), ("talk.mkv", "video")]


def test_recursion_goes_below(folder: Path) -> None:
    assert ("below/c.webp", "image") in names(folder, ".", recursive=True)


def test_a_glob_means_what_it_matches(folder: Path) -> None:
    assert names(folder, "*.png", "*.mkv") == [("b.png", "image"), ("talk.mkv", "video")]


def test_a_file_met_twice_counts_once(folder: Path) -> None:
    assert names(folder, "b.png", "*.png", "b.png") == [("b.png", "image")]


def test_content_decides_and_not_the_name(folder: Path) -> None:
    (folder / "b.png").rename(folder / "b.mp4")
    assert ("b.mp4", "image") in names(folder, ".")


def test_a_name_with_brackets_is_itself(folder: Path) -> None:
    (folder / "b.png").rename(folder / "b[1].png")
    assert names(folder, "b[1].png") == [("b[1].png", "image")]


def test_missing_and_matching_nothing_are_told(folder: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"gone\.png: no such file"):
        names(folder, "gone.png")
    with pytest.raises(InputNotFoundError, match=r"\*\.avif: matches no"):
        names(folder, "*.avif")
    (folder / "empty").mkdir()
    with pytest.raises(InputNotFoundError, match="holds no image or video"):
        names(folder, "empty")


def test_a_named_text_is_refused(folder: Path) -> None:
    with pytest.raises(NotMediaError, match=r"notes\.txt: neither"):
        names(folder, "notes.txt")


def test_an_empty_video_in_a_folder_is_not_hidden(folder: Path) -> None:
    (folder / "zero.mp4").touch()
    assert ("zero.mp4", "video") in names(folder, ".")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.mp4", "a-sharp.mp4"), ("a.b.JPG", "a.b-sharp.JPG"), ("a.avi", "a-sharp.mkv"), ("a.gif", "a-sharp.mkv")],
)
def test_default_output_stands_beside_its_source(name: str, expected: str) -> None:
    assert default_output(Path("x") / name) == Path("x") / expected


# -- outputs ----------------------------------------------------------------------------------------------------------


def test_an_output_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with AtomicOutput(target) as output:
        output.temporary.write_text("whole")
        assert not target.exists()
        assert output.temporary.parent == tmp_path
        assert output.temporary.suffix == ".txt"
        assert output.temporary.name.startswith(".")
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def job() -> None:
        with AtomicOutput(tmp_path / "out.txt") as output:
            output.temporary.write_text("half")
            raise error

    with pytest.raises(error):
        job()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_job_leaves_the_file_it_would_have_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("old")
    with pytest.raises(ValueError), AtomicOutput(tmp_path / "out.txt", overwrite=True):  # noqa: PT011
        raise ValueError
    assert (tmp_path / "out.txt").read_text() == "old"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="appeared"), AtomicOutput(tmp_path / "out.txt"):
        (tmp_path / "out.txt").write_text("theirs")
    assert (tmp_path / "out.txt").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_as_output_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with AtomicOutput(tmp_path / "link.txt", overwrite=True) as output:
        output.temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device")
def test_a_device_is_not_replaced_by_a_file() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        AtomicOutput("/dev/null", overwrite=True)


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        AtomicOutput(tmp_path, overwrite=True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, which even root cannot write to")
def test_an_unwritable_folder_is_an_output_error() -> None:
    with pytest.raises(OutputError, match=r"/proc/out\.txt: cannot be written"), AtomicOutput("/proc/out.txt"):
        pass


def test_a_disk_that_is_full_at_the_last_moment_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"), AtomicOutput(tmp_path / "out.txt") as output:
        output.temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == []
