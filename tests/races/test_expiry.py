"""A use and the end of a life at the same millisecond; sweepers beside each other."""

import asyncio
import random
from typing import Any

import pytest

from service import expirer
from service.core.errors import Expired, Refusal
from service.core.token import Issued, Token
from tests.world import World


async def test_a_use_that_races_the_end_either_renews_or_is_refused_for_good(
    world: World, other: World, dice: random.Random
) -> None:
    """Users come about when the life ends; two sweep loops run all the time."""
    stopping = asyncio.Event()
    sweeping = [asyncio.ensure_future(expirer.run(each.store.sweep, 5, stopping)) for each in (world, other)]
    issued = await asyncio.gather(*[world.issue(str(number), life_ms=dice.randint(10, 60)) for number in range(200)])

    ends = await asyncio.gather(*[use_up(dice.choice((world, other)), one, dice) for one in issued])
    stopping.set()
    await asyncio.gather(*sweeping)
    await world.sweep()

    expiries = await world.events(kind="expired")
    assert {event.token.id: event.token.deadline_at_ms for event in expiries} == {
        one.token.id: end for one, end in zip(issued, ends, strict=True)
    }
    assert len(expiries) == len(issued)


async def use_up(world: World, issued: Issued, dice: random.Random) -> int:
    """Uses a token until it is refused.  Gives the deadline of the last use that was accepted."""
    last: Token = issued.token
    while True:
        await asyncio.sleep((issued.token.life_ms or 0) * dice.uniform(0.3, 1.3) / 1000)
        [used] = await asyncio.gather(world.tokens.use(issued.text), return_exceptions=True)
        if not isinstance(used, Token):
            break
        assert used.last_used_at_ms < (last.deadline_at_ms or 0)  # accepted, so it came in time
        assert used.deadline_at_ms == used.last_used_at_ms + (used.life_ms or 0)
        last = used
    await stays_refused(world, issued, last.deadline_at_ms or 0)
    return last.deadline_at_ms or 0


async def stays_refused(world: World, issued: Issued, end: int) -> None:
    for verb in (world.tokens.use, world.tokens.renew, world.tokens.peek):
        with pytest.raises(Expired) as refused:
            await verb(issued.text)
        assert refused.value.evidence["expired_at_ms"] == end


async def test_two_sweepers_at_once_mark_each_token_once(world: World, other: World) -> None:
    issued = await asyncio.gather(*[world.issue(str(number % 50)) for number in range(500)])
    alive = [await world.issue("alive") for _ in range(20)]
    await asyncio.gather(*[world.expire_now(one) for one in issued])

    async def sweep(each: World) -> int:
        marked = 0
        while not (done := await each.store.sweep(20)).idle:
            marked += done.marked
        return marked

    marked = await asyncio.gather(sweep(world), sweep(other), sweep(world), sweep(other))

    assert sum(marked) == 500
    assert sorted(event.token.id for event in await world.events(kind="expired")) == sorted(
        one.token.id for one in issued
    )
    assert set(await world.states(*alive)) == {"active"}


async def test_renewals_beside_a_sweep_lose_no_token(world: World, other: World, dice: random.Random) -> None:
    """Due says that they expired; their life says that they did not."""
    issued = await asyncio.gather(*[world.issue(str(number % 50), life_ms=60_000) for number in range(200)])
    for one in issued:
        await world.make_due(one)
    dice.shuffle(issued)

    using = asyncio.gather(*[other.tokens.use(one.text) for one in issued])
    passes = await asyncio.gather(world.store.sweep(200), other.store.sweep(200))
    await using

    assert [done.marked for done in passes] == [0, 0]
    assert set(await world.states(*issued)) == {"active"}


async def test_without_the_stores_own_expiry_nothing_is_different(world: World) -> None:
    """The store deletes what lapsed when it finds the time; nothing here may wait for that."""
    store: Any = world.redis
    world.on_close(store.execute_command, "DEBUG", "SET-ACTIVE-EXPIRE", "1")
    await store.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    issued = await asyncio.gather(*[world.issue(str(number), life_ms=30) for number in range(50)])
    stopping = asyncio.Event()
    sweeping = asyncio.ensure_future(expirer.run(world.store.sweep, 5, stopping))

    refusals = [await until_refused(world, one) for one in issued]
    stopping.set()
    await sweeping
    await world.sweep()

    assert {type(refusal) for refusal in refusals} == {Expired}
    assert [refusal.evidence["expired_at_ms"] for refusal in refusals] == [one.token.deadline_at_ms for one in issued]
    assert len(await world.events(kind="expired")) == 50


async def until_refused(world: World, issued: Issued) -> Refusal:
    while True:
        try:
            await world.tokens.peek(issued.text)
        except Refusal as refusal:
            return refusal
