"""Shares the sweep out among the instances, so that n of them do not do n times the work.

Only work depends on it: each partition may be swept by any number, and what has expired is refused swept or not.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

from service.core.errors import Unavailable
from service.core.store import Pass
from service.store import keys
from service.store.link import Link

BEAT_S = 1.0  # between two signs of life; the rest of a second is not worth more calls
TERM_S = 3.0  # without one: the partitions of an instance that died are another's within TERM_S + BEAT_S


class Sweep(Protocol):
    def __call__(self, limit: int, share: Sequence[int]) -> Awaitable[Pass]: ...


class Leases:
    """sweep: a pass over some partitions."""

    def __init__(self, link: Link, sweep: Sweep, partitions: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._link, self._sweep, self._clock = link, sweep, clock
        self._all = range(partitions)
        self._me = uuid4().hex
        self._mine, self._before = frozenset(self._all), frozenset[int]()
        self._next, self._settled = 0.0, float("inf")

    @property
    def share(self) -> list[int]:
        """What to sweep now: also what was its own a beat ago, for nobody else may have taken it yet; and at the start
        everything, for whoever was there before may have died and its leases live on."""
        if self._clock() < self._settled:
            return list(self._all)
        return sorted(self._mine | self._before)

    async def sweep(self, limit: int) -> Pass:
        """Raises `Unavailable`."""
        if self._clock() >= self._next:
            await self._beat()
        return await self._sweep(limit, self.share)

    async def leave(self) -> None:
        """The others take over at their next beat, and need not wait for the term to end."""
        with suppress(Unavailable):
            await self._ask(0)

    async def _beat(self) -> None:
        try:
            mine = await self._ask(int(TERM_S * 1000))
        except Unavailable:
            # Where they are kept is away.  What is not may be swept by all.
            self._mine, self._before = frozenset(self._all), frozenset()
        else:
            self._before, self._mine = self._mine, frozenset(mine)
            self._settled = min(self._settled, self._clock() + TERM_S)
        self._next = self._clock() + BEAT_S

    async def _ask(self, term_ms: int) -> list[int]:
        names = await self._link.run_shared("lease", keys.LEASES, self._me, len(self._all), term_ms)
        return [int(name) for name in names]
