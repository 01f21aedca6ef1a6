"""Sarus Monitor+, sections 2.1 to 2.4: what a reader of its pages would try, call by call."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from service.core.errors import Expired
from service.facades import sarus as sarus_
from tests.facades.conftest import Here, Reply, Running, running
from tests.servers import wait_until

CALLS = ["GetSessionToken", "RenewSessionToken", "RevokeSessionToken", "QuerySessionToken", "SessionTokenExpires"]
ABOUT_A_TOKEN = CALLS[1:]
MINUTE_MS = 60_000
A_WHILE_MS = 30_000  # more than a call takes on a slow machine, less than any life here
PASSWORD = "correct horse battery"

# The table of section 2.4.
MISSING = (400, "Missing Session Token.")
UNKNOWN = (401, "Invalid or unknown session token.")
EXPIRED = (410, "Session Token has expired.")


def result(reply: Reply) -> Any:
    """The Result of a success in the vendor's envelope."""
    assert reply.status == 200, reply.body
    assert reply.type == "application/json"
    body = reply.json()
    assert list(body) == ["ServerDateTime", "TimeStamp", "ExecutionTime", "Result"]
    check_clock(body)
    return body["Result"]


def error(reply: Reply) -> tuple[int, str]:
    """Status and detail of a failure in the vendor's envelope; the status is the HTTP status too."""
    assert reply.type == "application/json"
    body = reply.json()
    assert list(body) == ["ServerDateTime", "TimeStamp", "ExecutionTime", "Errors"]
    check_clock(body)
    [only] = body["Errors"]
    assert list(only) == ["Status", "Detail", "Details"]
    assert only["Detail"] == only["Details"]
    assert only["Status"] == reply.status
    return only["Status"], only["Detail"]


