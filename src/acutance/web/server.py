"""Serves the page to one machine, or with a token and TLS to a network.

The files lie in memory, so no request can name any other. Requests from pages of other origins, for other hosts, with
other methods, or with bodies are refused.
"""

import asyncio
import hmac
import ipaddress
import secrets
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from acutance.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

__all__ = ["PageServer", "is_loopback"]

MOST_CONNECTIONS = 64
LONGEST_SECONDS = 20.0  # of a connection without a new request: files are small
_COOKIE = "acutance"
_TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".acu": "application/octet-stream"}
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), display-capture=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(eq=False)
class PageServer:
    """A server of files.

    Args:
        files: path, with slashes, to content; ``index.html`` is what ``/`` shows.
        host: name or address to listen on. Beyond loopback ``tls`` is required, and a token is.
        port: 0 for any that is free.
        tls: context of a certificate.

    Raises:
        UsageError: a host beyond loopback without TLS.
    """

    files: dict[str, bytes]
    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    token: str = field(init=False)
    """What a browser has to bring; empty on loopback."""

    def __post_init__(self) -> None:
        open_to_others = not is_loopback(self.host)
        if open_to_others and self.tls is None:
            raise UsageError(f"{self.host}: other machines are only served with TLS")
        self.token = secrets.token_urlsafe(24) if open_to_others else ""
        self._seen: dict[RequestHandler, float] = {}

    @property
    def address(self) -> str:
        """Address of the page, with the token where there is one."""
        return f"{self._scheme}://{self._name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    @property
    def connections(self) -> int:
        """Number of connections that are open."""
        return len(self._server.connections)

    async def start(self) -> None:
        """Begin to listen. Sets ``port``."""
        from aiohttp import web

        # Slow or endless headers end at LONGEST_SECONDS; large ones are refused by their size.
        self._server = web.Server(
            self._answer, keepalive_timeout=10, max_line_size=4096, max_field_size=4096, access_log=None
        )
        self._listener = await asyncio.get_running_loop().create_server(
            self._accept, self.host, self.port, ssl=self.tls, backlog=MOST_CONNECTIONS
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._reaper = asyncio.create_task(self._reap(), name="acutance connections")

    async def close(self) -> None:
        """Stop listening and end all connections."""
        self._listener.close()
        self._reaper.cancel()
        with suppress(asyncio.CancelledError):
            await self._reaper
        await self._server.shutdown(timeout=1.0)

    @property
    def _scheme(self) -> str:
        return "http" if self.tls is None else "https"

    @property
    def _name(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def _hosts(self) -> set[str]:
        names = {"127.0.0.1", "localhost", "[::1]"} if is_loopback(self.host) else {self._name}
        return {f"{name}:{self.port}" for name in names}

    def _accept(self) -> asyncio.Protocol:
        if len(self._server.connections) >= MOST_CONNECTIONS:
            return _Refusal()
        handler = self._server()
        self._seen[handler] = time.monotonic()
        return handler

    async def _reap(self) -> None:
        """End connections that have not asked for anything for long: they may be held open on purpose."""
        while True:
            await asyncio.sleep(1.0)
            latest = time.monotonic() - LONGEST_SECONDS
            open_ones = list(self._server.connections)
            self._seen = {handler: self._seen.get(handler, latest) for handler in open_ones}
            for handler in open_ones:
                if self._seen[handler] <= latest and handler.transport is not None:
                    handler.transport.abort()

    async def _answer(self, request: "web.BaseRequest") -> "web.StreamResponse":
        from aiohttp import web

        self._seen[request.protocol] = time.monotonic()
        response = self._response(request)
        response.headers.update(_HEADERS)
        if isinstance(response, web.Response) and response.status >= 400:
            response.force_close()
        return response

    def _response(self, request: "web.BaseRequest") -> "web.Response":
        from aiohttp import web

        def refuse(status: int, why: str) -> web.Response:
            return web.Response(status=status, text=f"{why}\n")

        if request.method not in ("GET", "HEAD"):
            return refuse(405, "only GET and HEAD")
        if request.body_exists:
            return refuse(413, "a request has no body")
        if request.headers.getall("Host", []) not in [[host] for host in self._hosts]:
            return refuse(421, "another host")
        origins = {f"{self._scheme}://{host}" for host in self._hosts}
        if not set(request.headers.getall("Origin", [])) <= origins:
            return refuse(403, "another origin")
        if self.token:
            if hmac.compare_digest(request.query.get("token", "").encode(), self.token.encode()):
                answer = web.Response(status=303, headers={"Location": "/"})
                answer.set_cookie(_COOKIE, self.token, httponly=True, secure=True, samesite="Strict")
                return answer
            if not hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self.token.encode()):
                return refuse(401, "open the address that `acutance web` printed")
        path = request.path.removeprefix("/") or "index.html"
        data = self.files.get(path)
        if data is None:
            return refuse(404, "no such file")
        kind = _TYPES.get(PurePosixPath(path).suffix) or guess_type(path)[0] or "application/octet-stream"
        charset = "utf-8" if kind.startswith("text/") else None
        return web.Response(body=data, content_type=kind, charset=charset)


class _Refusal(asyncio.Protocol):
    """Ends a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
