"""GNU Taler, the tokens of an account: what a reader of its core bank API would try, call by call."""

import asyncio
import gzip
import random
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
import pytest

from tests.facades.conftest import Here, Reply, Running, running
from tests.servers import wait_until

PASSWORD = "correct horse battery"
DAY_S = 86_400
DAY_US = DAY_S * 1_000_000
SCOPES = ["readonly", "readwrite", "revenue", "wiregateway", "observability"]

# Which numbers of GANA's registry go with which status.
CODES = {400: {22, 23, 26, 28}, 401: {25, 40, 41, 42}, 403: {16, 44}, 404: {21, 5107}, 405: {20}, 408: {23}, 413: {32},
         500: {60}, 503: {53}}  # fmt: skip


def good(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    assert reply.type == "application/json"
    return reply.json()


def gone(reply: Reply) -> None:
    """204, which has no body."""
    assert (reply.status, reply.body) == (204, b"")


def no(reply: Reply) -> tuple[int, int]:
    """The status and the number of a failure, in an ErrorDetail."""
    assert reply.type == "application/json", reply.body
    body = reply.json()
    assert list(body) in (["code", "hint"], ["code", "hint", "parameter"])
    assert body["code"] in CODES[reply.status], (reply.status, body)
    assert isinstance(body["hint"], str)
    assert ("WWW-Authenticate" in reply.headers) == (reply.status == 401)
    return reply.status, body["code"]


def basic(username: str, password: str = PASSWORD) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


class Account:
    """An account of the bank, and its calls.

    Where a test says nothing of who asks, a session of our own API does: no list shows it, and it costs no hash.
    """

    def __init__(self, here: Here, username: str, login: str) -> None:
        self.here, self.username, self.login = here, username, login
        self.path = f"/accounts/{quote(username, safe='')}"

    @classmethod
    async def of(cls, here: Here, username: str) -> Self:
        session = await here.issue(username, scopes=["readwrite"], refreshable=True)
        return cls(here, username, f"Bearer {session['token']}")

    @classmethod
    async def with_password(cls, here: Here, username: str, tenant: str = "default") -> Self:
        await here.native("PUT", f"/v1/accounts/{quote(username, safe='')}", {"password": PASSWORD, "tenant": tenant})
        login = username if tenant == "default" else f"{tenant}~{username}"
        return cls(here, login, basic(login))

    async def ask(self, method: str, path: str, body: Any = None, *, by: str | None = None, **headers: str) -> Reply:
        """by: a token."""
        login = f"Bearer {by}" if by else self.login
        return await self.here.ask(method, self.path + path, body, **{"Authorization": login, **headers})

    async def new(self, scope: str = "readwrite", *, by: str | None = None, **more: Any) -> str:
        """The text of a new token."""
        text: str = good(await self.ask("POST", "/token", {"scope": scope, **more}, by=by))["access_token"]
        return text

    async def listed(self, *, by: str | None = None, **query: Any) -> list[Any]:
        reply = await self.ask("GET", f"/tokens?{urlencode(query)}", by=by)
        if reply.status == 204:
            return []
        body = good(reply)
        assert list(body) == ["tokens"]
        tokens: list[Any] = body["tokens"]
        return tokens

    async def ids(self, **query: Any) -> list[int]:
        return [token["token_id"] for token in await self.listed(**query)]


@pytest.fixture
async def ann(here: Here, tenant: str) -> Account:
    """An account of a name that no other test uses."""
    return await Account.of(here, f"ann-{tenant}")


@pytest.fixture
async def eve(here: Here, tenant: str) -> Account:
    """Another, which has a password and uses it."""
    return await Account.with_password(here, f"eve-{tenant}")


# -- a new token ------------------------------------------------------------------------------------------------------


async def test_a_password_gets_a_token_of_a_day(here: Here, eve: Account) -> None:
    body = good(await eve.ask("POST", "/token", {"scope": "readonly"}))

    assert list(body) == ["access_token", "expiration"]
    assert body["access_token"].startswith("secret-token:")
    assert abs(body["expiration"]["t_s"] - time.time() - DAY_S) < 5
    view = await here.native("POST", "/v1/tokens/peek", {"token": body["access_token"]})
    assert (view["owner"], view["type"], view["scopes"]) == (eve.username, "taler", ["readonly"])


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [({"d_us": 60_000_000}, 60), ({"d_us": DAY_US * 2}, DAY_S * 2), ({"d_us": 1_999_999}, 1), ({"d_us": 6e7}, 60),
     ({"d_us": 2**53 - 1}, 31_536_000)],
)  # fmt: skip
async def test_a_duration_may_be_asked_for_and_what_is_too_long_is_cut(
    ann: Account, duration: dict[str, float], seconds: int
) -> None:
    body = good(await ann.ask("POST", "/token", {"scope": "readonly", "duration": duration}))

    assert abs(body["expiration"]["t_s"] - time.time() - seconds) < 5


