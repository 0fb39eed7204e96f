"""``acutance web``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from acutance.errors import UsageError

if TYPE_CHECKING:
    from acutance.web.server import PageServer

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Open a page that sharpens your camera, a file, your screen or a simulated call in the browser."""

    host: str = "127.0.0.1"
    """Name or address to serve. Other machines are served only with a token and TLS."""
    port: int = 0
    """Port to serve; 0 for any that is free."""
    certificate: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """TLS certificate (PEM). Not given: one is made for the session where other machines are served."""
    key: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Private key of the certificate, where it is not in the same file."""
    no_browser: bool = False
    """Print the address, and do not open a browser."""
    static: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Write the page into this folder, as files for any web server, and end."""


def run(options: Options) -> int:
    """Serve the page until it is stopped, or write it."""
    from acutance._util.extras import require
    from acutance.web.files import page_files, write_page

    if options.static is not None:
        written = write_page(Path(options.static))
        print(f"{options.static}: {len(written)} files, {sum(path.stat().st_size for path in written):,} bytes")
        return 0
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port is 0 to 65535, not {options.port}")
    if options.key is not None and options.certificate is None:
        raise UsageError("--key belongs to a --certificate")
    require("aiohttp", extra="web", purpose="acutance web")
    import asyncio

    from acutance.web.certificate import own_context, session_context
    from acutance.web.server import PageServer, is_loopback

    tls = None
    if options.certificate is not None:
        tls = own_context(Path(options.certificate), None if options.key is None else Path(options.key))
    elif not is_loopback(options.host):
        tls = session_context(options.host)
    server = PageServer(page_files(), options.host, options.port, tls)
    asyncio.run(_serve(server, browser=not options.no_browser))
    return 0


async def _serve(server: "PageServer", *, browser: bool) -> None:
    import asyncio
    import webbrowser

    try:
        await server.start()
    except OSError as error:
        raise UsageError(f"{server.host}:{server.port}: cannot be served: {error.strerror or error}") from error
    try:
        if server.token:
            print(
                "acutance: warning: other machines can reach this page; whoever has the address below can open it",
                file=sys.stderr,
            )
        print(f"{server.address}   (Ctrl-C ends it)", flush=True)
        if browser:
            await asyncio.to_thread(webbrowser.open, server.address)
        await asyncio.Event().wait()
    finally:
        await server.close()
