"""The event streams: read on by cursor, told when something was missed, followed by many for the price of one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.core.errors import Gone
from service.core.events import START, Event, Places, Wanted, read_cursor
from service.store import feed, news
from tests import backends
from tests.backends import Backend
from tests.servers import wait_until
from tests.world import World

ALL = Wanted()


class Follower:
    """Follows in a task of its own, and keeps what it hears."""

    def __init__(self, world: World, after: Places, wanted: Wanted = ALL, idle_s: float = 30.0) -> None:
        self.heard: list[Event] = []
        self.idle = 0
        self.behind = after
        self._following = world.feed.follow(after, wanted, idle_s)
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async for chunk in self._following:
            self.idle += not chunk
            for event, behind in chunk:
                self.heard.append(event)
                self.behind = behind

    async def heard_of(self, number: int) -> list[str]:
        await wait_until(lambda: len(self.heard) >= number)
        return [event.token.owner for event in self.heard]

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, 5.0)


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
async def either(
    request: pytest.FixtureRequest, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(feed, "BLOCK_MS", 50)
    backend.protocol = request.param
    async with World(backend, events_kept=10) as world:
        yield world


async def test_both_protocols_read_and_follow_alike(either: World) -> None:
    start = await either.feed.now()
    follower = Follower(either, start)
    await asyncio.sleep(0)

    for owner in "abc":
        await either.issue(owner)

    events, _ = await either.feed.read(start, ALL, 10)
    # Of one millisecond, in no order: it is kept per owner.
    assert sorted(event.token.owner for event in events) == ["a", "b", "c"]
    assert sorted(await follower.heard_of(3)) == ["a", "b", "c"]


async def test_a_cursor_goes_on_exactly_behind_what_was_read(world: World) -> None:
    for number in range(20):
        await world.issue(str(number))
    cursor, seen = Places((START,) * 16).cursor(), []

    for limit in (1, 2, 3, 5, 8, 13):
        events, behind = await world.feed.read(read_cursor(cursor, 16), Wanted(tenant="default"), limit)
        seen += [event.token.owner for event in events]
        cursor = behind.cursor()

    assert sorted(seen, key=int) == [str(number) for number in range(20)]


async def test_a_reader_whose_place_was_trimmed_away_is_told(backend: Backend) -> None:
    async with World(backend, events_kept=10) as world:
        first = await world.issue("ann")
        _, behind = await world.feed.read(Places((START,) * 16), ALL, 100)

        for _ in range(300):
            await world.tokens.renew(first.text)

        with pytest.raises(Gone) as gone:
            await world.feed.read(behind, ALL, 10)
        events, _ = await world.feed.read(read_cursor(gone.value.oldest, 16), ALL, 1000)
        assert 10 <= len(events) < 300
        assert events[-1].token.deadline_at_ms == (await world.tokens.peek(first.text)).deadline_at_ms


async def test_so_is_one_that_began_before_there_was_anything(backend: Backend) -> None:
    """Its place in an empty stream is not 'from the oldest that is kept'."""
    async with World(backend, events_kept=10) as world:
        beginning = read_cursor((await world.feed.now()).cursor(), 16)

        first = await world.issue("ann")
        events, _ = await world.feed.read(beginning, Wanted(owner="ann"), 10)
        assert [event.kind for event in events] == ["issued"]

        for _ in range(300):
            await world.tokens.renew(first.text)
        with pytest.raises(Gone):
            await world.feed.read(beginning, ALL, 10)
        assert await world.feed.read(Places((START,) * 16), ALL, 10)


async def test_nothing_is_gone_while_nothing_was_trimmed(world: World) -> None:
    """The entry that a cursor stands on may be the oldest there is."""
    await world.issue("ann")
    _, behind = await world.feed.read(Places((START,) * 16), ALL, 1)

    for _ in range(3):
        _, behind = await world.feed.read(behind, ALL, 10)

    await world.issue("ann")
    events, _ = await world.feed.read(behind, Wanted(owner="ann"), 10)
    assert [event.kind for event in events] == ["issued"]


async def test_a_follower_catches_up_and_then_hears_each_event_once(world: World) -> None:
    before = await world.feed.now()
    for number in range(5):
        await world.issue(str(number))

    follower = Follower(world, before, Wanted(tenant="default"))
    await follower.heard_of(5)
    for number in range(5, 10):
        await world.issue(str(number))

    assert sorted(await follower.heard_of(10), key=int) == [str(number) for number in range(10)]
    events, _ = await world.feed.read(follower.behind, Wanted(tenant="default"), 10)
    assert events == []


async def test_a_follower_that_leaves_the_ring_behind_reads_on_from_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "KEPT", 4)
    slow = world.feed.follow(await world.feed.now(), Wanted(tenant="default"), 30.0)
    await world.issue("0")
    first = await anext(slow)
    quick = Follower(world, first[-1][1], Wanted(tenant="default"))
    for number in range(1, 40):
        await world.issue(str(number))
    await quick.heard_of(39)

    owners = [event.token.owner for event, _ in first]
    while len(owners) < 40:
        owners += [event.token.owner for event, _ in await anext(slow)]

    assert sorted(owners, key=int) == [str(number) for number in range(40)]
    await slow.aclose()


async def test_one_that_hears_nothing_is_told_so_even_while_others_hear_much(world: World) -> None:
    busy = Follower(world, await world.feed.now(), Wanted(owner="ann"))
    idle = Follower(world, await world.feed.now(), Wanted(owner="nobody"), idle_s=0.05)

    while idle.idle < 2:
        await world.issue("ann")

    assert idle.heard == []
    assert len(await busy.heard_of(1)) >= 1


async def test_closing_ends_all_who_follow(world: World) -> None:
    followers = [Follower(world, await world.feed.now()) for _ in range(3)]
    await asyncio.sleep(0)

    await world.feed.close()

    for follower in followers:
        await follower.ended()


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_a_hundred_followers_cost_the_store_what_one_costs(world: World) -> None:
    """Those who follow from now on, and those who read all that is kept first."""
    places = [await world.feed.now(), Places((START,) * 16)]
    mine = Wanted(tenant="default", owner="ann")
    followers = [Follower(world, places[number % 2], mine) for number in range(100)]
    await world.issue("ann")
    for follower in followers:
        await follower.heard_of(1)
    before = world.commands()

    for number in range(5):
        await world.issue("ann")
        await asyncio.gather(*[follower.heard_of(number + 2) for follower in followers])

    after = world.commands()
    assert after["xread"] - before["xread"] <= 12
    assert after.get("xrange", 0) == before.get("xrange", 0)


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_followers_survive_a_connection_that_breaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAUSE_S", 0.01)
    follower = Follower(world, await world.feed.now(), Wanted(tenant="default"))
    await world.issue("0")
    await follower.heard_of(1)

    with world.backend.plain() as store:
        store.client_kill_filter(_type="normal", skipme=True)

    async def issued() -> bool:
        try:
            await world.issue("1")
        except Exception:
            return False
        return True

    await wait_until(issued)
    assert await follower.heard_of(2) == ["0", "1"]


async def test_followers_survive_a_connection_that_was_closed_a_moment_ago(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop's word for it once ended the reader, and with it every stream, for good."""
    monkeypatch.setattr(feed, "PAUSE_S", 0.01)
    follower = Follower(world, await world.feed.now())
    await world.issue("ann")
    await follower.heard_of(1)
    [node] = await world.feed._blocking.each()
    read, losses = node.redis.xread, list[str]()

    async def lose_one(*words: object, **options: object) -> object:
        if not losses:
            losses.append("lost")
            raise RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed")
        return await read(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(node.redis, "xread", lose_one)
    await wait_until(lambda: losses)
    await world.issue("bob")

    assert await follower.heard_of(2) == ["ann", "bob"]
