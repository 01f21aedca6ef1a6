"""`GET /v1/events` by page and by long poll."""

import asyncio
import re
import time
from typing import Any

import pytest

from tests.api.calls import GRANTS, VIEW, Caller, fresh
from tests.servers import wait_until

PREFIX = "tokenlife.token."


def kinds(events: list[Any]) -> list[str]:
    return [event["type"].removeprefix(PREFIX) for event in events]


async def test_each_transition_is_one_event_in_the_form_of_cloudevents(shop: Caller) -> None:
    token = await shop.issue(metadata={"a": 1})

    [event] = await shop.events(owner=token["owner"])

    assert event.keys() == {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    assert (event["specversion"], event["datacontenttype"]) == ("1.0", "application/json")
    assert (event["type"], event["subject"]) == ("tokenlife.token.issued", token["id"])
    assert re.fullmatch(r"[0-9a-f]{2}-\d+-\d+", event["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    assert event["data"].keys() == VIEW
    assert event["data"] == {name: token[name] for name in VIEW}


async def test_every_kind_of_event_is_told_in_order(shop: Caller) -> None:
    owner = fresh("owner")
    token, once = await shop.issue(owner), await shop.issue(owner, uses=1)
    await shop.post("/v1/tokens/renew", {"token": token["token"]})
    await shop.use(once["token"])
    new = (await shop.post("/v1/tokens/rotate", {"token": token["token"], "overlap_ms": 0})).json
    await shop.call("DELETE", f"/v1/tokens/{new['id']}")
    short = await shop.issue(owner, life_ms=20)

    await wait_until(lambda: _told(shop, owner, "expired"))

    events = await shop.events(owner=owner)
    of = {name: [event for event in events if event["subject"] == one["id"]]
          for name, one in (("token", token), ("once", once), ("new", new), ("short", short))}  # fmt: skip
    assert kinds(of["token"]) == ["issued", "renewed", "rotated", "revoked"]
    assert kinds(of["once"]) == ["issued", "consumed"]
    assert kinds(of["new"]) == ["issued", "revoked"]
    assert kinds(of["short"]) == ["issued", "expired"]
    assert len({event["id"] for event in events}) == len(events) == 10


async def test_an_expiry_says_when_it_was_due_and_when_it_was_found(shop: Caller) -> None:
    token = await shop.issue(life_ms=30)
    await wait_until(lambda: _told(shop, token["owner"], "expired"))

    [event] = await shop.events(owner=token["owner"], type="expired")

    data = event["data"]
    assert data["deadline_at_ms"] == token["expires_at_ms"]
    assert data["lag_ms"] == data["detected_at_ms"] - data["deadline_at_ms"] >= 0
    assert (data["state"], data["ended_by"], data["ended_at_ms"]) == ("expired", "life", token["expires_at_ms"])
    assert data.keys() == VIEW | {"ended_at_ms", "ended_by", "deadline_at_ms", "detected_at_ms", "lag_ms"}


async def test_uses_and_peeks_are_not_told(shop: Caller) -> None:
    token = await shop.issue()

    await shop.use(token["token"])
    await shop.peek(token["token"])

    assert kinds(await shop.events(owner=token["owner"])) == ["issued"]


async def test_pages_lead_through_all_events_once(shop: Caller) -> None:
    now = await shop.ok("GET", "/v1/events", after="now")
    tokens = [await shop.issue() for _ in range(7)]

    pages = [await shop.ok("GET", "/v1/events", after=now["next"], limit=3)]
    while pages[-1]["events"]:
        pages.append(await shop.ok("GET", "/v1/events", after=pages[-1]["next"], limit=3))

    assert now["events"] == []
    assert [event["subject"] for page in pages for event in page["events"]] == [token["id"] for token in tokens]
    assert max(len(page["events"]) for page in pages) == 3


@pytest.mark.parametrize("kind", ["issued", "tokenlife.token.issued"])
async def test_events_are_filtered_by_owner_and_kind(shop: Caller, kind: str) -> None:
    ann, _ = await shop.issue("ann"), await shop.issue("ben")
    await shop.call("DELETE", f"/v1/tokens/{ann['id']}")

    by_owner = await shop.events(owner="ann")
    by_kind = await shop.events(type=kind)
    by_both = await shop.events(owner="ann", type=kind)

    assert kinds(by_owner) == ["issued", "revoked"]
    assert [event["data"]["owner"] for event in by_kind] == ["caller", "ann", "ben"]
    assert [event["subject"] for event in by_both] == [ann["id"]]


async def test_an_admin_reads_all_tenants_or_one(admin: Caller, shop: Caller) -> None:
    other = await admin.caller(*GRANTS)
    owner = fresh("owner")
    mine, theirs = await shop.issue(owner), await other.issue(owner)

    all_ = await admin.events(owner=owner)
    one = await admin.events(owner=owner, tenant=shop.tenant)
    own = await shop.events(owner=owner)

    assert {event["subject"] for event in all_} == {mine["id"], theirs["id"]}
    assert [event["subject"] for event in one] == [event["subject"] for event in own] == [mine["id"]]


async def test_a_long_poll_answers_as_soon_as_something_happens(shop: Caller) -> None:
    now = (await shop.ok("GET", "/v1/events", after="now"))["next"]
    polling = asyncio.ensure_future(shop.ok("GET", "/v1/events", after=now, wait_ms=20_000))
    await wait_until(lambda: _polls(shop))

    started = time.monotonic()
    token = await shop.issue()
    page = await polling

    assert [event["subject"] for event in page["events"]] == [token["id"]]
    assert time.monotonic() - started < 5
    assert (await shop.ok("GET", "/v1/events", after=page["next"]))["events"] == []


async def test_a_long_poll_of_nothing_ends_on_time_though_others_are_busy(admin: Caller, shop: Caller) -> None:
    other = await admin.caller(*GRANTS)
    busy = asyncio.ensure_future(_busy(other))

    started = time.monotonic()
    page = await shop.ok("GET", "/v1/events", after="now", wait_ms=400)
    took = time.monotonic() - started
    busy.cancel()

    assert page["events"] == []
    assert 0.3 < took < 5


async def test_a_long_poll_keeps_its_limit(shop: Caller) -> None:
    """What it waits for may come many at once."""
    now = (await shop.ok("GET", "/v1/events", after="now"))["next"]
    polling = asyncio.ensure_future(shop.ok("GET", "/v1/events", after=now, wait_ms=20_000, limit=2))
    await wait_until(lambda: _polls(shop))
    owner = fresh("owner")

    issued = await asyncio.gather(*[shop.issue(owner) for _ in range(50)])
    first = await polling
    rest = await shop.events(after=first["next"])

    assert len(first["events"]) <= 2
    found = [event["subject"] for event in (*first["events"], *rest)]
    assert sorted(found) == sorted(token["id"] for token in issued)


async def _busy(caller: Caller) -> None:
    while True:
        await caller.issue()


async def _told(caller: Caller, owner: str, kind: str) -> bool:
    return bool(await caller.events(owner=owner, type=kind))


async def _polls(caller: Caller) -> bool:
    """Whether the caller's token was used by the poll, which then waits."""
    return bool((await caller.ok("GET", "/v1/self"))["uses"] >= 2)
