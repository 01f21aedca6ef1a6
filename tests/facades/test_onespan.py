"""OneSpan Identity Verification, "Create Session Creation Token": what a reader of its pages would try."""

import asyncio
import hmac
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web

from service import server
from service.core.jwts import Jwts
from service.core.token import Issued
from tests.facades.conftest import ADMIN, SIGNING_KEYS, Beside, Here, Reply, Running, running
from tests.world import World

SAMPLE = msgspec.json.decode((Path(__file__).parent / "samples" / "onespan_token.json").read_bytes())
NOBODY = "dcaad720-d1e9-47ba-a76b-a6370ef0373b"  # a transaction of the vendor's page
DAY_MS = 86_400_000
ONE = "/api/transaction/{id}"
CALLS = [
    ("PUT", "/api/transaction/", {}),
    ("GET", ONE, None),
    ("PUT", ONE + "/event", {"trigger": "transaction_cancelled"}),
    ("POST", ONE + "/token", {"role": "signer1"}),
]

# The table that stands under each call of the vendor's.
BAD_DATA = (400, "Bad Request", "The transaction data is invalid.")
INVALID = (401, "Unauthorized", "Invalid token.")
NO_RIGHTS = (403, "Forbidden", "The token does not grant transaction creation rights.")


def ok(reply: Reply) -> Any:
    assert reply.status == 200, reply.body
    assert reply.type == "application/json"
    assert reply.headers["Vary"] == "Accept"
    return reply.json()


def error(reply: Reply) -> tuple[int, str, str]:
    """A failure in the envelope; its status is the HTTP status too."""
    body = reply.json()
    assert list(body) == ["status", "error", "message"]
    assert body["status"] == reply.status
    assert reply.type == "application/json"
    assert reply.headers["Vary"] == "Accept"
    return body["status"], body["error"], body["message"]


def part(text: str, number: int) -> Any:
    """A part of a JWT, read without looking at its signature; the keys keep their order."""
    return msgspec.json.decode(raw(text, number))


def raw(text: str, number: int) -> bytes:
    piece = text.split(".")[number]
    assert "=" not in piece
    return urlsafe_b64decode(piece + "=" * (-len(piece) % 4))


def forged(header: object, claims: object, key: bytes, digest: str = "sha384") -> str:
    """A JWT made by hand, so that nothing keeps it from being a bad one."""

    def piece(data: bytes) -> str:
        return urlsafe_b64encode(data).rstrip(b"=").decode()

    body = f"{piece(msgspec.json.encode(header))}.{piece(msgspec.json.encode(claims))}"
    return f"{body}.{piece(hmac.digest(key, body.encode(), digest)) if digest else ''}"


class OneSpan(NamedTuple):
    """A client of the vendor's API."""

    here: Here
    credential: str  # the text alone

    async def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        given = {"Authorization": f"Bearer {self.credential}", **headers}
        return await self.here.ask(method, path, body, **given)

    async def transaction(self, **members: Any) -> Any:
        return ok(await self.ask("PUT", "/api/transaction/", members))

    async def token(self, id_: str, role: str = "signer1") -> str:
        made = ok(await self.ask("POST", f"/api/transaction/{id_}/token", {"role": role}))
        return str(made["token"])

    async def cancel(self, id_: str) -> Reply:
        return await self.ask("PUT", f"/api/transaction/{id_}/event", {"trigger": "transaction_cancelled"})


async def credential(here: Here, tenant: str, **asked: Any) -> Any:
    """The answer of our own API: `id`, and `authorization` as it stands in the header."""
    return await here.native("POST", "/v1/credentials/onespan", {"owner": "a client", "tenant": tenant, **asked})


@pytest.fixture
async def onespan(here: Here, tenant: str) -> OneSpan:
    made = await credential(here, tenant)
    return OneSpan(here, made["authorization"].removeprefix("Bearer "))


# The token


