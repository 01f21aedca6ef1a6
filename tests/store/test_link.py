"""Deadlines of the link, and what becomes of the store's refusals."""

import asyncio
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.core.errors import Unavailable
from service.store.connect import agree_on_partitions, allow_oom
from service.store.link import Link
from tests import backends
from tests.backends import Backend
from tests.servers import wait_until
from tests.world import World

CLOSED_JUST_NOW = "unable to perform operation on <UnixTransport closed=True reading=False>; the handler is closed"

real = pytest.mark.parametrize("backend", backends.REAL, indirect=True)


async def test_a_call_that_takes_too_long_is_unavailable_but_goes_on(world: World) -> None:
    """It may take effect whether or not anybody waits for it; and redis-py on Python 3.11 loses cancellations."""
    link = Link(world.link.nodes, world.link.scripts, 0.05)
    free, ended = asyncio.Event(), []

    async def call() -> None:
        await free.wait()
        ended.append("by itself")

    started = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        await link.within(call())
    took_s = time.monotonic() - started
    free.set()
    await wait_until(lambda: ended)

    assert refused.value.reason == "timeout"
    assert took_s >= 0.05
    assert ended == ["by itself"]


async def test_a_caller_that_is_cancelled_does_not_cancel_the_call(world: World) -> None:
    free, ended = asyncio.Event(), []

    async def call() -> None:
        await free.wait()
        ended.append("by itself")

    waiting = asyncio.ensure_future(world.link.within(call()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    free.set()

    await wait_until(lambda: ended)
    assert ended == ["by itself"]


async def test_a_failure_is_unavailable_and_says_its_kind_only(world: World) -> None:
    async def call() -> None:
        raise RedisConnectionError("secrets of redis://user:password@host")

    with pytest.raises(Unavailable) as refused:
        await world.link.within(call())

    assert refused.value.reason == "ConnectionError"
    assert "password" not in repr(refused.value) + str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("bug", [KeyError("a bug"), RuntimeError("a bug")])
async def test_a_fault_of_ours_is_not_called_an_outage(world: World, bug: Exception) -> None:
    async def call() -> None:
        raise bug

    with pytest.raises(type(bug)):
        await world.link.within(call())


async def test_a_connection_that_was_closed_a_moment_ago_is_an_outage(world: World) -> None:
    """uvloop has no OSError for it, which is all that redis-py would take for the loss of a connection."""

    async def call() -> None:
        raise RuntimeError(CLOSED_JUST_NOW)

    with pytest.raises(Unavailable) as refused:
        await world.link.within(call())

    assert refused.value.reason == "ConnectionError"


@real
async def test_on_a_replica_writes_are_unavailable_until_it_is_a_primary_again(world: World) -> None:
    """After a failover the old connections still lead to what is a replica now."""
    issued = await world.issue("ann")
    world.on_close(world.redis.replicaof, "NO", "ONE")
    await world.redis.replicaof("127.0.0.1", "1")

    with pytest.raises(Unavailable) as refused:
        await world.tokens.use(issued.text)
    assert refused.value.reason == "ReadOnlyError"
    assert not [one for one in world.redis.connection_pool._available_connections if one.is_connected]

    await world.redis.replicaof("NO", "ONE")
    assert (await world.tokens.use(issued.text)).uses == 1


@real
async def test_a_connection_that_was_killed_is_replaced(world: World) -> None:
    issued = await world.issue("ann")
    with world.backend.plain() as store:
        store.client_kill_filter(_type="normal", skipme=True)

    async def works() -> bool:
        try:
            return (await world.tokens.use(issued.text)).state == "active"
        except Unavailable:
            return False

    await wait_until(works)


@real
async def test_a_store_that_is_not_there_is_unavailable_at_once(backend: Backend) -> None:
    async with World(backends.nobody(backend), ready=False) as world:
        started = time.monotonic()

        with pytest.raises(Unavailable):
            await world.link.within(world.redis.ping())

        assert not await world.link.answers()
        assert time.monotonic() - started < world.link.timeout_s


@real
async def test_a_full_store_says_so_and_what_it_holds_works_on(world: World) -> None:
    """On Redis 7 and later.  Not even a service that starts anew wants room of it."""
    world.link.scripts.say_allow_oom(allowed=await allow_oom(world.link))
    used, ended = await world.issue("ann"), await world.issue("ann")
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    await agree_on_partitions(world.link, 16)
    with pytest.raises(Unavailable, match="The token store is full") as refused:
        await world.issue("ben")

    assert refused.value.reason == "OutOfMemoryError"
    assert (await world.tokens.use(used.text)).uses == 1
    assert (await world.tokens.renew(used.text)).state == "active"
    assert (await world.tokens.revoke(ended.text)).state == "revoked"


async def test_a_store_without_a_disk_says_so(world: World) -> None:
    async def call() -> None:
        raise ResponseError("MISCONF Errors writing to the AOF file: No space left on device")

    with pytest.raises(Unavailable, match="cannot write to its disk"):
        await world.link.within(call())
