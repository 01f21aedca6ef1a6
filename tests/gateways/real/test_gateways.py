"""Each gateway as a process, started from the file that we ship, in front of an application."""

import asyncio
from urllib.parse import unquote

import pytest

from service.core.token import Issued
from tests.gateways.real.client import Client
from tests.gateways.real.programs import Gateway
from tests.gateways.test_endpoint import FORGED, IDENTITY, reasons, remaining
from tests.world import World

NAMES = {f"x-token-{name.lower()}" for name in IDENTITY}
ODD = [
    "/open/../x", "/open/%2e%2e/x", "/open/..%2fx", "/open/..;/x", "/open%2f..%2fx", "/x/../open/y", "/x/..%2fopen/y",
    "//open/y", "/x//../open/y", "/open/..\\x", "/open/..%5cx", "/%6fpen/../x", "/./open/../x", "/OPEN/x", "/open",
    "/../../livez", "//livez", "/%2e%2e/%2e%2e/livez", "/open/%2e%2e%2fx", "/open/.%2e/x", "/open/%252e%252e/x",
]  # fmt: skip
ODD_ADMIN = [
    "/%61dmin/x",
    "/x/../admin/x",
    "//admin/x",
    "/./admin/x",
    "/x/%2e%2e/admin/x",
    "/x/..%2fadmin/x",
    "/admin%2fx",
]


async def test_a_live_token_passes_and_the_application_learns_whose_it_is(world: World, http: Client) -> None:
    token = await world.issue("änn", tenant="shop", scopes=("read", "write"), life_ms=60_000)

    passed = await http.ask("/a?b=c", token)

    assert passed.status == 200
    seen = passed.identity
    assert seen.keys() == NAMES
    assert unquote(seen["x-token-owner"]) == "änn"
    assert (seen["x-token-id"], seen["x-token-tenant"]) == (token.token.id, "shop")
    assert (seen["x-token-scopes"], seen["x-token-state"]) == ("read write", "active")
    assert 0 < int(seen["x-token-remaining-ms"]) <= 60_000
    assert passed.seen
    assert passed.seen.target == "/a?b=c"


async def test_a_use_through_it_renews_and_a_peek_does_not(world: World, http: Client) -> None:
    token = await world.issue(life_ms=60_000)
    await world.shorten(token, 10_000)

    polled = await http.ask("/status/x", token)
    left = await remaining(world, token)
    used = await http.ask("/x", token)

    assert (polled.status, used.status) == (200, 200)
    assert int(polled.identity["x-token-remaining-ms"]) <= 10_000
    assert left <= 10_000
    assert await remaining(world, token) > 59_000


async def test_session_header_and_cookie_do_as_well(world: World, http: Client) -> None:
    token = await world.issue()
    ways = [{"X-Session-Token": token.text}, {"Cookie": f"a=b; session={token.text}"}]

    passed = [await http.ask("/x", lines=way.items()) for way in ways]

    assert [one.identity["x-token-id"] for one in passed] == [token.token.id] * 2


@pytest.mark.parametrize("path", ["/x", "/status/x"])
async def test_whatever_is_wrong_with_a_token_is_401_with_its_reason(world: World, http: Client, path: str) -> None:
    lines = await reasons(world)
    lines["malformed"] = "Authorization", "Bearer not a token"

    refused = {why: await http.ask(path, lines=[line]) for why, line in lines.items()}

    assert {why: one.status for why, one in refused.items()} == dict.fromkeys(lines, 401)
    found = {why: one.headers["X-Token-Reason"] for why, one in refused.items()}
    assert found == {why: {"malformed": "unknown", "forged": "unknown"}.get(why, why) for why in lines}
    assert all(one.headers["WWW-Authenticate"].startswith("Bearer") for one in refused.values())
    assert not [why for why, one in refused.items() if "X-Application" in one.headers]


async def test_bytes_that_are_no_text_are_no_fault_of_the_gateway(http: Client) -> None:
    refused = await http.ask("/x", lines=[("Authorization", "Bearer \udcff\udcfe")])

    assert refused.status in (400, 401)


