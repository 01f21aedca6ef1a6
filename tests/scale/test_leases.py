"""Three instances share the sweep; what one that is killed leaves behind is swept by the others within 5 s."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
import redis

from tests.api.calls import Caller, calling
from tests.servers import Server, Service, wait_until
from tests.world import ADMIN, SIGNING_KEYS

MOVED_S = 5.0


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def three(store: Server) -> Iterator[list[Service]]:
    with contextlib.ExitStack() as stack:
        keys = ",".join(SIGNING_KEYS)
        services = [
            Service(redis_url=store.url, signing_keys=keys, admin_token=ADMIN, log_level="WARNING") for _ in range(3)
        ]
        for one in services:
            stack.enter_context(one)
        yield services


async def test_three_instances_do_the_work_of_one_and_a_killed_ones_share_moves(
    store: Server, three: list[Service]
) -> None:
    with redis.Redis.from_url(store.url) as plain:
        await wait_until(lambda: sorted(_shares(plain).values()) == [4, 6, 6], timeout_s=20)
        before = set(_shares(plain))
        # Each call looks at a third of the 16 partitions; for a while after its start an instance looks at all.
        await wait_until(lambda: _few(plain), timeout_s=20)

        killed = time.monotonic()
        await asyncio.to_thread(three[0].kill)
        await wait_until(lambda: len(before & set(_shares(plain))) == 2, timeout_s=10)
        took_s = time.monotonic() - killed

        assert sorted(_shares(plain).values()) == [8, 8]
        assert took_s <= MOVED_S
    async with calling(three[1].url, ADMIN) as admin:
        made = [await admin.issue(f"owner-{number}", life_ms=200) for number in range(40)]
        await wait_until(lambda: _told(admin, {one["id"] for one in made}), timeout_s=10)
        late = [event["data"]["lag_ms"] for event in await admin.events(type="expired", limit=1000)]
    assert median(late) <= 100


def _shares(plain: Any) -> Counter[bytes]:
    """How many partitions each has."""
    leases = plain.hgetall("tl:leases")
    return Counter(owner for name, owner in leases.items() if not name.startswith(b"@"))


async def _looked_at(plain: Any) -> float:
    """Partitions that one call of the sweep looks at, in the next half second."""
    first = plain.info("commandstats")
    await asyncio.sleep(0.5)
    then = plain.info("commandstats")
    looks, calls = (then[name]["calls"] - first[name]["calls"] for name in ("cmdstat_zrange", "cmdstat_evalsha"))
    return float(looks) / float(calls)


async def _few(plain: Any) -> bool:
    return await _looked_at(plain) < 7


async def _told(caller: Caller, ids: set[str]) -> bool:
    return ids <= {event["subject"] for event in await caller.events(type="expired", limit=1000)}