async def test_for_ever_is_never(here: Here, ann: Account) -> None:
    body = good(await ann.ask("POST", "/token", {"scope": "readonly", "duration": {"d_us": "forever"}}))

    assert body["expiration"] == {"t_s": "never"}
    assert here.pttl(await here.id_of(body["access_token"])) == -1
    assert (await ann.listed())[0]["expiration"] == {"t_s": "never"}


async def test_where_for_ever_is_not_allowed_it_is_the_longest_life(
    slow: Running, session: aiohttp.ClientSession
) -> None:
    zoe = await Account.of(Here(slow, session), "zoe")

    body = good(await zoe.ask("POST", "/token", {"scope": "readonly", "duration": {"d_us": "forever"}}))

    assert abs(body["expiration"]["t_s"] - time.time() - 365 * DAY_S) < 5


async def test_a_duration_of_nothing_is_over_at_once(ann: Account) -> None:
    text = await ann.new(duration={"d_us": 0})

    async def over() -> bool:
        reply = await ann.ask("GET", "/tokens", by=text)
        return reply.status == 401

    await wait_until(over)
    assert no(await ann.ask("GET", "/tokens", by=text)) == (401, 42)


async def test_unknown_fields_and_a_slash_at_the_end_are_ignored(ann: Account) -> None:
    body = {"scope": "readonly", "colour": "red", "description": "", "duration": {"d_us": 5_000_000, "unit": "us"}}

    good(await ann.ask("POST", "/token/", body))

    [only] = good(await ann.ask("GET", "/tokens/"))["tokens"]
    assert only["scope"] == "readonly"
    gone(await ann.ask("DELETE", f"/tokens/{only['token_id']}/"))


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 5_000, "1e999", "0.1e-999"])
async def test_no_number_in_an_unknown_field_is_too_large(ann: Account, number: str) -> None:
    good(await ann.ask("POST", "/token", f'{{"scope": "readonly", "x": [{number}]}}'.encode()))


