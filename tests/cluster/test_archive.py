"""Archives without Ray: the tasks run in this process, so that everything but the cluster itself is tested quickly."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serial_pool import SerialPool, serial_connect

from acutance import Sharpener
from acutance.cluster import ArchiveReport, ArchiveSettings, archive, archive_folder, node
from acutance.cluster.lease import Lease
from acutance.cluster.store import open_store
from acutance.errors import InputNotFoundError, OutputError, ResumeError, UsageError
from acutance.io import VideoReader
from io_clips import frame_times, make_clip, packets

SEGMENT = 10
FRAMES = 37


def frames_of(path: Path) -> list[tuple[int | None, bytes]]:
    """Time and samples of every frame."""
    with VideoReader(path) as reader:
        return [(f.pts, b"".join(p.tobytes() for p in (f.luma, *(f.chroma or ())))) for f in reader]


def times(count: int = FRAMES) -> list[int]:
    steps = np.random.default_rng(0).integers(1, 9, count)
    return [int(t) for t in np.cumsum(steps) * 128]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two videos, one of several segments with sound and one of one, and a picture."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "2019").mkdir()
    make_clip(folder / "2019" / "talk.mp4", size=(96, 64), pts=times(), audio=True)
    make_clip(folder / "short.mkv", size=(96, 64))
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 48, 3), np.uint8)).save(folder / "still.png")
    (folder / "notes.txt").write_text("not for an archive")
    (folder / ".hidden.mp4").write_bytes(b"not for an archive")
    return folder


@pytest.fixture
def settings(student_file: Path) -> ArchiveSettings:
    return ArchiveSettings(model=str(student_file), segment_frames=SEGMENT, preset="ultrafast", engine="native")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[SerialPool]:
    """The pools of the archives of a test, in order."""
    made: list[SerialPool] = []
    monkeypatch.setattr(archive, "connect", serial_connect(made))
    monkeypatch.setenv(node.SCRATCH_VARIABLE, str(tmp_path / "scratch"))
    return made


def disturb(monkeypatch: pytest.MonkeyPatch, before: Callable[..., dict[str, Any] | None]) -> list[SerialPool]:
    made: list[SerialPool] = []
    monkeypatch.setattr(archive, "connect", serial_connect(made, before))
    return made


def local_job(library: Path, name: str, target: Path, settings: ArchiveSettings) -> Path:
    """What a file job with the same settings makes."""
    Sharpener(settings.model, threads=1, engine=settings.engine).video(
        library / name, target, segment_frames=SEGMENT, preset=settings.preset, video_threads=1
    )
    return target


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".acutance" not in path.parts]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def leftovers(folder: Path) -> list[str]:
    inside = folder / ".acutance"
    return sorted(p.relative_to(inside).as_posix() for p in inside.rglob("*") if p.is_file() and p.name != "lock")


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_an_archive_has_the_frames_of_the_file_job(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    report = archive_folder(library, tmp_path / "out", settings=settings)
    assert (report.files, report.frames, report.kept, report.failed) == (3, FRAMES + 10 + 1, 0, [])
    assert sorted(contents(tmp_path / "out")) == ["2019/talk.mp4", "short.mkv", "still.png"]
    assert any(name.endswith("talk.mp4 [2/4]") for name in pools[0].names)
    for name in ("2019/talk.mp4", "short.mkv"):
        local = local_job(library, name, tmp_path / Path(name).name, settings)
        assert frames_of(tmp_path / "out" / name) == frames_of(local)
        assert frame_times(tmp_path / "out" / name) == frame_times(local)
    assert packets(tmp_path / "out" / "2019/talk.mp4", "audio") == packets(library / "2019/talk.mp4", "audio")
    assert {name.partition("/")[0] for name in leftovers(tmp_path / "out")} == {"manifest"}


def test_auto_chooses_in_an_archive_as_in_a_file_job(library: Path, tmp_path: Path, pools: list[SerialPool]) -> None:
    settings = ArchiveSettings(segment_frames=SEGMENT, preset="ultrafast", engine="native")
    archive_folder(library, tmp_path / "out", settings=settings)
    local = local_job(library, "2019/talk.mp4", tmp_path / "talk.mp4", settings)
    assert frames_of(tmp_path / "out/2019/talk.mp4") == frames_of(local)


def test_a_video_whose_packets_do_not_tell_its_frames_is_made_in_sequence(
    tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    """VP8 has hidden frames: packets that show no frame. The planned cuts are wrong then, which must be noticed."""
    library = tmp_path / "in"
    library.mkdir()
    options = {"auto-alt-ref": "1", "lag-in-frames": "10", "arnr-maxframes": "5", "b": "200k"}
    make_clip(library / "clip.webm", encoder="libvpx", size=(96, 64), pts=times(60), options=options)
    report = archive_folder(library, tmp_path / "out", settings=ArchiveSettings(
        model=settings.model, segment_frames=SEGMENT, encoder="libvpx-vp9", preset="8", engine="native"
    ))  # fmt: skip
    assert report.failed == []
    Sharpener(settings.model, threads=1, engine="native").video(
        library / "clip.webm", tmp_path / "local.webm", segment_frames=SEGMENT, encoder="libvpx-vp9", preset="8",
        video_threads=1,
    )  # fmt: skip
    assert frames_of(tmp_path / "out" / "clip.webm") == frames_of(tmp_path / "local.webm")


def test_a_damaged_video_is_made_as_a_file_job_makes_it(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip(folder / "clip.mkv", size=(96, 64), pts=times())
    content = bytearray((folder / "clip.mkv").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    (folder / "clip.mkv").write_bytes(content)
    report = archive_folder(folder, tmp_path / "out", settings=settings)
    assert report.failed == []
    local = local_job(folder, "clip.mkv", tmp_path / "local.mkv", settings)
    assert frames_of(tmp_path / "out" / "clip.mkv") == frames_of(local)


# -- again -------------------------------------------------------------------------------------------------------------


def test_the_same_call_does_only_what_is_missing(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    archive_folder(library, tmp_path / "out", settings=settings)
    before = frames_of(tmp_path / "out" / "short.mkv")
    (tmp_path / "out" / "short.mkv").unlink()
    report = archive_folder(library, tmp_path / "out", settings=settings)
    assert (report.files, report.kept) == (1, 2)
    assert pools[1].names == ["short.mkv"]
    assert frames_of(tmp_path / "out" / "short.mkv") == before
    assert archive_folder(library, tmp_path / "out", settings=settings).kept == 3
    assert len(pools) == 2  # nothing to do, and no cluster is asked


def test_an_input_that_changed_is_done_again(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    shutil.copytree(library, tmp_path / "in")
    archive_folder(tmp_path / "in", tmp_path / "out", settings=settings)
    make_clip(tmp_path / "in" / "short.mkv", size=(64, 48))
    report = archive_folder(tmp_path / "in", tmp_path / "out", settings=settings)
    assert (report.files, report.kept, report.failed) == (1, 2, [])
    with VideoReader(tmp_path / "out" / "short.mkv") as reader:
        assert (reader.width, reader.height) == (64, 48)


class StoppedError(Exception):
    """Stands for a driver that is killed."""


@pytest.mark.parametrize("after", range(1, 8))
def test_a_driver_killed_after_any_task_goes_on_without_making_a_segment_twice(
    after: int, library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    done: list[tuple[str, Any]] = []

    def stop(key: Any, function: str, arguments: Any) -> None:
        if len(done) == after:
            raise StoppedError
        done.append((function, key))

    disturb(monkeypatch, stop)
    with pytest.raises(StoppedError):
        archive_folder(library, tmp_path / "out", settings=settings)
    assert all(not path.name.startswith(".") for path in (tmp_path / "out").iterdir() if path.name != ".acutance")
    again = disturb(monkeypatch, lambda key, function, arguments: done.append((function, key)))
    report = archive_folder(library, tmp_path / "out", settings=settings)
    assert report.failed == []
    made = [key for function, key in done if function == "make_segments"]
    assert len(made) == len(set(made)) == 4
    assert again
    local = local_job(library, "2019/talk.mp4", tmp_path / "talk.mp4", settings)
    assert frames_of(tmp_path / "out/2019/talk.mp4") == frames_of(local)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def lost_once(which: Any) -> Callable[..., dict[str, Any] | None]:
    """Lose the first run of a task, as when its node is killed."""
    seen: list[Any] = []

    def before(key: Any, function: str, arguments: Any) -> dict[str, Any] | None:
        if key == which and key not in seen:
            seen.append(key)
            return {"fault": "lost", "reason": "its node was lost"}
        return None

    return before


@pytest.mark.parametrize("step", ["begin", 0, 2, 3, "join"])
def test_a_task_that_is_lost_is_done_again(
    step: Any, library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = disturb(monkeypatch, lost_once(("2019/talk.mp4", step)))
    report = archive_folder(library, tmp_path / "out", settings=settings)
    assert (report.files, report.failed) == (3, [])
    assert len(made[0].names) == 1 + 4 + 1 + 2 + 1
    assert len(frames_of(tmp_path / "out/2019/talk.mp4")) == FRAMES


def test_retries_have_a_limit_and_a_file_that_is_given_up_costs_itself_alone(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(key: Any, function: str, arguments: Any) -> dict[str, Any] | None:
        return {"fault": "lost", "reason": "its node was lost"} if key == ("2019/talk.mp4", 1) else None

    made = disturb(monkeypatch, lose)
    report = archive_folder(library, tmp_path / "out", settings=settings, retries=2)
    assert report.files == 2
    (failed,) = report.failed
    assert failed.reason == "2019/talk.mp4: given up after 3 attempts: its node was lost"
    assert sum(name.endswith("[2/4]") for name in made[0].names) == 3


def test_files_that_cannot_be_read_are_listed_with_their_reason(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    shutil.copytree(library, tmp_path / "in")
    (tmp_path / "in" / "broken.mp4").write_bytes(b"\x00" * 5000)
    (tmp_path / "in" / "empty.mkv").write_bytes(b"")
    (tmp_path / "in" / "short.mov").write_bytes((library / "short.mkv").read_bytes())
    (tmp_path / "in" / "short.avi").write_bytes((library / "short.mkv").read_bytes())
    report = archive_folder(tmp_path / "in", tmp_path / "out", settings=settings)
    assert report.files == 4
    reasons = {failed.name: failed.reason for failed in report.failed}
    assert sorted(reasons) == ["broken.mp4", "empty.mkv", "short.mkv"]
    assert str(tmp_path / "in" / "broken.mp4") in reasons["broken.mp4"]
    assert "its output short.mkv is that of short.avi" in reasons["short.mkv"]
    for reason in reasons.values():
        assert "\n" not in reason
        assert "scratch" not in reason
    assert archive_folder(tmp_path / "in", tmp_path / "out", settings=settings).kept == 4


def test_an_output_that_the_archive_did_not_make_is_not_replaced(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "short.mkv").write_bytes(b"somebody's")
    report = archive_folder(library, tmp_path / "out", settings=settings)
    (failed,) = report.failed
    assert failed.error == "OutputExistsError"
    assert (tmp_path / "out" / "short.mkv").read_bytes() == b"somebody's"
    assert archive_folder(library, tmp_path / "out", settings=settings, overwrite=True).files == 3


def test_a_node_with_a_full_disk_gets_no_more_tasks(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.errors import ClusterError

    said: list[str] = []
    disturb(monkeypatch, lambda *_: {"fault": "node", "node": "n1", "reason": "/scratch: the disk is full"})
    with pytest.raises(ClusterError, match="no node is left that can work; the last said: /scratch: the disk is full"):
        archive_folder(library, tmp_path / "out", settings=settings, say=said.append)
    assert said == ["node n1: /scratch: the disk is full; it gets no more tasks"]


def test_an_output_folder_that_cannot_be_written_stops_the_archive(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, lambda *_: {"fault": "store", "reason": "/out: cannot be written: the disk is full"})
    with pytest.raises(OutputError, match="the disk is full; what is finished is kept, and the same archive goes on"):
        archive_folder(library, tmp_path / "out", settings=settings)


def test_a_segment_that_was_altered_is_made_again(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def alter(key: Any, function: str, arguments: Any) -> None:
        if function == "join_file" and key not in seen:
            seen.append(key)
            (path,) = (tmp_path / "out" / ".acutance" / "work").rglob("000001.segment")
            path.write_bytes(path.read_bytes()[:-1] + b"!")

    seen: list[Any] = []
    disturb(monkeypatch, alter)
    assert archive_folder(library, tmp_path / "out", settings=settings).failed == []
    local = local_job(library, "2019/talk.mp4", tmp_path / "talk.mp4", settings)
    assert frames_of(tmp_path / "out/2019/talk.mp4") == frames_of(local)


# -- the folder --------------------------------------------------------------------------------------------------------


def manifest_of(folder: Path) -> list[Path]:
    return sorted((folder / ".acutance" / "manifest").iterdir())


def test_a_manifest_that_was_edited_is_named_and_nothing_is_touched(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    archive_folder(library, tmp_path / "out", settings=settings)
    path = next(path for path in manifest_of(tmp_path / "out") if '"frames":10' in path.read_text())
    path.write_text(path.read_text().replace('"frames":10', '"frames":11'))
    before = contents(tmp_path / "out")
    with pytest.raises(ResumeError, match=r"00\d\.jsonl: line \d is not as this program wrote it; restore it"):
        archive_folder(library, tmp_path / "out", settings=settings)
    assert contents(tmp_path / "out") == before


def test_a_manifest_of_which_a_part_is_missing_is_named(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    archive_folder(library, tmp_path / "out", settings=settings)
    manifest_of(tmp_path / "out")[0].unlink()
    with pytest.raises(ResumeError, match=r"000000\.jsonl: is missing"):
        archive_folder(library, tmp_path / "out", settings=settings)


def test_an_archive_of_other_settings_is_refused_and_says_what_differs(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], student_file: Path
) -> None:
    archive_folder(library, tmp_path / "out", settings=settings)
    other = ArchiveSettings(
        model=str(student_file), segment_frames=SEGMENT, preset="ultrafast", engine="native", strength=0.5, cpus=2
    )
    with pytest.raises(ResumeError, match=r"strength was 1\.0 and is 0\.5; threads of an encoder was 1 and is 2"):
        archive_folder(library, tmp_path / "out", settings=other)


def test_a_manifest_of_another_version_is_refused(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.cluster import manifest

    monkeypatch.setattr(manifest, "FORMAT", 99)
    archive_folder(library, tmp_path / "out", settings=settings)
    monkeypatch.undo()
    with pytest.raises(ResumeError, match="its manifest has format 99, and this version writes format 1"):
        archive_folder(library, tmp_path / "out", settings=settings)


def test_a_manifest_lists_every_file_with_its_hash(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    archive_folder(library, tmp_path / "out", settings=settings)
    lines = [
        json.loads(line.partition("\t")[0])
        for path in manifest_of(tmp_path / "out")
        for line in path.read_text().splitlines()
    ]
    assert lines[0]["archive"]["threads of an encoder"] == 1
    assert {line["file"]["output"]: line["file"]["sha256"] for line in lines[1:]} == contents(tmp_path / "out")


def test_two_archives_into_one_folder_are_refused(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    with Lease(open_store(tmp_path / "out")), pytest.raises(OutputError, match="another archive writes into this"):
        archive_folder(library, tmp_path / "out", settings=settings)
    assert pools == []


@pytest.mark.parametrize("output", [".", "2019/out", ".."])
def test_folders_that_lie_in_each_other_are_refused(library: Path, settings: ArchiveSettings, output: str) -> None:
    with pytest.raises(UsageError, match="must lie outside the input folder"):
        archive_folder(library, library / output, settings=settings)


def test_a_folder_without_recordings_is_refused(tmp_path: Path, settings: ArchiveSettings) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputNotFoundError, match="holds no picture or video"):
        archive_folder(tmp_path / "in", tmp_path / "out", settings=settings)
    with pytest.raises(InputNotFoundError, match="there is no such folder"):
        archive_folder(tmp_path / "none", tmp_path / "out", settings=settings)


def test_progress_ends_with_all_frames(
    library: Path, tmp_path: Path, settings: ArchiveSettings, pools: list[SerialPool]
) -> None:
    seen: list[Any] = []
    report: ArchiveReport = archive_folder(library, tmp_path / "out", settings=settings, progress=seen.append)
    assert seen[-1].frames == seen[-1].total_frames == report.frames == FRAMES + 11
    assert seen[-1].fps > 0
    assert seen[-1].seconds_left == 0
