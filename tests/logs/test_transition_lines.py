"""One line per transition, made by the process that made it, with the handle of the token."""

import asyncio

from tests.api.calls import Caller, fresh
from tests.logs.reading import Log, named


async def test_each_transition_of_a_token_has_one_line(admin: Caller, log: Log) -> None:
    token = await admin.issue()
    text = {"token": token["token"]}

    await admin.post("/v1/tokens/use", text)
    await admin.post("/v1/tokens/renew", text)
    await admin.post("/v1/tokens/peek", text)
    await admin.post("/v1/tokens/revoke", text)
    await admin.post("/v1/tokens/revoke", text)

    assert await log.kinds(token["id"], "revoked") == ["issued", "renewed", "revoked"]


async def test_a_transition_has_the_request_the_verb_and_the_caller_that_made_it(admin: Caller, log: Log) -> None:
    request, caller, token = named(), await admin.caller("tokens:revoke", tenant="default"), await admin.issue()

    await caller.post("/v1/tokens/revoke", {"token": token["token"]}, request)

    line = await log.wait(logger="service.tokens", handle=token["id"], message="revoked")
    assert (line["request_id"], line["verb"], line["caller"]) == (request["X-Request-Id"], "revoke", caller.id)
    assert line["level"] == "INFO"


async def test_a_rotation_has_lines_of_the_old_and_of_the_new(admin: Caller, log: Log) -> None:
    token = await admin.issue()

    new = await admin.ok("POST", "/v1/tokens/rotate", {"token": token["token"], "overlap_ms": 0}, 201)

    assert await log.kinds(new["id"], "issued") == ["issued"]
    assert await log.kinds(token["id"], "revoked") == ["issued", "rotated", "revoked"]


async def test_of_many_uses_at_once_the_last_one_consumes_and_has_the_one_line(admin: Caller, log: Log) -> None:
    token = await admin.issue(uses=5)

    answers = await asyncio.gather(*[admin.use(token["token"]) for _ in range(20)])

    assert sorted(answer.status for answer in answers) == [200] * 5 + [401] * 15
    assert await log.kinds(token["id"], "consumed") == ["issued", "consumed"]


async def test_an_expiry_has_a_line_with_the_handle_and_how_late_it_was_found(admin: Caller, log: Log) -> None:
    token = await admin.issue(life_ms=50)

    line = await log.wait(logger="service.tokens", handle=token["id"], message="expired")

    assert 0 <= line["late_ms"] < 5_000
    assert "request_id" not in line
    assert await log.kinds(token["id"], "expired") == ["issued", "expired"]


async def test_all_of_an_owner_end_with_a_line_each(admin: Caller, log: Log) -> None:
    request, owner = named(), fresh("owner")
    tokens = [await admin.issue(owner) for _ in range(3)]

    await admin.post(f"/v1/owners/{owner}/revoke", {}, request)

    for token in tokens:
        line = await log.wait(logger="service.tokens", handle=token["id"], message="revoked")
        assert (line["request_id"], line["verb"]) == (request["X-Request-Id"], "revoke_owner")


async def test_the_lines_tell_what_the_events_tell(admin: Caller, log: Log) -> None:
    owner = fresh("owner")
    token = await admin.issue(owner, uses=2)
    await admin.use(token["token"])
    await admin.use(token["token"])

    events = [event["type"].split(".")[-1] for event in await admin.events(owner=owner, tenant="default")]

    assert await log.kinds(token["id"], "consumed") == events