@pytest.mark.parametrize(
    "body",
    [
        {}, {"scope": "admin"}, {"scope": None}, {"scope": ["readonly"]}, [], None, b"", b"{", b"\xff", b"[" * 5000,
        {"scope": "readonly", "duration": 5}, {"scope": "readonly", "duration": {}},
        {"scope": "readonly", "duration": {"d_us": -1}}, {"scope": "readonly", "duration": {"d_us": 2**53}},
        {"scope": "readonly", "duration": {"d_us": "never"}}, {"scope": "readonly", "duration": {"d_us": 1.5}},
        {"scope": "readonly", "duration": {"d_us": "60"}}, {"scope": "readonly", "refreshable": "yes"},
        {"scope": "readonly", "description": 5},
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_taken_is_22(ann: Account, body: Any) -> None:
    assert no(await ann.ask("POST", "/token", body if body is not None else b"null")) == (400, 22)


@pytest.mark.parametrize("description", ["x" * 513, "two\nlines"])
async def test_a_description_that_cannot_be_kept_is_26(ann: Account, description: str) -> None:
    reply = await ann.ask("POST", "/token", {"scope": "readonly", "description": description})

    assert no(reply) == (400, 26)
    assert reply.json()["parameter"] == "description"


async def test_a_body_of_another_type_is_23(ann: Account) -> None:
    reply = await ann.ask("POST", "/token", b'{"scope":"readonly"}', Content_Type="text/plain")

    assert no(reply) == (400, 23)


# -- refreshing -------------------------------------------------------------------------------------------------------


async def test_a_refreshable_token_gets_another_and_lives_on(ann: Account) -> None:
    old = await ann.new(refreshable=True)

    new = await ann.new(by=old, refreshable=True)

    assert new != old
    assert len(await ann.listed(by=old)) == 2
    assert len(await ann.listed(by=new)) == 2


async def test_another_token_gets_none(ann: Account) -> None:
    text = await ann.new("readwrite")

    reply = await ann.ask("POST", "/token", {"scope": "readonly"}, by=text)

    assert no(reply) == (403, 16)
    assert len(await ann.listed()) == 1


async def test_who_may_not_refresh_is_told_so_before_the_body_is_read(ann: Account) -> None:
    text = await ann.new("readwrite")

    assert no(await ann.ask("POST", "/token", b"{", by=text)) == (403, 16)


@pytest.mark.parametrize("own", SCOPES)
async def test_a_scope_hands_on_what_it_covers(ann: Account, own: str) -> None:
    covered = {"readwrite": SCOPES, "readonly": ["readonly", "revenue"]}.get(own, [own])
    text = await ann.new(own, refreshable=True)

    replies = {scope: await ann.ask("POST", "/token", {"scope": scope}, by=text) for scope in SCOPES}

    assert [scope for scope, reply in replies.items() if reply.status == 200] == covered
    assert {no(reply) for reply in replies.values() if reply.status != 200} <= {(403, 16)}


async def test_use_of_a_refreshable_token_slides_without_end(here: Here, ann: Account) -> None:
    text = await ann.new(refreshable=True, duration={"d_us": DAY_US})
    id_ = await here.id_of(text)
    here.shorten(id_, 60_000)

    [token] = await ann.listed(by=text)

    assert abs(token["expiration"]["t_s"] - time.time() - DAY_S) < 5
    assert here.pttl(id_) > (DAY_S - 60) * 1000
    assert (await here.view(id_))["ceiling_at_ms"] is None


async def test_use_of_another_never_passes_the_duration(here: Here, ann: Account) -> None:
    text = await ann.new(duration={"d_us": DAY_US})
    id_ = await here.id_of(text)
    [before] = await ann.listed()

    await ann.listed(by=text)
    await here.native("POST", "/v1/tokens/use", {"token": text})

    [after] = await ann.listed()
    assert after["expiration"] == before["expiration"]
    view = await here.view(id_)
    assert view["ceiling_at_ms"] == view["created_at_ms"] + DAY_S * 1000
    assert view["expires_at_ms"] <= view["ceiling_at_ms"]


# -- the list ---------------------------------------------------------------------------------------------------------


async def test_an_entry_has_the_documented_keys(ann: Account) -> None:
    await ann.new("readonly", description="the till", refreshable=True)
    await ann.new("revenue")

    plain, described = await ann.listed()

    keys = ["creation_time", "expiration", "scope", "refreshable", "last_access", "token_id", "row_id"]
    assert list(plain) == keys
    assert list(described) == [*keys[:4], "description", *keys[4:]]
    assert (plain["scope"], plain["refreshable"]) == ("revenue", False)
    assert (described["scope"], described["refreshable"], described["description"]) == ("readonly", True, "the till")
    for name in ("creation_time", "last_access"):
        assert abs(plain[name]["t_s"] - time.time()) < 5
    assert isinstance(plain["token_id"], int)
    assert plain["token_id"] == plain["row_id"] < 2**53
    assert plain["last_access"] == plain["creation_time"]


async def test_an_account_without_tokens_is_204(ann: Account) -> None:
    gone(await ann.ask("GET", "/tokens"))


async def test_ids_grow_and_are_never_given_again(ann: Account) -> None:
    ids: list[int] = []
    for _ in range(5):
        text = await ann.new()
        ids += await ann.ids(limit=-1)
        gone(await ann.ask("DELETE", "/token", by=text))

    assert ids == sorted(set(ids))
    assert len(ids) == 5


async def test_the_limit_is_signed_and_the_offset_excluded(ann: Account) -> None:
    for _ in range(6):
        await ann.new()
    up = await ann.ids(limit=100)

    assert up == sorted(up)
    assert len(up) == 6
    assert await ann.ids() == up[::-1]
    assert await ann.ids(limit=2) == up[:2]
    assert await ann.ids(limit=-2) == up[:-3:-1]
    assert await ann.ids(limit=2, offset=up[1]) == up[2:4]
    assert await ann.ids(limit=-2, offset=up[4]) == [up[3], up[2]]
    assert await ann.ids(limit=10, offset=up[1] + 1) == up[2:]
    assert await ann.ids(limit=10, offset=0) == up
    assert await ann.ids(offset=up[2]) == [up[1], up[0]]
    gone(await ann.ask("GET", f"/tokens?limit=5&offset={up[5]}"))
    gone(await ann.ask("GET", f"/tokens?limit=-5&offset={up[0]}"))
    gone(await ann.ask("GET", f"/tokens?limit=5&offset={2**63 - 1}"))


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2, -3])
async def test_a_client_that_goes_on_from_the_last_id_sees_each_once(ann: Account, step: int) -> None:
    for _ in range(7):
        await ann.new()
    everything = await ann.ids(limit=100 if step > 0 else -100)

    seen = page = await ann.ids(limit=step)
    while page:
        page = await ann.ids(limit=step, offset=page[-1])
        seen = seen + page

    assert seen == everything