async def test_a_token_is_made_as_in_the_sample(onespan: OneSpan) -> None:
    request, printed = SAMPLE["request"], SAMPLE["response"]
    id_ = (await onespan.transaction())["id"]

    reply = await onespan.ask(
        request["method"], f"/api/transaction/{id_}/token", request["body"], Accept=request["headers"]["Accept"]
    )

    assert reply.status == printed["status"]
    assert {name: reply.headers[name] for name in printed["headers"]} == printed["headers"]
    made, sample = reply.json(), printed["body"]
    assert list(made) == list(sample)
    assert made["role"] == sample["role"]
    assert raw(made["token"], 0) == raw(sample["token"], 0)
    assert len(raw(made["token"], 2)) == len(raw(sample["token"], 2)) == 48
    ours, theirs = part(made["token"], 1), part(sample["token"], 1)
    assert list(ours) == list(theirs)
    assert {name: type(value) for name, value in ours.items()} == {name: type(value) for name, value in theirs.items()}
    assert (ours["session"], ours["scope"]) == (theirs["session"], theirs["scope"])
    assert b" " not in raw(made["token"], 1)


async def test_its_claims_are_those_of_its_record(onespan: OneSpan, here: Here, tenant: str) -> None:
    id_ = (await onespan.transaction())["id"]

    claims = part(await onespan.token(id_), 1)

    view = await here.view(claims["jti"])
    assert (claims["transaction_uuid"], claims["client_id"]) == (id_, tenant)
    assert claims["exp"] * 1000 == view["expires_at_ms"] == view["ceiling_at_ms"]
    assert DAY_MS - 1000 <= view["life_ms"] <= DAY_MS
    assert (view["owner"], view["tenant"], view["type"]) == (id_, tenant, "session_creation")
    assert view["remaining_ms"] - 1000 < here.pttl(claims["jti"]) <= view["remaining_ms"]


async def test_no_use_lengthens_its_life(onespan: OneSpan, here: Here) -> None:
    token = await onespan.token((await onespan.transaction())["id"])
    exp_ms = part(token, 1)["exp"] * 1000

    used = await here.native("POST", "/v1/tokens/use", {"token": token})
    renewed = await here.native("POST", "/v1/tokens/renew", {"token": token})

    assert used["expires_at_ms"] == renewed["expires_at_ms"] == exp_ms
    assert not used["sliding"]


async def test_a_new_token_leaves_the_older_ones_alone(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]

    first, second = await onespan.token(id_), await onespan.token(id_)

    assert first != second
    assert (await here.native("POST", "/v1/tokens/peek", {"token": first}))["state"] == "active"


async def test_it_does_not_outlive_its_transaction(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]
    here.shorten(id_, 60_000)

    token = await onespan.token(id_)

    exp_ms, ends_ms = part(token, 1)["exp"] * 1000, (await here.view(id_))["expires_at_ms"]
    assert ends_ms - 1000 < exp_ms <= ends_ms


async def test_it_opens_at_our_own_api_and_is_refused_by_its_jti(onespan: OneSpan, here: Here) -> None:
    token = await onespan.token((await onespan.transaction())["id"])
    jti = part(token, 1)["jti"]
    assert (await here.native("GET", "/v1/self", token=token))["id"] == jti

    await here.native("DELETE", f"/v1/tokens/{jti}")

    assert (await here.ask("GET", "/v1/self", Authorization=f"Bearer {token}")).status == 401
    assert await here.story(jti) == ["issued", "revoked"]


