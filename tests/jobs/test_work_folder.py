"""The hidden folder of a job: files that are not the job's are never changed or removed, also through links."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from acutance._util.lock import FileLock
from acutance._util.work_folder import ForeignFolderError, WorkFolder, read_plain
from acutance.cli.exit_codes import exit_code
from acutance.cli.main import main
from acutance.errors import OutputError
from acutance.jobs.journal import job_folder
from io_clips import make_clip

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
OWN = re.compile(r"journal|[0-9]{6}\.segment")


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short video in a folder of its own, which is the current one."""
    folder = tmp_path / "un"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return make_clip(folder / "talk.mp4")


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, every link with its target."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
    return found


def sharpen(student_file: Path, *options: str) -> int:
    return main(["sharpen", "talk.mp4", "-m", str(student_file), "--progress", "none", *options])


# -- the folder of a file job -----------------------------------------------------------------------------------------


@needs_links
@pytest.mark.parametrize("options", [(), ("-y",), ("--resume",)], ids=["plain", "overwrite", "resume"])
def test_a_link_in_place_of_the_folder_costs_nothing_where_it_points(
    talk: Path, student_file: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    home = talk.parent.parent / "home"
    home.mkdir()
    for name in ("thesis.docx", "000000.segment", "journal", "lock"):
        (home / name).write_text(f"my {name}")
    Path(".talk-sharp.mp4.acutance").symlink_to("../home")
    before = tree(talk.parent.parent)
    assert sharpen(student_file, *options) == exit_code(OutputError)
    assert tree(talk.parent.parent) == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ".talk-sharp.mp4.acutance is a link" in said


@pytest.mark.parametrize("options", [(), ("-y",), ("--resume",)], ids=["plain", "overwrite", "resume"])
@pytest.mark.parametrize(
    "names",
    [["thesis.docx"], ["journal"], ["lock"], ["000000.segment"], [".talk.01234567.part.mp4"], ["lock", "journal"]],
)
def test_a_real_folder_of_that_name_keeps_somebodys_files(
    talk: Path, student_file: Path, capsys: pytest.CaptureFixture[str], names: list[str], options: tuple[str, ...]
) -> None:
    folder = job_folder("talk-sharp.mp4")
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"my {name}")
    before = tree(talk.parent)
    assert sharpen(student_file, *options) == exit_code(OutputError)
    assert tree(talk.parent) == before
    assert "no job of acutance made" in capsys.readouterr().err


@needs_links
@pytest.mark.parametrize("name", ["lock", "journal", "000000.segment"])
@pytest.mark.parametrize("points_to", ["missing", "thesis.docx"])
def test_a_link_in_the_folder_neither_creates_nor_changes_what_it_points_to(
    talk: Path, student_file: Path, name: str, points_to: str
) -> None:
    home = talk.parent.parent / "home"
    home.mkdir()
    (home / "thesis.docx").write_text("mine")
    folder = job_folder("talk-sharp.mp4")
    folder.mkdir()
    (folder / name).symlink_to(home / points_to)
    before = tree(talk.parent.parent)
    assert sharpen(student_file) == exit_code(OutputError)
    assert tree(talk.parent.parent) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["lock", "journal"])
def test_a_pipe_in_the_folder_neither_hangs_nor_goes(talk: Path, student_file: Path, name: str) -> None:
    folder = job_folder("talk-sharp.mp4")
    folder.mkdir()
    os.mkfifo(folder / name)
    assert sharpen(student_file) == exit_code(OutputError)
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("name", ["lock", "journal"])
def test_a_second_name_of_a_file_of_somebody_is_left_alone(talk: Path, student_file: Path, name: str) -> None:
    mine = talk.parent / "mine.txt"
    mine.write_text("mine")
    folder = job_folder("talk-sharp.mp4")
    folder.mkdir()
    (folder / name).hardlink_to(mine)
    before = tree(talk.parent)
    assert sharpen(student_file) == exit_code(OutputError)
    assert tree(talk.parent) == before


