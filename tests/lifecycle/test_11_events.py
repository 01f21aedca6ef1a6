"""Each transition leaves one event, written in the same step."""

import asyncio

import pytest

from service.core.errors import BadInput
from service.core.events import Places, Wanted, read_cursor
from tests.backends import Backend
from tests.world import World


async def test_each_transition_leaves_one_event_in_the_order_of_the_owner(world: World) -> None:
    first, second = await world.issue("ann"), await world.issue("ann", uses=1)
    await world.tokens.use(first.text)
    await world.tokens.renew(first.text)
    await world.tokens.use(second.text)
    await world.tokens.rotate(first.text, overlap_ms=0)
    successor = await world.tokens.rotate((await world.issue("bob")).text)
    await world.tokens.revoke(successor.text)

    anns = [event.kind for event in await world.events(owner="ann")]

    assert anns == ["issued", "issued", "renewed", "consumed", "issued", "rotated", "revoked"]
    assert [event.kind for event in await world.events(owner="bob")] == ["issued", "issued", "rotated", "revoked"]


async def test_an_event_shows_the_token_as_it_stood_then(world: World) -> None:
    issued = await world.issue("ann", life_ms=60_000, description="web login")
    await world.tokens.revoke(issued.text)

    made, ended = await world.events(owner="ann")

    assert (made.token.state, made.token.description) == ("active", "web login")
    assert made.token.deadline_at_ms == issued.token.deadline_at_ms
    assert made.token.remaining_ms == (issued.token.deadline_at_ms or 0) - made.at_ms
    assert (ended.token.state, ended.token.remaining_ms, ended.token.ended_by) == ("revoked", 0, "request")
    assert made.id != ended.id


async def test_an_expiry_carries_its_exact_deadline_and_when_it_was_detected(world: World) -> None:
    issued = await world.issue("ann")
    deadline = await world.expire_now(issued)
    swept_from = await world.now()
    await world.sweep()

    [event] = await world.events(owner="ann", kind="expired")

    assert event.token.deadline_at_ms == event.token.ended_at_ms == deadline
    assert swept_from <= event.at_ms <= await world.now()


async def test_uses_leave_no_event_unless_the_settings_ask_for_them(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events alone: a line of the log for each use would say again what the line of its request says."""
    async with World(backend, events_used=True) as world:
        issued, counted = await world.issue("ann"), await world.issue("ann", uses=2)
        lines: list[str] = []
        monkeypatch.setattr(world.link, "_changed", lambda kind, *_: lines.append(kind))

        for text in (issued.text, counted.text) * 2:
            await world.tokens.use(text)

        assert await world.story(issued) == ["issued", "used", "used"]
        assert await world.story(counted) == ["issued", "used", "used", "consumed"]
        assert lines == ["consumed"]


async def test_events_are_narrowed_by_tenant_owner_and_kind(world: World) -> None:
    shop, bank = await world.issue("ann", tenant="shop"), await world.issue("ann", tenant="bank")
    await world.tokens.revoke(shop.text)

    shops = await world.events(tenant="shop")

    assert [(event.kind, event.token.id) for event in shops] == [("issued", shop.token.id), ("revoked", shop.token.id)]
    assert [event.token.id for event in await world.events(tenant="bank", kind="issued")] == [bank.token.id]
    assert await world.events(tenant="bank", kind="revoked") == []


async def test_a_reader_goes_on_where_it_left_off(world: World) -> None:
    start = await world.feed.now()
    for owner in ("ann", "bob", "eve", "ann", "bob"):
        await world.issue(owner)
    seen, after = [], start.cursor()

    while True:
        places = read_cursor(after, world.settings.partitions)
        events, behind = await world.feed.read(places, Wanted(), 2)
        if not events:
            break
        seen += [event.id for event in events]
        after = behind.cursor()

    assert len(seen) == len(set(seen)) == 5


async def test_a_follower_hears_what_comes(world: World) -> None:
    following = world.feed.follow(await world.feed.now(), Wanted(owner="ann"), 5.0)
    first = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)

    await world.issue("bob")
    issued = await world.issue("ann")

    [(event, behind)] = await first
    assert event.token.id == issued.token.id
    assert (await world.feed.read(behind, Wanted(owner="ann"), 10))[0] == []
    await following.aclose()


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "kA", "é", "=" * 20])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadInput, match="after"):
        read_cursor(cursor, 16)


def test_a_cursor_of_another_number_of_partitions_is_refused() -> None:
    cursor = Places(((1_764_000_000_000, 0),) * 4).cursor()

    assert read_cursor(cursor, 4).each == ((1_764_000_000_000, 0),) * 4
    with pytest.raises(BadInput, match="after"):
        read_cursor(cursor, 16)