async def test_the_default_is_the_twenty_newest(ann: Account) -> None:
    for _ in range(22):
        await ann.new()
    everything = await ann.ids(limit=1000)

    assert await ann.ids() == everything[:-21:-1]


async def test_the_deprecated_names_mean_the_same(ann: Account) -> None:
    for _ in range(4):
        await ann.new()
    up = await ann.ids(limit=9)

    assert await ann.ids(delta=2) == up[:2]
    assert await ann.ids(delta=-2, start=up[3]) == [up[2], up[1]]
    assert await ann.ids(limit=2, delta=2, offset=up[0], start=up[0]) == up[1:3]
    assert await ann.ids(limit=2, start=up[0]) == up[1:3]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"), ("limit=ten", "limit"), ("limit=", "limit"), ("limit=1.5", "limit"),
        ("limit=%2B5", "limit"), ("limit=null", "limit"), ("limit=9223372036854775808", "limit"),
        ("limit=" + "9" * 400, "limit"), ("limit=1&limit=1", "limit"), ("limit=5&delta=-5", "limit"),
        ("delta=0", "limit"), ("delta=x", "delta"), ("offset=-1", "offset"), ("offset=x", "offset"),
        ("offset=9223372036854775808", "offset"), ("start=-1", "start"), ("offset=5&start=6", "offset"),
    ],
)  # fmt: skip
async def test_a_parameter_that_cannot_be_taken_is_26(ann: Account, query: str, parameter: str) -> None:
    reply = await ann.ask("GET", f"/tokens?{query}")

    assert no(reply) == (400, 26)
    assert reply.json()["parameter"] == parameter


async def test_a_limit_beyond_the_largest_page_is_cut_to_it(ann: Account) -> None:
    await ann.new()

    assert len(await ann.ids(limit=2**63 - 1)) == 1
    assert len(await ann.ids(limit=-(2**63))) == 1


async def test_what_has_ended_is_not_listed_and_takes_nobodys_place(here: Here, ann: Account) -> None:
    texts = [await ann.new() for _ in range(8)]
    up = await ann.ids(limit=10)
    here.expire(await here.id_of(texts[1]))
    await here.native("POST", "/v1/tokens/revoke", {"token": texts[2]})
    gone(await ann.ask("DELETE", "/token", by=texts[4]))
    gone(await ann.ask("DELETE", f"/tokens/{up[6]}"))

    left = [up[0], up[3], up[5], up[7]]
    assert await ann.ids(limit=4) == left
    assert await ann.ids(limit=-3) == left[:0:-1]
    assert await ann.ids(limit=2, offset=up[0]) == left[1:3]


