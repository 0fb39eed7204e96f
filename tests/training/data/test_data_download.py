"""Downloads and DIV2K, against a server of our own."""

import hashlib
import io
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from acutance.errors import CorruptInputError, DownloadError, InputNotFoundError, OutputError, UsageError
from acutance.training.data.div2k import PARTS, fetch_div2k
from acutance.training.data.download import download, extract_zip
from acutance.training.data.folders import ImageFolder

CONTENT = bytes(range(256)) * 4000
FAST = {"timeout": 2.0, "pause": 0.01, "retries": 2}


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """Serves files from memory. cut: how many bytes to send before hanging up, one entry for each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/file.bin": CONTENT}
        self.cut: list[int] = []
        self.statuses: list[int] = []
        self.ranges: list[str | None] = []
        self.resumes = True
        self.stall = 0.0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.ranges.append(self.headers.get("Range"))
                time.sleep(owner.stall)
                if owner.statuses:
                    self.send_error(owner.statuses.pop(0))
                    return
                if self.path not in owner.files:
                    self.send_error(404)
                    return
                body, start = owner.files[self.path], 0
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
                if asked and owner.resumes:
                    start = int(asked[1])
                    if start >= len(body):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(body)}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start : start + owner.cut.pop(0)] if owner.cut else body[start:])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    made = Server()
    yield made
    made.close()


def test_a_file_arrives_whole_with_progress_up_to_its_size(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None, str]] = []
    target = tmp_path / "new" / "file.bin"
    download(f"{server.url}/file.bin", target, sha256=_sha(CONTENT).upper(), progress=lambda *a: seen.append(a), **FAST)
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]
    assert seen[0] == (0, len(CONTENT), "file.bin")
    assert seen[-1] == (len(CONTENT), len(CONTENT), "file.bin")


def test_a_connection_that_breaks_is_resumed_and_not_started_again(server: Server, tmp_path: Path) -> None:
    server.cut = [300_000, 200_000]
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_part_left_by_an_interrupted_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-"]


def test_a_part_that_is_whole_already_is_accepted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_started_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_everything_again(server: Server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="checksum"):
        download(f"{server.url}/file.bin", tmp_path / "f", sha256="0" * 64, **FAST)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_fetched_again_unless_it_is_wrong(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert server.ranges == []
    (tmp_path / "f").write_bytes(b"spoiled")
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    download(f"{server.url}/file.bin", tmp_path / "f", sha256=_sha(CONTENT), **FAST)
    server.ranges.clear()
    with pytest.raises(DownloadError, match="404"):
        download(f"{server.url}/nothing", tmp_path / "g", **FAST)
    assert len(server.ranges) == 1


def test_a_server_that_is_down_ends_in_an_error_soon(server: Server, tmp_path: Path) -> None:
    url = server.url
    server._server.server_close()
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"cannot be reached.*3 attempts"):
        download(f"{url}/file.bin", tmp_path / "f", **FAST)
    assert time.monotonic() - started < 10


def test_a_server_that_says_nothing_ends_in_an_error_within_the_time_out(server: Server, tmp_path: Path) -> None:
    server.stall = 0.5
    with pytest.raises(DownloadError, match=r"timed out|no answer"):
        download(f"{server.url}/file.bin", tmp_path / "f", timeout=0.1, retries=1, pause=0.01)


def test_only_http_addresses_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http"):
        download("file:///etc/hostname", tmp_path / "f")


def test_an_unwritable_target_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        download(f"{server.url}/file.bin", tmp_path / "file" / "f", **FAST)


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_with_progress(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"d/x.txt": b"one", "y.txt": b"four"})
    seen: list[tuple[int, int | None, str]] = []
    files = extract_zip(archive, tmp_path / "out", progress=lambda *a: seen.append(a))
    assert [f.relative_to(tmp_path / "out").as_posix() for f in files] == ["d/x.txt", "y.txt"]
    assert files[0].read_bytes() == b"one"
    assert seen[-1] == (7, 7, "y.txt")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
def test_an_archive_that_would_write_elsewhere_is_refused_before_it_writes(tmp_path: Path, name: str) -> None:
    archive = _zip(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(CorruptInputError, match="elsewhere"):
        extract_zip(archive, tmp_path / "in" / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["a.zip"]


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(CorruptInputError, match="link"):
        extract_zip(tmp_path / "a.zip", tmp_path / "out")


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK but not really")
    with pytest.raises(CorruptInputError, match=r"a\.zip"):
        extract_zip(tmp_path / "a.zip", tmp_path / "out")
    whole = bytearray(_zip(tmp_path / "b.zip", {"x": b"abcdefgh" * 10}).read_bytes())
    whole[40] ^= 0xFF
    (tmp_path / "b.zip").write_bytes(whole)
    with pytest.raises(CorruptInputError, match="CRC"):
        extract_zip(tmp_path / "b.zip", tmp_path / "out")
    with pytest.raises(InputNotFoundError):
        extract_zip(tmp_path / "c.zip", tmp_path / "out")


def _div2k(server: Server, folder: str = "DIV2K_valid_HR") -> dict[str, str]:
    image, packed = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (24, 24), (9, 8, 7)).save(image, "PNG")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{folder}/0801.png", image.getvalue())
        archive.writestr(f"{folder}/0802.png", image.getvalue())
    server.files["/DIV2K/DIV2K_valid_HR.zip"] = packed.getvalue()
    return {"valid": _sha(packed.getvalue())}


def test_div2k_becomes_a_folder_of_images_and_is_fetched_once(server: Server, tmp_path: Path) -> None:
    checksums = _div2k(server)
    server.cut = [100]
    for _ in range(2):
        folders = fetch_div2k(tmp_path, parts=["valid"], base_url=f"{server.url}/DIV2K/", checksums=checksums, **FAST)
        assert ImageFolder(folders["valid"]).names == ("0801.png", "0802.png")
    assert server.ranges == [None, "bytes=100-"]
    assert [p.name for p in tmp_path.iterdir()] == ["DIV2K_valid_HR"]


def test_div2k_with_the_wrong_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    _div2k(server)
    with pytest.raises(DownloadError, match="checksum"):
        fetch_div2k(tmp_path, parts=["valid"], base_url=f"{server.url}/DIV2K", **FAST)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_with_something_else_in_it_leaves_no_folder(server: Server, tmp_path: Path) -> None:
    checksums = _div2k(server, folder="something")
    with pytest.raises(CorruptInputError, match="DIV2K_valid_HR"):
        fetch_div2k(tmp_path, parts=["valid"], base_url=f"{server.url}/DIV2K", checksums=checksums, **FAST)
    assert not any(p.is_dir() for p in tmp_path.iterdir())


def test_unknown_parts_of_div2k_are_refused(tmp_path: Path) -> None:
    for parts in (["test"], []):
        with pytest.raises(UsageError, match="train, valid"):
            fetch_div2k(tmp_path, parts=parts)
    assert all(re.fullmatch("[0-9a-f]{64}", part.sha256) for part in PARTS.values())
