"""Many tokens end in one call: each as what it is, and what they share is written once."""

import asyncio
import math
from collections import Counter

import pytest

from service.store import keys
from tests import backends
from tests.backends import Backend
from tests.world import World

MANY = 200


async def test_one_pass_ends_each_token_as_what_it_is(world: World) -> None:
    """Of several tenants, owners and types; after the test the lists and the counts are compared with a scan."""
    spread = [(tenant, owner, kind) for tenant in ("shop", "bank") for owner in "ab" for kind in ("session", "device")]
    expired = [await world.issue(owner, tenant=tenant, type=kind) for tenant, owner, kind in spread * 2]
    evicted, renewed, eternal = [await world.issue("c"), await world.issue("d"), await world.issue("e", life_ms=None)]
    rotated = await world.issue("f")
    await world.tokens.rotate(rotated.text, overlap_ms=60_000)
    forgotten = [await world.issue(owner, type=kind) for owner in "ag" for kind in ("session", "device")]
    for one in forgotten:
        await world.tokens.revoke(one.text)
    for one in (*expired, rotated):
        await world.expire_now(one)
    await world.lose_life(evicted)
    for one in (evicted, renewed, eternal):
        await world.make_due(one)
    for one in forgotten:
        await world.pass_retention(one)
    await world.redis.zadd(keys.due(3), {f"{0:030}": 1})  # of a token that nobody knows

    done = await world.store.sweep(200)

    assert (done.marked, done.evicted, done.rescored, done.purged) == (len(expired) + 2, 1, 2, len(forgotten))
    assert sum(done.lags_ms.values()) == done.marked
    assert await world.states(*expired, evicted, rotated) == ["expired"] * (len(expired) + 1) + ["revoked"]
    assert await world.states(renewed, eternal) == ["active"] * 2
    assert [await world.story(one) for one in expired] == [["issued", "expired"]] * len(expired)
    assert await world.story(rotated) == ["issued", "rotated", "revoked"]
    assert (await world.store.sweep(200)).looked_at == 0


