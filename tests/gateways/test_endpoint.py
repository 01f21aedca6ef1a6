"""What every gateway relies on, asked as they ask: over HTTP."""

from urllib.parse import unquote

import aiohttp
import pytest

from service.api.gateways import identity
from service.core.token import Issued
from tests.gateways.running import outage
from tests.servers import Server
from tests.world import World

IDENTITY = ["Id", "Owner", "Tenant", "Scopes", "State", "Remaining-Ms", "Expires-At-Ms"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"]
FORGED = f"tl_{'A' * 28}.{'A' * 43}"

Http = aiohttp.ClientSession
Answer = aiohttp.ClientResponse


async def ask(http: Http, verb: str, *lines: tuple[str, str], tail: str = "", method: str = "GET") -> Answer:
    async with http.request(method, f"/gateway/{verb}{tail}", headers=list(lines)) as answer:
        await answer.read()
        return answer


def bearing(token: Issued | str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token if isinstance(token, str) else token.text}"


async def remaining(world: World, token: Issued) -> int:
    return (await world.tokens.peek(token.text)).remaining_ms or 0


async def test_a_live_token_passes_with_its_identity_and_no_body(world: World, http: Http) -> None:
    token = await world.issue("ann", scopes=("read", "write"), life_ms=60_000)

    answer = await ask(http, "use", bearing(token))

    assert (answer.status, answer.headers["Content-Length"]) == (200, "0")
    assert answer.headers["Cache-Control"] == "no-store"
    seen = [answer.headers[f"X-Token-{name}"] for name in IDENTITY]
    assert seen[:5] == [token.token.id, "ann", "default", "read write", "active"]
    assert seen[5] == "60000"
    assert int(seen[6]) >= token.token.created_at_ms + 60_000


async def test_use_renews_and_peek_does_not(world: World, http: Http) -> None:
    token = await world.issue(life_ms=60_000)
    await world.shorten(token, 10_000)

    peeked = await ask(http, "peek", bearing(token))
    left = await remaining(world, token)
    await ask(http, "use", bearing(token))

    assert int(peeked.headers["X-Token-Remaining-Ms"]) <= 10_000
    assert left <= 10_000
    assert await remaining(world, token) > 59_000


async def test_a_life_without_end_leaves_its_headers_empty_but_there(world: World, http: Http) -> None:
    token = await world.issue(life_ms=None)

    answer = await ask(http, "use", bearing(token))

    assert (answer.headers["X-Token-Remaining-Ms"], answer.headers["X-Token-Expires-At-Ms"]) == ("", "")


@pytest.mark.parametrize("owner", ["änn", "100%", " ann ", "a\u00a0b", "アン", 'quote " and \\', "😀"])
async def test_an_owner_of_any_script_can_be_decoded(world: World, http: Http, owner: str) -> None:
    token = await world.issue(owner)

    answer = await ask(http, "use", bearing(token))

    header = answer.headers["X-Token-Owner"]
    assert header.isascii()
    assert " " not in header
    assert unquote(header) == owner


@pytest.mark.parametrize("method", METHODS)
async def test_any_method_and_any_tail_get_the_verdict(world: World, http: Http, method: str) -> None:
    token = await world.issue()

    allowed = await ask(http, "use", bearing(token), tail="/a/b?token=x", method=method)
    refused = await ask(http, "use", tail="/a/b?token=x", method=method)

    assert (allowed.status, refused.status) == (200, 401)
    assert allowed.headers["X-Token-Id"] == token.token.id


async def test_a_token_in_the_query_is_not_read(world: World, http: Http) -> None:
    token = await world.issue()

    answer = await ask(http, "use", tail=f"?token={token.text}&access_token={token.text}")

    assert answer.headers["X-Token-Reason"] == "missing"


@pytest.mark.parametrize(
    "lines",
    [
        [("Authorization", "Bearer TEXT")],
        [("Authorization", "bearer  TEXT")],
        [("X-Session-Token", "TEXT")],
        [("Cookie", "session=TEXT")],
        [("Cookie", 'theme=dark; session="TEXT"; other=1')],
        [("Cookie", "theme=dark"), ("Cookie", "session=TEXT")],
        [("Authorization", "Basic YTpi"), ("X-Session-Token", "TEXT")],
        [("Authorization", "Bearer "), ("X-Session-Token", "TEXT")],
        [("Authorization", "Bearer TEXT"), ("X-Session-Token", "OTHER"), ("Cookie", "session=OTHER")],
        [("X-Session-Token", "TEXT"), ("Cookie", "session=OTHER")],
        [("Cookie", "session=TEXT; session=TEXT")],
    ],
)
async def test_the_token_is_the_bearers_else_the_headers_else_the_cookies(
    world: World, http: Http, lines: list[tuple[str, str]]
) -> None:
    token = await world.issue()
    lines = [(name, value.replace("TEXT", token.text).replace("OTHER", FORGED)) for name, value in lines]

    answer = await ask(http, "use", *lines)

    assert answer.status == 200
    assert answer.headers["X-Token-Id"] == token.token.id


@pytest.mark.parametrize(
    "lines",
    [
        [("Authorization", "Bearer TEXT"), ("Authorization", "Bearer TEXT")],
        [("Authorization", "Bearer TEXT"), ("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer TEXT,Bearer TEXT")],
        [("X-Session-Token", "TEXT"), ("X-Session-Token", "OTHER")],
        [("Cookie", "session=TEXT; session=OTHER")],
    ],
)
async def test_two_that_could_be_meant_are_refused(world: World, http: Http, lines: list[tuple[str, str]]) -> None:
    token = await world.issue()
    lines = [(name, value.replace("TEXT", token.text).replace("OTHER", FORGED)) for name, value in lines]

    answer = await ask(http, "use", *lines)

    assert (answer.status, answer.headers["X-Token-Reason"]) == (401, "unknown")


async def reasons(world: World) -> dict[str, tuple[str, str]]:
    """A header line for every way in which a token does not do."""
    expired, revoked, consumed = await world.issue(), await world.issue(), await world.issue(uses=1)
    await world.expire_now(expired)
    await world.tokens.revoke(revoked.text)
    await world.tokens.use(consumed.text)
    unknown, _ = world.texts.mint(0)
    return {
        "missing": ("Accept", "*/*"),
        "malformed": bearing("ÿ\u0080 not a token"),
        "forged": bearing(FORGED),
        "unknown": bearing(unknown),
        "expired": bearing(expired),
        "revoked": bearing(revoked),
        "consumed": bearing(consumed),
    }


@pytest.mark.parametrize("verb", ["use", "peek"])
async def test_whatever_is_wrong_with_a_token_is_401_with_its_reason(world: World, http: Http, verb: str) -> None:
    lines = await reasons(world)

    answers = {why: await ask(http, verb, line) for why, line in lines.items()}

    assert {answer.status for answer in answers.values()} == {401}
    found = {why: answer.headers["X-Token-Reason"] for why, answer in answers.items()}
    assert found == {why: {"malformed": "unknown", "forged": "unknown"}.get(why, why) for why in lines}
    assert {answer.headers["Content-Type"] for answer in answers.values()} == {"application/problem+json"}
    challenges = {why: answer.headers["WWW-Authenticate"] for why, answer in answers.items()}
    assert challenges.pop("missing") == "Bearer"
    assert set(challenges.values()) == {'Bearer error="invalid_token"'}


@pytest.mark.parametrize("verb", ["use", "peek"])
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (["read"], 200),
        (["read write"], 200),
        (["read", "write"], 200),
        (["read,write", ""], 200),
        (["admin"], 403),
        (["read", "admin"], 403),
        (["read, admin"], 403),
        (["rea"], 403),
        (['"'], 403),
        (["ÿ"], 403),
        ([" ".join(f"s{n}" for n in range(1000))], 403),
    ],
)
async def test_all_required_scopes_of_all_headers_must_be_covered(
    world: World, http: Http, verb: str, asked: list[str], status: int
) -> None:
    token = await world.issue(scopes=("read", "write"), life_ms=60_000)
    await world.shorten(token, 10_000)

    answer = await ask(http, verb, bearing(token), *[("X-Require-Scope", value) for value in asked])

    assert answer.status == status
    assert answer.headers.get("X-Token-Reason") == (None if status == 200 else "forbidden")
    assert (await remaining(world, token) > 59_000) == (status == 200 and verb == "use")


@pytest.mark.parametrize("verb", ["use", "peek"])
async def test_an_outage_is_503_and_says_nothing_about_the_token(
    world: World, http: Http, store: Server, verb: str
) -> None:
    token = await world.issue()

    with outage(store):
        answer = await ask(http, verb, bearing(token))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "X-Token-Reason" not in answer.headers
    assert (await ask(http, verb, bearing(token))).status == 200


async def test_identity_names_every_header_that_the_contract_has(world: World) -> None:
    token = await world.issue()

    assert list(identity(token.token)) == [f"X-Token-{name}" for name in IDENTITY]