def check_clock(body: Any) -> None:
    """ISO 8601 to the second, the Julian date, and the time it took, all of one moment, which is now."""
    iso = datetime.strptime(body["ServerDateTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    julian_s = (body["TimeStamp"] - 2440587.5) * 86_400
    assert -0.001 <= julian_s - iso.timestamp() < 1.001
    assert abs(datetime.now(UTC).timestamp() - julian_s) < A_WHILE_MS / 1000
    assert isinstance(body["ExecutionTime"], float)
    assert 0 <= body["ExecutionTime"] < A_WHILE_MS


def since_s(iso: str) -> float:
    return datetime.now(UTC).timestamp() - datetime.strptime(iso, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


class Sarus:
    """A client of the vendor's API."""

    def __init__(self, here: Here, key: str) -> None:
        self.here, self.key = here, key

    async def get(self, call: str, **parameters: str) -> Reply:
        return await self.here.ask("GET", f"/{call}?{urlencode(parameters)}")

    async def session(self, minutes: int = 30) -> str:
        made = result(await self.get("GetSessionToken", APIKey=self.key, Minutes=str(minutes)))
        return str(made["SessionToken"])

    async def remaining(self, token: str) -> int:
        left: int = result(await self.get("QuerySessionToken", SessionToken=token))["Remaining"]
        return left


@pytest.fixture
async def sarus(here: Here, tenant: str) -> Sarus:
    return Sarus(here, (await here.caller(tenant, "tokens:issue"))["token"])


# 2.1 GetSessionToken


async def test_an_api_key_gets_a_session_token_of_thirty_minutes(sarus: Sarus) -> None:
    made = result(await sarus.get("GetSessionToken", APIKey=sarus.key))

    assert list(made) == ["LastActive", "SessionToken", "Remaining"]
    assert made["Remaining"] == 30 * MINUTE_MS
    assert -1 <= since_s(made["LastActive"]) < A_WHILE_MS / 1000 + 1
    assert 0 < await sarus.remaining(made["SessionToken"]) <= 30 * MINUTE_MS


async def test_email_and_password_get_one_for_that_user(sarus: Sarus, here: Here) -> None:
    await here.native("PUT", "/v1/accounts/ann@example.com", {"password": PASSWORD})

    made = result(await sarus.get("GetSessionToken", email="ann@example.com", Password=PASSWORD, Minutes="5"))

    view = await here.native("POST", "/v1/tokens/peek", {"token": made["SessionToken"]})
    assert (view["owner"], view["tenant"], view["life_ms"]) == ("ann@example.com", "default", 5 * MINUTE_MS)


async def test_a_user_of_another_tenant_names_it_before_the_email(sarus: Sarus, here: Here, tenant: str) -> None:
    await here.native("PUT", "/v1/accounts/bob@example.com", {"password": PASSWORD, "tenant": tenant})

    made = result(await sarus.get("GetSessionToken", email=f"{tenant}~bob@example.com", Password=PASSWORD))
    without = await sarus.get("GetSessionToken", email="bob@example.com", Password=PASSWORD)

    view = await here.native("POST", "/v1/tokens/peek", {"token": made["SessionToken"]})
    assert (view["owner"], view["tenant"]) == ("bob@example.com", tenant)
    assert error(without) == (401, "Invalid or unknown credentials.")


async def test_a_session_of_an_api_key_is_its_owners(sarus: Sarus, here: Here, tenant: str) -> None:
    view = await here.native("POST", "/v1/tokens/peek", {"token": await sarus.session()})

    assert (view["owner"], view["tenant"], view["type"]) == ("a service", tenant, "session")
    assert view["sliding"]
    assert view["ceiling_at_ms"] is None


@pytest.mark.parametrize("minutes", [1, 45, 1440])
async def test_minutes_are_the_full_life(sarus: Sarus, minutes: int) -> None:
    made = result(await sarus.get("GetSessionToken", APIKey=sarus.key, Minutes=str(minutes)))

    assert made["Remaining"] == minutes * MINUTE_MS


@pytest.mark.parametrize("minutes", ["0", "1441", "-1", "1.5", "+5", " 5", "", "five", "٣", "99999999999999999999"])
async def test_other_minutes_are_refused(sarus: Sarus, minutes: str) -> None:
    reply = await sarus.get("GetSessionToken", APIKey=sarus.key, Minutes=minutes)

    assert error(reply) == (400, "Minutes must be a whole number from 1 to 1440.")


@pytest.mark.parametrize(
    "given", [{}, {"email": "ann@example.com"}, {"Password": PASSWORD}, {"email": "", "Password": ""}, {"APIKey": ""}]
)
async def test_without_credentials_there_is_no_session(sarus: Sarus, given: dict[str, str]) -> None:
    assert error(await sarus.get("GetSessionToken", **given)) == (400, "Missing APIKey, or email and Password.")


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(sarus: Sarus, here: Here) -> None:
    await here.native("PUT", "/v1/accounts/eve@example.com", {"password": PASSWORD})

    wrong = await sarus.get("GetSessionToken", email="eve@example.com", Password=PASSWORD + "!")
    unknown = await sarus.get("GetSessionToken", email="nobody@example.com", Password=PASSWORD)

    assert error(wrong) == error(unknown) == (401, "Invalid or unknown credentials.")


async def test_a_key_that_may_not_issue_is_forbidden(here: Here, tenant: str) -> None:
    weak = Sarus(here, (await here.caller(tenant, "tokens:use"))["token"])

    assert error(await weak.get("GetSessionToken", APIKey=weak.key)) == (403, "The APIKey does not allow this.")


async def test_a_session_token_is_no_key(sarus: Sarus) -> None:
    token = await sarus.session()

    assert error(await sarus.get("GetSessionToken", APIKey=token))[0] == 403


async def test_the_key_goes_before_the_password(sarus: Sarus, here: Here, tenant: str) -> None:
    made = result(await sarus.get("GetSessionToken", APIKey=sarus.key, email="x@example.com", Password="not looked at"))

    view = await here.native("POST", "/v1/tokens/peek", {"token": made["SessionToken"]})
    assert view["tenant"] == tenant


# 2.2 RenewSessionToken


async def test_renewing_puts_it_back_to_full_life(sarus: Sarus, here: Here) -> None:
    token = await sarus.session(minutes=10)
    id_ = await here.id_of(token)
    here.shorten(id_, 5 * MINUTE_MS)

    renewed = result(await sarus.get("RenewSessionToken", SessionToken=token))

    assert list(renewed) == ["LastActive", "SessionToken", "Remaining"]
    assert renewed["SessionToken"] == token
    assert renewed["Remaining"] == 10 * MINUTE_MS
    assert since_s(renewed["LastActive"]) < A_WHILE_MS / 1000 + 1
    assert here.pttl(id_) > 9 * MINUTE_MS
    assert await here.story(id_) == ["issued", "renewed"]


# 2.3 RevokeSessionToken


async def test_a_revoked_token_is_unknown_to_every_call(sarus: Sarus, here: Here) -> None:
    token = await sarus.session()
    id_ = await here.id_of(token)

    revoked = result(await sarus.get("RevokeSessionToken", SessionToken=token))

    assert list(revoked) == ["Status", "Detail", "Details"]
    assert revoked["Status"] == 200
    assert revoked["Detail"] == revoked["Details"] != ""
    assert {error(await sarus.get(call, SessionToken=token)) for call in ABOUT_A_TOKEN} == {UNKNOWN}
    assert await here.story(id_) == ["issued", "revoked"]


# 2.4 QuerySessionToken, once called SessionTokenExpires


@pytest.mark.parametrize("call", ["QuerySessionToken", "SessionTokenExpires"])
async def test_what_remains_is_what_the_store_says(sarus: Sarus, here: Here, call: str) -> None:
    token = await sarus.session()
    id_ = await here.id_of(token)

    before = here.pttl(id_)
    asked = result(await sarus.get(call, SessionToken=token))
    after = here.pttl(id_)

    assert list(asked) == ["Remaining"]
    assert before >= asked["Remaining"] >= after


async def test_asking_a_thousand_times_never_lengthens_a_life(sarus: Sarus, here: Here) -> None:
    token = await sarus.session()
    id_ = await here.id_of(token)
    before = await here.view(id_)

    async def asks(times: int) -> list[int]:
        return [await sarus.remaining(token) for _ in range(times)]

    seen = await asyncio.gather(*[asks(50) for _ in range(20)])

    after = await here.view(id_)
    assert all(each == sorted(each, reverse=True) for each in seen)
    assert (after["expires_at_ms"], after["last_used_at_ms"]) == (before["expires_at_ms"], before["last_used_at_ms"])
    assert after["uses"] == 0
    assert await here.story(id_) == ["issued"]


async def test_a_use_elsewhere_renews_it(sarus: Sarus, here: Here) -> None:
    token = await sarus.session()
    here.shorten(await here.id_of(token), 5 * MINUTE_MS)
    assert await sarus.remaining(token) <= 5 * MINUTE_MS

    await here.native("POST", "/v1/tokens/use", {"token": token})

    assert await sarus.remaining(token) > 29 * MINUTE_MS


async def test_a_token_without_end_has_as_much_left_as_a_number_can_say(sarus: Sarus, here: Here, tenant: str) -> None:
    endless = await here.issue(tenant=tenant, life_ms=None)

    assert await sarus.remaining(endless["token"]) == 2**53 - 1


# The table of errors


@pytest.mark.parametrize("call", ABOUT_A_TOKEN)
async def test_an_expired_token_is_gone_until_it_is_forgotten(sarus: Sarus, here: Here, call: str) -> None:
    token = await sarus.session()
    id_ = await here.id_of(token)

    here.expire(id_)

    assert error(await sarus.get(call, SessionToken=token)) == EXPIRED
    await here.forget(id_)
    assert error(await sarus.get(call, SessionToken=token)) == UNKNOWN


async def test_it_is_gone_from_its_last_millisecond_on_swept_or_not(sarus: Sarus, here: Here) -> None:
    token = await sarus.session()
    here.shorten(await here.id_of(token), 50)

    async def over() -> bool:
        return (await sarus.get("QuerySessionToken", SessionToken=token)).status != 200

    await wait_until(over)

    assert error(await sarus.get("QuerySessionToken", SessionToken=token)) == EXPIRED


@pytest.mark.parametrize("call", ABOUT_A_TOKEN)
@pytest.mark.parametrize("query", ["", "?", "?SessionToken=", "?SessionToken", "?Token=x", "?SessionToken=&x=1"])
async def test_a_call_without_a_token_misses_it(here: Here, call: str, query: str) -> None:
    assert error(await here.ask("GET", f"/{call}{query}")) == MISSING


@pytest.mark.parametrize("call", ABOUT_A_TOKEN)
@pytest.mark.parametrize(
    "token", ["YOUR_SESSION_TOKEN", "tl_", "%20", "%00", "%FF%FE", "a" * 4000, "tl_x.y", "%F0%9F%98%80"]
)
async def test_what_was_never_issued_is_unknown(here: Here, call: str, token: str) -> None:
    assert error(await here.ask("GET", f"/{call}?SessionToken={token}")) == UNKNOWN


async def test_a_forged_text_is_unknown(sarus: Sarus) -> None:
    token = await sarus.session()
    forged = token[:-1] + ("A" if token[-1] != "A" else "E")

    assert error(await sarus.get("QuerySessionToken", SessionToken=forged)) == UNKNOWN


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_any_other_method_is_not_allowed(here: Here, call: str, method: str) -> None:
    """Before anything is said about the token."""
    reply = await here.ask(method, f"/{call}", b"SessionToken=x")

    assert error(reply) == (405, f"Method {method} not allowed.")
    assert reply.headers["Allow"] == "GET"


@pytest.mark.parametrize("call", CALLS)
async def test_head_is_not_allowed_either(here: Here, call: str) -> None:
    reply = await here.ask("HEAD", f"/{call}")

    assert (reply.status, reply.headers["Allow"], reply.body) == (405, "GET", b"")


@pytest.mark.parametrize("path", ["/", "/x", "/x/y", "/%2F", "?"])
async def test_below_a_call_there_is_nothing_in_the_same_envelope(here: Here, path: str) -> None:
    reply = await here.ask("GET", f"/QuerySessionToken{path}")

    assert error(reply)[0] == (400 if path == "?" else 404)


async def test_names_of_parameters_may_be_in_any_case_and_the_first_one_counts(sarus: Sarus, here: Here) -> None:
    token = quote(await sarus.session())

    for query in (f"sessiontoken={token}", f"SESSIONTOKEN={token}", f"SessionToken={token}&sessiontoken=other"):
        assert result(await here.ask("GET", f"/QuerySessionToken?{query}"))["Remaining"] > 0
    assert error(await here.ask("GET", f"/QuerySessionToken?SessionToken=other&SessionToken={token}")) == UNKNOWN


def test_the_date_and_the_julian_date_come_from_one_reading_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days later the clock is read the second time."""
    days = itertools.count(1619198505.75, 86_400.0)
    monkeypatch.setattr("service.facades.sarus.time.time", lambda: next(days))

    reply = sarus_.render(Expired(), make_mocked_request("GET", "/QuerySessionToken"))

    body = json.loads(cast("bytes", reply.body))
    assert (body["ServerDateTime"], body["TimeStamp"]) == ("2021-04-23T17:21:45Z", 1619198505.75 / 86_400 + 2440587.5)


async def test_nothing_of_a_query_gets_into_the_log(sarus: Sarus, here: Here) -> None:
    token = await sarus.session()
    await sarus.get("GetSessionToken", email="logged@example.com", Password="a password in a query")

    await sarus.get("RevokeSessionToken", SessionToken=token)

    said = here.service.said()
    assert token not in said
    assert sarus.key not in said
    assert "a password in a query" not in said


async def test_nonsense_is_answered_in_the_same_envelope(here: Here) -> None:
    chance = random.Random(20)
    names = ["SessionToken", "APIKey", "email", "Password", "Minutes", "x", ""]

    def nonsense() -> str:
        pairs = [
            f"{chance.choice(names)}={quote(chance.randbytes(chance.randrange(40)))}"
            for _ in range(chance.randrange(5))
        ]
        return f"/{chance.choice(CALLS)}?{chance.choice(['&', ';', '&&']).join(pairs)}"

    replies = await asyncio.gather(*[here.ask("GET", nonsense()) for _ in range(200)])

    assert {error(reply)[0] for reply in replies} <= {400, 401}


# The service is at fault


async def test_a_fault_is_500_in_the_same_envelope(apart: Running, session: aiohttp.ClientSession) -> None:
    here = Here(apart, session)
    sarus = Sarus(here, (await here.caller("shop", "tokens:issue"))["token"])
    token = await sarus.session()
    [record] = here.redis.keys(f"tl:*:t:{(await here.id_of(token)).replace('-', '')}")
    here.redis.set(record, here.redis.get(record).replace(b"{", b"?"))

    replies = [await sarus.get(call, SessionToken=token) for call in ABOUT_A_TOKEN]

    assert {error(reply) for reply in replies} == {(500, "Server may be down for maintenance.")}
    assert token not in apart.service.said()


# Three requests a second, where the settings ask for that


@pytest.fixture(scope="module")
def limited() -> Iterator[Running]:
    with running(sarus_per_second=3) as both:
        yield both


async def test_over_the_limit_it_is_to_wait(limited: Running, session: aiohttp.ClientSession) -> None:
    here = Here(limited, session)
    sarus = Sarus(here, (await here.caller("shop", "tokens:issue"))["token"])
    token, other = await sarus.session(), await sarus.session()

    replies = await asyncio.gather(*[sarus.get("QuerySessionToken", SessionToken=token) for _ in range(8)])

    assert [reply.status for reply in replies].count(200) >= 3
    refused = [reply for reply in replies if reply.status != 200]
    assert {error(reply) for reply in refused} == {(429, "Too many requests: wait before the next one.")}
    assert {reply.headers["Retry-After"] for reply in refused} == {"1"}
    assert await sarus.remaining(other) > 0
    assert result(await sarus.get("RenewSessionToken", SessionToken=token))["Remaining"] == 30 * MINUTE_MS
    assert (await here.native("POST", "/v1/tokens/peek", {"token": token}))["state"] == "active"


async def test_who_waited_as_told_is_answered(limited: Running, session: aiohttp.ClientSession) -> None:
    here = Here(limited, session)
    sarus = Sarus(here, (await here.caller("shop", "tokens:issue"))["token"])
    for _ in range(4):
        reply = await sarus.get("GetSessionToken", APIKey=sarus.key)

    assert reply.status == 429

    async def answered() -> bool:
        return (await sarus.get("GetSessionToken", APIKey=sarus.key)).status == 200

    await wait_until(answered, timeout_s=int(reply.headers["Retry-After"]) + 1)
