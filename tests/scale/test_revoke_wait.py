"""With TOKENLIFE_REVOKE_WAIT a revocation is acknowledged once replicas have it, and not before."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from service.core.errors import Revoked, Unavailable
from service.core.token import Issued
from service.store import keys
from tests import backends
from tests.backends import Real
from tests.groups import ask, replication, wait_for
from tests.servers import Server, binaries, wait_until
from tests.world import World

OWNER = "ann"
Ending = Callable[[World, Issued], Awaitable[object]]


@pytest.fixture(params=backends.REAL)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    """A master and its replica."""
    binary = binaries()[request.param]
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(Server(binary, tcp=True, repl_diskless_sync_delay="0"))
        replica = stack.enter_context(Server(binary, tcp=True, replicaof=f"127.0.0.1 {master.port}"))
        wait_for(lambda: replication(replica)["master_link_status"] == "up")
        yield master, replica


@pytest.fixture
async def world(pair: tuple[Server, Server]) -> AsyncIterator[World]:
    async with World(Real("master", pair[0]), revoke_wait=1, store_timeout_ms=2_000) as made:
        yield made


async def revoke(world: World, issued: Issued) -> object:
    return await world.tokens.revoke(issued.text)


async def revoke_owner(world: World, issued: Issued) -> object:
    return await world.store.revoke_owner("default", issued.token.owner, None, "owner", [], 100, dry=False)


async def rotate(world: World, issued: Issued) -> object:
    return await world.tokens.rotate(issued.text, overlap_ms=60_000)


async def test_what_was_acknowledged_the_replica_has(pair: tuple[Server, Server], world: World) -> None:
    for number in range(20):
        issued = await world.issue(f"{OWNER} {number}")

        await world.tokens.revoke(issued.text)

        id_ = issued.token.id
        assert ask(pair[1], "GET", f"{keys.tag(keys.partition(id_))}t:{keys.short(id_)}").startswith(b"r ")


@pytest.mark.parametrize("end", [revoke, revoke_owner, rotate])
async def test_without_the_replica_nothing_is_acknowledged_but_a_repeat_is_once_it_is_back(
    pair: tuple[Server, Server], world: World, end: Ending
) -> None:
    issued = await world.issue(OWNER)
    pair[1].pause()

    for _ in range(2):  # the second changes nothing, and so writes nothing that it could wait for
        with pytest.raises(Unavailable) as refused:
            await end(world, issued)
        assert refused.value.reason == "replicas"
        assert "repeat it" in refused.value.message
    if end is not rotate:
        with pytest.raises(Revoked):
            await world.tokens.use(issued.text)
    pair[1].resume()

    async def acknowledged() -> bool:
        try:
            await end(world, issued)
        except Unavailable:
            return False
        return True

    await wait_until(acknowledged, timeout_s=15)
    assert await world.story(issued) == (["issued", "rotated"] if end is rotate else ["issued", "revoked"])


@pytest.mark.parametrize("end", [revoke, revoke_owner])
async def test_a_repeat_on_another_connection_is_not_acknowledged_before_the_first_is(
    pair: tuple[Server, Server], world: World, end: Ending
) -> None:
    """It changes nothing; and WAIT asks only about what its own connection has written."""
    issued = await world.issue(OWNER)
    async with World(world.backend, revoke_wait=1, store_timeout_ms=2_000) as other:
        await revoke(other, await other.issue("ben"))
        pair[1].pause()
        with pytest.raises(Unavailable):
            await end(world, issued)

        with pytest.raises(Unavailable) as refused:
            await end(other, issued)

        assert refused.value.reason == "replicas"
        pair[1].resume()


async def test_other_calls_wait_for_nobody(pair: tuple[Server, Server], world: World) -> None:
    pair[1].pause()

    issued = await world.issue(OWNER)
    await world.tokens.use(issued.text)
    await world.tokens.renew(issued.text)

    assert (await world.tokens.peek(issued.text)).uses == 1
    pair[1].resume()


async def test_a_store_that_forgot_the_scripts_is_told_them_again(world: World) -> None:
    issued = await world.issue(OWNER)
    await world.redis.script_flush()

    assert (await world.tokens.revoke(issued.text)).state == "revoked"
