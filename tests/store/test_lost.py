"""An evicting or damaged store has lists that name what is not there any more: they still end, and are put right."""

from functools import partial

import pytest

from service.core.store import Filter
from service.core.token import Issued
from service.store import keys
from tests.world import World

ANN = Filter(tenant="default", owner="ann")
CALLS = 9  # more than any of these needs


async def revoke_all(world: World, owner: str, limit: int = 2, spared: tuple[str, ...] = ()) -> tuple[int, bool]:
    """As a caller does: until there is no more.  How many, and whether that came to an end."""
    total, more = 0, True
    for _ in range(CALLS):
        revoked, more = await world.store.revoke_owner("default", owner, None, "owner", spared, limit, dry=False)
        total += revoked
        if not more:
            break
    return total, not more


async def lose(world: World, *tokens: Issued) -> None:
    """Their records and lives, and what a sweep takes out of its own list when it comes to them."""
    for one in tokens:
        tag, id_ = keys.tag(keys.partition(one.token.id)), keys.short(one.token.id)
        await world.redis.delete(f"{tag}t:{id_}", f"{tag}l:{id_}")
        await world.make_due(one)
    await world.sweep()


async def misplace(world: World, owner: str, *sequences: int) -> None:
    """Places of an owner without a token in the tenant's list."""
    tag = keys.tag(world.store.partition("default", owner))
    await world.redis.zadd(f"{tag}o:default:session:active", {f"{owner}\n{number:016}": 0 for number in sequences})


async def test_more_that_lost_their_records_than_a_call_reads_are_taken_out_call_by_call(world: World) -> None:
    """So calls come to an end.  After the test the lists and the counts are what a scan finds."""
    lost, kept = [await world.issue("ann") for _ in range(7)], [await world.issue("ann") for _ in range(3)]
    await lose(world, *lost)

    done = await revoke_all(world, "ann", spared=(lost[0].token.id, kept[0].token.id))

    assert done == (2, True)
    assert await world.states(*kept) == ["active", "revoked", "revoked"]
    assert await world.lists.count(ANN) == {("session", "active"): 1, ("session", "revoked"): 2}


async def test_a_dry_run_leaves_the_places_of_what_was_lost(world: World) -> None:
    await lose(world, *[await world.issue("ann") for _ in range(3)])
    await misplace(world, "ann", 1)
    before = world.dump()

    answer = await world.store.revoke_owner("default", "ann", None, "owner", [], 9, dry=True)

    assert answer == (0, False)
    assert world.dump() == before
    assert await revoke_all(world, "ann") == (0, True)


async def test_one_that_has_ended_does_not_end_again(world: World) -> None:
    """Its place among the active, and their count, came back."""
    ended = [await world.issue("ann") for _ in range(4)]
    tag = keys.tag(keys.partition(ended[0].token.id))
    for one in ended:
        await world.tokens.revoke(one.text)
        sequence = one.token.sequence
        await world.redis.zadd(f"{tag}i:default:session:active", {keys.short(one.token.id)[2:]: sequence})
        await misplace(world, "ann", sequence)
        await world.redis.hincrby(f"{tag}n", "active", 1)
        await world.redis.hincrby(f"{tag}n:default", "session:active", 1)

    done = await revoke_all(world, "ann")

    assert done == (0, True)
    assert [await world.story(one) for one in ended] == [["issued", "revoked"]] * 4


async def test_a_place_without_a_token_in_the_tenants_list_is_taken_out(world: World) -> None:
    await misplace(world, "ann", *range(5))
    one = await world.issue("ann")

    done = await revoke_all(world, "ann")

    assert done == (1, True)
    assert await world.states(one) == ["revoked"]


@pytest.mark.parametrize("descending", [False, True])
async def test_places_without_a_token_hide_nobody_in_a_list(world: World, descending: bool) -> None:
    """Many more of them than are looked at together, on either side."""
    await misplace(world, "ann", *range(100), *range(2**53 - 100, 2**53))
    issued = [await world.issue("ann") for _ in range(5)]

    page = await world.lists.page(ANN, limit=5, cursor=None, descending=descending)

    assert {token.id for token in page.items} == {one.token.id for one in issued}
    assert await revoke_all(world, "ann", limit=99, spared=(issued[0].token.id,)) == (4, True)


async def test_the_number_of_anothers_token_opens_it_to_nobody(world: World) -> None:
    """A store that lost its counts under a clock that was set back may have numbered two tokens alike."""
    partition = partial(world.store.partition, "default")
    other = next(name for name in map(str, range(999)) if partition(name) == partition("ann"))
    anns = await world.issue("ann")
    await misplace(world, other, anns.token.sequence)

    listed = await world.lists.page(Filter(tenant="default", owner=other), limit=9, cursor=None, descending=False)
    done = await revoke_all(world, other)

    assert listed.items == []
    assert done == (0, True)
    assert await world.states(anns) == ["active"]
