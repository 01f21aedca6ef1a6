"""A line between service and store that breaks as it is told: `with proxy.under(Delay(0.02, jitter_s=0.1)): ...`.

It knows commands and replies apart, so that what it breaks is broken where a network or a store would: no reply is
ever given to another command than its own, and what a partition held back arrives when it heals.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple, Self

import hiredis

from tests.servers import Server

GREETINGS = {b"HELLO", b"CLIENT", b"AUTH", b"SELECT"}  # a store answers these whatever its state
AT_ONCE = struct.pack("ii", 1, 0)  # linger: on, 0 s; closing is then a reset


class Command(NamedTuple):
    name: bytes
    text: bytes  # all of it, as it was sent


class Wire:
    """One connection of the service, and the one to the store behind it."""

    def __init__(self, client: asyncio.StreamWriter, store: asyncio.StreamWriter) -> None:
        self.client, self.store = client, store
        self._replies = hiredis.Reader()
        self._owed = 0
        self._even = asyncio.Event()
        self._even.set()

    async def forward(self, command: Command) -> None:
        self._owed += 1
        self._even.clear()
        self.store.write(command.text)
        await self.store.drain()

    def count(self, replies: bytes) -> None:
        self._replies.feed(replies)
        while self._replies.gets() is not False:
            self._owed -= 1
        if self._owed <= 0:
            self._even.set()

    async def answer(self, data: bytes) -> None:
        self.client.write(data)
        await self.client.drain()

    async def answer_instead(self, reply: bytes) -> None:
        """Of our own, once what the store owes has been given."""
        await self._even.wait()
        await self.answer(reply)

    def cut(self) -> None:
        self.client.close()
        self.store.close()

    def reset(self) -> None:
        reset(self.client)
        self.store.close()


def reset(half: asyncio.StreamWriter) -> None:
    if half.transport.is_closing():
        return
    half.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    half.transport.abort()


class Fault:
    """None yet: what comes is passed on."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.times = 0  # that it did something

    async def request(self, wire: Wire, command: Command) -> None:
        await wire.forward(command)

    async def reply(self, wire: Wire, data: bytes) -> None:
        await wire.answer(data)


class Delay(Fault):
    """Each way takes a while."""

    def __init__(self, least_s: float, jitter_s: float, dice: random.Random) -> None:
        super().__init__()
        self._least_s, self._jitter_s, self._dice = least_s, jitter_s, dice

    async def request(self, wire: Wire, command: Command) -> None:
        await self._wait()
        await wire.forward(command)

    async def reply(self, wire: Wire, data: bytes) -> None:
        await self._wait()
        await wire.answer(data)

    async def _wait(self) -> None:
        self.times += 1
        await asyncio.sleep(self._least_s + self._dice.uniform(0, self._jitter_s))


class Cut(Fault):
    """Some replies end somewhere in the middle, and the connection with them."""

    def __init__(self, share: float, dice: random.Random) -> None:
        super().__init__()
        self._share, self._dice = share, dice

    async def reply(self, wire: Wire, data: bytes) -> None:
        if self._dice.random() >= self._share:
            return await wire.answer(data)
        self.times += 1
        await wire.answer(data[: self._dice.randrange(len(data))])
        return wire.cut()


class Reset(Fault):
    """Some connections are reset: before the command has gone on, or after it was carried out."""

    def __init__(self, share: float, dice: random.Random) -> None:
        super().__init__()
        self._share, self._dice = share, dice

    async def request(self, wire: Wire, command: Command) -> None:
        if not self._hit(wire):
            await wire.forward(command)

    async def reply(self, wire: Wire, data: bytes) -> None:
        if not self._hit(wire):
            await wire.answer(data)

    def _hit(self, wire: Wire) -> bool:
        if self._dice.random() >= self._share:
            return False
        self.times += 1
        wire.reset()
        return True


class BlackHole(Fault):
    """Connections are accepted, and nothing is ever answered.  replies: only the way back is closed, so that all is
    carried out.  What was held back arrives when the hole is gone, as it does when a partition heals."""

    def __init__(self, *, replies: bool = False) -> None:
        super().__init__()
        self._replies = replies

    async def request(self, wire: Wire, command: Command) -> None:
        if not self._replies:
            await self._hold()
        await wire.forward(command)

    async def reply(self, wire: Wire, data: bytes) -> None:
        await self._hold()
        await wire.answer(data)

    async def _hold(self) -> None:
        self.times += 1
        await self.over.wait()


class Canned(Fault):
    """The store answers with an error and carries nothing out."""

    def __init__(self, error: str, spares: set[bytes] = GREETINGS) -> None:
        super().__init__()
        self._reply, self._spares = f"-{error}\r\n".encode(), spares

    async def request(self, wire: Wire, command: Command) -> None:
        if command.name in self._spares:
            return await wire.forward(command)
        self.times += 1
        return await wire.answer_instead(self._reply)


class Proxy:
    def __init__(self, store: Server) -> None:
        self._store = store
        self._fault = Fault()
        self._ways: dict[asyncio.Task[None], Wire] = {}
        self._door: asyncio.Server
        self.url = ""

    async def __aenter__(self) -> Self:
        self._door = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._door.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        ways = dict(self._ways)
        for way, wire in ways.items():
            wire.cut()
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    @contextlib.contextmanager
    def under(self, fault: Fault) -> Iterator[Fault]:
        self._fault = fault
        try:
            yield fault
        finally:
            self._fault = Fault()
            fault.over.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            replies, store = await self._connect()
        except OSError:  # the store is down
            writer.close()
            return
        wire = Wire(writer, store)
        for way in (self._there(reader, wire), self._back(replies, wire)):
            task = asyncio.ensure_future(way)
            self._ways[task] = wire
            task.add_done_callback(self._ways.pop)

    def _connect(self) -> "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]":
        opening = (
            asyncio.open_connection("127.0.0.1", self._store.port)
            if self._store.port
            else asyncio.open_unix_connection(self._store.socket)
        )
        return asyncio.ensure_future(opening)

    async def _there(self, reader: asyncio.StreamReader, wire: Wire) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                command = await _command(reader)
                await self._fault.request(wire, command)
        wire.cut()

    async def _back(self, replies: asyncio.StreamReader, wire: Wire) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await replies.read(65_536):
                await self._fault.reply(wire, data)
                wire.count(data)
        wire.cut()


async def _command(reader: asyncio.StreamReader) -> Command:
    """Raises: IncompleteReadError at the end."""
    head = await reader.readuntil(b"\r\n")
    parts, name = [head], b""
    for number in range(int(head[1:])):
        size = await reader.readuntil(b"\r\n")
        word = await reader.readexactly(int(size[1:]) + 2)
        name = name or word[:-2].upper() if number == 0 else name
        parts += [size, word]
    return Command(name, b"".join(parts))
