"""``acutance data get div2k`` against a server of our own."""

import hashlib
import io
import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

import acutance.training.data.div2k as div2k
from acutance.cli.main import main
from acutance.training.data.div2k import Div2kPart


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serves small archives in the layout of DIV2K, whose checksums are then those that count."""
    folder = tmp_path / "served"
    folder.mkdir()
    png = io.BytesIO()
    Image.new("RGB", (24, 24), "red").save(png, "PNG")
    parts = {}
    for name, part in div2k.PARTS.items():
        with zipfile.ZipFile(folder / part.archive, "w") as archive:
            archive.writestr(f"{part.folder}/0001.png", png.getvalue())
        content = (folder / part.archive).read_bytes()
        parts[name] = Div2kPart(part.folder, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(div2k, "PARTS", parts)
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_both_parts_arrive_unpacked_and_where_they_are_is_told(mirror, tmp_path, capsys):
    to = tmp_path / "data"
    assert main(["data", "get", "div2k", "--to", str(to), "--mirror", mirror, "--progress", "plain"]) == 0
    assert sorted(p.name for p in to.iterdir()) == ["DIV2K_train_HR", "DIV2K_valid_HR"]
    assert (to / "DIV2K_train_HR" / "0001.png").is_file()
    said = capsys.readouterr().err
    assert "DIV2K_train_HR.zip: " in said
    assert "unpacking DIV2K_train_HR" in said
    assert f"valid: {to / 'DIV2K_valid_HR'}" in said


def test_one_part_alone_goes_where_the_environment_says(mirror, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACUTANCE_DATA", str(tmp_path / "root"))
    command = ["data", "get", "div2k", "--parts", "valid", "--mirror", mirror, "--keep-archives", "--progress", "json"]
    assert main(command) == 0
    assert sorted(p.name for p in (tmp_path / "root").iterdir()) == ["DIV2K_valid_HR", "DIV2K_valid_HR.zip"]
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(event["unit"] == "bytes" for event in events if event["event"] == "progress")
    assert events[-1] == {"event": "done", "folders": {"valid": str(tmp_path / "root" / "DIV2K_valid_HR")}}


def test_an_archive_with_another_checksum_is_refused(mirror, tmp_path, monkeypatch, capsys):
    changed = {name: Div2kPart(p.folder, p.size_bytes, "0" * 64) for name, p in div2k.PARTS.items()}
    monkeypatch.setattr(div2k, "PARTS", changed)
    assert main(["data", "get", "div2k", "--to", str(tmp_path / "d"), "--mirror", mirror, "--progress", "none"]) == 15
    err = capsys.readouterr().err
    assert "checksum" in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "d").iterdir())


def test_an_unknown_data_set_or_part_is_a_usage_error():
    for wrong in (["data", "get", "imagenet"], ["data", "get", "div2k", "--parts", "test"], ["data", "get"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
