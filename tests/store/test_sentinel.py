"""The master is the one that the latest of the sentinels names; none of them is waited for longer than it takes."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from service.core.errors import Unavailable
from service.store.connect import client
from service.store.link import Link
from service.store.scripts import Scripts
from service.store.sentinel import SPREAD_S
from tests.groups import MASTER, NEVER_MS, ask, wait_for
from tests.servers import Server, binaries, wait_until

TIMEOUT_S = 1.0


@pytest.fixture
def masters() -> Iterator[tuple[Server, Server]]:
    """The old one, which takes nothing without a replica, and the new one.  Each knows its name."""
    with Server(tcp=True, min_replicas_to_write="1") as old, Server(tcp=True) as new:
        ask(new, "SET", "name", "new")
        yield old, new


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as held:
        yield held


def sentinel(master: Server, epoch: int) -> Server:
    """One by itself, that names this master as of that epoch, and never finds it down."""
    one = Server(binaries()["valkey"], tcp=True)
    file = one.room / "sentinel.conf"
    file.write_text(
        f"port {one.port}\nbind 127.0.0.1\ndir {one.room}\nsentinel monitor {MASTER} 127.0.0.1 {master.port} 3\n"
        f"sentinel down-after-milliseconds {MASTER} {NEVER_MS}\nsentinel config-epoch {MASTER} {epoch}\n"
    )
    one.command = [one.command[0], str(file), "--sentinel"]
    return one


@contextlib.asynccontextmanager
async def linked(sentinels: Sequence[Server]) -> AsyncIterator[Link]:
    seats = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
    link = Link(client(f"redis+sentinel://{seats}/{MASTER}", TIMEOUT_S), Scripts(0, 0), TIMEOUT_S)
    try:
        yield link
    finally:
        await link.close()


def started(stack: contextlib.ExitStack, *named: tuple[Server, int]) -> list[Server]:
    ones = [stack.enter_context(sentinel(master, epoch)) for master, epoch in named]
    for one in ones:
        wait_for(lambda one=one: ask(one, "SENTINEL", "MASTERS"))  # type: ignore[misc]
    return ones


@pytest.mark.parametrize("silent", [0, 1, 2])
async def test_a_sentinel_that_is_silent_keeps_nobody_from_the_master(
    masters: tuple[Server, Server], stack: contextlib.ExitStack, silent: int
) -> None:
    sentinels = started(stack, *[(masters[1], 1)] * 3)
    sentinels[silent].pause()

    async with linked(sentinels) as link:
        await link.within(link.nodes.find(""))
        lane = await link.within((await link.nodes.each())[0].lane.call("GET", "name"))
        pool = await link.at("name", lambda redis: redis.get("name"))
        sentinels[silent].resume()

    assert (lane, pool) == (b"new", b"new")


async def test_a_minority_is_believed_where_the_others_are_silent(
    masters: tuple[Server, Server], stack: contextlib.ExitStack
) -> None:
    sentinels = started(stack, *[(masters[1], 1)] * 3)
    for one in sentinels[1:]:
        one.pause()

    async with linked(sentinels) as link:
        assert await link.within((await link.nodes.each())[0].lane.call("GET", "name")) == b"new"
        for one in sentinels[1:]:
            one.resume()


@pytest.mark.parametrize("stale", [{0}, {1}, {2}, {0, 1}, {1, 2}])
async def test_one_that_was_cut_off_or_has_not_heard_of_it_yet_is_not_believed(
    masters: tuple[Server, Server], stack: contextlib.ExitStack, stale: set[int]
) -> None:
    old, new = masters
    sentinels = started(stack, *[(old, 1) if number in stale else (new, 2) for number in range(3)])

    async with linked(sentinels) as link:
        assert await link.at("name", lambda redis: redis.get("name")) == b"new"


async def test_what_one_has_named_holds_while_it_is_silent_and_the_others_lag(
    masters: tuple[Server, Server], stack: contextlib.ExitStack
) -> None:
    old, new = masters
    ahead, *lagging = started(stack, (new, 2), (old, 1), (old, 1))

    async with linked([ahead, *lagging]) as link:
        first = await link.at("name", lambda redis: redis.get("name"))
        ahead.pause()
        [node] = await link.nodes.each()
        await node.drop()
        again = await link.at("name", lambda redis: redis.get("name"))
        ahead.resume()

    assert (first, again) == (b"new", b"new")


async def test_sentinels_that_were_set_up_anew_are_believed_though_they_count_from_0(
    masters: tuple[Server, Server], stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.sentinel.SPREAD_S", 0.0)
    old, new = masters
    sentinels = started(stack, *[(old, 7)] * 3)

    async with linked(sentinels) as link:
        await link.at("name", lambda redis: redis.get("name"))
        for one in sentinels:
            ask(one, "SENTINEL", "REMOVE", MASTER)
            ask(one, "SENTINEL", "MONITOR", MASTER, "127.0.0.1", new.port, 3)
        [node] = await link.nodes.each()
        await node.drop()
        name = await link.at("name", lambda redis: redis.get("name"))

    assert name == b"new"


async def test_a_master_without_its_replicas_is_left_for_its_successor(
    masters: tuple[Server, Server], stack: contextlib.ExitStack
) -> None:
    """Its connections are sound: nothing else would make anybody ask again."""
    old, new = masters
    sentinels = started(stack, *[(old, 1)] * 3)
    async with linked(sentinels) as link:
        with pytest.raises(Unavailable, match="too few replicas"):
            await link.at("a", lambda redis: redis.set("a", 1))
        for one in sentinels:
            ask(one, "SENTINEL", "REMOVE", MASTER)
            ask(one, "SENTINEL", "MONITOR", MASTER, "127.0.0.1", new.port, 3)

        async def taken() -> bool:
            with contextlib.suppress(Unavailable):
                return bool(await link.at("a", lambda redis: redis.set("a", 1)))
            return False

        await wait_until(taken, timeout_s=SPREAD_S + 5)
        assert await link.within((await link.nodes.each())[0].lane.call("GET", "name")) == b"new"
