"""One core under four dialects: what one issued, all others see, renew and end."""

import time
from typing import Any

import pytest

from tests.facades.conftest import Here
from tests.facades.dialects import KINDS, Call, Dialect, OneSpan, Sarus, Taler, WePay

MINUTE_MS = 60_000
SLACK_MS = 5_000  # a slow machine's

each = pytest.mark.parametrize("name", KINDS)


async def prepared(name: str, here: Here, tenant: str) -> Dialect:
    dialect = KINDS[name](here, tenant)
    await dialect.prepare()
    return dialect


async def used(here: Here, text: str) -> Any:
    return await here.native("POST", "/v1/tokens/use", {"token": text})


# Ours sees theirs


@each
async def test_our_own_api_lists_and_peeks_at_it_and_its_ttl_is_its_life(here: Here, tenant: str, name: str) -> None:
    text = await (await prepared(name, here, tenant)).issue()

    peeked = await here.native("POST", "/v1/tokens/peek", {"token": text})

    listed = (await here.native("GET", f"/v1/tokens?tenant={tenant}&limit=1000"))["items"]
    assert [one["id"] for one in listed].count(peeked["id"]) == 1
    assert (peeked["tenant"], peeked["state"]) == (tenant, "active")
    assert peeked["remaining_ms"] - SLACK_MS < here.pttl(peeked["id"]) <= peeked["remaining_ms"]


@each
async def test_the_events_tell_its_story(here: Here, tenant: str, name: str) -> None:
    dialect = await prepared(name, here, tenant)
    revoked, expired = await dialect.issue(), await dialect.issue()
    ids = [await here.id_of(revoked), await here.id_of(expired)]

    await here.native("POST", "/v1/tokens/renew", {"token": revoked})
    await here.native("DELETE", f"/v1/tokens/{ids[0]}")
    here.expire(ids[1])
    await here.forget(ids[1])

    assert await here.story(ids[0]) == ["issued", "renewed", "revoked"]
    assert await here.story(ids[1], tenant) == ["issued", "expired"]


@each
async def test_its_text_opens_at_the_gateway_and_at_the_other_dialects(here: Here, tenant: str, name: str) -> None:
    text = await (await prepared(name, here, tenant)).issue()
    id_ = await here.id_of(text)

    passed = await here.ask("GET", "/gateway/use", Authorization=f"Bearer {text}")
    remaining = await Sarus(here, tenant).remaining(text)

    assert (passed.status, passed.headers["X-Token-Id"]) == (200, id_)
    assert remaining - SLACK_MS < here.pttl(id_) <= remaining


# Renewed by a use anywhere


async def test_a_use_renews_a_wepay_token_and_its_expire_time_follows(here: Here, tenant: str) -> None:
    wepay = WePay(here, tenant)
    await wepay.prepare()
    text = await wepay.issue()
    id_ = await here.id_of(text)
    here.shorten(id_, 10 * MINUTE_MS)
    before = (await wepay.item(id_))["expire_time"]

    view = await used(here, text)

    after = (await wepay.item(id_))["expire_time"]
    assert before < time.time() + 11 * 60
    assert after == view["expires_at_ms"] // 1000
    assert view["remaining_ms"] == 86_400_000


async def test_a_use_renews_a_sarus_token_and_asking_does_not(here: Here, tenant: str) -> None:
    sarus = Sarus(here, tenant)
    await sarus.prepare()
    text = await sarus.issue()
    here.shorten(await here.id_of(text), 10 * MINUTE_MS)
    assert await sarus.remaining(text) <= 10 * MINUTE_MS

    view = await used(here, text)

    assert view["remaining_ms"] == 30 * MINUTE_MS
    assert 30 * MINUTE_MS - SLACK_MS < await sarus.remaining(text) <= 30 * MINUTE_MS


async def test_a_use_renews_a_refreshable_taler_token_and_its_expiration_follows(here: Here, tenant: str) -> None:
    taler = Taler(here, tenant)
    await taler.prepare()
    text = await taler.issue("the one")
    here.shorten(await here.id_of(text), 10 * MINUTE_MS)

    view = await used(here, text)

    assert view["remaining_ms"] == 86_400_000
    assert (await taler.listed("the one"))["expiration"]["t_s"] == view["expires_at_ms"] // 1000


async def test_no_use_renews_a_onespan_token(here: Here, tenant: str) -> None:
    onespan = OneSpan(here, tenant)
    await onespan.prepare()
    text = await onespan.issue()
    before = (await here.native("POST", "/v1/tokens/peek", {"token": text}))["expires_at_ms"]

    assert (await used(here, text))["expires_at_ms"] == before