async def test_a_page_is_filled_though_no_sweep_has_marked_the_expired(
    slow: Running, session: aiohttp.ClientSession
) -> None:
    here = Here(slow, session)
    eve = await Account.of(here, "eve")
    texts = [await eve.new() for _ in range(61)]
    kept = texts[::10]
    for text in texts:
        if text not in kept:
            here.expire(await here.id_of(text))

    assert len(await eve.listed(limit=7)) == 7
    assert len(await eve.listed(limit=-3)) == 3
    assert len(await eve.listed(limit=1000)) == 7


async def test_listing_with_a_token_is_a_use_that_the_list_shows(ann: Account) -> None:
    text = await ann.new("readonly")
    [before] = await ann.listed()
    await wait_until(lambda: time.time() > before["last_access"]["t_s"] + 1.1)

    [after] = await ann.listed(by=text)

    assert after["last_access"]["t_s"] > before["last_access"]["t_s"]
    assert after["creation_time"] == before["creation_time"]


@pytest.mark.parametrize(("scope", "status"), [("readonly", 200), ("readwrite", 200), ("revenue", 403),
                                               ("wiregateway", 403), ("observability", 403)])  # fmt: skip
async def test_listing_needs_a_scope_that_reads(ann: Account, scope: str, status: int) -> None:
    text = await ann.new(scope)

    reply = await ann.ask("GET", "/tokens", by=text)

    assert reply.status == status
    assert status == 200 or no(reply) == (403, 16)


async def test_sessions_of_another_kind_are_not_listed(here: Here, ann: Account) -> None:
    await here.issue(ann.username)

    gone(await ann.ask("GET", "/tokens"))


# -- deleting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_token_deletes_itself(here: Here, ann: Account, scope: str) -> None:
    text = await ann.new(scope)
    id_ = await here.id_of(text)

    gone(await ann.ask("DELETE", "/token", by=text))

    assert no(await ann.ask("DELETE", "/token", by=text)) == (401, 41)
    assert (await here.view(id_))["ended_by"] == "holder"
    assert await ann.ids() == []


async def test_a_password_permits_everything_but_to_delete_itself(eve: Account) -> None:
    await eve.new("wiregateway")
    [only] = await eve.ids()

    gone(await eve.ask("DELETE", f"/tokens/{only}"))

    gone(await eve.ask("GET", "/tokens"))
    assert no(await eve.ask("DELETE", "/token")) == (400, 23)


async def test_a_token_is_deleted_by_its_id_once(here: Here, ann: Account) -> None:
    text, other = await ann.new(), await ann.new()
    handle = await here.id_of(text)
    first, second = await ann.ids(limit=2)

    gone(await ann.ask("DELETE", f"/tokens/{first}", by=other))

    assert no(await ann.ask("DELETE", f"/tokens/{first}")) == (404, 5107)
    assert no(await ann.ask("GET", "/tokens", by=text)) == (401, 41)
    assert await ann.ids() == [second]
    assert await here.story(handle) == ["issued", "revoked"]


@pytest.mark.parametrize("token_id", ["0", "1", "999999999999999999"])
async def test_an_id_that_is_not_there_is_404(ann: Account, token_id: str) -> None:
    await ann.new()

    assert no(await ann.ask("DELETE", f"/tokens/{token_id}")) == (404, 5107)


@pytest.mark.parametrize("token_id", ["x", "-1", "1.0", "9" * 30, "%00", "1%20", "%D9%A1"])
async def test_what_is_no_id_is_400(ann: Account, token_id: str) -> None:
    assert no(await ann.ask("DELETE", f"/tokens/{token_id}")) == (400, 26)


async def test_another_accounts_token_is_not_there(here: Here, ann: Account) -> None:
    bob = await Account.of(here, f"bob-{ann.username}")
    await bob.new()
    [theirs] = await bob.ids()

    reply = await ann.ask("DELETE", f"/tokens/{theirs}")

    assert no(reply) == (404, 5107)
    assert await bob.ids() == [theirs]


