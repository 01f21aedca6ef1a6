"""Tenants do not see each other, and every call asks for its grant.  The table of routes is walked, not listed."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.app import openapi
from service.core.callers import GRANTS as ALL
from tests.api.calls import GRANTS, Answer, Caller, fresh

TOKEN, ID = "{token}", "{id}"
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/tokens"): {"owner": "ann"},
    ("POST", "/v1/tokens/use"): {"token": TOKEN},
    ("POST", "/v1/tokens/peek"): {"token": TOKEN},
    ("POST", "/v1/tokens/renew"): {"token": TOKEN},
    ("POST", "/v1/tokens/revoke"): {"token": TOKEN},
    ("POST", "/v1/tokens/rotate"): {"token": TOKEN},
    ("POST", "/v1/tokens/batch"): {"verb": "use", "tokens": [TOKEN]},
    ("PATCH", "/v1/tokens/{id}"): {"description": "new"},
    ("POST", "/v1/owners/{owner}/revoke"): {},
    ("PUT", "/v1/accounts/{username}"): {"password": "correct horse"},
}
HOLDERS = {"/v1/self", "/v1/self/renew"}
BY_TEXT = ["use", "peek", "renew", "revoke", "rotate"]


def routes() -> Iterator[tuple[str, str]]:
    """Every call of `/v1` that needs a grant, from the service's own table."""
    for path, operations in openapi()["paths"].items():
        if path.startswith("/v1/") and path not in HOLDERS:
            yield from ((method.upper(), path) for method in operations)


ROUTES = list(routes())


def grant_of(method: str, path: str) -> str:
    """As API.md has it."""
    if path.startswith("/v1/accounts/"):
        return "accounts:write"
    if path == "/v1/events":
        return "events:read"
    if path.endswith("/revoke") or method == "DELETE":
        return "tokens:revoke"
    if path == "/v1/tokens/rotate" or (method, path) == ("POST", "/v1/tokens") or method == "PATCH":
        return "tokens:issue"
    return "tokens:read" if method == "GET" else "tokens:use"


async def ask(caller: Caller, method: str, path: str, token: Any) -> Answer:
    """The call of the table, about this token."""
    body = BODIES.get((method, path), {} if method == "POST" else None)
    filled = {name: token["token"] if value == TOKEN else value for name, value in (body or {}).items()}
    if "tokens" in filled:
        filled["tokens"] = [token["token"]]
    path = path.format(id=token["id"], owner=token["owner"], username=fresh("user"))
    return await caller.call(method, path, filled if body is not None else None)


def untouched(seen: Any) -> bool:
    new = {"state": "active", "uses": 0, "description": None, "last_used_at_ms": seen["created_at_ms"]}
    return new.items() <= seen.items() and "rotated_to" not in seen


def test_the_table_is_walked() -> None:
    assert len(ROUTES) >= 17
    assert BODIES.keys() <= set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_caller_with_every_grant_but_the_needed_one_is_403(
    admin: Caller, shop: Caller, method: str, path: str
) -> None:
    needed = grant_of(method, path)
    others = [grant for grant in ALL if grant not in (needed, "admin")]
    token = await shop.issue()
    lacking, only = [await admin.caller(*grants, tenant=shop.tenant) for grants in (others, [needed])]

    refused = await ask(lacking, method, path, token)
    seen = await shop.look(token["id"])
    allowed = await ask(only, method, path, token)

    assert (refused.status, refused.code, refused.field) == (403, "forbidden", "Authorization")
    assert untouched(seen)
    assert allowed.status in (200, 201, 204) or (allowed.status, path) == (404, "/v1/accounts/{username}")


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nobody_may_do_anything_without_a_token(shop: Caller, method: str, path: str) -> None:
    token = await shop.issue()

    answer = await ask(shop.bearing(None), method, path, token)

    assert (answer.status, answer.code, answer.field) == (401, "missing", "Authorization")
    assert (await shop.look(token["id"]))["state"] == "active"


@pytest.mark.parametrize("verb", BY_TEXT)
async def test_the_text_of_another_tenants_token_is_unknown(admin: Caller, shop: Caller, verb: str) -> None:
    token = await shop.issue(scopes=["read"])
    stranger = await admin.caller(*GRANTS)

    answer = await stranger.post(f"/v1/tokens/{verb}", {"token": token["token"]})

    assert (answer.status, answer.code) == (401, "unknown")
    assert answer.json.keys() == {"type", "title", "status", "detail", "code"}
    assert untouched(await shop.look(token["id"]))


