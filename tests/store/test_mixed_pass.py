"""A pass over all kinds of tokens in a row: each ends as what it is, whatever stands beside it."""

import random
from collections import Counter
from typing import Any

import pytest

from service.store import keys
from tests.store.bursts import SHOP, in_order
from tests.world import World

TIMES = 4  # of each kind
HOUR_MS = 3_600_000


class Row:
    """Tokens of one partition, by their ids, due one behind the other."""

    def __init__(self, world: World, deadline: int) -> None:
        self.world, self.deadline, self.kinds = world, deadline, dict[str, str]()
        self.partition = world.store.partition("shop", "ann")
        self.tag = keys.tag(self.partition)

    async def put(self, kind: str) -> None:
        """kind: the name of one of the methods below."""
        id_ = await getattr(self, kind)()
        self.kinds[id_] = kind
        await self.world.redis.zadd(f"{self.tag}due", {keys.rest(id_): len(self.kinds)})

    async def renewed(self, **policy: Any) -> str:
        return (await self.world.issue("ann", tenant="shop", **policy)).token.id

    async def over(self, deadline: int = 0, **policy: Any) -> str:
        """All of a policy have one deadline, to the millisecond."""
        id_ = await self.renewed(**policy)
        await self.world.lose_life(id_)
        await self.world.redis.setrange(f"{self.tag}t:{keys.short(id_)}", 2, f"{deadline or self.deadline:013d}")
        return id_

    async def over_before(self) -> str:
        return await self.over(self.deadline - HOUR_MS)

    async def over_login(self) -> str:
        return await self.over(type="login")

    async def rotated(self) -> str:
        one = await self.world.issue("ann", tenant="shop")
        await self.world.tokens.rotate(one.text, overlap_ms=60_000)
        await self.world.expire_now(one)
        return one.token.id

    async def evicted(self) -> str:
        id_ = await self.renewed()
        await self.world.lose_life(id_)
        return id_

    async def revoked(self) -> str:
        one = await self.world.issue("ann", tenant="shop")
        await self.world.tokens.revoke(one.text)
        return one.token.id

    async def unknown(self) -> str:
        return keys.handle(self.partition, f"{len(self.kinds):030x}")


# What the pass tells of each, as what it is seen afterwards, and by what it ended.
ENDS = {
    "renewed": (None, "active", None),
    "over": ("expired", "expired", "life"),
    "over_before": ("expired", "expired", "life"),
    "over_login": ("expired", "expired", "life"),
    "rotated": ("revoked", "revoked", "rotated"),
    "evicted": ("expired", "expired", "evicted"),
    "revoked": (None, "revoked", "request"),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unlisted", [True, False])
async def test_each_ends_as_what_it_is_whatever_stands_beside_it(world: World, seed: int, unlisted: bool) -> None:
    row = Row(world, await world.now() - HOUR_MS)
    kinds = [*ENDS, "unknown"] * TIMES
    random.Random(seed).shuffle(kinds)
    for kind in kinds:
        await row.put(kind)
    told_before = len(await world.events())

    done = await world.store.sweep(len(kinds) + (0 if unlisted else 1))

    told = {event.token.id: event.kind for event in (await world.events())[told_before:]}
    caller = await world.caller("tokens:read", tenant="shop")
    seen = {id_: await world.tokens.look(id_, caller) for id_, kind in row.kinds.items() if kind != "unknown"}
    assert {id_: (told.get(id_), one.state, one.ended_by) for id_, one in seen.items()} == {
        id_: ENDS[row.kinds[id_]] for id_ in seen
    }
    assert len(told) == done.marked == 5 * TIMES
    assert (done.rescored, done.evicted, done.relisted) == (TIMES, TIMES, 0 if unlisted else done.marked)
    hours = Counter({lag // HOUR_MS: 0 for lag in done.lags_ms})
    for lag, number in done.lags_ms.items():
        hours[lag // HOUR_MS] += number
    assert hours == {1: 2 * TIMES, 2: TIMES, 0: 2 * TIMES}
    assert {one.ended_at_ms for id_, one in seen.items() if row.kinds[id_] == "over_login"} == {row.deadline}
    in_order(world)


@pytest.mark.parametrize("unlisted", [True, False])
async def test_that_it_expired_is_written_into_a_record_when_it_is_relisted(world: World, unlisted: bool) -> None:
    row = Row(world, await world.now() - HOUR_MS)
    await row.put("over")
    [id_] = row.kinds

    await world.store.sweep(1 if unlisted else 2)

    record = await world.redis.get(f"{row.tag}t:{keys.short(id_)}")
    assert record.startswith(b"a " if unlisted else b"e ")
    assert (await world.lists.count(SHOP)) == {("session", "expired"): 1}


@pytest.mark.parametrize("verb", ["revoke", "revoke_owner"])
async def test_who_revokes_one_that_is_marked_relists_it_and_tells_nothing_anew(world: World, verb: str) -> None:
    row = Row(world, await world.now() - HOUR_MS)
    await row.put("over")
    [id_] = row.kinds
    await world.store.sweep(1)
    events, counts = await world.events(), await world.lists.count(SHOP)

    if verb == "revoke":
        [found] = await world.store.revoke([id_], "shop", "request")
        assert found is not None
        assert (found.state, found.ended_by, found.ended_at_ms) == ("expired", "life", row.deadline)
    else:
        assert await world.store.revoke_owner("shop", "ann", None, "owner", [], 9, dry=False) == (0, False)

    assert (await world.redis.get(f"{row.tag}t:{keys.short(id_)}")).startswith(b"e ")
    assert (await world.events(), await world.lists.count(SHOP)) == (events, counts)
    in_order(world)
    await world.sweep()
    assert (await world.events(), await world.lists.count(SHOP)) == (events, counts)
    in_order(world)
