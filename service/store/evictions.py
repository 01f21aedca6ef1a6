"""Finds the live tokens that a store has evicted, so that their end is told now and not at their deadlines.

A store set to `noeviction`, as it should be, costs a look at one number a second.
"""

import asyncio
import contextlib
import re

from service.core.errors import Unavailable
from service.store import keys
from service.store.connect import transient
from service.store.link import Link

LOOK_S = 1.0  # between two looks at how many keys the store has evicted
PART = 500  # tokens a call: less than 1 ms of the store's time
EVICTED = re.compile(rb"^evicted_keys:(\d+)", re.MULTILINE)  # the one line of INFO that is read


class Evictions:
    def __init__(self, link: Link, partitions: int) -> None:
        self._link, self._partitions = link, partitions
        self._known = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks until asked to stop, or until the store turns out not to tell."""
        while not stopping.is_set():
            try:
                evicted = await self.number()
            except Unavailable as error:
                if not transient(error.reason):
                    return
            else:
                await self._tried(evicted, stopping)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_S)

    async def number(self) -> int:
        """How many keys the store has evicted since it started."""
        nodes = await self._link.within(self._link.nodes.each())
        return sum([_told(await self._link.within(node.lane.call("INFO", "stats"))) for node in nodes])

    async def find(self, stopping: asyncio.Event) -> int:
        """Looks at all tokens once, a part at a time; how many of them it made due."""
        found = 0
        for partition in range(self._partitions):
            cursor = b"0"
            while not stopping.is_set():
                cursor, more = await self._link.run("evicted", keys.due(partition), cursor, PART)
                found += more
                if cursor == b"0":
                    break
        return found

    async def _tried(self, evicted: int, stopping: asyncio.Event) -> None:
        """What is evicted while it looks is for the next time."""
        if evicted == self._known:
            return
        with contextlib.suppress(Unavailable):  # the same again in a second
            await self.find(stopping)
            self._known = evicted


def _told(info: bytes) -> int:
    found = EVICTED.search(info)
    return int(found[1]) if found else 0