def test_a_plain_file_of_the_folders_name_is_named(
    talk: Path, student_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_folder("talk-sharp.mp4").write_text("mine")
    assert sharpen(student_file) == exit_code(OutputError)
    assert ".talk-sharp.mp4.acutance is not a folder" in capsys.readouterr().err
    assert job_folder("talk-sharp.mp4").read_text() == "mine"


def test_an_empty_folder_of_that_name_is_taken(talk: Path, student_file: Path) -> None:
    job_folder("talk-sharp.mp4").mkdir()
    assert sharpen(student_file) == 0
    assert tree(talk.parent).keys() == {"talk-sharp.mp4", "talk.mp4"}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_file_that_somebody_put_into_a_killed_jobs_folder_stays(talk: Path, student_file: Path) -> None:
    command = [sys.executable, str(Path(__file__).parents[1] / "killed_job.py"), "in the first segment"]
    done = subprocess.run([*command, str(student_file), "talk.mp4", "talk-sharp.mp4"], check=False)
    assert done.returncode == -signal.SIGKILL
    folder = job_folder("talk-sharp.mp4")
    (folder / "notes.txt").write_text("mine")
    (folder / "deep").mkdir()
    assert sharpen(student_file) == 0
    assert tree(folder).keys() == {"lock", "notes.txt", "deep"}
    assert sharpen(student_file, "-y") == 0  # the folder can still be used
    assert (folder / "notes.txt").read_text() == "mine"


@needs_links
def test_an_export_leaves_somebodys_files_alone(talk: Path, student_file: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    import hashlib

    home = talk.parent.parent / "home"
    home.mkdir()
    for name in ("thesis.docx", "out.onnx", "out.bin"):
        (home / name).write_text(f"my {name}")
    Path(f".{hashlib.sha256(b'out.onnx').hexdigest()[:16]}.acutance-export").symlink_to(home)
    before = tree(talk.parent.parent)
    assert main(["export", str(student_file), "out.onnx"]) == exit_code(OutputError)
    assert tree(talk.parent.parent) == before


# -- the parts --------------------------------------------------------------------------------------------------------


@needs_links
def test_a_folder_that_becomes_a_link_meanwhile_costs_nothing_where_it_points(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("journal", "000000.segment", "lock"):
        (home / name).write_text("mine")
    place = WorkFolder(tmp_path / "work", own=OWN)
    (tmp_path / "work").rename(tmp_path / "moved")
    (tmp_path / "work").symlink_to(home)
    os.close(place.open("journal", os.O_WRONLY | os.O_CREAT))
    place.clear()
    place.remove()
    assert tree(home) == dict.fromkeys(("000000.segment", "journal", "lock"), b"mine")
    assert (tmp_path / "work").is_symlink()


def test_two_cannot_hold_one_folder(tmp_path: Path) -> None:
    with WorkFolder(tmp_path / "work", own=OWN), pytest.raises(BlockingIOError):
        WorkFolder(tmp_path / "work", own=OWN)


def test_a_folder_whose_mark_was_torn_is_taken_where_nothing_else_is_in_it(tmp_path: Path) -> None:
    WorkFolder(tmp_path / "work", own=OWN).close()
    lock = tmp_path / "work" / "lock"
    lock.write_bytes(lock.read_bytes()[:7])
    WorkFolder(tmp_path / "work", own=OWN).close()
    lock.write_bytes(lock.read_bytes()[:7])
    (tmp_path / "work" / "journal").write_text("mine")
    with pytest.raises(ForeignFolderError, match="no job of acutance made"):
        WorkFolder(tmp_path / "work", own=OWN)


def test_only_names_of_the_job_can_be_opened(tmp_path: Path) -> None:
    with WorkFolder(tmp_path / "work", own=OWN) as place:
        for name in ("../journal", "notes.txt", ""):
            with pytest.raises(ValueError, match="not a name of this job"):
                place.open(name, os.O_RDWR | os.O_CREAT)
        place.remove()
    assert not (tmp_path / "work").exists()


@needs_links
def test_reading_a_file_follows_no_link_and_stops_at_its_limit(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"x" * 100)
    assert read_plain(tmp_path, "journal", limit=100) == b"x" * 100
    assert read_plain(tmp_path, "journal", limit=99) is None
    (tmp_path / "link").symlink_to("journal")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_plain(tmp_path, "link", limit=100) is None
    assert read_plain(tmp_path, "zero", limit=100) is None
    assert read_plain(tmp_path / "missing", "journal", limit=100) is None


@needs_links
def test_a_lock_creates_nothing_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError, match="is a link or a special file"):
        FileLock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
