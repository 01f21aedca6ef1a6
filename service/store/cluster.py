"""The nodes of a cluster, and which of them has which slot.

redis-py's own cluster client is not used: it sends ASKING and the command behind it on two connections of a pool;
and it closes all connections, those in use too, when one node says that the cluster is down.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, MasterDownError, MovedError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import TimeoutError as Late

from service.store.nodes import REST_S, Node, alone, watched
from service.store.urls import Address, wrong

# RuntimeError: uvloop, of a connection that was closed a moment ago.
CHANGED = (Lost, Late, TimeoutError, OSError, RuntimeError, ClusterDownError, MasterDownError, ReadOnlyError)

View = tuple[tuple[int, int, Address], ...]  # from slot, to slot, master


@lru_cache(4096)
def slot_of(key: str) -> int:
    return key_slot(key.encode())


class Cluster:
    """seeds: some of its nodes.  What else there is, and where, they tell."""

    many = True

    def __init__(self, seeds: Sequence[Address], connect: Callable[[Address], Redis], timeout_s: float) -> None:
        self._seeds, self._connect, self._timeout_s = seeds, connect, timeout_s
        self._nodes: dict[Address, Node] = {}
        self._slots: list[Node | None] = [None] * SLOTS
        self._looking: asyncio.Task[None] | None = None
        self._looked = 0.0
        self._leaving: set[asyncio.Task[Any]] = set()  # what nobody waits for any more

    def of(self, key: str) -> Node | None:
        return self._slots[slot_of(key)]

    async def find(self, key: str) -> Node:
        await self._look()
        node = self.of(key)
        if node is None:
            raise ClusterDownError("no node has this slot")
        return node

    async def each(self) -> Sequence[Node]:
        if not any(self._slots):
            await self._look()
        return list(dict.fromkeys(node for node in self._slots if node))

    def moved(self, error: MovedError) -> Node:
        """The one slot is corrected at once: nobody knows better than the node that had it."""
        host = error.host or next(
            where.host for where, node in self._nodes.items() if node is self._slots[error.slot_id]
        )
        node = self._slots[error.slot_id] = self._node(Address(host, error.port))
        return node

    async def failed(self, node: Node, error: Exception) -> None:  # noqa: ARG002
        """Looks in the background: who failed is not kept waiting for it."""
        changed = isinstance(error, CHANGED) or alone(error)
        if changed and asyncio.get_running_loop().time() - self._looked > REST_S:
            self._begin_look()

    async def close(self) -> None:
        if self._looking is not None:
            await asyncio.wait({self._looking})
        if self._leaving:
            await asyncio.wait(self._leaving)
        for node in self._nodes.values():
            await node.close()

    async def _look(self) -> None:
        """With all that look at the same time.  Raises `WrongStore` and redis-py's errors."""
        await asyncio.shield(self._begin_look())

    def _begin_look(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_around())
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen
        return self._looking

    async def _look_around(self) -> None:
        """Asks all that are known, and believes the most: one that was cut off tells what it once saw.

        One that is silent is given half of the time that a caller has: what is found must still be asked.
        """
        known = list(dict.fromkeys([*self._nodes, *self._seeds]))
        asked = [watched(self._view(one), self._leaving) for one in known]
        answered, _ = await asyncio.wait(asked, timeout=self._timeout_s / 2)
        self._looked = asyncio.get_running_loop().time()
        errors = [error for one in answered if (error := one.exception())]
        views = [one.result() for one in asked if one in answered and one.exception() is None]
        if not views:
            raise next(iter(errors), Late("no node answers"))
        self._take(Counter(views).most_common(1)[0][0])

    async def _view(self, asked: Address) -> View:
        try:
            rows = await self._node(asked).redis.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        except ResponseError as error:
            if "cluster support disabled" in str(error):
                raise wrong(
                    f"{asked.host} is no node of a cluster; write redis:// instead of redis+cluster://"
                ) from None
            raise
        return tuple(sorted((first, last, _told(master, asked)) for first, last, master, *_ in rows))

    def _take(self, view: View) -> None:
        slots: list[Node | None] = [None] * SLOTS
        for first, last, where in view:
            slots[first : last + 1] = [self._node(where)] * (last + 1 - first)
        self._slots = slots
        for gone in self._nodes.keys() - {where for _, _, where in view} - {*self._seeds}:
            watched(self._nodes.pop(gone).close(), self._leaving)

    def _node(self, where: Address) -> Node:
        if where not in self._nodes:
            self._nodes[where] = Node(self._connect(where), self._timeout_s)
        return self._nodes[where]


def _told(master: list[bytes | int | None], asked: Address) -> Address:
    """A node that does not know its own host is where it was asked."""
    host, port = master[0], master[1]
    known = isinstance(host, bytes) and host not in (b"", b"?")
    return Address(host.decode() if known and isinstance(host, bytes) else asked.host, int(port or 0))