@pytest.mark.parametrize("scope", ["readonly", "revenue", "wiregateway", "observability"])
async def test_deleting_another_token_needs_readwrite(ann: Account, scope: str) -> None:
    text = await ann.new(scope)
    await ann.new()

    reply = await ann.ask("DELETE", f"/tokens/{(await ann.ids())[0]}", by=text)

    assert no(reply) == (403, 16)
    assert len(await ann.ids()) == 2


# -- who asks ---------------------------------------------------------------------------------------------------------

CALLS = [("POST", "/token"), ("DELETE", "/token"), ("GET", "/tokens"), ("DELETE", "/tokens/1")]
CHALLENGE = {25: "Basic", 40: "Basic", 41: 'Bearer error="invalid_token"', 42: 'Bearer error="invalid_token"'}


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_every_wrong_login_has_its_answer(here: Here, ann: Account, method: str, path: str) -> None:
    expired, revoked = await ann.new(), await ann.new()
    here.expire(await here.id_of(expired))
    gone(await ann.ask("DELETE", "/token", by=revoked))
    random_token = "secret-token:" + "0123456789ABCDEFGHJKMNPQRS" * 2
    wrong: list[tuple[str | None, tuple[int, int]]] = [
        (None, (401, 25)),
        ("Basic", (400, 23)), ("Bearer", (400, 23)), ("secret-token:x", (400, 23)), ("", (400, 23)),
        ("Basic !!!", (400, 23)), ("Basic YW5u", (400, 23)), ("Basic /w==", (400, 23)), ("Basic YTp", (400, 23)),
        ("Digest abc", (401, 40)), ("Negotiate abc", (401, 40)),
        (basic(ann.username), (401, 40)),
        (f"Bearer {random_token.removeprefix('secret-token:')}", (400, 23)),
        ("Bearer secret-token:", (400, 23)), ("Bearer secret-token:a*b", (400, 23)),
        ("Bearer secret-token:a b", (400, 23)),
        (f"Bearer {random_token}", (401, 41)), (f"Bearer {expired[:-1]}x", (401, 41)),
        (f"Bearer {expired}", (401, 42)), (f"Bearer {revoked}", (401, 41)), (f"bearer {revoked}", (401, 41)),
    ]  # fmt: skip

    for login, expected in wrong:
        reply = await here.ask(method, ann.path + path, {} if method == "POST" else None, Authorization=login)

        assert no(reply) == expected, login
        if reply.status == 401:
            assert reply.headers["WWW-Authenticate"] == CHALLENGE[expected[1]]


async def test_unknown_users_and_wrong_passwords_are_told_apart_nowhere(here: Here, eve: Account) -> None:
    wrong = [basic(eve.username, "wrong"), basic("nobody"), basic("", ""), basic("\x00"), basic("x" * 3000)]

    replies = [await here.ask("GET", eve.path + "/tokens", Authorization=login) for login in wrong]

    assert [no(reply) for reply in replies] == [(401, 40)] * len(wrong)
    assert {reply.body for reply in replies} == {replies[0].body}


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_another_user_is_forbidden_whether_or_not_the_account_exists(
    here: Here, ann: Account, eve: Account, method: str, path: str
) -> None:
    text = await ann.new()

    for name in (eve.username, f"nobody-{eve.username}", "%00", "x" * 999, f"shop~{ann.username}"):
        assert no(await here.ask(method, f"/accounts/{name}{path}", Authorization=f"Bearer {text}")) == (403, 44), name
    for name in (ann.username, f"nobody-{eve.username}"):
        assert no(await here.ask(method, f"/accounts/{name}{path}", Authorization=eve.login)) == (403, 44), name


async def test_where_the_settings_say_so_a_password_only_gets_a_token(
    slow: Running, session: aiohttp.ClientSession
) -> None:
    kim = await Account.with_password(Here(slow, session), "kim")

    text = await kim.new()

    assert {no(await kim.ask(method, path)) for method, path in CALLS[1:]} == {(401, 40)}
    assert len(await kim.listed(by=text)) == 1


async def test_two_authorizations_are_none(ann: Account) -> None:
    async with aiohttp.ClientSession() as session:
        headers = [("Authorization", ann.login), ("Authorization", ann.login)]
        async with session.get(ann.here.url + ann.path + "/tokens", headers=headers) as response:
            reply = Reply(response.status, response.headers, await response.read())

    assert no(reply) == (400, 23)