@pytest.mark.parametrize("verb", ["use", "peek", "revoke"])
async def test_a_batch_tells_nothing_of_another_tenants_tokens(admin: Caller, shop: Caller, verb: str) -> None:
    stranger = await admin.caller(*GRANTS)
    token, own = await shop.issue(), await stranger.issue()

    answer = await stranger.post("/v1/tokens/batch", {"verb": verb, "tokens": [token["token"], own["token"]]})

    theirs, mine = answer.json["results"]
    assert (theirs["code"], theirs["status"], mine["id"]) == ("unknown", 401, own["id"])
    assert (await shop.look(token["id"]))["state"] == "active"


async def test_the_handle_of_another_tenants_token_leads_nowhere(admin: Caller, shop: Caller) -> None:
    token, stranger = await shop.issue(), await admin.caller(*GRANTS)
    path = f"/v1/tokens/{token['id']}"

    answers = [
        await stranger.get(path),
        await stranger.call("PATCH", path, {"description": "mine"}),
        await stranger.call("DELETE", path),
        await stranger.post(f"{path}/renew"),
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "unknown")] * 4
    assert (await shop.look(token["id"]))["description"] is None


async def test_lists_counts_events_and_owners_end_at_the_tenant(admin: Caller, shop: Caller) -> None:
    token, stranger = await shop.issue("ann"), await admin.caller(*GRANTS)

    listed = await stranger.ok("GET", "/v1/tokens", owner="ann")
    counted = await stranger.ok("GET", "/v1/tokens/count", owner="ann")
    revoked = await stranger.ok("POST", "/v1/owners/ann/revoke", {})
    happened = await stranger.events(owner="ann")

    assert (listed["items"], counted["total"], revoked["revoked"], happened) == ([], 0, 0, [])
    assert (await shop.look(token["id"]))["state"] == "active"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/tokens", {"owner": "ann"}),
        ("POST", "/v1/owners/ann/revoke", {}),
        ("PUT", "/v1/accounts/ann", {"password": "correct horse"}),
        ("GET", "/v1/tokens", None),
        ("GET", "/v1/tokens/count", None),
        ("GET", "/v1/events", None),
        ("DELETE", "/v1/accounts/ann", None),
    ],
)
async def test_only_an_admin_names_another_tenant(
    admin: Caller, shop: Caller, method: str, path: str, body: Any
) -> None:
    other = fresh("tenant")
    named = {"params": {"tenant": other}} if body is None else {"body": {**body, "tenant": other}}
    own = {"params": {"tenant": shop.tenant}} if body is None else {"body": {**body, "tenant": shop.tenant}}

    refused = await shop.call(method, path, **named)
    allowed = await admin.call(method, path, **named)
    same = await shop.call(method, path, **own)

    assert (refused.status, refused.code) == (403, "forbidden")
    for answer in (allowed, same):
        assert answer.status in (200, 201, 204) or (answer.status, method) == (404, "DELETE")


async def test_an_admin_sees_and_acts_for_every_tenant(admin: Caller, shop: Caller) -> None:
    token = await shop.issue("ann", scopes=["read"])

    listed = await admin.ok("GET", "/v1/tokens", tenant=shop.tenant, owner="ann")
    used = await admin.use(token["token"], scopes=["read"])
    patched = await admin.call("PATCH", f"/v1/tokens/{token['id']}", {"description": "seen"})
    revoked = await admin.ok("POST", "/v1/owners/ann/revoke", {"tenant": shop.tenant})

    assert [item["id"] for item in listed["items"]] == [token["id"]]
    assert (used.status, patched.status, revoked["revoked"]) == (200, 200, 1)


async def test_nobody_hands_out_grants_that_it_does_not_have(admin: Caller, shop: Caller) -> None:
    issuer = await admin.caller("tokens:issue", "tokens:use", tenant=shop.tenant)

    more = await issuer.post("/v1/tokens", {"owner": "app", "type": "service", "scopes": ["tokens:revoke"]})
    admins = await issuer.post("/v1/tokens", {"owner": "app", "type": "service", "scopes": ["admin"]})
    own = await issuer.post("/v1/tokens", {"owner": "app", "type": "service", "scopes": ["tokens:use"]})
    session = await issuer.post("/v1/tokens", {"owner": "app", "scopes": ["admin"]})
    raised = await issuer.call("PATCH", f"/v1/tokens/{own.json['id']}", {"scopes": ["admin"]})

    assert [answer.status for answer in (more, admins, own, session, raised)] == [403, 403, 201, 201, 403]
    assert (await shop.look(own.json["id"]))["scopes"] == ["tokens:use"]


async def test_a_caller_renews_its_own_token_by_calling(admin: Caller, shop: Caller) -> None:
    before = await admin.look(shop.id)

    await shop.get("/v1/tokens")

    after = await admin.look(shop.id)
    assert after["uses"] == before["uses"] + 1
    assert after["expires_at_ms"] >= before["expires_at_ms"]
