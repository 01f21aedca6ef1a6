"""The answer of a hot path: bytes that are written as they are.

aiohttp builds header objects for every response and serializes them at once, which is a third of what a request
costs; an answer that is always a 200 with the same headers needs none of that.  Errors go the usual way.
"""

from typing import Any

import msgspec
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

CLOSE = b"Connection: close\r\n"


class Prompt(web.StreamResponse):
    """200 with a JSON value, or without a body but with the headers given."""

    def __init__(self, value: Any = None, head: bytes = b"Content-Type: application/json\r\n") -> None:
        # The parent's constructor makes the very objects that are saved here.
        self._status, self._content, self._own = 200, b"" if value is None else msgspec.json.encode(value), head
        self._keep_alive = True
        self._lines: dict[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """More header lines; only what the server adds to every answer."""
        return self._lines

    @property
    def prepared(self) -> bool:
        return False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Writes all of it.  Raises ConnectionResetError when the client has left."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        self._keep_alive = bool(request.keep_alive)
        more = "".join(f"{name}: {value}\r\n" for name, value in self._lines.items())
        length = (
            f"Cache-Control: no-store\r\nDate: {rfc822_formatted_time()}\r\nContent-Length: {len(self._content)}\r\n"
        )
        connection = b"" if self._keep_alive and request.version >= (1, 1) else self._connection()
        lines = b"HTTP/1.1 200 OK\r\n", self._own, (more + length).encode(), connection, b"\r\n", self._content
        transport.write(b"".join(lines))
        if request.protocol._paused:  # noqa: SLF001 - a client that asks and does not read would fill our memory
            await request.protocol._drain_helper()  # noqa: SLF001

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written."""

    def _connection(self) -> bytes:
        return b"Connection: keep-alive\r\n" if self._keep_alive else CLOSE
