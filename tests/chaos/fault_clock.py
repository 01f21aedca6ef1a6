"""The clock of the store's host is set, forwards and back.

libfaketime shows the store another time than everybody else's; of the servers only the packaged Valkey starts under it.
"""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.api.calls import Caller, calling
from tests.chaos.checker import Rules
from tests.chaos.history import Operation
from tests.chaos.scenario import Chaos, Run
from tests.chaos.traffic import LONG_MS
from tests.servers import Server

pytestmark = pytest.mark.chaos

PLACES = ("/usr/lib/*/faketime", "/usr/lib*/faketime", "/usr/local/lib/faketime")
MINUTE_S = 60
STEP_S = LONG_MS // 1000 + MINUTE_S  # longer than any life here
SEVERAL = 20


class Dated(Server):
    """A store whose clock can be set."""

    def __init__(self) -> None:
        super().__init__(appendonly="yes")
        self._file = self.room / "clock"
        self.set(0)
        self.environment = {
            **os.environ, "LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a step of the clock is none of what counts from the boot
        }  # fmt: skip

    def set(self, ahead_s: float) -> None:
        """ahead_s: of our own clock."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead_s:+g}\n")
        fresh.rename(self._file)


def library() -> str:
    for place in PLACES:
        for found in Path("/").glob(f"{place[1:]}/libfaketime.so.1"):
            return str(found)
    pytest.fail("libfaketime is missing (Debian: apt-get install libfaketime)")


async def step(run: Run, store: Dated, ahead_s: float) -> None:
    run.mark(f"the clock is {ahead_s:+g} s")
    store.set(ahead_s)
    await run.clock.look()


async def test_a_clock_that_is_set_forwards_ends_lives_exactly_when_they_were_to_end(chaos: Chaos) -> None:
    async with chaos("clock of the store set forwards", store=(store := Dated())) as run:
        await run.busy()
        for ahead_s in (1, 10, 10 + STEP_S):
            with run.fault():
                await step(run, store, ahead_s)
            await run.busy()
        await run.traffic.stop()
        async with calling(run.service.url) as admin:
            ends = await admin.events(type="expired", limit=1_000)

    late = [event for event in ends if event["data"]["lag_ms"] > MINUTE_S * 1_000 / 2]
    assert len(late) >= SEVERAL  # they are found that late, by the clock that was set
    assert {event["data"]["ended_by"] for event in ends} == {"life"}
    assert all(event["data"]["ended_at_ms"] == event["data"]["deadline_at_ms"] for event in ends)


async def test_a_clock_that_is_set_back_brings_nothing_back_and_gives_no_more_than_a_full_life(chaos: Chaos) -> None:
    """At the end it is later than ever: what expired a moment before a step back is told when its time comes again, or
    taken for evicted, if a sweep looks at it before."""
    async with chaos("clock of the store set back", store=(store := Dated()), rules=Rules(evictions=True)) as run:
        await run.busy()
        async with calling(run.service.url) as admin:
            for ahead_s in (-MINUTE_S, STEP_S, MINUTE_S, MINUTE_S - 3, -2 * MINUTE_S):
                final = list(run.traffic.ended)
                with run.fault():
                    await step(run, store, ahead_s)
                    lives = await _lives(admin, run)
                    back = [answer.status for answer in [await admin.peek(one.text) for one in final[-SEVERAL:]]]
                await run.busy()
                assert lives or ahead_s == STEP_S  # which ends them all
                assert all(0 < remaining <= life for remaining, life in lives)
                assert 200 not in back
            await step(run, store, 2 * STEP_S)
            await run.busy()
            await run.traffic.stop()
            orders = [await _listed(admin, owner) for owner in sorted({one.owner for one in run.history.operations})]

    assert [pair for order in orders for pair in _turned(order, run.history.operations)] == []


async def _lives(admin: Caller, run: Run) -> list[tuple[int, int]]:
    """Of some tokens that were issued before, what remains of which full life."""
    answers = [await admin.peek(one.text) for one in run.traffic.live[-SEVERAL:]]
    return [(one.json["remaining_ms"], one.json["life_ms"]) for one in answers if one.status == 200]


async def _listed(admin: Caller, owner: str) -> list[str]:
    """The tokens of an owner in the order in which the service says that they were issued."""
    page = await admin.ok("GET", "/v1/tokens", owner=owner, limit=1_000, order="asc")
    assert page["next"] is None
    return [item["id"] for item in page["items"]]


def _turned(order: list[str], operations: list[Operation]) -> Iterator[tuple[str, str]]:
    """Neighbours of which the second was there before the first was asked for."""
    issued = {one.made: one for one in reversed(operations) if one.made}
    known = [issued[id_] for id_ in order if id_ in issued]
    for first, second in pairwise(known):
        if second.ended < first.began:
            yield first.made, second.made
