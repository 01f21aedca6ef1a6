"""The store has no memory left."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests import leaks
from tests.api.calls import calling
from tests.chaos.checker import Rules
from tests.chaos.scenario import REDIS, Chaos, Run
from tests.chaos.traffic import MIX, SHORT_MS, Traffic
from tests.servers import Server, wait_until

pytestmark = pytest.mark.chaos

ROOM = 50_000  # bytes that are left when the limit is set
GONE_ON = 20  # successes of each verb that needs no room
EVICTED = 100  # at least
BRIEF = 50  # tokens whose lives run out
UNTOLD_S = 10.0  # the service looks every second
LONG_LIVES = {kind: share for kind, share in MIX.items() if kind != "issue_short"} | {"issue": 30, "revoke_owner": 2}


def limit(store: Any, more: int) -> None:
    store.config_set("maxmemory", store.info("memory")["used_memory"] + more)


async def test_a_full_store_takes_nothing_new_and_what_it_holds_works_on(chaos: Chaos) -> None:
    """Also for a service that starts while it is full."""
    store, rules = Server(REDIS, maxmemory_policy="noeviction"), Rules(silent=True)
    async with chaos("maxmemory, noeviction", store=store, rules=rules, mix={**MIX, "issue": 30}) as run:
        await run.busy(2 * GONE_ON)
        with run.fault(), run.plain() as plain:
            await asyncio.to_thread(limit, plain, ROOM)
            await wait_until(lambda: run.outcomes()[503], 20)
            full = run.mark("it is full")
            await asyncio.to_thread(limit, plain, -ROOM)
            await wait_until(lambda: _goes_on(run, full), 20)
            failed = [one for one in run.history.operations if one.status >= 500 and one.began > full]
            async with calling(run.service.url) as admin:
                refused = await admin.post("/v1/tokens", {"owner": "owner-0"})
            await asyncio.to_thread(run.service.restart)
            again = run.mark("it was started again")
            await wait_until(lambda: _goes_on(run, again), 20)
            plain.config_set("maxmemory", 0)
        await run.busy()

    assert (refused.status, refused.code) == (503, "unavailable")
    assert "full" in refused.json["detail"]
    assert {(one.verb, one.status, one.code) for one in failed} == {("issue", 503, "unavailable")}


def _goes_on(run: Run, since: float) -> bool:
    done = run.traffic.done(since)
    return min(number for verb, number in done.items() if verb not in ("issue", "revoke_owner")) >= GONE_ON


@pytest.mark.parametrize("policy", ["volatile-ttl", "volatile-lru"])
async def test_a_store_that_evicts_is_warned_of_and_what_it_evicted_is_told_from_what_expired(
    chaos: Chaos, policy: str, seed: int
) -> None:
    """What would have expired within the second in which the service finds out is told to have done so."""
    store = Server(REDIS, maxmemory_policy=policy)
    async with chaos(f"maxmemory, {policy}", store=store, rules=Rules(evictions=True), mix=LONG_LIVES,
                     log_level="WARNING") as run:  # fmt: skip
        brief = Traffic(run.service.url, run.history, random.Random(seed), {"issue_short": 10, "use": 10}, users=4)
        await wait_until(lambda: len(brief.live) >= BRIEF, 20)
        await brief.stop()
        over = time.monotonic() + SHORT_MS[1] / 1000 + 1
        await run.busy()
        await wait_until(lambda: time.monotonic() > over)
        with run.fault(), run.plain() as plain, plain.pubsub() as channel:
            evicted = Evicted(plain, channel)
            await asyncio.to_thread(limit, plain, ROOM)
            await wait_until(lambda: len(evicted.lives()) >= EVICTED, 20)
            plain.config_set("maxmemory", 0)
            await wait_until(lambda: asyncio.to_thread(_all_told, plain), UNTOLD_S)
            await wait_until(evicted.heard_all)
            lives = evicted.lives()
        await run.busy()
        await run.traffic.stop()
        async with calling(run.service.url) as admin:
            events = await admin.events(type="expired", limit=1_000)

    ends = Counter(one.ended_by for one in run.history.kept if one.state == "expired")
    gone = Counter(one.ended_by for one in run.history.kept if one.id.replace("-", "") in lives)
    assert f"the store may evict live tokens: maxmemory-policy is {policy}" in run.said
    assert "the store evicted live tokens" in run.said
    assert gone.total() == len(lives) >= EVICTED
    assert gone.keys() <= {"evicted", "rotated"}  # a rotated text ends as one, however its life went
    assert ends["evicted"] == gone["evicted"]
    assert ends["life"] >= BRIEF / 2  # others were revoked with their owners
    assert Counter(event["data"]["ended_by"] for event in events) == ends


class Evicted:
    """The keys that the store says it evicts: lives, and others that have a TTL, as those of replays."""

    def __init__(self, store: Any, channel: Any) -> None:
        self._store, self._channel, self._keys = store, channel, list[str]()
        store.config_set("notify-keyspace-events", "Ee")
        channel.subscribe("__keyevent@0__:evicted")

    def lives(self) -> set[str]:
        """The ids of the lives among those that were heard of so far."""
        while said := self._channel.get_message():
            self._keys += [said["data"].decode()] if said["type"] == "message" else []
        return {key.rpartition(":")[2] for key in self._keys if "}:l:" in key}

    def heard_all(self) -> bool:
        self.lives()
        return len(self._keys) == int(self._store.info("stats")["evicted_keys"])


def _all_told(store: Any) -> bool:
    """Whether no token is held to be active that has no life.  Read twice: one that ends in between is none."""
    return not (_lifeless(store) & _lifeless(store))


def _lifeless(store: Any) -> set[str]:
    scan = leaks.Scan(store)
    return {place for place, row in scan.records.items() if row.state == "active" and place not in scan.ends}
