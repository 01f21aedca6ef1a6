"""Tokens by handle: PATCH under `If-Match`, lists, counts."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.api.calls import VIEW, Caller, fresh
from tests.servers import wait_until


async def patch(caller: Caller, id_: str, change: Any, tag: str | None = None) -> Any:
    return await caller.call("PATCH", f"/v1/tokens/{id_}", change, {} if tag is None else {"If-Match": tag})


async def test_a_patch_changes_what_it_names_and_nothing_else(shop: Caller) -> None:
    token = await shop.issue(life_ms=600_000, scopes=["read"], description="old", metadata={"a": 1})

    answer = await patch(shop, token["id"], {"description": None, "life_ms": 60_000})

    assert answer.status == 200
    assert answer.json.keys() == VIEW
    assert answer.json["remaining_ms"] <= 60_000
    changed = {name for name in VIEW if answer.json[name] != token[name]}
    assert changed == {"description", "life_ms", "remaining_ms", "expires_at_ms"}
    assert await shop.look(token["id"]) == {**answer.json, "remaining_ms": pytest.approx(60_000, abs=10_000)}


async def test_the_etag_changes_with_what_patch_can_change_and_not_with_a_use(shop: Caller) -> None:
    token = await shop.issue()
    path = f"/v1/tokens/{token['id']}"

    first = (await shop.get(path)).headers["ETag"]
    await shop.use(token["token"])
    used = (await shop.get(path)).headers["ETag"]
    patched = (await patch(shop, token["id"], {"metadata": {"b": 2}})).headers["ETag"]
    seen = (await shop.get(path)).headers["ETag"]

    assert first == used != patched == seen
    assert first.startswith('"')
    assert first.endswith('"')


async def test_a_patch_of_what_somebody_changed_meanwhile_is_412(shop: Caller) -> None:
    token = await shop.issue(description="old")
    tag = (await shop.get(f"/v1/tokens/{token['id']}")).headers["ETag"]

    mine = await patch(shop, token["id"], {"description": "mine"}, tag)
    yours = await patch(shop, token["id"], {"description": "yours"}, tag)
    any_ = await patch(shop, token["id"], {"scopes": ["a"]}, "*")
    several = await patch(shop, token["id"], {"scopes": ["b"]}, f'"0000", {any_.headers["ETag"]}')

    assert (mine.status, any_.status, several.status) == (200, 200, 200)
    assert (yours.status, yours.code) == (412, "changed")
    assert (await shop.look(token["id"]))["description"] == "mine"


async def test_of_twenty_at_once_one_patch_wins(shop: Caller) -> None:
    token = await shop.issue()
    tag = (await shop.get(f"/v1/tokens/{token['id']}")).headers["ETag"]

    answers = await asyncio.gather(*[patch(shop, token["id"], {"description": f"no {n}"}, tag) for n in range(20)])

    assert sorted(answer.status for answer in answers) == [200] + [412] * 19
    [winner] = [answer.json["description"] for answer in answers if answer.status == 200]
    assert (await shop.look(token["id"]))["description"] == winner


async def test_a_list_gives_each_token_once_by_pages(shop: Caller) -> None:
    issued = [(await shop.issue())["id"] for _ in range(12)]

    pages = [page async for page in walk(shop, limit=5, order="asc")]

    assert [len(page["items"]) for page in pages] == [5, 5, 3]
    assert [item["id"] for page in pages for item in page["items"]] == [shop.id, *issued]


async def test_pages_lead_back_and_links_lead_where_the_cursors_do(shop: Caller) -> None:
    for _ in range(5):
        await shop.issue("ann")

    first = await shop.get("/v1/tokens", owner="ann", limit=2)
    second = await shop.get("/v1/tokens", owner="ann", limit=2, cursor=first.json["next"])
    back = await shop.get("/v1/tokens", owner="ann", limit=2, cursor=second.json["previous"])
    links = links_of(second.headers["Link"])
    by_link = await shop.call("GET", links["next"])

    assert first.json["previous"] is None
    assert back.json["items"] == [same(item) for item in first.json["items"]]
    assert links.keys() == {"next", "prev"}
    assert dict(parse_qsl(urlsplit(links["next"]).query)) == {
        "owner": "ann",
        "limit": "2",
        "cursor": second.json["next"],
    }
    assert [len(by_link.json["items"]), by_link.json["next"]] == [1, None]
    assert links_of(first.headers["Link"]).keys() == {"next"}


async def test_pages_are_stable_while_tokens_come_and_go(shop: Caller) -> None:
    owner = fresh("owner")
    issued = [await shop.issue(owner) for _ in range(6)]

    first = await shop.ok("GET", "/v1/tokens", owner=owner, limit=3)
    await shop.issue(owner)
    await shop.call("DELETE", f"/v1/tokens/{issued[5]['id']}")
    second = await shop.ok("GET", "/v1/tokens", owner=owner, limit=3, cursor=first["next"])

    seen = [item["id"] for page in (first, second) for item in page["items"]]
    assert seen == [token["id"] for token in reversed(issued)]
    assert second["next"] is None


async def test_a_list_is_filtered_by_owner_type_state_and_time(shop: Caller) -> None:
    session, device = await shop.issue("ann"), await shop.issue("ann", type="device")
    other = await shop.issue("ben")
    await shop.call("DELETE", f"/v1/tokens/{session['id']}")
    asked: list[tuple[dict[str, Any], list[Any]]] = [
        ({"owner": "ann"}, [device, session]),
        ({"type": "device"}, [device]),
        ({"state": "revoked"}, [session]),
        ({"owner": "ann", "state": "active"}, [device]),
        ({"created_from_ms": other["created_at_ms"], "owner": "ben"}, [other]),
        ({"created_to_ms": session["created_at_ms"] - 1, "owner": "ann"}, []),
        ({"owner": "nobody"}, []),
    ]

    found = [await shop.ok("GET", "/v1/tokens", **query) for query, _ in asked]

    for page, (query, expected) in zip(found, asked, strict=True):
        assert [item["id"] for item in page["items"]] == [token["id"] for token in expected], query


async def test_an_empty_list_has_no_links(shop: Caller) -> None:
    answer = await shop.get("/v1/tokens", owner="nobody")

    assert answer.json == {"items": [], "next": None, "previous": None}
    assert "Link" not in answer.headers


async def test_the_text_of_a_recoverable_token_is_in_lists_and_of_no_other(shop: Caller) -> None:
    plain, recoverable = await shop.issue("ann"), await shop.issue("ann", recoverable=True)

    items = (await shop.ok("GET", "/v1/tokens", owner="ann"))["items"]

    assert {item["id"]: item.get("token") for item in items} == {
        plain["id"]: None, recoverable["id"]: recoverable["token"]
    }  # fmt: skip
    assert "token" not in await shop.look(recoverable["id"])


async def test_a_text_is_shown_only_to_who_could_issue_such_a_token(admin: Caller, shop: Caller) -> None:
    tenant, more = shop.tenant, ["tokens:read", "events:read"]
    session = await shop.issue("ann", recoverable=True)
    service = await shop.issue("app", recoverable=True, type="service", scopes=more)
    callers = {
        "reads": await admin.caller("tokens:read", "tokens:use", tenant=tenant),
        "issues": await admin.caller("tokens:read", "tokens:issue", tenant=tenant),
        "issues such": await admin.caller(*more, "tokens:issue", tenant=tenant),
    }

    lists = {name: (await caller.ok("GET", "/v1/tokens"))["items"] for name, caller in callers.items()}
    lists["admin"] = (await admin.ok("GET", "/v1/tokens", tenant=tenant))["items"]

    shown = {name: {item["id"] for item in items if "token" in item} for name, items in lists.items()}
    both = {session["id"], service["id"]}
    assert shown == {"reads": set(), "issues": {session["id"]}, "issues such": both, "admin": both}
    assert all(both <= {item["id"] for item in items} for items in lists.values())


async def test_counts_are_kept_by_state_and_type(shop: Caller) -> None:
    owner = fresh("owner")
    tokens = [await shop.issue(owner) for _ in range(3)] + [await shop.issue(owner, type="device")]
    await shop.call("DELETE", f"/v1/tokens/{tokens[0]['id']}")
    await shop.issue(owner, life_ms=20)
    await wait_until(lambda: _expired(shop, owner))  # counts follow the sweep

    of_owner = await shop.ok("GET", "/v1/tokens/count", owner=owner)
    active = await shop.ok("GET", "/v1/tokens/count", owner=owner, state="active")
    devices = await shop.ok("GET", "/v1/tokens/count", type="device")
    all_ = await shop.ok("GET", "/v1/tokens/count")

    assert of_owner["total"] == 5
    assert nonzero(of_owner["by_state"]) == {"active": 3, "revoked": 1, "expired": 1}
    assert nonzero(of_owner["by_type"]) == {"session": 4, "device": 1}
    assert (active["total"], devices["total"], all_["total"]) == (3, 1, 6)


async def _expired(caller: Caller, owner: str) -> bool:
    return bool((await caller.ok("GET", "/v1/tokens/count", owner=owner, state="expired"))["total"])


async def walk(caller: Caller, **query: Any) -> Any:
    cursor: dict[str, Any] = {}
    while True:
        page = await caller.ok("GET", "/v1/tokens", **query, **cursor)
        yield page
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def links_of(header: str) -> dict[str, str]:
    parts = [part.partition(">; rel=") for part in header.split(", ")]
    return {rel.strip('"'): target.removeprefix("<") for target, _, rel in parts}


def same(item: Any) -> Any:
    """The same token a moment later."""
    return {**item, "remaining_ms": pytest.approx(item["remaining_ms"], abs=10_000)}


def nonzero(numbers: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}
