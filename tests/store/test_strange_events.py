"""Entries of the event streams that the service did not write, and faults of its own: neither silences a stream."""

from typing import Any
from unittest.mock import AsyncMock

import pytest

from service.core.events import START, Places, Wanted
from service.store import feed, keys
from tests.servers import wait_until
from tests.store.test_feed import Follower
from tests.world import World

NOBODY = "r 0000000000000 0000000000000 0000000000 - - - - - -\n\n0000000000000000\n{}"
BEGINNING = Places((START,) * 16)
OURS = Wanted(tenant="default")

STRANGE: list[dict[str | bytes, str | bytes]] = [
    {"anything": "else"},
    {"kind": "issued", "0" * 32: "a but not as we know it"},
    {"kind": b"\xff", "0" * 32: NOBODY},
    {"kind": "issued"},
    {"kind": "issued", "0" * 32: NOBODY, "1" * 32: NOBODY, "2" * 32: NOBODY},
    {"kind": "issued", "0" * 32: NOBODY[:-1] + "broken"},
]


def text(place: bytes | str) -> str:
    return place.decode() if isinstance(place, bytes) else place


@pytest.mark.parametrize("fields", STRANGE)
async def test_an_entry_that_cannot_be_read_is_passed_over_and_said(
    world: World, fields: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Else every reader would be stuck before it, and the one reader of those who follow would have ended on it."""
    follower = Follower(world, await world.feed.now(), OURS)
    one = await world.issue("0")
    await follower.heard_of(1)

    place = await world.redis.xadd(keys.events(keys.partition(one.token.id)), fields)
    await world.issue("0")

    assert await follower.heard_of(2) == ["0", "0"]
    events, behind = await world.feed.read(BEGINNING, OURS, 10)
    assert [event.kind for event in events] == ["issued", "issued"]
    assert await world.feed.read(behind, OURS, 10) == ([], behind)
    told = [record for record in caplog.records if record.message == "an event cannot be read"]
    assert {getattr(record, "entry", None) for record in told} == {text(place)}
    assert "as we know it" not in caplog.text


async def test_a_reader_that_finds_nothing_readable_goes_on_behind_it(world: World) -> None:
    for _ in range(3):
        last = await world.redis.xadd(keys.events(0), {"anything": "else"})

    behind, places = BEGINNING, set[Places]()
    while behind not in places:
        places.add(behind)
        events, behind = await world.feed.read(behind, OURS, 1)
        assert events == []

    assert "-".join(map(str, behind.each[0])) == text(last)


async def test_a_fault_of_ours_does_not_end_the_reader_of_those_who_follow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAUSE_S", 0.01)
    follower = Follower(world, await world.feed.now(), OURS)
    await world.issue("0")
    await follower.heard_of(1)
    monkeypatch.setattr(world.feed, "_block", AsyncMock(side_effect=[LookupError, LookupError]), raising=True)
    await wait_until(lambda: world.feed._block.await_count >= 2)  # type: ignore[attr-defined]
    monkeypatch.undo()

    await world.issue("1")

    assert await follower.heard_of(2) == ["0", "1"]
