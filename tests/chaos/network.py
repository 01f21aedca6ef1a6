"""A network between processes that can be cut in two: `with network.split([master, service]): ...`.

In front of each port stands a door, and only the door is made known.  On one machine all have the same address, so who
comes through a door is looked up: of which process is the other end?  Who is none of the network's (a test) reaches
everybody.  Silent, a cut is what a switch that died is: nothing is refused, nothing arrives, and what was on its way
arrives when the network is whole again.  Otherwise all connections through it are reset, and new ones too.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

from tests.chaos.proxy import reset
from tests.servers import Child

CHUNK = 65_536
LOOKS = 3  # the list changes while it is read, and may skip some


class Pair:
    """A connection: from whom to whom, and both of its halves."""

    def __init__(self, ends: tuple[Child | None, Child], near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.ends, self.near, self.far = ends, near, far

    def reset(self) -> None:
        for half in (self.near, self.far):
            reset(half)


class Network:
    def __init__(self) -> None:
        self.members: list[Child] = []
        self._side: Collection[Child] = ()
        self._silent = True
        self._whole = asyncio.Event()
        self._whole.set()
        self._doors: list[asyncio.Server] = []
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for door in self._doors:
            door.close()
        for pair in self._pairs:
            pair.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def door(self, owner: Child, port: int) -> int:
        """The port to make known instead.  Called from another thread: servers are started there."""
        return asyncio.run_coroutine_threadsafe(self._open(owner, port), self._loop).result()

    @contextlib.contextmanager
    def split(self, side: Collection[Child], *, silent: bool = True) -> Iterator[None]:
        """These on one side, all others on the other."""
        self._side, self._silent = side, silent
        self._whole.clear()
        for pair in list(self._pairs) if not silent else []:
            if self._apart(pair.ends):
                pair.reset()
        try:
            yield
        finally:
            self._side = ()
            self._whole.set()

    async def _open(self, owner: Child, port: int) -> int:
        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._through(owner, port, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        door = await asyncio.start_server(come, "127.0.0.1", 0)
        self._doors.append(door)
        return int(door.sockets[0].getsockname()[1])

    async def _through(
        self, owner: Child, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            ends = _comer(writer, self.members), owner
        except LookupError:
            return reset(writer)
        if self._apart(ends) and not self._silent:
            return reset(writer)
        await self._passable(ends)
        try:
            replies, far = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # it does not run
            return reset(writer)
        pair = Pair(ends, writer, far)
        self._pairs.add(pair)
        await asyncio.gather(self._pump(pair, reader, far), self._pump(pair, replies, writer))
        self._pairs.discard(pair)
        return None

    async def _pump(self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way.  That it is closed is on its way like all else."""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await self._passable(pair.ends)
                writer.write(data)
                await writer.drain()
        await self._passable(pair.ends)
        writer.close()

    def _apart(self, ends: tuple[Child | None, Child]) -> bool:
        comer, owner = ends
        return comer is not None and (comer in self._side) != (owner in self._side) and not self._whole.is_set()

    async def _passable(self, ends: tuple[Child | None, Child]) -> None:
        while self._apart(ends):
            await self._whole.wait()


def _comer(writer: asyncio.StreamWriter, members: Collection[Child]) -> Child | None:
    """Whose socket is at the other end of this connection.  Raises: LookupError when it is closed again."""
    here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    inode = _inode(there[1], here[1])
    return next((one for one in members if one.running and inode in _sockets(one.pid)), None)


def _inode(local: int, remote: int) -> str:
    """As Linux lists its sockets: 'sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...'."""
    wanted = [f"0100007F:{port:04X}" for port in (local, remote)]
    for _ in range(LOOKS):
        for row in map(str.split, Path("/proc/net/tcp").read_text().splitlines()):
            if row[1:3] == wanted and row[9] != "0":
                return f"socket:[{row[9]}]"
    raise LookupError


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(link.readlink()))
    return found