async def test_a_scope_that_a_place_asks_for_must_be_covered(world: World, http: Client) -> None:
    admin, other = await world.issue(scopes=("admin", "read")), await world.issue(scopes=("read",))

    passed = [await http.ask("/admin/x", token) for token in (admin, other, None)]

    assert [one.status for one in passed] == [200, 403, 401]
    assert passed[1].headers["X-Token-Reason"] == "forbidden"


@pytest.mark.parametrize("path", ODD)
async def test_no_spelling_of_a_path_gets_around_the_question(http: Client, path: str) -> None:
    """What passes without a token must be what the application, too, takes for a path below /open/."""
    answer = await http.ask(path)

    if "X-Application" in answer.headers:
        assert answer.seen
        assert answer.seen.target.startswith("/open/")
        assert ".." not in unquote(answer.seen.target)
    else:
        assert 300 <= answer.status < 500


@pytest.mark.parametrize("path", ODD_ADMIN)
async def test_no_spelling_of_a_path_gets_around_a_scope(world: World, http: Client, path: str) -> None:
    token = await world.issue(scopes=("read",))

    answer = await http.ask(path, token)

    assert answer.status in (301, 307, 308, 400, 403, 404)
    assert "X-Application" not in answer.headers


def spoofed(*more: tuple[str, str]) -> list[tuple[str, str]]:
    """Under every name and spelling that applications confuse."""
    names = [f"X-Token-{name}" for name in IDENTITY]
    spelt = [*names, *(name.replace("-", "_") for name in names), *(name.lower() for name in names)]
    return [*((name, "SPOOF") for name in spelt), *more]


async def test_spoofed_identity_never_reaches_the_application(world: World, http: Client) -> None:
    token, eternal = await world.issue(), await world.issue(life_ms=None)

    passed = [await http.ask("/x", one, lines=spoofed()) for one in (token, eternal)]
    polled = await http.ask("/status/x", token, lines=spoofed())
    opened = await http.ask("/open/x", lines=spoofed())

    for one in [*passed, polled]:
        assert one.identity.keys() <= NAMES
        assert "SPOOF" not in one.identity.values()
        assert one.identity["x-token-owner"] == "ann"
    assert opened.seen
    assert opened.seen.identity == []


async def test_a_connection_header_takes_no_identity_away(world: World, http: Client) -> None:
    """What Connection names, a proxy removes: it must do so before it sets what the token service said."""
    token = await world.issue()
    lines = [("Connection", "keep-alive, X-Token-Owner, X-Token-Id"), ("X-Token-Owner", "SPOOF")]

    passed = await http.ask("/x", token, lines=lines)

    assert passed.status == 400 or passed.identity["x-token-owner"] == "ann"


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_any_method_and_body_pass_whole(world: World, http: Client, method: str, size: int) -> None:
    token = await world.issue()
    data = b"x" * (size if method not in ("HEAD", "OPTIONS") else 0)

    passed = await http.ask("/x", token, method, data=data)
    refused = await http.ask("/x", None, method, data=data[:10])

    assert (passed.status, refused.status) == (200, 401)
    assert passed.headers["X-Application"] == "reached"
    if passed.seen:
        assert (passed.seen.method, passed.seen.body_bytes) == (method, len(data))


async def test_two_tokens_that_could_be_meant_do_not_pass(world: World, http: Client) -> None:
    token = await world.issue()
    twice = [("Authorization", f"Bearer {token.text}"), ("Authorization", f"Bearer {FORGED}")]

    refused = await http.ask("/x", lines=twice)

    assert refused.status in (400, 401)


async def test_many_at_once_get_each_its_own_verdict(world: World, http: Client) -> None:
    tokens = [await world.issue(f"owner-{number}") for number in range(20)]
    asked: list[Issued | None] = [*tokens * 5, *[None] * 20]

    passed = await asyncio.gather(*[http.ask("/x", token) for token in asked])

    owners = [one.identity["x-token-owner"] if one.status == 200 else one.status for one in passed]
    assert owners == [token.token.owner if token else 401 for token in asked]


def test_the_gateway_is_what_was_asked_for(gateway: Gateway) -> None:
    assert gateway.running
