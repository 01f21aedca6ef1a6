"""A master is killed under load: service resumes by itself, and what was acknowledged as revoked stays so."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from service.store import keys
from tests.groups import Cluster, Trio
from tests.scale.load import load
from tests.servers import wait_until

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

    assert 503 in under.statuses
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
    assert 503 in under.statuses
    assert under.violations(*NEVER) == []