async def test_the_expired_in_between_do_not_hide_that_an_owner_has_more(world: World) -> None:
    """They end too, as what they are, and are not counted as revoked."""
    issued = [await world.issue("ann") for _ in range(9)]
    for one in issued[:5]:
        await world.expire_now(one)

    answers = [await world.store.revoke_owner("default", "ann", None, "owner", [], 2, dry=False) for _ in range(5)]

    assert answers == [(0, True), (1, True), (2, True), (1, False), (0, False)]
    assert await world.states(*issued) == ["expired"] * 5 + ["revoked"] * 4


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_what_the_tokens_of_a_pass_share_is_written_once(world: World) -> None:
    for _ in range(MANY):
        await world.expire_now(await world.issue("ann"))
    before = world.commands()

    done = await world.store.sweep(MANY)

    used = Counter(world.commands()) - Counter(before)
    assert done.marked == MANY
    assert used.pop("xadd") <= 1 + math.ceil(MANY / 16)
    assert used.total() <= 60  # 48 of them look at the sixteen partitions


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_a_token_of_a_big_owner_costs_no_more_to_revoke_than_one_of_a_small(world: World) -> None:
    used = []
    for owner, number in (("small", 10), ("big", 5 * MANY)):
        for _ in range(number // 10):
            await asyncio.gather(*[world.issue(owner) for _ in range(10)])
        before = world.commands()
        more = True
        while more:
            revoked, more = await world.store.revoke_owner("default", owner, None, "owner", [], MANY, dry=False)
            assert revoked <= MANY
        used.append((Counter(world.commands()) - Counter(before)).total() / number)

    assert used[1] <= used[0]


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_on_a_full_store_that_lets_no_script_exceed_a_pass_is_still_whole(world: World) -> None:
    """Redis 6.2 refuses what needs memory as the first write of a script, and only as the first."""
    world.link.scripts.say_allow_oom(allowed=False)
    issued = [await world.issue(owner) for owner in "abc"]
    for one in issued:
        await world.expire_now(one)
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    done = await world.store.sweep(200)

    await world.redis.config_set("maxmemory", 0)
    assert done.marked == 3
    assert [await world.story(one) for one in issued] == [["issued", "expired"]] * 3


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_on_such_a_store_those_that_were_renewed_stop_no_pass(world: World) -> None:
    """Nothing would be forgotten any more, and the store stay full."""
    world.link.scripts.say_allow_oom(allowed=False)
    renewed, over = await world.issue("ann", life_ms=60_000), await world.issue("ann")
    await world.redis.zadd(f"{keys.tag(keys.partition(renewed.token.id))}due", {keys.short(renewed.token.id)[2:]: 1})
    await world.expire_now(over)
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    passes = [await world.store.sweep(1) for _ in range(2)]

    await world.redis.config_set("maxmemory", 0)
    assert [(done.marked, done.rescored) for done in passes] == [(0, 1), (1, 0)]
    assert 59_000 < ((await world.store.sweep(200)).wait_ms or 0) <= 60_000


@pytest.mark.parametrize("verb", ["revoke", "revoke_owner"])
async def test_one_for_ever_that_is_not_there_any_more_was_evicted(world: World, verb: str) -> None:
    """It had no deadline that it could have expired at."""
    one = await world.issue("ann", life_ms=None)
    await world.lose_life(one)
    before = await world.now()

    if verb == "revoke":
        await world.tokens.revoke(one.text)
    else:
        await world.store.revoke_owner("default", "ann", None, "owner", [], 9, dry=False)

    seen = await world.tokens.look(one.token.id, await world.caller("tokens:read"))
    assert (seen.state, seen.ended_by) == ("expired", "evicted")
    assert before <= (seen.ended_at_ms or 0) <= await world.now()


async def test_how_late_each_was_found_is_told_of_those_that_expired(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was evicted is not late at all; one that was rotated did not expire."""
    early, late, evicted, rotated = [await world.issue("ann") for _ in range(4)]
    await world.tokens.rotate(rotated.text, overlap_ms=60_000)
    for one, left_ms in ((early, -90_000), (late, -30_000), (rotated, -60_000)):
        await world.shorten(one, left_ms)
    await world.lose_life(evicted)
    await world.make_due(evicted)
    told: dict[str, tuple[str, int | None]] = {}
    monkeypatch.setattr(world.link, "_changed", lambda kind, id_, late_ms: told.update({id_: (kind, late_ms)}))

    done = await world.store.sweep(200)

    kinds, lates = zip(*[told[one.token.id] for one in (early, late, evicted, rotated)], strict=True)
    assert kinds == ("expired", "expired", "expired", "revoked")
    assert [None if ms is None else ms // 30_000 for ms in lates] == [3, 1, 0, None]
    assert lates[2] == 0
    assert sorted(ms // 30_000 for ms in done.lags_ms) == [0, 1, 2, 3]
    assert done.evicted == 1


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_ends_trim_the_events_too(backend: Backend) -> None:
    """Whole nodes of the stream go, of 100 entries each."""
    async with World(backend, partitions=1, events_kept=10) as world:
        await asyncio.gather(*[world.issue("ann") for _ in range(MANY)])

        await world.store.revoke_owner("default", "ann", None, "owner", [], MANY, dry=False)

        assert await world.redis.xlen(keys.events(0)) <= 10 + 100


@pytest.mark.parametrize("lost", ["t", "tl"], ids=["record", "record and life"])
async def test_what_lost_its_record_keeps_no_owner_from_being_revoked(world: World, lost: str) -> None:
    """An evicting store may have taken it; the lists still name it."""
    world.backend.checked = False
    first, *others = [await world.issue("ann") for _ in range(3)]
    place = keys.tag(keys.partition(first.token.id)), keys.short(first.token.id)
    await world.redis.delete(*[f"{place[0]}{kind}:{place[1]}" for kind in lost])

    answer = await world.store.revoke_owner("default", "ann", None, "owner", [], 9, dry=False)

    assert answer == (2, False)
    assert await world.states(*others) == ["revoked"] * 2
