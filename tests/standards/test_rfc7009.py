"""RFC 7009, OAuth 2.0 Token Revocation, clause by clause.  Each test's docstring names its section."""

import aiohttp
import pytest

from service.core.errors import Revoked
from service.core.token import Issued
from tests.gateways.running import outage
from tests.servers import Server
from tests.standards.oauth import REVOKE, Answer, basic, bearer, call
from tests.world import ADMIN, World

Http = aiohttp.ClientSession
FORGED = f"tl_{'A' * 28}.{'A' * 43}"


async def revoke(http: Http, token: Issued | str, headers: dict[str, str] | None = None, **more: str) -> Answer:
    text = token if isinstance(token, str) else token.text
    return await call(http, REVOKE, {"token": text, **more}, headers or bearer(ADMIN))


async def test_a_revoked_token_cannot_be_used_again(world: World, http: Http) -> None:
    """2.1: the invalidation takes place immediately"""
    token = await world.issue()

    answer = await revoke(http, token)

    assert answer.status == 200
    with pytest.raises(Revoked):
        await world.tokens.use(token.text)
    with pytest.raises(Revoked):
        await world.tokens.renew(token.text)


async def test_the_answer_has_no_body(world: World, http: Http) -> None:
    """2.2: all is said by the status"""
    token = await world.issue()

    answer = await revoke(http, token)

    assert (answer.status, answer.text, answer.headers["Cache-Control"]) == (200, "", "no-store")


@pytest.mark.parametrize("text", [FORGED, "nonsense", "ä", "x" * 5000])
async def test_a_token_that_does_not_exist_is_200(http: Http, text: str) -> None:
    """2.2: its purpose is achieved already"""
    answer = await revoke(http, text)

    assert (answer.status, answer.text) == (200, "")


async def test_a_final_token_is_200_and_stays_as_it_is(world: World, http: Http) -> None:
    """2.2"""
    expired, consumed, revoked = await world.issue(), await world.issue(uses=1), await world.issue()
    unknown, _ = world.texts.mint(0)
    await world.expire_now(expired)
    await world.sweep()
    await world.tokens.use(consumed.text)
    await world.tokens.revoke(revoked.text)

    answers = [await revoke(http, text) for text in (expired.text, consumed.text, revoked.text, unknown)]

    assert {answer.status for answer in answers} == {200}
    assert await world.states(expired, consumed, revoked) == ["expired", "consumed", "revoked"]
    assert (await world.story(revoked)).count("revoked") == 1


async def test_another_tenants_token_is_one_that_does_not_exist(world: World, http: Http) -> None:
    """2.1: it is verified that the token was issued to the client.  We do not tell it from one that is unknown."""
    theirs, ours = await world.issue(tenant="theirs"), await world.issue(tenant="ours")
    caller = await world.caller("tokens:revoke", tenant="ours")

    answers = [await revoke(http, token, bearer(caller)) for token in (theirs, ours)]

    assert [answer.status for answer in answers] == [200, 200]
    assert await world.states(theirs, ours) == ["active", "revoked"]


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
async def test_a_wrong_hint_is_no_obstacle(world: World, http: Http, hint: str) -> None:
    """2.1: the search is extended across all kinds of tokens"""
    token = await world.issue()

    answer = await revoke(http, token, token_type_hint=hint)

    assert answer.status == 200
    assert await world.states(token) == ["revoked"]


@pytest.mark.parametrize("form", ["", "token=", "token_type_hint=access_token", "token=a&token=b"])
async def test_one_token_is_required(http: Http, form: str) -> None:
    """2.1; errors as RFC 6749 section 5.2 has them"""
    answer = await call(http, REVOKE, form, bearer(ADMIN))

    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_only_a_form_in_the_body_is_taken(world: World, http: Http) -> None:
    """2.1"""
    token = await world.issue()

    as_json = await call(
        http, REVOKE, f'{{"token":"{token.text}"}}', {**bearer(ADMIN), "Content-Type": "application/json"}
    )
    in_query = await call(http, REVOKE, "", bearer(ADMIN), params={"token": token.text})

    assert (as_json.status, in_query.status) == (400, 400)
    assert await world.states(token) == ["active"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_is_served(http: Http, method: str) -> None:
    """2.1; JSONP by GET (2.3) is optional and not here"""
    answer = await call(http, REVOKE, "token=x&callback=f", bearer(ADMIN), method=method)

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_the_caller_may_authenticate_by_bearer_or_basic(world: World, http: Http) -> None:
    """2.1: the client includes its credentials"""
    tokens = [await world.issue() for _ in range(2)]
    caller = await world.caller("tokens:revoke")

    answers = [await revoke(http, *pair) for pair in zip(tokens, (bearer(caller), basic(caller)), strict=True)]

    assert [answer.status for answer in answers] == [200, 200]
    assert await world.states(*tokens) == ["revoked", "revoked"]


async def test_credentials_are_validated_first(world: World, http: Http) -> None:
    """2.1; the token lives on"""
    token = await world.issue()

    answers = [await revoke(http, token, headers) for headers in ({"A": "b"}, bearer("x"), basic("x"), basic(""))]

    assert {answer.status for answer in answers} == {401}
    assert [answer.json["error"] for answer in answers] == ["invalid_client", "invalid_token"] + ["invalid_client"] * 2
    assert all(answer.headers["WWW-Authenticate"] for answer in answers)
    assert await world.states(token) == ["active"]


async def test_a_caller_needs_the_grant(world: World, http: Http) -> None:
    """2.1; RFC 6750 section 3.1 and RFC 6749 section 5.2 for what it lacks"""
    token = await world.issue()
    caller = await world.caller("tokens:use", "tokens:read")

    by_bearer, by_basic = await revoke(http, token, bearer(caller)), await revoke(http, token, basic(caller))

    assert (by_bearer.status, by_bearer.json["error"]) == (403, "insufficient_scope")
    assert (by_basic.status, by_basic.json["error"]) == (400, "unauthorized_client")
    assert await world.states(token) == ["active"]


async def test_an_outage_is_503_with_a_time_to_retry_and_the_token_lives(
    world: World, http: Http, store: Server
) -> None:
    """2.2.1: the client must assume that the token still exists"""
    token = await world.issue()

    with outage(store):
        answer = await revoke(http, token)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    again = await revoke(http, token)
    assert again.status == 200
    assert await world.states(token) == ["revoked"]
