"""A store, a service and its clients, while something is broken; and then the checker."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any, Protocol

import redis

from tests.api.calls import ADMIN, KEYS
from tests.chaos import remains, table
from tests.chaos.checker import TIMEOUT_S, Rules, check
from tests.chaos.clock import Sampler
from tests.chaos.history import History, Mark
from tests.chaos.proxy import Proxy
from tests.chaos.story import Violation
from tests.chaos.traffic import Traffic, enough
from tests.servers import Server, Service, binaries, wait_until

REDIS = binaries().get("redis", binaries()["valkey"])
BUSY = 10  # successes of each verb
BUSY_S = 30.0
GIVEN: dict[str, object] = {
    "signing_keys": KEYS, "admin_token": ADMIN, "log_level": "ERROR", "store_timeout_ms": round(TIMEOUT_S * 1000),
    "events_kept": 1_000_000,
}  # fmt: skip
TOLD = 20  # violations that are shown


class Run:
    """A scenario under way.  rules: may be set until it ends."""

    def __init__(self, room: Path, rules: Rules) -> None:
        self.room, self.rules = room, rules
        self.history = History(room / "history.jsonl")
        self.said = ""  # by the service, until it ended
        self.store: Server
        self.service: Service
        self.traffic: Traffic
        self.clock: Sampler
        self.proxy: Proxy

    async def busy(self, least: int = BUSY, timeout_s: float = BUSY_S) -> None:
        """Until each verb has succeeded so often, from now on.  Raises: AssertionError."""
        since, wanted = time.monotonic(), enough(least)
        await wait_until(lambda: wanted(self.traffic.done(since)), timeout_s)

    async def asked(self, least: int, timeout_s: float = BUSY_S) -> None:
        """Until so many more requests have ended, however they did.  Raises: AssertionError."""
        wanted = len(self.history.operations) + least
        await wait_until(lambda: len(self.history.operations) >= wanted, timeout_s)

    @contextmanager
    def fault(self, what: str = "fault") -> Iterator[None]:
        self.mark(f"{what} begins")
        try:
            yield
        finally:
            self.mark(f"{what} ends")

    def mark(self, what: str) -> float:
        """Written into the history.  Gives the moment."""
        at = time.monotonic()
        self.history.add(Mark(at=at, what=what))
        return at

    def plain(self) -> AbstractContextManager[Any]:
        """A client of the store itself, without the proxy."""
        return redis.Redis.from_url(self.store.url)

    def outcomes(self, since: float = 0.0) -> "Counter[int]":
        """How many requests that ended since had which status; 0: no answer."""
        return Counter(one.status for one in self.history.operations if one.ended >= since)

    def stop(self) -> None:
        assert self.service.stop() == 0

    def leave(self) -> None:
        self.said = self.service.said()
        self.service.close()

    async def quiet(self) -> None:
        """Nobody asks any more."""
        await self.traffic.stop()

    def finish(self) -> list[Violation]:
        """Once nobody asks any more."""
        with self.plain() as store:
            remains.settle(store)
            self.stop()
            remains.read(store, self.history)
        return check(self.history, self.rules)


class Chaos(Protocol):
    def __call__(
        self, fault: str, *, store: Server | None = None, proxied: bool = False,
        mix: Mapping[str, int] | None = None, rules: Rules | None = None, **settings: object,
    ) -> AbstractAsyncContextManager[Run]: ...  # fmt: skip


def chaos(room: Path, seed: int) -> Chaos:
    """Scenarios whose histories are written to this directory."""

    @asynccontextmanager
    async def scenario(
        fault: str, *, store: Server | None = None, proxied: bool = False, mix: Mapping[str, int] | None = None,
        rules: Rules | None = None, **settings: object,
    ) -> AsyncIterator[Run]:  # fmt: skip
        run = Run(room, rules or Rules())
        run.store = store or Server(REDIS)
        async with judged(fault, run, _set_up(run, proxied=proxied, settings=settings)):
            run.traffic = Traffic(run.service.url, run.history, random.Random(seed), mix)
            yield run

    return scenario


@asynccontextmanager
async def judged(fault: str, run: Run, set_up: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
    """Around clients at work: stops them, and adds what the checker found to the table.  Raises: AssertionError."""
    started = time.monotonic()
    violations: list[Violation] | None = None
    try:
        async with set_up:
            try:
                yield
            finally:
                await run.quiet()
            violations = await asyncio.to_thread(run.finish)
    finally:
        run.history.close()
        (run.room / "service.log").write_text(run.said)
        number = None if violations is None else len(violations)
        table.ROWS.append(table.Row(fault, len(run.history.operations), number, time.monotonic() - started))
    assert not violations, _told(violations)


@asynccontextmanager
async def _set_up(run: Run, *, proxied: bool, settings: Mapping[str, Any]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        stack.callback(run.store.close)
        await asyncio.to_thread(run.store.start)
        url = run.store.url
        if proxied:
            run.proxy = await stack.enter_async_context(Proxy(run.store))
            url = run.proxy.url
        run.service = Service(**GIVEN | {"redis_url": url} | dict(settings))
        stack.callback(run.leave)
        await asyncio.to_thread(run.service.start)
        run.clock = Sampler(run.store.url, run.history)
        stack.push_async_callback(run.clock.stop)
        yield


def _told(violations: list[Violation]) -> str:
    tally = Counter(one.rule for one in violations)
    lines = [f"{one.rule}: {one.about}: {one.text}" for one in violations[:TOLD]]
    return "\n".join([f"{len(violations)} violations: {dict(tally)}", *lines])
