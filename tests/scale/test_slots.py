"""Slots move while they are in use: some calls are 503, a repeat heals, and nothing is done by halves."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from service.core.text import partition_of
from service.store import keys
from tests import backends
from tests.chaos import remains
from tests.chaos.traffic import MIX, OWNERS
from tests.groups import Cluster, ask, node_id
from tests.scale.load import Load, load
from tests.servers import Server, wait_until

PARTITIONS = 16
# MIGRATE sends what remains of a life and not when it ends: it lives on for as long as the way took, some ms.
ON_THE_WAY = "accepted after its deadline", "its life ends at"


@pytest.fixture(params=backends.REAL)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(request.param) as formed:
        yield formed


async def test_slots_that_move_in_mid_traffic_are_at_worst_unavailable_for_a_while(cluster: Cluster, seed: int) -> None:
    slots = [key_slot(keys.due(partition).encode()) for partition in busiest()]
    async with load(cluster, seed, MIX) as under:
        await under.succeeds()

        await move_keys(cluster, slots[0], under)
        await under.succeeds(3)
        if cluster.binary == "valkey":
            await move_whole(cluster, slots[1])
        else:
            await move_keys(cluster, slots[1], under)
        await under.succeeds(3)
        await under.stop()
        with cluster.plain() as store:
            await wait_until(lambda: not _due_soon(store), timeout_s=20)
            assert under.service.stop() == 0
            remains.read(store, under.history)
        said = under.service.said()

    assert [one for one in under.violations() if not any(word in f"{one.rule} {one.text}" for word in ON_THE_WAY)] == []
    assert said.count("ERROR") == 0


def busiest() -> list[int]:
    """The partitions, those first in which most of the owners are."""
    found = Counter(partition_of("default", f"owner-{number}", PARTITIONS) for number in range(OWNERS))
    return sorted(range(PARTITIONS), key=lambda partition: -found[partition])


def _ends(cluster: Cluster, slot: int) -> tuple[Server, Server]:
    """From where it moves, and to where."""
    source = cluster.master_of(slot)
    return source, cluster.servers[(cluster.servers.index(source) + 1) % len(cluster.servers)]


async def move_whole(cluster: Cluster, slot: int) -> None:
    """As Valkey 9 can: at one moment."""
    source, target = _ends(cluster, slot)
    ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node_id(target))
    await wait_until(lambda: cluster.taken_over(slot, source), timeout_s=30)


async def move_keys(cluster: Cluster, slot: int, under: Load) -> None:
    """Key by key, as resharding tools do it; while it goes on, some of a partition's keys are here and some there."""
    source, target = _ends(cluster, slot)
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))
    before = under.unavailable
    while names := await asyncio.to_thread(ask, source, "CLUSTER", "GETKEYSINSLOT", slot, 20):
        await asyncio.to_thread(_migrate, source, target, names)
        await wait_until(lambda: under.unavailable > before, timeout_s=30)  # somebody has met it half moved
    for one in (target, source, *cluster.servers):
        ask(one, "CLUSTER", "SETSLOT", slot, "NODE", node_id(target))


def _migrate(source: Server, target: Server, names: list[bytes]) -> None:
    ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *names)


def _due_soon(store: Any) -> int:
    seconds, micros = ask_time(store)
    soon_ms = seconds * 1000 + micros // 1000 + remains.SOON_MS
    return sum(store.zcount(keys.due(partition), "-inf", soon_ms) for partition in range(PARTITIONS))


def ask_time(store: Any) -> tuple[int, int]:
    found = store.time(target_nodes=store.get_default_node())
    return found[0], found[1]
