"""RFC 7662, OAuth 2.0 Token Introspection, clause by clause.  Each test's docstring names its section."""

import time

import aiohttp
import pytest

from service.core.token import Issued
from tests.gateways.running import outage
from tests.servers import Server
from tests.standards.oauth import INACTIVE, INTROSPECT, Answer, basic, bearer, call
from tests.world import ADMIN, World

Http = aiohttp.ClientSession
FORGED = f"tl_{'A' * 28}.{'A' * 43}"


async def introspect(http: Http, token: Issued | str, headers: dict[str, str] | None = None, **more: str) -> Answer:
    text = token if isinstance(token, str) else token.text
    return await call(http, INTROSPECT, {"token": text, **more}, headers or bearer(ADMIN))


async def test_the_answer_is_a_json_object_with_a_boolean_active(world: World, http: Http) -> None:
    """2.2"""
    token = await world.issue()

    answer = await introspect(http, token)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json["active"] is True


async def test_the_members_have_the_types_of_the_standard(world: World, http: Http) -> None:
    """2.2"""
    before = int(time.time())
    token = await world.issue("ann", scopes=("read", "write"), life_ms=60_500)

    found = (await introspect(http, token)).json

    assert found["scope"] == "read write"
    assert (found["sub"], found["client_id"], found["jti"]) == ("ann", "default", token.token.id)
    assert found["token_type"] == "Bearer"
    assert type(found["iat"]) is type(found["exp"]) is int
    assert before <= found["iat"] == token.token.created_at_ms // 1000
    assert found["exp"] == (token.token.deadline_at_ms or 0) // 1000


async def test_what_there_is_not_is_left_out(world: World, http: Http) -> None:
    """2.2: all members but `active` are optional"""
    token = await world.issue(life_ms=None)

    found = (await introspect(http, token)).json

    assert found["active"] is True
    assert not {"exp", "scope", "remaining_ms"} & found.keys()


async def test_a_use_moves_exp(world: World, http: Http) -> None:
    """2.2"""
    token = await world.issue(life_ms=60_000)
    await world.shorten(token, 10_000)

    before = (await introspect(http, token)).json["exp"]
    await world.tokens.use(token.text)

    assert (await introspect(http, token)).json["exp"] >= before + 49


async def test_introspection_is_no_use(world: World, http: Http) -> None:
    """4: the answer is about the token as it is"""
    token = await world.issue(life_ms=60_000, uses=1)
    await world.shorten(token, 10_000)

    for _ in range(3):
        await introspect(http, token)

    seen = await world.tokens.peek(token.text)
    assert (seen.uses, seen.last_used_at_ms) == (0, token.token.last_used_at_ms)
    assert (seen.remaining_ms or 0) <= 10_000


async def test_a_token_that_does_not_live_is_inactive_and_nothing_more(world: World, http: Http) -> None:
    """2.2: not active, or does not exist: `active` alone"""
    expired, revoked, consumed = await world.issue(), await world.issue(), await world.issue(uses=1)
    await world.expire_now(expired)
    await world.tokens.revoke(revoked.text)
    await world.tokens.use(consumed.text)
    unknown, _ = world.texts.mint(0)

    texts = [expired.text, revoked.text, consumed.text, unknown, FORGED, "nonsense", "ä", "x" * 5000]
    answers = [await introspect(http, text) for text in texts]

    assert {answer.status for answer in answers} == {200}
    assert [answer.json for answer in answers] == [INACTIVE] * len(texts)


async def test_a_token_that_the_caller_may_not_ask_about_is_inactive(world: World, http: Http) -> None:
    """2.2: "the protected resource is not allowed to introspect this particular token"."""
    theirs, ours = await world.issue(tenant="theirs"), await world.issue(tenant="ours")
    caller = await world.caller("tokens:use", tenant="ours")

    answers = [await introspect(http, token, bearer(caller)) for token in (theirs, ours)]

    assert answers[0].json == INACTIVE
    assert answers[1].json["active"] is True


async def test_other_parameters_are_ignored(world: World, http: Http) -> None:
    """2.1"""
    token = await world.issue()

    answer = await introspect(http, token, resource="https://a.example", empty="")

    assert answer.json["active"] is True


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
async def test_a_wrong_hint_is_no_obstacle(world: World, http: Http, hint: str) -> None:
    """2.1: the search is extended across all kinds of tokens"""
    token = await world.issue()

    answer = await introspect(http, token, token_type_hint=hint)

    assert answer.json["active"] is True


@pytest.mark.parametrize("form", ["", "token=", "token_type_hint=access_token"])
async def test_the_token_is_required(http: Http, form: str) -> None:
    """2.1, and RFC 6749 section 3.2: without a value is as if omitted"""
    answer = await call(http, INTROSPECT, form, bearer(ADMIN))

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", ["token=a&token=b", "token=a&x=1&x=2", "token=%ff", "token=a&" + "a=1&" * 50])
async def test_a_form_that_is_ambiguous_or_broken_is_refused(http: Http, form: str) -> None:
    """RFC 6749 sections 3.2 and 5.2: parameters are not repeated"""
    answer = await call(http, INTROSPECT, form, bearer(ADMIN))

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_only_a_form_is_taken(world: World, http: Http, kind: str) -> None:
    """2.1"""
    token = await world.issue()

    answer = await call(http, INTROSPECT, {"token": token.text}, {**bearer(ADMIN), "Content-Type": kind})

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_the_query_is_not_read(world: World, http: Http) -> None:
    """2.1, and 4: tokens are not to end up in logs of addresses"""
    token = await world.issue()

    answer = await call(http, INTROSPECT, "", bearer(ADMIN), params={"token": token.text})

    assert answer.status == 400


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_is_served(http: Http, method: str) -> None:
    """2.1, and 4: GET may be disallowed"""
    answer = await call(http, INTROSPECT, "token=x", bearer(ADMIN), method=method)

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_the_caller_may_authenticate_by_bearer_or_basic(world: World, http: Http) -> None:
    """2.1: some form of authorization"""
    token = await world.issue()
    caller = await world.caller("tokens:use")

    answers = [await introspect(http, token, headers) for headers in (bearer(caller), basic(caller), basic(caller, ""))]

    assert [answer.json["active"] for answer in answers] == [True] * 3


