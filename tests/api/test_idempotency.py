"""`Idempotency-Key`: the same key and body give the same answer, its text included, however often and at once."""

import asyncio
from typing import Any

import pytest

from tests.api.calls import GRANTS, Answer, Caller, fresh


async def issue(caller: Caller, key: str, body: Any) -> Answer:
    return await caller.post("/v1/tokens", body, {"Idempotency-Key": key})


async def test_a_repeat_answers_the_same_text_and_issues_nothing(shop: Caller) -> None:
    key, owner = fresh("key"), fresh("owner")

    first = await issue(shop, key, {"owner": owner})
    await shop.use(first.json["token"])
    second = await issue(shop, key, {"owner": owner})

    assert (first.status, second.status) == (201, 201)
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert (await shop.ok("GET", "/v1/tokens/count", owner=owner))["total"] == 1


async def test_of_twenty_at_once_all_get_the_one_token(shop: Caller) -> None:
    key, owner = fresh("key"), fresh("owner")

    answers = await asyncio.gather(*[issue(shop, key, {"owner": owner}) for _ in range(20)])

    assert [answer.status for answer in answers] == [201] * 20
    assert len({(answer.json["id"], answer.json["token"]) for answer in answers}) == 1
    assert (await shop.ok("GET", "/v1/tokens/count", owner=owner))["total"] == 1
    assert [event["type"] for event in await shop.events(owner=owner)] == ["tokenlife.token.issued"]


async def test_another_body_under_the_same_key_is_422(shop: Caller) -> None:
    key = fresh("key")
    first = await issue(shop, key, {"owner": "ann"})

    other = await issue(shop, key, {"owner": "ben"})
    spaced = await shop.call(
        "POST", "/v1/tokens", data=b'{ "owner" : "ann" }',
        headers={"Idempotency-Key": key, "Content-Type": "application/json"},
    )  # fmt: skip

    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert spaced.json == first.json
    assert (await shop.ok("GET", "/v1/tokens/count", owner="ben"))["total"] == 0


async def test_a_key_belongs_to_its_caller(admin: Caller, shop: Caller) -> None:
    key = fresh("key")
    colleague = await admin.caller(*GRANTS, tenant=shop.tenant)

    mine, theirs = await issue(shop, key, {"owner": "ann"}), await issue(colleague, key, {"owner": "ann"})

    assert mine.json["id"] != theirs.json["id"]


async def test_a_refused_request_does_not_take_the_key(shop: Caller) -> None:
    key = fresh("key")

    refused = await issue(shop, key, {"owner": "ann", "life_ms": 10**15})
    mended = await issue(shop, key, {"owner": "ann"})

    assert (refused.status, mended.status) == (400, 201)


async def test_a_ceiling_in_the_past_is_refused_each_time(shop: Caller) -> None:
    key = fresh("key")

    answers = [await issue(shop, key, {"owner": "ann", "ceiling_ms": 10**12}) for _ in range(2)]

    assert [(answer.status, answer.field) for answer in answers] == [(400, "ceiling_ms")] * 2


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_from_1_to_255_characters(shop: Caller, key: str) -> None:
    answer = await issue(shop, key, {"owner": "ann"})

    assert (answer.status, answer.field) == (400, "Idempotency-Key")