async def test_the_listed_expiry_follows_a_use_of_another_dialect_too(here: Here, tenant: str) -> None:
    """A WePay token, renewed through Sarus."""
    wepay = WePay(here, tenant)
    await wepay.prepare()
    text = await wepay.issue()
    id_ = await here.id_of(text)
    here.shorten(id_, 10 * MINUTE_MS)

    renewed = await Sarus(here, tenant).ask(Call("GET", "/RenewSessionToken"), {"SessionToken": text})

    assert renewed.json()["Result"]["Remaining"] == 86_400_000
    assert (await wepay.item(id_))["expire_time"] > time.time() + 23 * 3600


# Revoked by ours


async def revoke(here: Here, text: str) -> str:
    id_ = await here.id_of(text)
    assert (await here.native("DELETE", f"/v1/tokens/{id_}"))["state"] == "revoked"
    return id_


async def test_a_revoked_one_is_deleted_in_wepay(here: Here, tenant: str) -> None:
    wepay = WePay(here, tenant)
    await wepay.prepare()
    text = await wepay.issue()
    assert (await wepay.item(await here.id_of(text)))["state"] == "active"

    id_ = await revoke(here, text)

    assert (await wepay.item(id_))["state"] == "deleted"


async def test_a_revoked_one_is_unknown_in_sarus(here: Here, tenant: str) -> None:
    sarus = Sarus(here, tenant)
    await sarus.prepare()
    text = await sarus.issue()

    await revoke(here, text)

    told = await sarus.ask(Call("GET", "/QuerySessionToken"), {"SessionToken": text})
    assert sarus.no(told) == (401, "Invalid or unknown session token.")


async def test_a_revoked_one_is_gone_from_talers_list_and_is_no_login(here: Here, tenant: str) -> None:
    taler = Taler(here, tenant)
    await taler.prepare()
    text = await taler.issue("the one")
    assert await taler.listed("the one")

    await revoke(here, text)

    assert await taler.listed("the one") is None
    assert taler.no(await taler.ask(taler.calls()[1], {"Authorization": f"Bearer {text}"})) == (401, 41)


async def test_a_revoked_one_is_refused_by_its_jti_for_onespan(here: Here, tenant: str) -> None:
    onespan = OneSpan(here, tenant)
    await onespan.prepare()
    kept, text = await onespan.issue(), await onespan.issue()

    await revoke(here, text)

    assert await onespan.shown() == [kept]
    for path in ("/v1/self", "/gateway/peek"):
        assert (await here.ask("GET", path, Authorization=f"Bearer {text}")).status == 401
        assert (await here.ask("GET", path, Authorization=f"Bearer {kept}")).status == 200


# Expired


async def test_an_expired_one_is_what_each_dialect_calls_that(here: Here, tenant: str) -> None:
    wepay, sarus, taler, onespan = WePay(here, tenant), Sarus(here, tenant), Taler(here, tenant), OneSpan(here, tenant)
    for dialect in (wepay, sarus, taler, onespan):
        await dialect.prepare()
    texts = [await wepay.issue(), await sarus.issue(), await taler.issue("the one"), await onespan.issue()]
    ids = [await here.id_of(text) for text in texts]

    for id_ in ids:
        here.expire(id_)

    item = await wepay.item(ids[0])
    assert item["state"] == "active"
    assert item["expire_time"] <= time.time() + 1
    told = await sarus.ask(Call("GET", "/QuerySessionToken"), {"SessionToken": texts[1]})
    assert sarus.no(told) == (410, "Session Token has expired.")
    assert await taler.listed("the one") is None
    assert await onespan.shown() == []
    for text in texts:
        assert (await here.ask("GET", "/v1/self", Authorization=f"Bearer {text}")).json()["code"] == "expired"


# Ended by theirs


@pytest.mark.parametrize("name", ["wepay", "sarus", "taler", "onespan"])
async def test_what_a_dialect_ends_is_ended_for_all(here: Here, tenant: str, name: str) -> None:
    dialect = await prepared(name, here, tenant)
    text = await dialect.issue()
    id_ = await here.id_of(text)
    ends = dialect.calls()[-1]
    login = {
        "wepay": dialect.good,
        "sarus": {"SessionToken": text},
        "taler": {"Authorization": f"Bearer {text}"},
        "onespan": dialect.good,
    }[name]
    if name == "wepay":
        ends = ends._replace(path=f"/session_tokens/{id_}")

    assert (await dialect.ask(ends, login)).status in (200, 204)

    assert (await here.view(id_))["state"] == "revoked"
    assert (await here.ask("GET", "/gateway/use", Authorization=f"Bearer {text}")).headers[
        "X-Token-Reason"
    ] == "revoked"
    assert await here.story(id_) == ["issued", "revoked"]
