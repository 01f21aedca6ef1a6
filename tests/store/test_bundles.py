"""What happens to many tokens at once shares entries of the log; who reads it cannot tell."""

import pytest

from service.core.errors import Gone
from service.core.events import START, Event, Places, Wanted, read_cursor
from service.store import keys
from tests import backends
from tests.backends import Backend
from tests.store.test_feed import Follower
from tests.world import World

BEGINNING = Places((START,) * 16)
MANY, BUNDLE = 40, 16
REVOKED = Wanted(kind="revoked")


async def revoked_together(world: World, number: int = MANY) -> list[str]:
    """The ids of so many tokens of one owner, in the order in which they were issued, and ended."""
    issued = [await world.issue("ann") for _ in range(number)]
    assert await world.store.revoke_owner("default", "ann", None, "owner", [], number, dry=False) == (number, False)
    return [one.token.id for one in issued]


def handles(events: list[Event]) -> list[str]:
    return [event.token.id for event in events]


async def test_each_token_that_ends_among_many_has_an_event_with_a_place_of_its_own(world: World) -> None:
    ids = await revoked_together(world)

    events, _ = await world.feed.read(BEGINNING, REVOKED, 1000)

    assert handles(events) == ids
    assert [event.kind for event in events] == ["revoked"] * MANY
    assert [event.token.ended_by for event in events] == ["owner"] * MANY
    places = [event.position for event in events]
    assert places == sorted(set(places))


async def test_they_share_entries_of_sixteen(world: World) -> None:
    ids = await revoked_together(world)

    partition = keys.partition(ids[0])
    entries = await world.redis.xrange(keys.events(partition))

    assert [len(entry) - 1 for _, entry in entries] == [1] * MANY + [1, BUNDLE, BUNDLE, MANY - 1 - 2 * BUNDLE]


@pytest.mark.parametrize("limit", [1, 3, 7, 16, 17, 39])
async def test_a_cursor_may_stand_within_an_entry(world: World, limit: int) -> None:
    ids = await revoked_together(world)
    cursor, seen = BEGINNING.cursor(), list[str]()

    while len(seen) < MANY:
        events, behind = await world.feed.read(read_cursor(cursor, 16), Wanted(tenant="default"), limit)
        assert len(events) <= limit
        seen += [event.token.id for event in events if event.kind == "revoked"]
        assert behind.cursor() != cursor
        cursor = behind.cursor()

    assert seen == ids
    assert (await world.feed.read(read_cursor(cursor, 16), Wanted(), limit))[0] == []


async def test_who_follows_from_within_an_entry_hears_the_rest_of_it_once(world: World) -> None:
    ids = await revoked_together(world)
    events, _ = await world.feed.read(BEGINNING, REVOKED, 1000)
    follower = Follower(world, BEGINNING.past(events[4]), REVOKED)

    await follower.heard_of(MANY - 5)
    later = await revoked_together(world)
    await follower.heard_of(2 * MANY - 5)

    assert handles(follower.heard) == [*ids[5:], *later]


async def test_a_cursor_within_the_oldest_entry_that_is_kept_has_missed_nothing(backend: Backend) -> None:
    async with World(backend, partitions=1, events_kept=2) as world:
        await revoked_together(world)
        events, _ = await world.feed.read(Places((START,)), Wanted(), 1000)
        within = Places((events[-3].position,))
        [oldest, *_] = await world.redis.xrange(keys.events(0))
        await world.redis.xtrim(keys.events(0), maxlen=1, approximate=False)
        await world.redis.xadd(keys.events(0), {"kind": "used", **dict(list(oldest[1].items())[1:])})

        rest, _ = await world.feed.read(within, REVOKED, 1000)

        assert handles(rest) == handles(events[-2:])
        with pytest.raises(Gone):
            await world.feed.read(Places((events[MANY].position,)), REVOKED, 1000)


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_one_that_cannot_be_read_hides_none_of_the_others(world: World) -> None:
    ids = await revoked_together(world, 4)
    stream = keys.events(keys.partition(ids[0]))
    [(place, entry)] = await world.redis.xrevrange(stream, count=1)
    entry[keys.rest(ids[2]).encode()] = b"r but not as we know it"
    await world.redis.xdel(stream, place)
    ms, _, last = place.decode().partition("-")
    await world.redis.xadd(stream, entry, id=f"{ms}-{int(last) + 3}")

    events, _ = await world.feed.read(BEGINNING, REVOKED, 10)

    assert handles(events) == [ids[0], ids[1], ids[3]]
