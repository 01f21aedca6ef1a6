"""A service on several servers, its clients, and what must not be found in the history of what they asked."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from service.store import keys
from tests.api.calls import ADMIN, KEYS
from tests.chaos.checker import check
from tests.chaos.clock import Sampler
from tests.chaos.history import History
from tests.chaos.story import Violation
from tests.chaos.traffic import Traffic, enough
from tests.groups import Cluster, Trio
from tests.servers import Service, wait_until

BUSY_S = 60.0  # a failover takes some seconds, and the machine is busy
# What the machine is slow at says nothing about the service.
LATE = "answered too late"


class Load:
    def __init__(self, service: Service, history: History, traffic: Traffic) -> None:
        self.service, self.history, self.traffic = service, history, traffic
        self._stopped = False

    async def stop(self) -> None:
        """Nobody asks any more; the service goes on."""
        if not self._stopped:
            self._stopped = True
            await self.traffic.stop()

    async def succeeds(self, least: int = 10) -> None:
        """Until each verb has succeeded so often, from now on."""
        since, wanted = time.monotonic(), enough(least)
        await wait_until(lambda: wanted(self.traffic.done(since)), BUSY_S)

    @property
    def unavailable(self) -> int:
        """Requests that were answered so."""
        return sum(one.status == 503 for one in self.history.operations)

    def done(self, verb: str, partitions: Collection[int], since: float) -> int:
        """How often a verb has succeeded on tokens of these partitions."""
        return sum(
            one.verb == verb and one.outcome == "done" and one.began >= since
            and keys.partition(one.subject or one.made) in partitions
            for one in self.history.operations
        )  # fmt: skip

    def asked_again(self, until: float, since: float) -> int:
        """How many requests since then were about tokens whose revocation had been acknowledged until then."""
        revoked = {
            one.subject
            for one in self.history.operations
            if one.verb == "revoke" and one.outcome == "done" and one.ended <= until
        }
        return sum(one.began >= since and one.subject in revoked for one in self.history.operations)

    def violations(self, *rules: str) -> list[Violation]:
        """Of these rules, or of all."""
        return [one for one in check(self.history) if one.rule != LATE and (not rules or one.rule in rules)]


@asynccontextmanager
async def load(group: Cluster | Trio, seed: int, mix: Mapping[str, int], **settings: object) -> AsyncIterator[Load]:
    """Clients at work until the block ends."""
    history = History()
    async with AsyncExitStack() as stack:
        given = {"redis_url": group.url, "signing_keys": KEYS, "admin_token": ADMIN, "log_level": "ERROR"} | settings
        service = Service(**given, events_kept=1_000_000)
        stack.callback(service.close)
        await asyncio.to_thread(service.start)
        clock = Sampler(group.servers[-1].url, history)
        stack.push_async_callback(clock.stop)
        under = Load(service, history, Traffic(service.url, history, random.Random(seed), mix))
        stack.push_async_callback(under.stop)
        yield under
