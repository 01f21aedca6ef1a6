"""The store's clock, seen from here: what it may have shown at a moment of ours."""

import asyncio
import contextlib
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.chaos.history import History, Sample

EVERY_S = 0.05
NOISE_MS = 500
ANSWER_S = 0.5


class Clock:
    """Bounds from samples.  Where the clock was set between two of them, both bounds allow for either."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        assert samples, "the store never told the time"
        self._before = [sample.before for sample in samples]
        self._after = [sample.after for sample in samples]
        self._least = [sample.store_ms - sample.after * 1000 for sample in samples]
        self._most = [sample.store_ms - sample.before * 1000 for sample in samples]
        # What one sample may be off is no step.
        least = zip(self._most[1:], accumulate(self._least, max), strict=False)
        self.set_back = any(most + NOISE_MS < before for most, before in least)
        until = zip(self._most, self._after[1:], strict=False)
        self._shown = list(accumulate((most + after * 1000 for most, after in until), max))

    def latest(self, began: float, ended: float) -> float:
        """The most that it may have shown until `ended`, ms, had it never been set back."""
        passed = bisect_right(self._after, ended) - 1  # whole times between two samples
        return max(self.bounds(began, ended)[1], *self._shown[max(passed - 1, 0) : max(passed, 0)])

    def bounds(self, began: float, ended: float) -> tuple[float, float]:
        """The least that it may have shown at `began`, and the most that it may have shown at `ended`, ms."""
        first = max(bisect_right(self._after, began) - 1, 0)
        last = min(bisect_left(self._before, ended), len(self._before) - 1)
        first = min(first, last)
        return began * 1000 + min(self._least[first : last + 1]), ended * 1000 + max(self._most[first : last + 1])


class Sampler:
    """Asks a store for its time, on a connection of its own, as long as it answers."""

    def __init__(self, url: str, history: History) -> None:
        self._url, self._history = url, history
        self._stopping = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        self._stopping.set()
        await self._task

    async def look(self) -> None:
        """One sample now; a scenario that sets the clock asks for one after each step.  Raises: OSError, RedisError."""
        async with self._store() as store:
            await self._sample(store)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError, RedisError):
                await self._follow()
            await asyncio.sleep(EVERY_S)

    async def _follow(self) -> None:
        async with self._store() as store:
            while not self._stopping.is_set():
                await self._sample(store)
                await asyncio.sleep(EVERY_S)

    def _store(self) -> Redis:
        once = Retry(NoBackoff(), 0)
        return Redis.from_url(self._url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=once)

    async def _sample(self, store: Redis) -> None:
        before = time.monotonic()
        seconds, micros = await store.time()
        self._history.add(Sample(before=before, after=time.monotonic(), store_ms=seconds * 1000 + micros / 1000))
