"""A network between processes that can be cut in two: `with network.split([master, service]): ...`.

In front of each port stands a door, and only the door is made known.  Who comes through it is told by the address that
he comes from, one of loopback's sixteen millions for each that can choose; of those who cannot, by whose process the
other end is.  Who is none of the network's (a test) reaches everybody.  Silent, a cut is what a switch that died is:
nothing is refused, nothing arrives, and what was on its way arrives when the network is whole again.  Otherwise all
connections through it are reset, and new ones too.
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
        self._addressed: dict[str, Child] = {}
        self._plain: list[Child] = []
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

    def add(self, child: Child) -> None:
        """One that comes from the address of everybody."""
        self._plain.append(child)

    def address(self, child: Child) -> str:
        """That it is to come from."""
        address = f"127.1.0.{len(self._addressed) + 1}"
        self._addressed[address] = child
        return address

    @property
    def members(self) -> list[Child]:
        return [*self._addressed.values(), *self._plain]

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
            ends = self._comer(writer), owner
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

    def _comer(self, writer: asyncio.StreamWriter) -> Child | None:
        """Raises: LookupError when nobody is at the other end any more."""
        address, there = writer.get_extra_info("peername")
        if address in self._addressed:
            return self._addressed[address]
        inode = _inode(there, writer.get_extra_info("sockname")[1])
        return next((one for one in self._plain if one.running and inode in _sockets(one.pid)), None)

    def _apart(self, ends: tuple[Child | None, Child]) -> bool:
        comer, owner = ends
        return comer is not None and (comer in self._side) != (owner in self._side) and not self._whole.is_set()

    async def _passable(self, ends: tuple[Child | None, Child]) -> None:
        while self._apart(ends):
            await self._whole.wait()


def _inode(local: int, remote: int) -> str:
    """As Linux lists its sockets: 'sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...'.

    Raises: LookupError when it is closed again.
    """
    for _ in range(LOOKS):
        _, _, found = Path("/proc/net/tcp").read_text().partition(f" 0100007F:{local:04X} 0100007F:{remote:04X} ")
        words = found.split(maxsplit=7)
        if words and words[6] != "0":
            return f"socket:[{words[6]}]"
    raise LookupError


def _sockets(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(link.readlink()))
    return found
