"""Archives on a real Ray cluster, whose nodes are processes of this machine."""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray", reason="needs the extra 'cluster'")

from acutance import Sharpener  # noqa: E402
from acutance.cli.exit_codes import exit_code  # noqa: E402
from acutance.cluster import ArchiveProgress, ArchiveSettings, archive_folder  # noqa: E402
from acutance.cluster.node import SCRATCH_VARIABLE  # noqa: E402
from acutance.errors import ClusterError  # noqa: E402
from acutance.io import VideoReader  # noqa: E402
from io_clips import make_clip  # noqa: E402

pytestmark = pytest.mark.long  # starts the head and the nodes of a cluster, which are some ten programs

SEGMENT = 10


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of several segments and one broken file."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(3):
        times = [512 * i for i in range(48)]
        make_clip(folder / f"talk {number}.mkv", size=(160, 96), pts=times, options={"preset": "ultrafast"})
    (folder / "broken.mkv").write_bytes(b"\x00" * 4000)
    return folder


@pytest.fixture(scope="module")
def settings(student_file: Path) -> ArchiveSettings:
    return ArchiveSettings(model=str(student_file), segment_frames=SEGMENT, preset="ultrafast", engine="native")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of a head that does no work and one node of one core, to which this process is connected."""
    from ray.cluster_utils import Cluster

    scratch = tmp_path_factory.mktemp("scratch")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": True})
    made.add_node(num_cpus=1, env_vars={SCRATCH_VARIABLE: str(scratch)})
    ray.init(address=made.address, logging_level="ERROR", log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def outputs(folder: Path) -> dict[str, tuple[int, str]]:
    """How many frames each video has, and the hash of all of them. Matroska gives each file a random number."""
    found = {}
    for path in folder.glob("*.mkv"):
        digest, count = hashlib.sha256(), 0
        with VideoReader(path) as reader:
            for frame in reader:
                count += 1
                for plane in (frame.luma, *(frame.chroma or ())):
                    digest.update(np.ascontiguousarray(plane).data)
        found[path.name] = (count, digest.hexdigest())
    return found


@pytest.fixture(scope="module")
def expected(
    library: Path, settings: ArchiveSettings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, str]]:
    """What file jobs make."""
    folder = tmp_path_factory.mktemp("expected")
    sharpener = Sharpener(settings.model, threads=1, engine="native")
    for path in library.glob("talk*"):
        sharpener.video(path, folder / path.name, segment_frames=SEGMENT, preset="ultrafast", video_threads=1)
    return outputs(folder)


def test_a_cluster_makes_what_file_jobs_make_and_shows_tasks_by_file_name(
    cluster: Any, library: Path, settings: ArchiveSettings, expected: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    from ray.util.state import list_tasks

    report = archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings)
    assert (report.files, report.frames) == (3, 3 * 48)
    assert [failed.name for failed in report.failed] == ["broken.mkv"]
    assert outputs(tmp_path / "out") == expected
    names = {task.name for task in list_tasks(limit=1000)}
    assert {"talk 0.mkv", "talk 0.mkv [2/5]", "talk 0.mkv [join]"} <= names


def test_a_node_killed_in_mid_job_loses_and_doubles_nothing(
    cluster: Any, library: Path, settings: ArchiveSettings, expected: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    scratch = tmp_path / "second"
    doomed = cluster.add_node(num_cpus=1, env_vars={SCRATCH_VARIABLE: str(scratch)})
    made: Counter[str] = Counter()
    killed: list[int] = []

    def kill(now: ArchiveProgress) -> None:
        for path in (tmp_path / "out" / ".acutance" / "work").glob("*/*.segment"):
            made[path.name] += 1
        if not killed and any(scratch.rglob("task-*")):  # its process has a task
            killed.append(now.frames)
            cluster.remove_node(doomed, allow_graceful=False)

    report = archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings, progress=kill)
    assert killed
    assert (report.files, report.frames) == (3, 3 * 48)
    assert outputs(tmp_path / "out") == expected


def test_a_node_of_another_version_is_named_and_nothing_begins(
    cluster: Any, library: Path, settings: ArchiveSettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(
        "import acutance.cluster.settings as s\ns.__version__ = '0.0.1'\n"
    )
    other = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(tmp_path / "other")})
    try:
        with pytest.raises(ClusterError, match=r"node .*: has other versions than the driver: acutance 0\.0\.1 and "):
            archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings)
    finally:
        cluster.remove_node(other)
    assert outputs(tmp_path / "out") == {}


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="mounts a small file system, as root")
def test_a_node_whose_disk_is_full_gets_no_more_tasks_and_another_does_them(
    cluster: Any, library: Path, settings: ArchiveSettings, expected: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(small)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    full = cluster.add_node(num_cpus=1, env_vars={SCRATCH_VARIABLE: str(small)})
    said: list[str] = []
    try:
        report = archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings, say=said.append)
    finally:
        cluster.remove_node(full)
        subprocess.run(["umount", "-l", str(small)], check=False)
    assert outputs(tmp_path / "out") == expected
    assert report.files == 3
    (line,) = said
    assert "the disk is full; it gets no more tasks" in line
    assert str(small) in line


def test_a_task_that_no_node_has_cores_for_is_refused(
    cluster: Any, library: Path, student_file: Path, tmp_path: Path
) -> None:
    settings = ArchiveSettings(model=str(student_file), cpus=64)
    with pytest.raises(ClusterError, match="no node of the cluster has 64 cores for a task; the largest has 1"):
        archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings)


def _program(folder: Path, *words: str, prelude: str = "") -> tuple[int, str]:
    """Run the command line in a process of its own; returns its exit code and what it said on stderr."""
    code = f"import sys\n{prelude}\nfrom acutance.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "archive", *words], cwd=folder, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_no_cluster_at_the_address_is_one_line(library: Path, tmp_path: Path) -> None:
    code, said = _program(tmp_path, str(library), "out", "--cluster", "127.0.0.1:1")
    assert code == exit_code(ClusterError)
    assert said.count("\n") == 1
    assert "acutance: 127.0.0.1:1: no cluster answers at this address" in said


def test_another_version_of_ray_is_one_line(cluster: Any, library: Path, tmp_path: Path) -> None:
    prelude = "import ray, ray._private.utils as u; ray.__version__ = '2.49.9'"
    code, said = _program(tmp_path, str(library), "out", "--cluster", cluster.address, prelude=prelude)
    assert code == exit_code(ClusterError)
    assert said.count("\n") == 1
    assert f"versions differ: the cluster has Ray {ray.__version__}" in said
    assert "2.49.9" in said


def test_the_driver_does_not_grow_over_a_thousand_small_files(cluster: Any, student_file: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for number in range(1000):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    sizes: list[int] = []
    report = archive_folder(
        tmp_path / "in", tmp_path / "out", cluster=cluster.address,
        settings=ArchiveSettings(model=str(student_file), engine="native"),
        progress=lambda _: sizes.append(_resident()),
    )  # fmt: skip
    assert report.files == 1000
    assert max(sizes) - sizes[0] < 50e6
    print(f"the driver grew by {(max(sizes) - sizes[0]) / 1e6:.1f} MB; {report.seconds:.1f} s for 1,000 pictures")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_ctrl_c_keeps_what_is_finished(
    cluster: Any, library: Path, settings: ArchiveSettings, expected: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    def stop(now: ArchiveProgress) -> None:
        if now.frames:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings, progress=stop)
    began = time.time()
    report = archive_folder(library, tmp_path / "out", cluster=cluster.address, settings=settings)
    assert report.frames < 3 * 48
    assert outputs(tmp_path / "out") == expected
    assert time.time() > began
