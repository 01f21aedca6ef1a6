"""A line between the service and the store on which every answer takes a while, each its own."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import copy
from pathlib import Path

from tests.backends import Backend

LONGEST_S = 0.004


class Line:
    def __init__(self, target: str, dice: random.Random) -> None:
        self._target, self._dice = target, dice
        self._ends: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.ensure_future(self._carry(source, sink))
            self._ends.add(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await asyncio.sleep(self._dice.uniform(0, LONGEST_S))
                # In two pieces at times: an answer may be cut anywhere.
                cut = self._dice.randrange(len(data) + 1)
                sink.write(data[:cut])
                await sink.drain()
                sink.write(data[cut:])
                await sink.drain()
        sink.close()

    async def end(self) -> None:
        await asyncio.gather(*self._ends)


@asynccontextmanager
async def slow(backend: Backend, room: Path, dice: random.Random) -> AsyncIterator[Backend]:
    """The same store behind such a line."""
    line, door = Line(backend.url.removeprefix("unix://"), dice), str(room / "slow")
    server = await asyncio.start_unix_server(line.serve, door)
    behind = copy(backend)
    behind.url = f"unix://{door}"
    yield behind
    server.close()
    await server.wait_closed()
    await line.end()