async def test_an_account_of_another_tenant_logs_in_by_its_name(here: Here, tenant: str) -> None:
    ann, stranger = await Account.with_password(here, "ann", tenant), await Account.of(here, "ann")

    text = await ann.new()

    assert len(await ann.listed(by=text)) == 1
    assert (await here.view(await here.id_of(text)))["tenant"] == tenant
    assert no(await stranger.ask("GET", "/tokens", by=text)) == (403, 44)


async def test_a_name_may_be_of_any_language(here: Here, tenant: str) -> None:
    account = await Account.with_password(here, f"Ångström {tenant}/+%")

    text = await account.new()

    assert len(await account.listed(by=text)) == 1


# -- one core ---------------------------------------------------------------------------------------------------------


async def test_our_own_api_lists_peeks_at_and_ends_what_was_made_here(here: Here, ann: Account) -> None:
    text = await ann.new("readonly", description="the till")

    page = await here.native("GET", f"/v1/tokens?owner={ann.username}&type=taler")
    peeked = await here.native("POST", "/v1/tokens/peek", {"token": text})
    await here.native("POST", "/v1/tokens/revoke", {"token": text})

    [item] = page["items"]
    assert (item["id"], item["description"], item["scopes"]) == (peeked["id"], "the till", ["readonly"])
    assert "token" not in item
    assert 0 < peeked["remaining_ms"] <= DAY_S * 1000
    assert no(await ann.ask("GET", "/tokens", by=text)) == (401, 41)
    gone(await ann.ask("GET", "/tokens"))


async def test_a_token_of_our_own_api_with_the_scope_is_taken_in_its_own_dress(here: Here, ann: Account) -> None:
    issued = await here.issue(ann.username, scopes=["readwrite"])

    gone(await ann.ask("GET", "/tokens", by=issued["token"]))
    gone(await ann.ask("GET", "/tokens", by="secret-token:" + issued["token"].removeprefix("tl_")))

    assert (await here.view(issued["id"]))["uses"] == 2


async def test_a_token_without_a_scope_of_this_dialect_permits_nothing(here: Here, ann: Account) -> None:
    issued = await here.issue(ann.username, type="service", scopes=["tokens:read"])

    assert no(await ann.ask("GET", "/tokens", by=issued["token"])) == (403, 16)


# -- the edges of HTTP ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/token", "DELETE, POST"), ("PUT", "/token", "DELETE, POST"), ("POST", "/tokens", "GET, HEAD"),
     ("DELETE", "/tokens", "GET, HEAD"), ("GET", "/tokens/1", "DELETE")],
)  # fmt: skip
async def test_another_method_is_20(ann: Account, method: str, path: str, allowed: str) -> None:
    reply = await ann.ask(method, path)

    assert no(reply) == (405, 20)
    assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path",
    ["/accounts", "/accounts/", "/accounts/ann", "/accounts/ann/", "/accounts/ann/transactions", "/accounts//tokens",
     "/accounts/ann/tokens/1/2", "/accounts/ann/token/x", "/accounts/%ff/x", "/accounts/ann/Tokens"],
)  # fmt: skip
async def test_an_unknown_path_below_is_21(here: Here, path: str) -> None:
    assert no(await here.ask("GET", path)) == (404, 21)


async def test_a_body_that_is_too_large_is_32(ann: Account) -> None:
    assert no(await ann.ask("POST", "/token", b'"' + b"x" * 200_000)) == (413, 32)


async def test_a_body_that_is_not_packed_as_it_says_is_28(ann: Account) -> None:
    body = b'{"scope": "readonly"}'

    good(await ann.ask("POST", "/token", gzip.compress(body), Content_Encoding="gzip"))

    for packing in ("gzip", "deflate"):
        assert no(await ann.ask("POST", "/token", body, Content_Encoding=packing)) == (400, 28)