@pytest.mark.parametrize("password", ["secret-token:a b", "100%", "a+b&c"])
async def test_both_halves_of_basic_are_encoded_as_in_a_form(http: Http, password: str) -> None:
    """RFC 6749 section 2.3.1; what is wrong here is the password, not its form"""
    answer = await introspect(http, "x", basic(password, "a:b%"))

    assert (answer.status, answer.json["error"]) == (401, "invalid_client")


async def test_without_authentication_nothing_is_told(world: World, http: Http) -> None:
    """2.1: the endpoint must require authorization; 2.3: 401 as RFC 6749 section 5.2 has it"""
    token = await world.issue()

    answers = [await introspect(http, token, headers) for headers in ({"A": "b"}, {"Authorization": "Digest x"})]

    assert {answer.status for answer in answers} == {401}
    assert {answer.json["error"] for answer in answers} == {"invalid_client"}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer, Basic realm="tokenlife"'}


@pytest.mark.parametrize(
    "line", ["Basic !!", "Basic", "Basic " + "eA==", "basic eDp5", f"Basic {'eDo='}", "Basic /////w=="]
)
async def test_wrong_client_credentials_are_401_by_the_scheme_that_was_used(http: Http, line: str) -> None:
    """2.3, RFC 6749 section 5.2"""
    answer = await introspect(http, "x", {"Authorization": line})

    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="tokenlife"'


async def test_a_bearer_token_that_does_not_do_is_401(world: World, http: Http) -> None:
    """2.3, RFC 6750 section 3"""
    expired = await world.issue(type="service", scopes=("tokens:use",))
    await world.expire_now(expired)

    answers = [await introspect(http, "x", bearer(text)) for text in (expired.text, FORGED, "y")]

    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer error="invalid_token"'}


async def test_a_bearer_token_without_the_privilege_is_401_too(world: World, http: Http) -> None:
    """2.3: "does not contain sufficient privileges"; with Basic it is RFC 6749's word for it"""
    token = await world.issue()
    caller = await world.caller("tokens:issue", "tokens:revoke", "tokens:read")

    by_bearer = await introspect(http, token, bearer(caller))
    by_basic = await introspect(http, token, basic(caller))

    assert (by_bearer.status, by_bearer.json["error"]) == (401, "insufficient_scope")
    assert by_bearer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert (by_basic.status, by_basic.json["error"]) == (400, "unauthorized_client")


async def test_two_ways_to_authenticate_at_once_are_refused(http: Http) -> None:
    """RFC 6749 section 2.3"""
    form = {"token": "x", "client_id": "shop", "client_secret": ADMIN}

    both = await call(http, INTROSPECT, form, basic(ADMIN))
    in_the_body = await call(http, INTROSPECT, form)

    assert (both.status, both.json["error"]) == (400, "invalid_request")
    assert (in_the_body.status, in_the_body.json["error"]) == (401, "invalid_client")


async def test_nothing_is_to_be_stored_on_the_way(world: World, http: Http) -> None:
    """2.2: whoever caches decides for how long a revoked token lives on; we say: nobody"""
    token = await world.issue()

    answers = [await introspect(http, token), await introspect(http, "x"), await introspect(http, "x", bearer("y"))]

    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 3


async def test_a_revoked_token_is_inactive_at_once(world: World, http: Http) -> None:
    """4: the server determines whether the token was revoked"""
    token = await world.issue()
    before = (await introspect(http, token)).json["active"]

    await world.tokens.revoke(token.text)

    assert before is True
    assert (await introspect(http, token)).json == INACTIVE


async def test_an_outage_is_503_and_never_inactive(world: World, http: Http, store: Server) -> None:
    """4: inactive would log people out"""
    token = await world.issue()

    with outage(store):
        live, unknown = await introspect(http, token), await introspect(http, world.texts.mint(0)[0])

    assert (live.status, unknown.status) == (503, 503)
    assert live.headers["Retry-After"] == "1"
    assert "active" not in live.json
    assert (await introspect(http, token)).json["active"] is True


async def test_errors_are_json_without_what_was_presented(http: Http) -> None:
    """RFC 6749 section 5.2: characters %x20-21 / %x23-5B / %x5D-7E"""
    answer = await call(http, INTROSPECT, "token=tl_SECRET&token=b", bearer(ADMIN))

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json.keys() == {"error", "error_description"}
    assert not set(answer.json["error_description"]) & {'"', "\\"}
    assert answer.json["error_description"].isascii()
    assert "SECRET" not in answer.text
