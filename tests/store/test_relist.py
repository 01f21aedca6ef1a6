"""A burst is marked, told and counted first, and taken from the lists of active tokens afterwards."""

import asyncio
from collections import Counter

import pytest

from service.store import keys
from tests import backends
from tests.backends import Backend
from tests.store.bursts import (
    ACTIVE,
    EXPIRED,
    REVOKED,
    SHOP,
    ids,
    in_order,
    issued_in,
    overdue,
    paged,
    stories,
    unlisted,
)
from tests.world import World

SPREAD = CHUNK = 100  # what a pass relists beside as many as it marked, and what it takes at once
GONE = keys.tag(0) + "gone"


async def test_a_pass_without_room_marks_tells_and_counts_and_leaves_the_lists(world: World) -> None:
    over = await overdue(world, 3)
    before = await world.store.stats()

    done = await world.store.sweep(3)

    assert (done.marked, done.relisted, done.wait_ms, sum(done.lags_ms.values())) == (3, 0, 0, 3)
    assert await stories(world, *over) == [["issued", "expired"]] * 3
    assert await world.lists.count(SHOP) == {("session", "expired"): 3}
    after = await world.store.stats()
    assert Counter(after.tokens) == Counter(before.tokens) + Counter(expired=3) - Counter(active=3)
    assert (before.backlog, after.backlog) == (3, 0)
    assert await paged(world, EXPIRED) == []
    assert await world.redis.exists(*[keys.relist(number) for number in range(16)]) == 1
    in_order(world)


async def test_the_pass_after_it_takes_them_to_the_lists_of_their_states(world: World) -> None:
    over = await unlisted(world, 3)

    done = await world.store.sweep(1)

    assert (done.looked_at, done.relisted) == (0, 3)
    assert 86_000_000 < (done.wait_ms or 0) <= 86_400_000
    assert await paged(world, EXPIRED) == ids(*over)
    assert await stories(world, *over) == [["issued", "expired"]] * 3
    assert (await world.store.sweep(1)).idle


async def test_a_pass_with_room_relists_what_it_marks(world: World) -> None:
    over = await overdue(world, 3)

    done = await world.store.sweep(4)

    assert (done.marked, done.relisted) == (3, 3)
    assert await paged(world, EXPIRED) == ids(*over)


async def test_a_rotated_one_whose_overlap_is_over_is_relisted_as_revoked(world: World) -> None:
    [old] = await issued_in(world, 1)
    new = await world.tokens.rotate(old.text, overlap_ms=60_000)
    [expired] = await overdue(world, 1)
    await world.expire_now(old)

    done = await world.store.sweep(2)
    before = [await paged(world, which) for which in (SHOP, ACTIVE, REVOKED, EXPIRED)]
    again = await world.store.sweep(1)
    after = [await paged(world, which) for which in (SHOP, ACTIVE, REVOKED, EXPIRED)]

    assert (done.marked, done.relisted, again.relisted) == (2, 0, 2)
    assert await world.states(old, new, expired) == ["revoked", "active", "expired"]
    assert await stories(world, old) == [["issued", "rotated", "revoked"]]
    assert before == [ids(old, new, expired), ids(new), [], []]
    assert after == [ids(old, new, expired), ids(new), ids(old), ids(expired)]


async def test_a_pass_relists_no_more_than_a_hundred_and_an_entry_beside_as_many_as_it_marked(world: World) -> None:
    """Of all partitions together; and while some wait the next pass is due at once."""
    owners = ("ann", "bob", "dan")
    assert len({world.store.partition("shop", owner) for owner in owners}) == 3
    over = await unlisted(world, 130, *owners)
    more = await overdue(world, 60)

    done = [await world.store.sweep(61)]
    while done[-1].relisted:
        done.append(await world.store.sweep(1))

    assert [one.marked for one in done] == [60] + [0] * (len(done) - 1)
    assert SPREAD + 60 <= done[0].relisted < SPREAD + 60 + CHUNK
    assert all(SPREAD <= one.relisted < SPREAD + CHUNK for one in done[1:-2])
    assert sum(one.relisted for one in done) == len(over) + len(more)
    assert [one.wait_ms == 0 for one in done] == [True] * (len(done) - 2) + [False] * 2
    assert await paged(world, EXPIRED) == ids(*over, *more)


