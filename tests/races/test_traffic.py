"""The store is flushed of its scripts, frozen, killed and restarted while requests are on their way."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from msgspec import UNSET

from service.core.errors import Revoked, Unavailable
from service.core.events import START, Places, Wanted
from service.core.store import Filter
from service.core.token import Draft, Issued, Token
from tests.backends import Backend
from tests.races.slow import slow
from tests.servers import Server, wait_until
from tests.world import World

REQUESTS = 10_000
OWNERS = 200
ALL = Filter(tenant="default")


async def test_nobody_gets_anothers_answer_however_many_give_up(
    backend: Backend, tmp_path: Path, dice: random.Random
) -> None:
    """Half of the callers are cancelled at any moment: before their request is sent, while it is, and afterwards."""
    async with slow(backend, tmp_path, dice) as line, World(line, store_timeout_ms=20_000) as world:
        issued = await asyncio.gather(*[world.issue(str(number)) for number in range(OWNERS)])
        reader, caller_text = await world.caller("tokens:read"), await world.caller("tokens:use")
        tally: Counter[str] = Counter()

        async def ask(number: int) -> None:
            one = issued[number % OWNERS]
            verb = dice.randrange(20)
            if verb == 0:
                found = await world.tokens.renew(one.text)
            elif verb == 1:
                found = await world.tokens.look(one.token.id, reader)
            elif verb == 2:
                _, answer, _ = await world.tokens.many("use", [issued[0].text, one.text, issued[1].text], caller_text)
                assert isinstance(answer, Token)
                found = answer
            else:
                found = await dice.choice((world.tokens.use, world.tokens.peek))(one.text)
            assert (found.id, found.owner) == (one.token.id, str(number % OWNERS))

        async def caller(number: int) -> None:
            await asyncio.sleep(dice.uniform(0, 2.0))
            asking = asyncio.ensure_future(ask(number))
            if dice.random() < 0.5:
                await asyncio.sleep(dice.uniform(0, 0.02))
                asking.cancel()
            [answer] = await asyncio.gather(asking, return_exceptions=True)
            tally[getattr(answer, "reason", type(answer).__name__)] += 1

        await asyncio.gather(*[caller(number) for number in range(REQUESTS)])
        await asyncio.gather(*[ask(number) for number in range(OWNERS)])

        assert set(tally) == {"NoneType", "CancelledError"}
        assert tally["CancelledError"] > REQUESTS / 10
        assert tally["NoneType"] > REQUESTS / 3


async def test_scripts_are_flushed_in_mid_traffic_and_nobody_notices(
    world: World, other: World, dice: random.Random
) -> None:
    issued = [await world.issue(str(number)) for number in range(50)]
    stopping = asyncio.Event()

    async def flush() -> None:
        while not stopping.is_set():
            await other.redis.script_flush()
            await asyncio.sleep(0.005)

    async def traffic() -> None:
        for _ in range(100):
            each, one = dice.choice((world, other)), dice.choice(issued)
            assert (await dice.choice((each.tokens.use, each.tokens.renew))(one.text)).id == one.token.id
            if dice.random() < 0.1:
                await each.store.sweep(10)
                await each.issue("new")

    flushing = asyncio.ensure_future(flush())
    await asyncio.gather(*[traffic() for _ in range(20)])
    stopping.set()
    await flushing


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_restart_in_mid_traffic_loses_nothing_that_was_acknowledged(
    server: Server, mine: Backend, dice: random.Random, how: str
) -> None:
    async with World(mine) as world:
        issued = [await world.issue(str(number), life_ms=600_000) for number in range(100)]
        ended: dict[str, Token] = {}
        asked: set[str] = set()  # to be revoked: where the answer was lost, either may be true
        made: list[Issued] = []
        stopping = asyncio.Event()
        tally: Counter[str] = Counter()

        async def traffic() -> None:
            while not stopping.is_set():
                one = dice.choice(issued)
                try:
                    if dice.random() < 0.05:
                        asked.add(one.text)
                        ended[one.text] = await world.tokens.revoke(one.text)
                    elif dice.random() < 0.05:
                        made.append(await world.issue("new", life_ms=600_000))
                    else:
                        await world.tokens.use(one.text)
                    tally["ok"] += 1
                except Revoked:
                    tally["revoked"] += 1
                except Unavailable:
                    tally["unavailable"] += 1
                    await asyncio.sleep(0.01)

        users = [asyncio.ensure_future(traffic()) for _ in range(20)]
        await wait_until(lambda: tally["ok"] > 500, 30.0)
        await asyncio.to_thread(server.stop if how == "stopped" else server.kill)
        await wait_until(lambda: tally["unavailable"] > 20, 30.0)
        await asyncio.to_thread(server.start)
        again = tally["ok"]
        await wait_until(lambda: tally["ok"] > again + 500, 30.0)
        stopping.set()
        await asyncio.gather(*users)

        for text, token in ended.items():
            with pytest.raises(Revoked) as refused:
                await world.tokens.use(text)
            assert refused.value.evidence["ended_at_ms"] == token.ended_at_ms
        for one in (*made, *[one for one in issued if one.text not in asked]):
            state = (await world.tokens.peek(one.text)).remaining_ms
            assert state is not None
            assert 500_000 < state <= 600_000


def everything(world: World, issued: Sequence[Issued], caller: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """One request of each kind that asks the store."""
    one = issued[0]
    return {
        "use": lambda: world.tokens.use(one.text),
        "use by a caller": lambda: world.tokens.use(one.text, by=caller),
        "peek": lambda: world.tokens.peek(issued[1].text),
        "many": lambda: world.tokens.many("use", [each.text for each in issued], caller),
        "renew": lambda: world.tokens.renew(one.text),
        "renew by a caller": lambda: world.tokens.renew(one.text, by=caller),
        "rotate": lambda: world.tokens.rotate(one.text),
        "revoke": lambda: world.tokens.revoke(issued[2].text),
        "issue": lambda: world.issue("ann"),
        "idempotent issue": lambda: world.replays.issue("x", "y", b"z", Draft(owner="ann", life_ms=UNSET)),
        "list": lambda: world.lists.page(ALL, limit=10, cursor=None, descending=False),
        "count": lambda: world.lists.count(ALL),
        "events": lambda: world.feed.read(Places((START,) * 16), Wanted(), 10),
        "account": lambda: world.accounts.verify("shop", "ann", "password"),
        "sweep": lambda: world.store.sweep(10),
        "stats": world.store.stats,
    }


async def test_a_frozen_store_holds_nobody_longer_than_the_timeout(
    server: Server, mine: Backend, dice: random.Random
) -> None:
    """100 ms above the timeout are what a caller may notice.  What the test's own loop was late is not the service's:
    it is measured beside, and taken off.  The tokens are issued by another process: two hundred at once, each of them
    written to the disk, may well take a busy machine longer than that timeout."""
    async with World(mine, store_timeout_ms=60_000) as patient, World(mine, store_timeout_ms=300) as world:
        issued = await asyncio.gather(*[patient.issue(str(number)) for number in range(OWNERS)])
        asks = everything(world, issued[:5], await patient.caller("tokens:use", "tokens:issue"))
        asks |= {f"use {number}": use(world, one) for number, one in enumerate(issued)}
        watch = Lag()
        took: dict[str, list[float]] = {name: [] for name in asks}

        async def ask(name: str) -> None:
            await asyncio.sleep(dice.uniform(0, 1.2))
            started, late = time.monotonic(), watch.total
            with pytest.raises(Unavailable):
                await asks[name]()
            took[name].append(time.monotonic() - started - (watch.total - late))

        server.pause()
        await asyncio.gather(*[ask(name) for name in asks for _ in range(10)])
        server.resume()

        assert {name: max(each) for name, each in took.items() if max(each) > 0.3 + 0.1} == {}
        for again in asks.values():
            await wait_until(partial(works, again), 20.0)
        await watch.stop()


def use(world: World, one: Issued) -> Callable[[], Awaitable[object]]:
    return lambda: world.tokens.use(one.text)


async def works(ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except Unavailable:
        return False
    except Revoked:
        return True  # by the one before
    return True


class Lag:
    """How late this loop has been, all in all, seconds: another process had the processor."""

    STEP_S = 0.005

    def __init__(self) -> None:
        self._over, self._since = 0.0, time.monotonic()
        self._stopping = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    @property
    def total(self) -> float:
        """With the step that is late right now: who asks may come before it."""
        return self._over + max(0.0, time.monotonic() - self._since - 2 * self.STEP_S)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._since = time.monotonic()
            await asyncio.sleep(self.STEP_S)
            self._over = self.total

    async def stop(self) -> None:
        self._stopping.set()
        await self._task
