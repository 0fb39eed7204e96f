"""The page's server gives its own files to its own page, and nothing to anybody else."""

import asyncio
import contextlib
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

pytest.importorskip("aiohttp")

from server_thread import ServerThread

from acutance.errors import UsageError
from acutance.web import server as module
from acutance.web.certificate import own_context, session_context
from acutance.web.files import page_files, write_page
from acutance.web.server import PageServer, is_loopback

FILES = {"index.html": b"<!doctype html>page", "a.js": b"export {};", "wasm/a.wasm": b"\0asm", "big.js": b"x" * 300_000}


def ask(server: ServerThread, request: bytes, *, timeout: float = 10.0) -> bytes:
    """Return everything that the server answers to raw bytes."""
    with socket.create_connection(("127.0.0.1", server.server.port), timeout=timeout) as connection:
        connection.sendall(request)
        parts = []
        while data := connection.recv(65536):
            parts.append(data)
        return b"".join(parts)


def get(
    server: ServerThread, path: str = "/", *, host: str | None = None, method: str = "GET", more: str = ""
) -> bytes:
    host = host or f"127.0.0.1:{server.server.port}"
    return ask(server, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n".encode())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(scope="module")
def server() -> Any:
    with ServerThread(FILES) as running:
        yield running


def test_page_and_its_files_are_served_with_their_types(server: ServerThread) -> None:
    assert get(server).endswith(FILES["index.html"])
    assert b"Content-Type: text/javascript" in get(server, "/a.js")
    assert b"Content-Type: application/wasm" in get(server, "/wasm/a.wasm")


def test_answers_isolate_the_page_and_forbid_foreign_code(server: ServerThread) -> None:
    answer = get(server).decode()
    for header in (
        "Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Embedder-Policy: require-corp",
        "Cross-Origin-Resource-Policy: same-origin", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
    ):  # fmt: skip
        assert header in answer
    policy = next(line for line in answer.splitlines() if line.startswith("Content-Security-Policy"))
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/a.js/..", "/nothing",
     "/a.js%00.html", "/wasm", "/wasm/"],
)  # fmt: skip
def test_paths_that_are_no_file_of_the_page_are_not_found(server: ServerThread, path: str) -> None:
    assert status(get(server, path)) in (400, 404)


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1:1", "localhost.example.org:{port}", "0.0.0.0:{port}"])
def test_requests_for_other_hosts_are_refused(server: ServerThread, host: str) -> None:
    assert status(get(server, host=host.format(port=server.server.port))) == 421


def test_requests_with_two_hosts_are_refused(server: ServerThread) -> None:
    assert status(get(server, more=f"Host: localhost:{server.server.port}\r\n")) in (400, 421)


@pytest.mark.parametrize("origin", ["https://example.org", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_requests_from_other_origins_are_refused(server: ServerThread, origin: str) -> None:
    origin = origin.format(port=server.server.port)
    assert status(get(server, more=f"Origin: {origin}\r\n")) == 403


def test_requests_from_the_page_itself_are_answered(server: ServerThread) -> None:
    assert status(get(server, more=f"Origin: http://127.0.0.1:{server.server.port}\r\n")) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_other_methods_are_refused(server: ServerThread, method: str) -> None:
    assert status(get(server, method=method)) == 405


def test_requests_with_a_body_are_refused(server: ServerThread) -> None:
    assert status(get(server, more="Content-Length: 4\r\n\r\nbody")) == 413


def test_oversized_requests_are_refused(server: ServerThread) -> None:
    assert status(get(server, "/" + "a" * 100_000)) == 400
    assert status(get(server, more=f"X-Large: {'a' * 100_000}\r\n")) == 400
    assert status(get(server)) == 200


def test_server_outlives_two_hundred_connections() -> None:
    with ServerThread(FILES) as running:
        address, held = ("127.0.0.1", running.server.port), []
        for _ in range(200):
            connection = socket.create_connection(address, timeout=10)
            held.append(connection)
        for connection in held:
            connection.close()
        for _ in range(100):
            try:
                assert status(get(running)) == 200
                break
            except (ConnectionError, IndexError):  # until the server has heard that the others left
                continue
        else:
            pytest.fail("the server does not answer any more")
        assert running.server.connections <= module.MOST_CONNECTIONS


def test_slow_requests_are_ended_and_others_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.5)
    with ServerThread(FILES) as running:
        slow = [socket.create_connection(("127.0.0.1", running.server.port), timeout=10) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert status(get(running)) == 200
        for connection in slow:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
            connection.close()


def test_other_machines_need_tls() -> None:
    with pytest.raises(UsageError, match="only served with TLS"):
        PageServer(FILES, "0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_other_addresses_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_token_opens_the_page_to_other_machines_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_loopback", lambda host: False)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor())
    opener = urllib.request.build_opener(*handlers)
    with ServerThread(FILES, host="127.0.0.1", tls=session_context("127.0.0.1")) as running:
        address = f"https://127.0.0.1:{running.server.port}/"
        for wrong in (address, address + "?token=", address + "?token=wrong"):
            with pytest.raises(HTTPError, match="401"):
                opener.open(wrong)
        assert opener.open(running.address).read() == FILES["index.html"]
        assert opener.open(address + "a.js").read() == FILES["a.js"]  # by the cookie


def test_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.pem"
    path.write_text("nothing")
    with pytest.raises(UsageError, match="not a usable certificate"):
        own_context(path, None)


def test_static_page_has_every_file_that_is_served(tmp_path: Path) -> None:
    written = write_page(tmp_path / "site")
    found = {path.relative_to(tmp_path / "site").as_posix(): path.read_bytes() for path in written}
    assert found == page_files()
    with pytest.raises(UsageError, match="not an empty folder"):
        write_page(tmp_path / "site")


def test_port_in_use_is_an_error() -> None:
    with ServerThread(FILES) as running, pytest.raises(OSError, match="in use"):
        asyncio.run(PageServer(FILES, port=running.server.port).start())
