"""Requests about many tokens go to the store in parts that take turns, so that a use beside them waits for few."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from service.core.errors import Unavailable
from service.core.token import Issued
from service.core.watch import NOTE, Note
from service.store import desk, keys
from service.store.desk import PARTS
from tests import backends
from tests.backends import Real
from tests.servers import Server, binaries, wait_until
from tests.store.test_lane import lane_of
from tests.world import World

SIZE = 2  # tokens of a part, here
NUMBER = PARTS + 4  # parts of a request, here
TIMEOUT_S = 0.5


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "PART", SIZE)


class Door:
    """Between the service and its store: lets calls through, and keeps their answers until they are let go."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []  # the tokens of each, their short handles
        self.notes: list[Note | None] = []  # what is known of the request of each
        self.under_way = self.most = 0
        self.error: Exception | None = None  # what the first has instead of an answer
        self.short = 0  # so many words are missing in the answer of the first, which is not kept
        self._through, self._free = world.link.run_shared, asyncio.Event()
        monkeypatch.setattr(world.link, "run_shared", self.call)
        world.on_close(self.let_go)

    def call(self, verb: str, key: str, *args: Any, **how: Any) -> Awaitable[Any]:
        call = self._through(verb, key, *args, **how)
        self.calls.append(args[2])
        self.notes.append(NOTE.get())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return self._kept(call)

    async def _kept(self, call: Awaitable[Any]) -> Any:
        try:
            answer = await call  # of a caller that has given up nothing is repeated that the store did not know
            error, self.error = self.error, None
            short, self.short = self.short, 0
            if not error and not short:
                await self._free.wait()
        finally:
            self.under_way -= 1
        if error:
            raise error
        return answer[: len(answer) - short]

    async def let_go(self) -> None:
        self._free.set()


class Shop:
    """Tokens, and a caller that uses many of them in one request."""

    def __init__(self, world: World, caller: str, issued: Sequence[Issued]) -> None:
        self._world, self._caller, self.issued = world, caller, issued

    def use(self, issued: Sequence[Issued] = ()) -> asyncio.Future[Any]:
        texts = [one.text for one in issued or self.issued]
        return asyncio.ensure_future(self._world.tokens.many("use", texts, self._caller))

    async def uses(self) -> list[int]:
        return [(await self._world.tokens.peek(one.text)).uses for one in self.issued]


async def shop_of(world: World, requests: int = 1) -> Shop:
    """With so many requests' tokens."""
    caller = await world.caller("tokens:use")
    issued = [await world.issue(str(number), tenant="default") for number in range(requests * NUMBER * SIZE)]
    return Shop(world, caller, issued)


def parts(issued: Sequence[Issued]) -> list[str]:
    """What the calls about these carry."""
    ids = [keys.short(one.token.id) for one in issued]
    return ["".join(ids[at : at + SIZE]) for at in range(0, len(ids), SIZE)]