@pytest.fixture(scope="module")
def slow() -> Iterator[Running]:
    """A service of this file's own, to be broken.

    It sweeps every ten seconds only, knows no life for ever, and a password only gets tokens.
    """
    with running(tick_ms=10_000, forever=False, taler_basic=False) as both:
        yield both


async def test_an_outage_is_503_and_logs_nobody_out(slow: Running, session: aiohttp.ClientSession) -> None:
    here = Here(slow, session)
    ann, eve = await Account.of(here, "ann"), await Account.with_password(here, "eve")
    text = await ann.new()

    slow.store.pause()
    try:
        asked = [ann.ask(method, path, by=text) for method, path in CALLS]
        *by_token, by_password = await asyncio.gather(*asked, eve.ask("POST", "/token", {}))
    finally:
        slow.store.resume()

    assert [no(reply) for reply in (*by_token, by_password)] == [(503, 53)] * 5
    assert {reply.headers["Retry-After"] for reply in by_token} == {"1"}
    await wait_until(lambda: slow.service.status("/readyz") == 200)
    assert len(await ann.listed(by=text)) == 1


async def test_a_fault_is_60_and_tells_nothing(slow: Running, session: aiohttp.ClientSession) -> None:
    here = Here(slow, session)
    mallory = await Account.of(here, "mallory")
    text = await mallory.new(description="somebody's till")
    short = (await here.id_of(text)).replace("-", "")
    [record] = here.redis.keys(f"tl:*:t:{short}")
    here.redis.set(record, here.redis.get(record).replace(b"{", b"?"))

    reply = await mallory.ask("GET", "/tokens")

    assert no(reply) == (500, 60)
    assert b"till" not in reply.body
    assert text not in slow.service.said()


# -- bad input --------------------------------------------------------------------------------------------------------

JUNK = ["", "0", "-1", "null", "true", "[]", "{}", "1e9", "NaN", "9" * 400, "%00", "%ff", "é" * 9, "a b", "'--",
        "../..", "x" * 3000, "secret-token:x", "5", "-5", "token", "tokens", "~", "a~b"]  # fmt: skip


def junk_body(dice: random.Random) -> bytes:
    parts: list[Any] = [
        "null",
        "0",
        "-1",
        "1e999",
        '""',
        '"readonly"',
        "[]",
        "{}",
        "true",
        '{"d_us":5}',
        '{"d_us":"x"}',
    ]
    names = ["scope", "duration", "refreshable", "description", "x"]
    body = ",".join(f'"{dice.choice(names)}":{dice.choice(parts)}' for _ in range(3)).join("{}").encode()
    return dice.choice([body, body[: dice.randrange(len(body))], dice.randbytes(40)])


async def test_whatever_is_sent_is_answered_in_this_dialect(here: Here, ann: Account) -> None:
    dice = random.Random(20261121)
    text = await ann.new(refreshable=True, duration={"d_us": "forever"})
    seen: Counter[int] = Counter()

    for _ in range(300):
        method = dice.choice(["GET", "GET", "POST", "DELETE", "PUT"])
        name = dice.choice([ann.username, ann.username, ann.username, quote(dice.choice(JUNK), safe="%")])
        tail = dice.choice(["/tokens", "/tokens", "/token", f"/tokens/{quote(dice.choice(JUNK), safe='%')}"])
        query = "&".join(
            f"{dice.choice(['limit', 'offset', 'delta', 'start', 'x'])}={quote(dice.choice(JUNK), safe='%')}"
            for _ in range(2)
        )
        login = dice.choice(
            [f"Bearer {text}"] * 40 + [f"Bearer {dice.choice(JUNK)}", dice.choice(JUNK)] * 4 + [basic("x")]
        )
        body = junk_body(dice) if method == "POST" else None
        if (method, tail) == ("DELETE", "/token"):
            continue
        path = f"/accounts/{name}{tail}?{query}"

        reply = await here.ask(method, path, body, Authorization=login.encode("ascii", "ignore").decode())

        seen[reply.status] += 1
        if reply.status not in (200, 204):
            assert no(reply)[0] in {400, 401, 403, 404, 405}, (method, path, login, body)
    assert {200, 400, 401, 403, 404, 405} <= set(seen)
