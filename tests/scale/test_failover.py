"""A master is killed under load: service resumes by itself, and what was acknowledged as revoked stays so."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Iterator

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.crc import key_slot

from service.core.errors import Revoked, Unavailable
from service.store import keys
from service.store.sentinel import Sentinels
from tests.backends import Several
from tests.groups import MASTER, Cluster, Trio, ask, replication, wait_for
from tests.scale.load import load
from tests.servers import Server, wait_until
from tests.world import World

MIX = {"issue": 10, "use": 20, "peek": 5, "revoke": 20, "ended": 20}
NEVER = (
    "accepted after an acknowledged revoke", "another's answer", "not answered", "failed, but not as unavailable",
    "refused for no reason",
)  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(replicas=1, patience_ms=2_000) as formed:
        yield formed


@pytest.fixture
def trio() -> Iterator[Trio]:
    with Trio(replicas=2, patience_ms=1_500) as formed:
        yield formed


@pytest.mark.chaos
async def test_a_master_of_a_cluster_is_killed(cluster: Cluster, seed: int) -> None:
    slots = {partition: key_slot(keys.due(partition).encode()) for partition in range(16)}
    old = cluster.master_of(slots[0])
    its = {partition for partition, slot in slots.items() if cluster.master_of(slot) is old}
    async with load(cluster, seed, MIX, revoke_wait=1) as under:
        await under.succeeds()

        killed = time.monotonic()
        await asyncio.to_thread(old.kill)
        await wait_until(lambda: cluster.taken_over(slots[0], old), timeout_s=60)
        # It comes back as the replica that its successor's revocations wait for.
        await asyncio.to_thread(old.start)
        back = time.monotonic()
        for verb in ("issue", "use", "revoke"):
            await wait_until(lambda verb=verb: under.done(verb, its, back) >= 3, timeout_s=60)  # type: ignore[misc]
        await wait_until(lambda: under.asked_again(killed, back) >= 10, timeout_s=60)

    assert under.unavailable
    assert under.violations(*NEVER) == []


@pytest.mark.chaos
async def test_the_master_that_sentinel_minds_is_killed(trio: Trio, seed: int) -> None:
    old = trio.master()
    async with load(trio, seed, MIX, revoke_wait=1) as under:
        await under.succeeds()

        killed = time.monotonic()
        await asyncio.to_thread(old.kill)
        await under.succeeds()
        back = time.monotonic()
        await wait_until(lambda: under.asked_again(killed, back) >= 10, timeout_s=60)

    assert trio.master() is not old
    assert under.unavailable
    assert under.violations(*NEVER) == []


@pytest.mark.chaos
async def test_the_master_that_sentinel_minds_is_frozen_and_thaws_when_another_has_taken_over(
    trio: Trio, seed: int
) -> None:
    """Until it is told, it takes itself for the master, and knows nothing of what was revoked meanwhile."""
    old = trio.master()
    async with load(trio, seed, MIX, revoke_wait=1) as under:
        await under.succeeds()

        frozen = time.monotonic()
        old.pause()
        await under.succeeds()
        thawed = time.monotonic()
        old.resume()
        await wait_until(lambda: replication(old)["role"] == "slave", timeout_s=60)
        await wait_until(lambda: under.asked_again(thawed, thawed) >= 20, timeout_s=60)
        assert under.asked_again(frozen, thawed)

    assert trio.master() is not old
    assert under.violations(*NEVER) == []


@pytest.mark.chaos
async def test_once_another_master_is_known_nobody_asks_the_old_one_on_an_old_connection(trio: Trio) -> None:
    backend, old = Several("trio", trio), trio.master()
    async with World(backend, store_timeout_ms=1_000) as idle, World(backend, store_timeout_ms=1_000) as busy:
        issued = await idle.issue()
        await idle.tokens.use(issued.text)
        wait_for(lambda: ask(old, "WAIT", 2, 1_000) == 2)
        old.pause()
        await wait_until(lambda: _asked(idle.link.answers()), timeout_s=60)
        await wait_until(lambda: _asked(busy.tokens.revoke(issued.text)), timeout_s=60)
        old.resume()

        with pytest.raises(Revoked):
            await idle.tokens.use(issued.text)


@pytest.mark.chaos
async def test_a_connection_that_is_being_made_to_the_old_one_leads_to_the_new_one_when_it_thaws(trio: Trio) -> None:
    backend, old = Several("trio", trio), trio.master()
    async with World(backend, store_timeout_ms=20_000) as slow, World(backend, store_timeout_ms=1_000) as busy:
        issued = await slow.issue()
        wait_for(lambda: ask(old, "WAIT", 2, 1_000) == 2)
        [node] = await slow.link.nodes.each()
        await node.drop()
        old.pause()
        use = asyncio.create_task(slow.tokens.use(issued.text))
        await wait_until(lambda: _asked(busy.tokens.revoke(issued.text)), timeout_s=60)
        assert await slow.link.answers()
        assert not use.done()
        old.resume()

        with pytest.raises(Revoked):
            await use


@pytest.mark.chaos
async def test_a_master_that_thaws_is_not_named_again_by_the_sentinel_that_still_leads_the_failover() -> None:
    """It lists the new epoch beside the old address until all replicas follow the new master."""
    with Trio(replicas=2, patience_ms=3_000) as trio:
        old, names = trio.master(), list[int]()
        seats = [("127.0.0.1", one.announced) for one in trio.sentinels]
        sentinels = Sentinels(seats, timeout_s=1.0)

        async def another() -> bool:
            with contextlib.suppress(MasterNotFoundError):
                names[:] = [(await sentinels.discover_master(MASTER))[1]]
            return names not in ([], [old.announced])

        async def misleading() -> bool:
            names.append((await sentinels.discover_master(MASTER))[1])
            return any(_leads(one, old) for one in trio.sentinels)

        old.pause()
        await wait_until(another, timeout_s=60)
        [named] = names
        [other] = [one for one in trio.servers if one.announced not in (old.announced, named)]
        other.pause()  # so that it leads until this one is down for it
        old.resume()
        await wait_until(misleading, timeout_s=60)
        for _ in range(20):
            await misleading()
        other.resume()
        await sentinels.aclose()

    assert set(names) == {named}


def _leads(sentinel: Server, old: Server) -> bool:
    """A failover, and takes the old master for sound."""
    with sentinel.plain() as client:
        state = client.sentinel_masters()[MASTER]
    return bool(state["port"] == old.announced and state["flags"] == "master,failover_in_progress")


async def _asked(call: Awaitable[object]) -> bool:
    try:
        return bool(await call)
    except Unavailable:
        return False