async def test_never_more_parts_are_under_way_than_may_stand_before_a_use(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, door = await shop_of(world), Door(world, monkeypatch)
    await door.let_go()

    answers = await asyncio.gather(*[shop.use() for _ in range(8)])

    assert [[token.id for token in found] for found in answers] == [[one.token.id for one in shop.issued]] * 8
    assert (door.most, len(door.calls)) == (PARTS, 8 * NUMBER)
    assert await shop.uses() == [8] * len(shop.issued)


async def test_parts_are_sent_in_the_order_in_which_their_requests_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, door = await shop_of(world, requests=3), Door(world, monkeypatch)
    third = len(shop.issued) // 3

    requests = [shop.use(shop.issued[at : at + third]) for at in (0, third, 2 * third)]
    await wait_until(lambda: door.under_way == PARTS)
    await door.let_go()
    await asyncio.gather(*requests)

    assert door.calls == parts(shop.issued)


async def test_a_part_is_of_its_own_request_whoever_made_room_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a call says of itself stands in that request's line."""
    shop, door = await shop_of(world), Door(world, monkeypatch)
    await door.let_go()
    notes, requests = [Note("first"), Note("second")], []

    for note in notes:
        token = NOTE.set(note)
        requests.append(shop.use())
        NOTE.reset(token)
    await asyncio.gather(*requests)

    assert door.notes == [notes[0]] * NUMBER + [notes[1]] * NUMBER


async def test_a_use_waits_for_no_more_than_the_parts_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, other = await shop_of(world), await world.issue()
    door = Door(world, monkeypatch)
    requests = [shop.use() for _ in range(8)]
    await wait_until(lambda: door.under_way == PARTS)

    use = asyncio.ensure_future(world.tokens.use(other.text))
    await wait_until(lambda: keys.short(other.token.id) in door.calls)

    assert door.calls.index(keys.short(other.token.id)) == PARTS
    await door.let_go()
    assert (await use).id == other.token.id
    assert len(await asyncio.gather(*requests)) == 8


async def test_a_part_that_fails_stops_those_of_its_request_that_were_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, door = await shop_of(world), Door(world, monkeypatch)
    door.error = Unavailable("ConnectionError")

    with pytest.raises(Unavailable):
        await shop.use()
    sent = list(door.calls)
    next_one = shop.use()
    await door.let_go()
    await next_one

    assert sent == parts(shop.issued)[:PARTS]
    assert door.calls == [*sent, *parts(shop.issued)]
    assert await shop.uses() == [2] * PARTS * SIZE + [1] * (NUMBER - PARTS) * SIZE


async def test_callers_that_give_up_leave_room_once_what_they_sent_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, door = await shop_of(world), Door(world, monkeypatch)
    gone = [shop.use() for _ in range(3)]
    await wait_until(lambda: door.under_way == PARTS)

    for one in gone:
        one.cancel()
    ends = await asyncio.gather(*gone, return_exceptions=True)
    patient = shop.use()
    await door.let_go()
    await patient

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
    assert door.calls == [*parts(shop.issued)[:PARTS], *parts(shop.issued)]
    assert door.most == PARTS


async def test_answers_that_cannot_be_read_stop_those_that_were_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part has gone out when the answers of another made room for it, before they were read."""
    shop, door = await shop_of(world), Door(world, monkeypatch)
    door.short = 3

    with pytest.raises(ValueError, match="shorter"):
        await shop.use()
    await door.let_go()
    await world.store.close()

    assert door.calls == parts(shop.issued)[: PARTS + 1]


async def test_a_store_that_closes_waits_for_the_parts_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, door = await shop_of(world), Door(world, monkeypatch)
    request = shop.use()
    await wait_until(lambda: door.under_way == PARTS)
    request.cancel()

    closing = asyncio.ensure_future(world.store.close())
    early, _ = await asyncio.wait({closing}, timeout=0.05)
    await door.let_go()
    await closing

    assert (early, door.under_way) == (set(), 0)


async def test_parts_that_cannot_even_be_sent_leave_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some at once, and those whose turn comes when others are over."""
    shop, door = await shop_of(world), Door(world, monkeypatch)
    scripts, ready = world.link.scripts, world.link.scripts._scripts
    turning = shop.use()
    await wait_until(lambda: door.under_way == PARTS)

    scripts._scripts = {}
    await door.let_go()
    ends = await asyncio.gather(turning, *[shop.use() for _ in range(2)], return_exceptions=True)
    scripts._scripts = ready
    await shop.use()

    assert [getattr(end, "reason", end) for end in ends] == ["starting"] * 3
    assert door.calls == [*parts(shop.issued)[:PARTS], *parts(shop.issued)]


async def test_when_the_connection_is_lost_the_next_request_finds_room_and_nothing_else_is_sent(world: World) -> None:
    shop = await shop_of(world)
    await world.tokens.peek(shop.issued[0].text)

    lost, lane = shop.use(), lane_of(world)
    while not lost.done() and (lane._line is None or len(lane._line._asked) < PARTS):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)  # they are answered at once: any rest would be too long
    lane.drop()

    with pytest.raises(Unavailable):
        await lost
    await shop.use()
    assert (await shop.uses())[PARTS * SIZE :] == [1] * (NUMBER - PARTS) * SIZE


async def test_what_nobody_waits_for_any_more_is_not_written_when_there_is_a_connection(world: World) -> None:
    lane = lane_of(world)
    await lane.call("ECHO", "open")
    lane.drop()
    waiting = [True]

    call = lane.call("SET", "word", "x", given_up=lambda: not waiting)
    waiting.clear()

    with pytest.raises(TimeoutError):
        await call
    assert await lane.call("EXISTS", "word") == 0


@pytest.mark.parametrize("name", backends.REAL)
async def test_before_a_frozen_store_nobody_waits_longer_than_the_timeout_and_what_was_not_sent_never_is(
    name: str,
) -> None:
    """The others come when half of the time of the first is over, and so have half of theirs left when the connection
    is dropped: enough to wait for a new one, which is there only after they were told."""
    with Server(binaries()[name]) as server:
        backend = Real(name, server)
        async with World(backend) as patient, World(backend, store_timeout_ms=int(TIMEOUT_S * 1000)) as world:
            issued = (await shop_of(patient)).issued
            shop = Shop(world, await patient.caller("tokens:use"), issued)
            await world.tokens.peek(issued[0].text)

            server.pause()
            first = [asyncio.ensure_future(took(shop.use())) for _ in range(15)]
            await asyncio.sleep(TIMEOUT_S / 2)
            others = [asyncio.ensure_future(took(shop.use())) for _ in range(15)]
            seconds = await asyncio.gather(*first, *others)
            server.resume()
            await world.store.close()  # when what is under way is over

            uses = await Shop(patient, "", issued).uses()
            await shop.use()

    assert max(seconds) < 2 * TIMEOUT_S
    assert max(uses) <= 1
    assert uses[PARTS * SIZE :] == [0] * (NUMBER - PARTS) * SIZE


async def took(use: Awaitable[Any]) -> float:
    """How long it was until the store was said to be unavailable, seconds."""
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await use
    return time.monotonic() - started
