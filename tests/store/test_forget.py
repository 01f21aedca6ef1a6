"""What ended is forgotten once its retention is over: not before, and whatever clock and store have been through."""

from typing import Any

import pytest

from service.core.errors import BadInput
from service.core.token import Issued
from service.store import keys
from tests.backends import Backend
from tests.servers import wait_until
from tests.world import World

GONE = keys.tag(0) + "gone"
A_YEAR = 365 * 86_400_000


def short(one: Issued) -> str:
    return keys.short(one.token.id)


async def ended(world: World, *ago_ms: int) -> list[Issued]:
    """Tokens that were revoked so long ago, as they stand in the list, one entry each."""
    issued = [await world.issue("ann") for _ in ago_ms]
    for one, ago in zip(issued, ago_ms, strict=True):
        await world.tokens.revoke(one.text)
        await world.redis.lset(GONE, -1, f"{await world.now() - ago}{short(one)}")
    return issued


async def listed(world: World) -> list[str]:
    """The ids of those that are to be forgotten, in this order."""
    entries: Any = world.redis.lrange(GONE, 0, -1)
    return [entry[13:].decode() for entry in await entries]


async def test_each_is_kept_for_the_retention_and_no_longer(backend: Backend) -> None:
    async with World(backend, partitions=1, retention_ms=60_000) as world:
        _, last, kept = await ended(world, 90_000, 60_000, 30_000)

        done = await world.store.sweep(200)

        assert (done.purged, await listed(world)) == (2, [short(kept)])
        assert 29_000 < (done.wait_ms or 0) <= 30_000
        assert not await world.redis.exists(f"{keys.tag(0)}t:{short(last)}")


async def test_the_retention_of_today_holds_for_what_ended_before(backend: Backend) -> None:
    async with World(backend, partitions=1, retention_ms=60_000) as world:
        [one] = await ended(world, 90_000)
        async with World(backend, partitions=1, retention_ms=120_000) as longer:
            assert (await longer.store.sweep(200)).purged == 0
            assert await listed(longer) == [short(one)]

        assert (await world.store.sweep(200)).purged == 1


async def test_an_end_that_a_wrong_clock_put_into_the_future_holds_nobody_up(backend: Backend) -> None:
    """Else a clock that was a year ahead for a moment would let the store fill for a year."""
    async with World(backend, partitions=1, retention_ms=1_000) as world:
        *ahead, over = await ended(world, -A_YEAR, -A_YEAR, 2_000)

        done = await world.store.sweep(200)

        assert (done.purged, await listed(world)) == (1, [short(one) for one in ahead])
        assert not await world.redis.exists(f"{keys.tag(0)}t:{short(over)}")

        async def forgotten() -> bool:
            await world.store.sweep(200)
            return not await listed(world)

        await wait_until(forgotten)


async def test_of_ends_in_the_future_a_pass_takes_no_more_than_it_may(backend: Backend) -> None:
    async with World(backend, partitions=1) as world:
        first, second, third = await ended(world, -A_YEAR, -A_YEAR, -A_YEAR)

        await world.store.sweep(2)

        assert await listed(world) == [short(third), short(first), short(second)]


async def test_those_that_ended_together_are_forgotten_together_and_count_as_so_many(backend: Backend) -> None:
    async with World(backend, partitions=1, retention_ms=60_000) as world:
        for _ in range(3):
            await world.issue("bob")
        await world.store.revoke_owner("default", "bob", None, "owner", [], 9, dry=False)
        await world.redis.lset(GONE, 0, f"{await world.now() - 60_000}{(await listed(world))[0]}")
        await ended(world, 60_000)

        passes = [await world.store.sweep(2) for _ in range(3)]

        assert [done.purged for done in passes] == [3, 1, 0]
        assert [done.wait_ms for done in passes] == [0, None, None]


async def test_what_lost_its_record_stops_nobody(backend: Backend) -> None:
    """An evicting store may have taken it; the lists still name it."""
    backend.checked = False
    async with World(backend, partitions=1, retention_ms=60_000) as world:
        lost, other = await ended(world, 90_000, 90_000)
        await world.redis.lset(GONE, 0, f"{await world.now() - 90_000}{short(lost)}{short(other)}")
        await world.redis.rpop(GONE)
        await world.redis.delete(f"{keys.tag(0)}t:{short(lost)}")

        done = await world.store.sweep(200)

        assert (done.purged, done.wait_ms, await listed(world)) == (1, None, [])


async def test_one_that_is_active_is_not_forgotten_whatever_the_list_says(backend: Backend) -> None:
    async with World(backend, partitions=1) as world:
        one = await world.issue("ann")
        await world.redis.rpush(GONE, f"{1:013}{short(one)}")

        done = await world.store.sweep(200)

        assert (done.purged, await listed(world)) == (0, [])
        assert (await world.tokens.use(one.text)).state == "active"


@pytest.mark.parametrize("limit", [1, 2])
async def test_what_is_due_goes_before_what_is_to_be_forgotten(backend: Backend, limit: int) -> None:
    async with World(backend, partitions=1, retention_ms=60_000) as world:
        await ended(world, 90_000)
        await world.expire_now(await world.issue("bob"))

        done = await world.store.sweep(limit)

        assert (done.marked, done.purged) == (1, limit - 1)
        assert (done.wait_ms == 0) == (limit == 1)


async def test_a_type_that_is_forgotten_leaves_its_place_to_another(backend: Backend) -> None:
    """A tenant has 64 types in a partition; those of long ago must not count."""
    async with World(backend, partitions=1) as world:
        *_, last = [await world.issue("ann", tenant="shop", type=f"type-{number}") for number in range(64)]
        await world.tokens.revoke(last.text)
        with pytest.raises(BadInput, match="type"):
            await world.issue("ann", tenant="shop", type="another")

        await world.pass_retention(last)
        await world.store.sweep(200)

        assert (await world.issue("ann", tenant="shop", type="another")).token.state == "active"
