"""The page's server, in a thread of its own."""

import asyncio
import threading
from types import TracebackType
from typing import Any

from acutance.web.server import PageServer


class ServerThread:
    """A PageServer that runs in a thread of its own."""

    def __init__(self, files: dict[str, bytes], **options: Any) -> None:
        self.server = PageServer(files, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="page server")

    def __enter__(self) -> "ServerThread":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.server.start(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def address(self) -> str:
        return self.server.address
