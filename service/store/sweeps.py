"""Passes of the sweep over partitions: on one server one script call for all of them, on a cluster one for each."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from service.core.store import SWEPT, Pass
from service.store import keys
from service.store.link import Link


class Sweeps:
    def __init__(self, link: Link, partitions: int) -> None:
        self._link, self._all, self._turn = link, range(partitions), 0

    async def run(self, limit: int, share: Sequence[int] | None = None) -> Pass:
        """Over some partitions, or over all.  limit: tokens a call.  Raises `Unavailable` when none can be swept."""
        chosen = self._all if share is None else share
        if not chosen:
            return Pass()
        # Another partition first each time, so that a backlog in one does not starve the rest.
        self._turn = (self._turn + 1) % len(chosen)
        order = [*chosen[self._turn :], *chosen[: self._turn]]
        calls = [self._one(group, limit) for group in ([[one] for one in order] if self._link.nodes.many else [order])]
        if len(calls) == 1:  # most of what a service does that nobody asks anything
            return await calls[0]
        passes = await asyncio.gather(*calls, return_exceptions=True)
        # A node that is away does not keep the others waiting.
        done = [one for one in passes if isinstance(one, Pass)]
        if not done:
            raise next(one for one in passes if isinstance(one, BaseException))
        return merged(done)

    async def _one(self, partitions: Sequence[int], limit: int) -> Pass:
        dues = [keys.due(partition) for partition in partitions]
        flat = await self._link.run_shared("sweep", dues, limit)
        numbers, wait, lags = flat[: len(SWEPT)], flat[len(SWEPT)], flat[len(SWEPT) + 1 :]
        told = dict(zip(lags[::2], lags[1::2], strict=True))
        return Pass(**dict(zip(SWEPT, numbers, strict=True)), wait_ms=None if wait < 0 else wait, lags_ms=told)


def merged(passes: Sequence[Pass]) -> Pass:
    waits = [one.wait_ms for one in passes if one.wait_ms is not None]
    lags: Counter[int] = sum((Counter(one.lags_ms) for one in passes), Counter())
    numbers = {name: sum(getattr(one, name) for one in passes) for name in SWEPT}
    return Pass(**numbers, wait_ms=min(waits, default=None), lags_ms=lags)