async def test_what_is_due_in_any_partition_is_marked_before_anything_is_relisted(world: World) -> None:
    await unlisted(world, 3, "ann", "bob", "eve")
    await overdue(world, 2, "ann", "bob", "eve")

    done = [await world.store.sweep(2) for _ in range(4)]

    assert [(one.marked, one.relisted) for one in done] == [(2, 0), (2, 0), (2, 0), (0, 15)]


async def test_what_was_relisted_already_stays_as_it_is(world: World) -> None:
    """Revoking its owner came before the sweep."""
    await unlisted(world, 3)
    await issued_in(world, 1)
    await world.store.revoke_owner("shop", "ann", None, "owner", [], 9, dry=False)
    before = world.dump()

    done = await world.store.sweep(1)

    after, relist = world.dump(), keys.relist(world.store.partition("shop", "ann"))
    assert done.relisted == 3
    assert relist in before
    assert after == {name: value for name, value in before.items() if name != relist}


async def test_nothing_is_forgotten_before_it_is_relisted(backend: Backend) -> None:
    """However short the retention; then nothing of it is left."""
    async with World(backend, partitions=1, retention_ms=1) as world:
        await unlisted(world, 150)
        await world.redis.lset(GONE, 0, b"0" * 13 + (await world.redis.lindex(GONE, 0))[13:])

        passes = [await world.store.sweep(200) for _ in range(3)]

        assert [(done.relisted, done.purged) for done in passes] == [(100, 0), (50, 150), (0, 0)]
        assert [done.wait_ms for done in passes] == [0, None, None]
        assert [name for name in world.dump() if "shop" in name or name in {GONE, keys.relist(0)}] == []


async def test_what_waits_in_one_partition_keeps_nothing_in_another_from_being_forgotten(world: World) -> None:
    """The pass has done all that it may for the one before it comes to the other."""
    here, there = "ann", "bob"
    assert world.store.partition("shop", here) != world.store.partition("shop", there)
    [one] = await issued_in(world, 1, there)
    await world.tokens.revoke(one.text)
    await unlisted(world, 350, here)
    await world.pass_retention(one)

    done = await world.store.sweep(200)

    assert (done.relisted, done.purged, done.wait_ms) == (100, 1, 0)


async def test_two_sweepers_at_once_relist_each_once(world: World) -> None:
    async with World(world.backend) as other:
        over = await unlisted(world, 130, "ann", "bob", "eve")

        async def sweep(each: World) -> int:
            relisted = 0
            while not (done := await each.store.sweep(50)).idle:
                relisted += done.relisted
            return relisted

        relisted = await asyncio.gather(sweep(world), sweep(other), sweep(world), sweep(other))

    assert sum(relisted) == len(over)
    assert await paged(world, EXPIRED) == ids(*over)
    assert Counter(event.token.id for event in await world.events(kind="expired")) == Counter(ids(*over))


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_on_a_full_store_that_lets_no_script_exceed_they_are_relisted(world: World) -> None:
    """Redis 6.2 refuses what needs memory as the first write of a script, and only as the first."""
    world.link.scripts.say_allow_oom(allowed=False)
    over = await unlisted(world, 3)
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    done = await world.store.sweep(1)

    await world.redis.config_set("maxmemory", 0)
    assert done.relisted == 3
    assert await paged(world, EXPIRED) == ids(*over)


async def test_one_that_lost_its_record_keeps_none_of_the_others_where_they_are(world: World) -> None:
    """An evicting store may have taken it; the list of active ones still names it."""
    world.backend.checked = False
    lost, *others = await unlisted(world, 3)
    tag = keys.tag(keys.partition(lost.token.id))
    await world.redis.delete(f"{tag}t:{keys.short(lost.token.id)}")

    done = await world.store.sweep(1)

    assert done.relisted == 3
    assert await paged(world, EXPIRED) == ids(*others)
    assert await paged(world, SHOP) == ids(*others)
