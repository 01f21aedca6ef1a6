"""The proxy breaks what it says, and only that: each reply goes to its own command, whatever happens around it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as Late

from service.store.connect import client
from service.store.lane import Lane
from tests.chaos.proxy import BlackHole, Canned, Cut, Delay, Fault, Proxy, Reset
from tests.servers import Server, wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
async def proxy(store: Server) -> AsyncIterator[Proxy]:
    async with Proxy(store) as between:
        yield between


@pytest.fixture
async def redis(proxy: Proxy) -> AsyncIterator[Redis]:
    nodes = client(proxy.url, 0.3)
    [node] = await nodes.each()
    yield node.redis
    await nodes.close()


@pytest.fixture
def dice(seed: int) -> random.Random:
    return random.Random(seed)


async def test_unbroken_it_passes_on_what_comes_in_order(redis: Redis) -> None:
    lane = Lane(redis, 5.0)

    answers = await asyncio.gather(*[lane.call("ECHO", "x" * number) for number in range(0, 2000, 7)])

    assert [len(answer) for answer in answers] == list(range(0, 2000, 7))
    await lane.close()


async def test_a_delay_takes_its_time_and_loses_nothing(proxy: Proxy, redis: Redis, dice: random.Random) -> None:
    await redis.ping()
    loop = asyncio.get_running_loop()
    started = loop.time()

    with proxy.under(Delay(0.02, jitter_s=0.01, dice=dice)) as delay:
        assert await redis.echo("hello") == b"hello"

    assert loop.time() - started >= 0.04
    assert delay.times == 2


async def test_a_reply_that_is_cut_is_a_lost_connection_and_the_command_was_carried_out(
    proxy: Proxy, redis: Redis, dice: random.Random
) -> None:
    await redis.ping()

    with proxy.under(Cut(1.0, dice)), pytest.raises(Lost):
        await redis.set("a", "1")

    assert await redis.get("a") == b"1"


async def test_a_reset_is_a_lost_connection(proxy: Proxy, redis: Redis, dice: random.Random) -> None:
    await redis.ping()

    with proxy.under(Reset(1.0, dice)), pytest.raises((Lost, OSError)):
        await redis.set("a", "1")

    assert await redis.get("a") is None


@pytest.mark.parametrize("replies", [False, True])
async def test_what_fell_into_a_black_hole_arrives_when_it_is_gone(proxy: Proxy, redis: Redis, replies: bool) -> None:
    await redis.ping()

    with proxy.under(BlackHole(replies=replies)):
        with pytest.raises(Late):
            await redis.incr("a")
        with pytest.raises((Late, Lost)):  # and a new connection does not get any further
            await redis.incr("a")

    await wait_until(lambda: _is(redis, "a", b"1"))
    assert await redis.incr("a") == 2


async def test_a_canned_error_comes_in_its_turn(proxy: Proxy, redis: Redis) -> None:
    """Given before what the store still owes, it would be taken for that."""
    lane = Lane(redis, 5.0)
    await lane.call("PING")

    with proxy.under(BlackHole(replies=True)) as hole:
        slow = lane.call("ECHO", "slow")
        await wait_until(lambda: hole.times)
        with proxy.under(Canned("READONLY You can't write against a read only replica.")) as canned:
            refused = lane.call("SET", "a", "1")
            await wait_until(lambda: canned.times)
            early = refused.done()
            hole.over.set()
            with pytest.raises(ReadOnlyError):
                await refused

    assert not early
    assert await slow == b"slow"
    assert await lane.call("GET", "a") is None
    await lane.close()


async def test_no_fault_is_left_behind(proxy: Proxy, redis: Redis) -> None:
    with proxy.under(Canned("LOADING")):
        pass

    assert await redis.ping()
    assert type(proxy._fault) is Fault


async def _is(redis: Redis, name: str, value: bytes) -> bool:
    return await redis.get(name) == value
