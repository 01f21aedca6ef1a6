"""A line to the service that can lose answers and be cut, and that remembers what went over it."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

REQUEST = re.compile(rb"^(?:GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1.1\r\n", re.MULTILINE)
STATUS = re.compile(rb"^HTTP/1.1 (\d{3}) ", re.MULTILINE)


class Line:
    """A TCP proxy on a port of its own.  `lose` answers are swallowed, and their connections closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.lose = 0
        self.paths: list[str] = []  # asked for, in order
        self.asked_at_s: list[float] = []
        self.statuses: list[int] = []  # answered, in order
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Ends every connection that is open now; new ones are taken."""
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        service, to_service = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {to_client, to_service}
        ways = [
            asyncio.create_task(self._there(client, to_service)),
            asyncio.create_task(self._back(service, to_client)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for writer in (to_client, to_service):
            writer.transport.abort()
        await asyncio.wait(ways)
        self._open -= {to_client, to_service}

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for data in _pieces(reader):
            for path in REQUEST.findall(data):
                self.paths.append(path.decode())
                self.asked_at_s.append(time.monotonic())
            writer.write(data)

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for data in _pieces(reader):
            answered = [int(status) for status in STATUS.findall(data)]
            self.statuses += answered
            if answered and self.lose:
                self.lose -= 1
                return
            writer.write(data)


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            yield data
