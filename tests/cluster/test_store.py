"""Stores: a folder, and a bucket of a local S3 server, keep the same promises."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serial_pool import SerialPool, serial_connect

from acutance.cluster import ArchiveSettings, archive, archive_folder, node
from acutance.cluster import lease as lease_module
from acutance.cluster.lease import Lease
from acutance.cluster.store import RemoteStore, Store, open_store
from acutance.errors import InputNotFoundError, MissingExtraError, OutputError, UsageError
from acutance.io import VideoReader
from io_clips import make_clip

CREDENTIALS = {"key": "testing", "secret": "testing"}


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    """Options of fsspec for a local S3 server."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    pytest.importorskip("s3fs", reason="needs s3fs")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield {**CREDENTIALS, "endpoint_url": f"http://{host}:{port}"}
    running.stop()


@pytest.fixture
def bucket(server: dict[str, Any], request: pytest.FixtureRequest) -> str:
    import s3fs

    name = f"b{abs(hash(request.node.name)) % 10**9}"
    s3fs.S3FileSystem(skip_instance_cache=True, **server).mkdir(name)
    return f"s3://{name}/library"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(tmp_path / "library")
    return open_store(request.getfixturevalue("bucket"), options=request.getfixturevalue("server"))


def test_what_is_put_is_listed_and_comes_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    store.put(tmp_path / "a", "x/a.mp4")
    store.put(tmp_path / "a", "b.mp4")
    store.write(".acutance/manifest/0", b"hidden")
    assert [(file.name, file.size) for file in store.files()] == [("b.mp4", 3), ("x/a.mp4", 3)]
    store.fetch("x/a.mp4", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"abc"
    assert store.names(".acutance/manifest") == ["0"]
    assert store.names("nothing") == []


def test_a_file_that_is_replaced_has_another_version(store: Store, tmp_path: Path) -> None:
    store.write("a", b"abc")
    first = store.find("a")
    store.write("a", b"abd")
    second = store.find("a")
    assert first is not None
    assert second is not None
    assert first.version != second.version
    assert store.find("b") is None
    assert store.read("b") is None


def test_only_one_writes_a_name_exclusively(store: Store) -> None:
    store.write("part", b"first", exclusive=True)
    with pytest.raises(FileExistsError):
        store.write("part", b"second", exclusive=True)
    assert store.read("part") == b"first"


def test_what_is_removed_is_gone(store: Store) -> None:
    for name in ("work/a/1", "work/a/2", "work/b"):
        store.write(name, b"x")
    store.remove("work/a")
    store.remove("work/never")
    assert [file.name for file in store.files()] == ["work/b"]


def test_a_file_that_is_missing_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.mp4"):
        store.fetch("none.mp4", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_one_archive_at_a_time(store: Store) -> None:
    with Lease(store), pytest.raises(OutputError, match="another archive writes into this folder"), Lease(store):
        pass
    with Lease(store):
        pass


def test_the_lease_of_a_driver_that_was_killed_expires(
    bucket: str, server: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket, options=server)
    with monkeypatch.context() as patch:
        patch.setattr(lease_module.time, "time", lambda: 1e9)  # long ago
        Lease(store).__enter__()  # and never left
    with Lease(store):
        pass


def test_a_bucket_that_does_not_exist_is_named(server: dict[str, Any]) -> None:
    store = open_store("s3://no-such-bucket/library", options=server)
    with pytest.raises(InputNotFoundError, match="s3://no-such-bucket/library"):
        list(store.files())
    with pytest.raises(OutputError, match=r"s3://no-such-bucket/library/a: cannot be written"):
        store.write("a", b"")


def test_an_address_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="carrier-pigeon"):
        RemoteStore("carrier-pigeon://loft", {})
    with pytest.raises(MissingExtraError, match="gs://bucket"):
        try:
            import gcsfs  # noqa: F401
        except ImportError:
            RemoteStore("gs://bucket", {})
        else:
            raise MissingExtraError("gs://bucket: gcsfs is installed here")


def test_an_archive_from_one_bucket_to_another(
    server: dict[str, Any], bucket: str, tmp_path: Path, student_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[SerialPool] = []
    monkeypatch.setattr(archive, "connect", serial_connect(pools))
    monkeypatch.setenv(node.SCRATCH_VARIABLE, str(tmp_path / "scratch"))
    clip = make_clip(tmp_path / "talk.mp4", size=(96, 64), pts=[512 * i for i in range(25)], audio=True)
    source = open_store(bucket, options=server)
    source.put(clip, "2019/talk.mp4")
    settings = ArchiveSettings(model=str(student_file), segment_frames=10, preset="ultrafast", engine="native")
    target = bucket.replace("library", "out")
    options = {"source_options": server, "target_options": server, "settings": settings}
    report = archive_folder(bucket, target, **options)
    assert (report.files, report.frames, report.failed) == (1, 25, [])
    open_store(target, options=server).fetch("2019/talk.mp4", tmp_path / "sharp.mp4")
    archive_folder(source_folder(clip), tmp_path / "local", settings=settings)
    assert frames_of(tmp_path / "sharp.mp4") == frames_of(tmp_path / "local" / "talk.mp4")
    assert archive_folder(bucket, target, **options).kept == 1
    assert not list((tmp_path / "scratch").rglob("task-*"))


def source_folder(clip: Path) -> Path:
    folder = clip.parent / "in"
    folder.mkdir()
    os.link(clip, folder / clip.name)
    return folder


def frames_of(path: Path) -> list[bytes]:
    with VideoReader(path) as reader:
        return [b"".join(p.tobytes() for p in (f.luma, *(f.chroma or ()))) for f in reader]