@pytest.mark.parametrize("role", ["unknown", "Borrower", "x", "r" * 32, "Prêteur n° 1", '"\\'])
async def test_any_role_of_up_to_32_characters_is_taken(onespan: OneSpan, role: str) -> None:
    id_ = (await onespan.transaction())["id"]

    made = ok(await onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": role, "other": 1}))

    assert made["role"] == role
    assert part(made["token"], 1)["session"] == {"role": role}


@pytest.fixture(scope="module")
def brief() -> Iterator[Running]:
    with running(onespan_life_ms=90_000, max_life_ms=DAY_MS * 7, facades="onespan") as both:
        yield both


async def test_a_fault_is_500_in_the_same_envelope(brief: Running, session: aiohttp.ClientSession) -> None:
    here = Here(brief, session)
    onespan = OneSpan(here, (await credential(here, "shop"))["authorization"].removeprefix("Bearer "))
    id_ = (await onespan.transaction())["id"]
    [record] = here.redis.keys(f"tl:*:t:{id_.replace('-', '')}")
    here.redis.set(record, here.redis.get(record).replace(b"{", b"?"))

    reply = await onespan.ask("GET", f"/api/transaction/{id_}")

    assert error(reply) == (500, "Internal Server Error", "Server or application error.")
    assert onespan.credential not in brief.service.said()


async def test_the_lives_are_settings(brief: Running, session: aiohttp.ClientSession) -> None:
    here = Here(brief, session)
    onespan = OneSpan(here, (await credential(here, "shop"))["authorization"].removeprefix("Bearer "))

    transaction = await onespan.transaction()
    token = await onespan.token(transaction["id"])

    assert transaction["expiry_period"] == 7
    assert 89_000 <= (await here.view(part(token, 1)["jti"]))["life_ms"] <= 90_000


# The transaction


async def test_a_transaction_is_made_and_shown(onespan: OneSpan, tenant: str) -> None:
    made = await onespan.transaction(
        tenant_id="5e52d7b8-8b18-41a4-9187-d4ce75af6815",
        workflow_id="80b601c9-f102-4761-9eaa-90ba8fcb58b6",
        urlSetKey="default",
        brand_id="a089f718-f12d-4b13-b82e-e1d8b324337d",
        language="english",
        users=[{"any": "thing"}],
        documents=[],
        tokens=[{"role": "signer1"}, {"role": "signer2"}],
    )

    shown = ok(await onespan.ask("GET", f"/api/transaction/{made['id']}?withVerifications=true"))
    assert shown == made
    assert (made["status"], made["tenant_id"], made["expiry_period"]) == ("new", tenant, 90)
    assert (made["workflow_id"], made["language"]) == ("80b601c9-f102-4761-9eaa-90ba8fcb58b6", "english")
    assert [(each["role"], each["version"]) for each in made["tokens"]] == [("signer1", 0), ("signer2", 0)]
    assert {part(each["token"], 1)["transaction_uuid"] for each in made["tokens"]} == {made["id"]}
    created, ends = (datetime.fromisoformat(made[name]) for name in ("created", "expiry_timestamp"))
    assert made["created"].endswith("Z")
    assert (ends - created).days == 90


async def test_it_is_a_token_that_no_use_renews_and_that_owns_itself(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]

    view = await here.view(id_)

    assert (view["type"], view["owner"], view["sliding"]) == ("transaction", id_, False)
    assert view["life_ms"] == 90 * DAY_MS
    assert view["ceiling_at_ms"] == view["expires_at_ms"] == view["created_at_ms"] + 90 * DAY_MS


async def test_its_tokens_are_those_that_live(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]
    first, second, third = [await onespan.token(id_, role) for role in ("a", "b", "c")]

    await here.native("POST", "/v1/tokens/revoke", {"token": first})
    here.expire(part(second, 1)["jti"])

    shown = ok(await onespan.ask("GET", f"/api/transaction/{id_}"))
    assert shown["tokens"] == [{"token": third, "role": "c", "version": 0}]


async def test_a_transaction_that_lists_roles_takes_no_other(onespan: OneSpan) -> None:
    id_ = (await onespan.transaction(tokens=[{"role": "signer1"}]))["id"]

    other = await onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": "signer2"})

    assert error(other) == BAD_DATA
    assert await onespan.token(id_, "signer1")


async def test_cancelling_revokes_all_that_it_owns(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction(language="english"))["id"]
    tokens = [await onespan.token(id_) for _ in range(3)]

    cancelled = ok(await onespan.cancel(id_))

    assert (cancelled["status"], cancelled["tokens"], cancelled["language"]) == ("cancelled", [], "english")
    assert ok(await onespan.ask("GET", f"/api/transaction/{id_}")) == cancelled
    for token in tokens:
        assert (await here.ask("GET", "/v1/self", Authorization=f"Bearer {token}")).json()["code"] == "revoked"
    assert error(await onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": "a"})) == BAD_DATA
    assert await here.story(id_) == ["issued", "revoked"]


async def test_cancelling_again_answers_the_same(onespan: OneSpan) -> None:
    id_ = (await onespan.transaction())["id"]
    first = ok(await onespan.cancel(id_))

    assert ok(await onespan.cancel(id_)) == first


async def test_cancelling_ends_more_than_one_call_to_the_store_can(onespan: OneSpan, here: Here, tenant: str) -> None:
    id_ = (await onespan.transaction())["id"]
    await asyncio.gather(*[here.issue(id_, tenant=tenant, type="session_creation") for _ in range(510)])

    ok(await onespan.cancel(id_))

    counted = await here.native("GET", f"/v1/tokens/count?tenant={tenant}&owner={id_}")
    assert counted["by_state"] == {"revoked": 511}


async def test_no_token_slips_through_a_cancellation(onespan: OneSpan, here: Here, tenant: str) -> None:
    """One that is issued while the transaction is being cancelled is either seen by that or refused."""
    id_ = (await onespan.transaction())["id"]

    def issues(times: int) -> list[Any]:
        return [onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": "a"}) for _ in range(times)]

    replies = await asyncio.gather(*issues(20), onespan.cancel(id_), *issues(20))

    assert {reply.status for reply in replies} <= {200, 400}
    counted = await here.native("GET", f"/v1/tokens/count?tenant={tenant}&owner={id_}")
    assert set(counted["by_state"]) == {"revoked"}


async def test_a_token_that_comes_after_its_transaction_was_cancelled_is_revoked(
    onespan: OneSpan, here: Here, shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation that is over before there is the token has not seen it."""
    id_, late = (await onespan.transaction())["id"], []
    async with World(Beside(shared.store)) as world:
        issue = world.tokens.issue_written

        async def slowly(*given: Any) -> Issued:
            ok(await onespan.cancel(id_))
            late.append(await issue(*given))
            return late[0]

        monkeypatch.setattr(world.tokens, "issue_written", slowly)
        async with served(world) as port:
            other = copy(here)
            other.url = f"http://127.0.0.1:{port}"
            reply = await OneSpan(other, onespan.credential).ask(
                "POST", f"/api/transaction/{id_}/token", {"role": "signer1"}
            )

    assert error(reply) == BAD_DATA
    assert (await here.view(late[0].token.id))["state"] == "revoked"


@asynccontextmanager
async def served(world: World) -> AsyncIterator[int]:
    """The port behind which a world is spoken to as a service."""
    runner = server.runner(world.service.voices(), 65_536, 10.0, 1.0, world.service.telling)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_revoking_it_at_our_own_api_cancels_it(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]

    await here.native("DELETE", f"/v1/tokens/{id_}")

    assert ok(await onespan.ask("GET", f"/api/transaction/{id_}"))["status"] == "cancelled"
    assert error(await onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": "a"})) == BAD_DATA


async def test_an_expired_transaction_is_shown_as_such_and_does_nothing(onespan: OneSpan, here: Here) -> None:
    id_ = (await onespan.transaction())["id"]

    here.expire(id_)

    assert ok(await onespan.ask("GET", f"/api/transaction/{id_}"))["status"] == "expired"
    assert error(await onespan.ask("POST", f"/api/transaction/{id_}/token", {"role": "a"})) == BAD_DATA
    assert error(await onespan.cancel(id_)) == BAD_DATA


# 401


def bad_texts(good: str) -> dict[str, str | None]:
    """Authorization headers that hold no token of ours, made from one that is."""
    claims, key = part(good, 1), hmac.digest(SIGNING_KEYS.split(",")[0].encode(), b"onespan jwt", "sha384")
    assert forged({"alg": "HS384", "typ": "JWT"}, claims, key) == good, "else what follows would prove nothing"
    texts = {
        "unsigned": forged({"alg": "none", "typ": "JWT"}, claims, key, ""),
        "none with our signature": forged({"alg": "none", "typ": "JWT"}, claims, key),
        "HS256 with our key": forged({"alg": "HS256", "typ": "JWT"}, claims, key, "sha256"),
        "HS512 with our key": forged({"alg": "HS512", "typ": "JWT"}, claims, key, "sha512"),
        "RS256 with our key for a public one": forged({"alg": "RS256", "typ": "JWT"}, claims, key),
        "the signing key itself": forged({"alg": "HS384"}, claims, SIGNING_KEYS.split(",")[0].encode()),
        "another key": forged({"alg": "HS384", "typ": "JWT"}, claims, b"x" * 48),
        "no key": forged({"alg": "HS384", "typ": "JWT"}, claims, b""),
        "no exp": forged({"alg": "HS384"}, {name: claims[name] for name in claims if name != "exp"}, key),
        "no jti": forged({"alg": "HS384"}, {name: claims[name] for name in claims if name != "jti"}, key),
        "another jti": forged({"alg": "HS384"}, {**claims, "jti": NOBODY}, key),
        "the vendor's own": SAMPLE["response"]["body"]["token"],
        "a changed signature": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "a cut one": good[:-1],
        "a longer one": good + "=",
        "the admin token": ADMIN,
        "a word": "x",
    }
    headers: dict[str, str | None] = {name: f"Bearer {text}" for name, text in texts.items()}
    return headers | {"no header": None, "empty": "Bearer ", "Basic": f"Basic {good}", "no scheme": good}


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_no_text_but_a_live_jwt_of_ours_is_a_credential(
    onespan: OneSpan, here: Here, method: str, path: str, body: Any
) -> None:
    path = path.format(id=(await onespan.transaction())["id"])
    bad = bad_texts(onespan.credential)

    replies = {name: await here.ask(method, path, body, Authorization=text) for name, text in bad.items()}

    wrong = {name: reply for name, reply in replies.items() if error(reply) != INVALID}
    assert wrong == {}
    assert {reply.headers["WWW-Authenticate"] for reply in replies.values()} == {"Bearer"}


@pytest.mark.parametrize("ended", ["revoked", "expired", "forgotten"])
async def test_a_credential_that_ended_is_invalid(here: Here, tenant: str, ended: str) -> None:
    made = await credential(here, tenant)
    if ended == "revoked":
        await here.native("DELETE", f"/v1/tokens/{made['id']}")
    else:
        here.expire(made["id"])
    if ended == "forgotten":
        await here.forget(made["id"])

    reply = await here.ask("PUT", "/api/transaction/", {}, Authorization=made["authorization"])

    assert error(reply) == INVALID


async def test_a_caller_of_our_own_api_needs_a_jwt_here(here: Here, tenant: str) -> None:
    caller = await here.caller(tenant, "tokens:issue", "tokens:read", "tokens:revoke")

    assert error(await here.ask("PUT", "/api/transaction/", {}, Authorization=f"Bearer {caller['token']}")) == INVALID


# 403


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_session_creation_token_is_no_credential(
    onespan: OneSpan, here: Here, method: str, path: str, body: Any
) -> None:
    id_ = (await onespan.transaction())["id"]
    token = await onespan.token(id_)

    reply = await here.ask(method, path.format(id=id_), body, Authorization=f"Bearer {token}")

    assert error(reply) == NO_RIGHTS


async def test_a_credential_that_does_not_say_tenant_access_is_none(onespan: OneSpan, here: Here) -> None:
    keys = SIGNING_KEYS.split(",")
    without = Jwts(keys, "onespan").write({**part(onespan.credential, 1), "scope": ["other"]})

    assert error(await here.ask("PUT", "/api/transaction/", {}, Authorization=f"Bearer {without}")) == NO_RIGHTS


async def test_a_key_that_was_newest_once_still_verifies(onespan: OneSpan, here: Here) -> None:
    older = Jwts(SIGNING_KEYS.split(",")[1:], "onespan").write(part(onespan.credential, 1))

    assert ok(await here.ask("PUT", "/api/transaction/", {}, Authorization=f"Bearer {older}"))["status"] == "new"


@pytest.mark.parametrize(("method", "path", "_body"), CALLS)
async def test_401_goes_before_403_and_403_before_400(
    onespan: OneSpan, here: Here, method: str, path: str, _body: Any
) -> None:
    token = await onespan.token((await onespan.transaction())["id"])
    path, bad = path.format(id=NOBODY), b"not JSON"

    assert error(await here.ask(method, path, bad)) == INVALID
    assert error(await here.ask(method, path, bad, Authorization=f"Bearer {token}")) == NO_RIGHTS
    assert error(await onespan.ask(method, path, bad)) == BAD_DATA
    await here.native("POST", "/v1/tokens/revoke", {"token": token})
    assert error(await here.ask(method, path, bad, Authorization=f"Bearer {token}")) == INVALID


# 400

BODIES = [
    b"", b"x", b"{", b"null", b"[]", b'"role"', b"1", b"\xff\xfe", b'{"role":"\xff"}', b"[" * 5000, b'{"role":' * 5000,
]  # fmt: skip
ROLES = [{}, {"role": None}, {"role": 1}, {"role": ""}, {"role": "r" * 33}, {"role": ["signer1"]}, {"Role": "signer1"}]


@pytest.mark.parametrize("body", [*BODIES, *ROLES])
async def test_a_body_without_a_role_is_bad_data(onespan: OneSpan, body: Any) -> None:
    id_ = (await onespan.transaction())["id"]

    assert error(await onespan.ask("POST", f"/api/transaction/{id_}/token", body)) == BAD_DATA


@pytest.mark.parametrize(
    "body",
    [
        *BODIES,
        {"tokens": {}},
        {"tokens": [{}]},
        {"tokens": [{"role": "r" * 33}]},
        {"tokens": [{"role": "a"}] * 17},
        {"language": 1},
        {"opaque_id": "x" * 5000},
    ],
)
async def test_a_transaction_of_bad_data_is_not_made(onespan: OneSpan, body: Any) -> None:
    assert error(await onespan.ask("PUT", "/api/transaction/", body)) == BAD_DATA


@pytest.mark.parametrize("body", [*BODIES, {}, {"trigger": "other"}, {"trigger": None}])
async def test_no_other_event_is_taken(onespan: OneSpan, body: Any) -> None:
    id_ = (await onespan.transaction())["id"]

    assert error(await onespan.ask("PUT", f"/api/transaction/{id_}/event", body)) == BAD_DATA
    assert ok(await onespan.ask("GET", f"/api/transaction/{id_}"))["status"] == "new"


@pytest.mark.parametrize(("method", "path", "body"), CALLS[1:])
@pytest.mark.parametrize("id_", [NOBODY, "x", "%20", "..%2F", "%FF", "{id}", NOBODY[:-1], "0" * 36, "a" * 3000])
async def test_what_is_no_transaction_is_bad_data(
    onespan: OneSpan, method: str, path: str, body: Any, id_: str
) -> None:
    assert error(await onespan.ask(method, path.format(id=id_), body)) == BAD_DATA


@pytest.mark.parametrize(("method", "path", "body"), CALLS[1:])
async def test_another_kind_of_token_and_another_tenants_transaction_are_bad_data(
    onespan: OneSpan, here: Here, tenant: str, method: str, path: str, body: Any
) -> None:
    session = part(await onespan.token((await onespan.transaction())["id"]), 1)["jti"]
    native = (await here.issue(tenant=tenant))["id"]
    other = OneSpan(here, (await credential(here, f"{tenant}-other"))["authorization"].removeprefix("Bearer "))
    theirs = (await other.transaction())["id"]

    replies = [await onespan.ask(method, path.format(id=id_), body) for id_ in (session, native, theirs)]

    assert [error(reply) for reply in replies] == [BAD_DATA] * 3
    assert ok(await other.ask("GET", f"/api/transaction/{theirs}"))["status"] == "new"


async def test_an_id_may_be_in_capitals(onespan: OneSpan) -> None:
    id_ = (await onespan.transaction())["id"]

    assert part(await onespan.token(id_.upper()), 1)["transaction_uuid"] == id_


# What is true of every answer


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/javascript", "application/json"),
        ("text/javascript, application/json;q=0.1", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/javascript, */*;q=0.1", "application/json"),
        ("text/javascript", "text/javascript"),
        ("TEXT/JAVASCRIPT ; q=0.5", "text/javascript"),
        ("text/javascript, application/json;q=0", "text/javascript"),
        ("text/javascript;q=0", "application/json"),
        ("text/html", "application/json"),
        (";;,,", "application/json"),
    ],
)
async def test_the_answer_is_of_the_type_that_is_accepted(onespan: OneSpan, accept: str | None, type_: str) -> None:
    good = await onespan.ask("PUT", "/api/transaction/", {}, Accept=accept)
    bad = await onespan.ask("PUT", "/api/transaction/", [], Accept=accept)

    assert (good.status, good.type, good.headers["Vary"]) == (200, type_, "Accept")
    assert (bad.status, bad.type, bad.headers["Vary"]) == (400, type_, "Accept")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/transaction/", "PUT"),
        ("DELETE", f"/api/transaction/{NOBODY}", "GET, HEAD"),
        ("POST", f"/api/transaction/{NOBODY}/event", "PUT"),
        ("GET", f"/api/transaction/{NOBODY}/token", "POST"),
        ("OPTIONS", f"/api/transaction/{NOBODY}/token", "POST"),
    ],
)
async def test_another_method_is_not_allowed(here: Here, method: str, path: str, allowed: str) -> None:
    reply = await here.ask(method, path)

    assert error(reply)[:2] == (405, "Method Not Allowed")
    assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["", f"/{NOBODY}/", f"/{NOBODY}/verification", f"/{NOBODY}/token/", "//x", "/a/b/c"])
async def test_elsewhere_there_is_nothing_in_the_same_envelope(here: Here, path: str) -> None:
    assert error(await here.ask("GET", f"/api/transaction{path}"))[:2] == (404, "Not Found")


async def test_a_body_beyond_the_limit_is_too_large_in_the_same_envelope(onespan: OneSpan) -> None:
    reply = await onespan.ask("PUT", "/api/transaction/", b" " * 70_000)

    assert error(reply)[0] == 413


@pytest.mark.parametrize(
    "type_", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
async def test_a_body_is_read_whatever_type_it_says_it_is_of(onespan: OneSpan, type_: str | None) -> None:
    """The vendor's samples send none."""
    assert ok(await onespan.ask("PUT", "/api/transaction/", b"{}", Content_Type=type_))["status"] == "new"


async def test_nonsense_is_answered_in_the_same_envelope(onespan: OneSpan) -> None:
    chance = random.Random(30)
    bytes_ = [chance.randbytes(chance.randrange(60)) for _ in range(150)]

    replies = await asyncio.gather(
        *[onespan.ask("PUT", "/api/transaction/", each) for each in bytes_],
        *[onespan.ask("POST", "/api/transaction/" + "".join(f"%{one:02X}" for one in each)) for each in bytes_ if each],
        *[onespan.here.ask("PUT", "/api/transaction/", Authorization=_visible(each)) for each in bytes_],
        *[onespan.ask("PUT", "/api/transaction/", [], Accept=_visible(each)) for each in bytes_],
    )

    assert {reply.status for reply in replies} <= {400, 401, 404, 405}
    assert all(list(reply.json()) == ["status", "error", "message"] for reply in replies)


def _visible(noise: bytes) -> str:
    """What can stand in a header."""
    return "".join(chr(33 + one % 94) for one in noise)


# Where a credential comes from


async def test_a_credential_is_a_jwt_over_a_callers_token(here: Here, tenant: str) -> None:
    made = await credential(here, tenant, life_ms=3_600_000)

    claims = part(made["authorization"].removeprefix("Bearer "), 1)
    view = await here.view(made["id"])
    assert list(claims) == ["scope", "exp", "jti", "client_id"]
    assert (claims["scope"], claims["jti"], claims["client_id"]) == (["tenant_access"], made["id"], tenant)
    assert claims["exp"] * 1000 == view["expires_at_ms"]
    assert (view["type"], view["owner"], view["tenant"], view["sliding"]) == ("service", "a client", tenant, False)
    assert 3_599_000 <= view["life_ms"] <= 3_600_000


async def test_a_credential_lives_a_year_unless_less_is_asked_for(here: Here, tenant: str) -> None:
    view = await here.view((await credential(here, tenant))["id"])

    assert 364 * DAY_MS < view["life_ms"] <= 365 * DAY_MS


@pytest.mark.parametrize(
    ("grants", "body", "status"),
    [
        (["tokens:issue", "tokens:read", "tokens:revoke"], {}, 201),
        (["tokens:issue", "tokens:read", "tokens:revoke"], {"tenant": "another"}, 403),
        (["tokens:issue"], {}, 403),
        (["tokens:read", "tokens:revoke"], {}, 403),
        (["admin"], {"life_ms": 999}, 400),
        (["admin"], {"life_ms": 366 * DAY_MS}, 400),
        (["admin"], {"owner": ""}, 400),
        (["admin"], {"lifetime": 1}, 400),
    ],
)
async def test_nobody_hands_out_more_than_it_has(
    here: Here, tenant: str, grants: list[str], body: Any, status: int
) -> None:
    caller = await here.caller(tenant, *grants)

    reply = await here.ask(
        "POST", "/v1/credentials/onespan", {"owner": "a client", **body}, Authorization=f"Bearer {caller['token']}"
    )

    assert reply.status == status
    assert reply.type == ("application/json" if status == 201 else "application/problem+json")


async def test_without_a_caller_there_is_no_credential(here: Here) -> None:
    for authorization in (None, "Basic x", "Bearer x"):
        reply = await here.ask("POST", "/v1/credentials/onespan", {"owner": "x"}, Authorization=authorization)

        assert (reply.status, reply.type) == (401, "application/problem+json")
