"""The sweep: bounded passes that mark the expired, follow the renewed and purge the forgotten."""

import asyncio
from collections import Counter

from service import expirer
from service.core.errors import Unavailable
from service.core.store import Filter, Pass
from service.core.watch import Watch
from service.store import keys
from tests.servers import wait_until
from tests.world import World


async def test_a_pass_marks_what_has_expired_with_its_exact_deadline(world: World) -> None:
    issued = await world.issue("ann")
    deadline = await world.expire_now(issued)

    done = await world.store.sweep(200)

    assert (done.marked, done.rescored, done.purged, done.evicted) == (1, 0, 0, 0)
    [lag_ms] = done.lags_ms
    assert 0 <= lag_ms <= await world.now() - deadline
    seen = await world.tokens.look(issued.token.id, await world.caller("tokens:read"))
    assert (seen.state, seen.ended_at_ms, seen.ended_by) == ("expired", deadline, "life")


async def test_a_renewed_token_that_is_due_is_moved_not_marked(world: World) -> None:
    issued = await world.issue("ann", life_ms=60_000)
    await world.make_due(issued)

    done = await world.store.sweep(200)

    assert (done.marked, done.rescored) == (0, 1)
    assert done.wait_ms is not None
    assert 59_000 < done.wait_ms <= 60_000
    assert (await world.tokens.use(issued.text)).remaining_ms == 60_000


async def test_a_pass_is_bounded_and_says_when_to_come_again(world: World) -> None:
    for _ in range(5):
        await world.expire_now(await world.issue("ann"))

    passes = [await world.store.sweep(2) for _ in range(4)]

    assert [done.marked for done in passes] == [2, 2, 1, 0]
    assert [done.wait_ms == 0 for done in passes] == [True, True, False, False]


async def test_nothing_due_is_nothing_to_wait_for(world: World) -> None:
    await world.issue("ann", life_ms=None)

    assert (await world.store.sweep(200)).wait_ms is None


async def test_final_tokens_are_purged_after_their_retention(world: World) -> None:
    issued = await world.issue("ann")
    await world.tokens.revoke(issued.text)
    assert (await world.store.sweep(200)).purged == 0

    await world.pass_retention(issued)

    assert (await world.store.sweep(200)).purged == 1
    assert await world.lists.count(Filter(tenant="default", owner="ann")) == {}


async def test_an_evicted_token_is_told_from_an_expired_one(world: World) -> None:
    """A store that is set to evict can delete a live token: its life is gone before its deadline."""
    issued = await world.issue("ann", life_ms=60_000)
    await world.lose_life(issued)
    await world.make_due(issued)

    done = await world.store.sweep(200)

    assert (done.marked, done.evicted) == (1, 1)
    seen = await world.tokens.look(issued.token.id, await world.caller("tokens:read"))
    assert (seen.state, seen.ended_by) == ("expired", "evicted")


async def test_the_loop_marks_each_token_soon_after_its_deadline_and_stops_when_asked(world: World) -> None:
    class Told(Watch):
        lags = Counter[int]()  # noqa: RUF012 - of this test alone

        def swept(self, done: Pass) -> None:
            self.lags.update(done.lags_ms)

    stopping, told = asyncio.Event(), Told()
    loop = asyncio.ensure_future(expirer.run(world.store.sweep, 20, stopping, told))
    issued = [await world.issue(owner, life_ms=30) for owner in "abc"]

    await wait_until(lambda: told.lags.total() == 3)
    stopping.set()
    await asyncio.wait_for(loop, 5.0)

    for one in issued:
        assert await world.story(one) == ["issued", "expired"]


async def test_the_loop_goes_on_after_an_outage() -> None:
    stopping = asyncio.Event()
    answers: list[Pass | Exception] = [Pass(), Unavailable("timeout")]

    async def sweep(_limit: int) -> Pass:
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        stopping.set()
        return answer

    await asyncio.wait_for(expirer.run(sweep, 5, stopping), 10.0)


async def test_a_life_that_somebody_else_made_longer_is_looked_at_when_it_ends(world: World) -> None:
    """Not again and again until then."""
    world.backend.checked = False  # the life does not end when its record says
    issued = await world.issue("ann", life_ms=60_000)
    await world.expire_now(issued)
    await world.redis.set(f"{keys.tag(keys.partition(issued.token.id))}l:{keys.short(issued.token.id)}", "", px=30_000)

    passes = [await world.store.sweep(200) for _ in range(2)]

    assert [(done.marked, done.rescored) for done in passes] == [(0, 1), (0, 0)]
    assert 29_000 < (passes[1].wait_ms or 0) <= 30_000
