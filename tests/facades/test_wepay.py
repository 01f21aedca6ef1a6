"""WePay v3 `session_tokens`: what a reader of its pages would try, call by call."""

import asyncio
import json
import random
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import aiohttp
import pytest

from tests.facades.conftest import Here, Reply, Running, running
from tests.servers import wait_until

SAMPLE = json.loads((Path(__file__).parent / "samples" / "wepay_list.json").read_text())
SAMPLE_CURSOR = SAMPLE["next"].removeprefix("/session_tokens?page=")
CURSOR_KEYS = ["type", "account_id", "create_time_start", "create_time_end", "state", "page", "page_size"]
DAY_S = 86_400
GRANTS = ("tokens:issue", "tokens:read", "tokens:revoke")
PATH = "/session_tokens"

# The error table of the contract.
STATUSES = {400, 403, 404, 405, 408, 413, 429, 500, 503}
CODES = {
    400: "INVALID_PARAMS", 403: "NOT_AUTHORIZED", 404: "INVALID_PARAMS", 405: "INVALID_PARAMS", 408: "INVALID_PARAMS",
    413: "INVALID_PARAMS", 429: "THROTTLE_EXCEEDED", 500: "UNEXPECTED_ERROR", 503: "SERVICE_TEMPORARILY_UNAVAILABLE",
}  # fmt: skip
TARGETS = {"HTTP_REQUEST_BODY", "HTTP_REQUEST_PATH", "HTTP_REQUEST_QUERY_STRING", "HTTP_REQUEST_HEADER"}


class App:
    """An application: what it sends with each call, and the calls."""

    def __init__(self, here: Here, app_id: str, app_token: str) -> None:
        self.here, self.app_id = here, app_id
        self.headers: dict[str, str | None] = {
            "App_Id": app_id, "App_Token": app_token, "Api_Version": "3.0", "Content_Type": "application/json",
        }  # fmt: skip

    async def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        return await self.here.ask(method, path, body, **{**self.headers, **headers})

    async def create(self, account: str | None = None, **more: Any) -> Any:
        session = {"account_id": account or str(uuid4()), **more}
        return good(await self.ask("POST", PATH, {"type": "mobile_session", "mobile_session": session}))

    async def list(self, **query: Any) -> Any:
        return good(await self.ask("GET", f"{PATH}?{urlencode(query)}"))

    async def follow(self, path: str) -> Any:
        return good(await self.ask("GET", path))

    async def read(self, id_: str) -> Any:
        return good(await self.ask("GET", f"{PATH}/{id_}"))

    async def delete(self, id_: str) -> Any:
        return good(await self.ask("DELETE", f"{PATH}/{id_}"))


@pytest.fixture
async def app(here: Here, tenant: str) -> App:
    return App(here, tenant, (await here.caller(tenant, *GRANTS))["token"])


def good(reply: Reply) -> Any:
    """The body of a success."""
    assert reply.status == 200, reply.body
    assert reply.type == "application/json"
    assert reply.headers["X-Correlation-Id"]
    return reply.json()


def no(reply: Reply) -> tuple[int, list[str], str]:
    """Status, target and kind of target of a failure in the vendor's envelope."""
    assert reply.status in STATUSES, (reply.status, reply.body)
    assert reply.type == "application/json"
    assert reply.headers["X-Correlation-Id"]
    body = reply.json()
    assert list(body) == ["error_code", "error_message", "details"]
    assert body["error_code"] == CODES[reply.status]
    [detail] = body["details"]
    assert list(detail) == ["message", "reason_code", "target", "target_type"]
    assert detail["target_type"] in TARGETS
    assert all(isinstance(part, str) for part in detail["target"])
    return reply.status, detail["target"], detail["target_type"]


def shape(value: Any) -> Any:
    """Keys in their order, and types; of a list, the shapes that occur in it."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return {str(shape(item)) for item in value}
    return type(value).__name__


def opened(path: str) -> dict[str, Any]:
    """The cursor of a path, as the vendor's scheme has it."""
    text = path.removeprefix("/session_tokens?page=")
    assert text != path
    assert "=" not in text
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def sealed(cursor: Any) -> str:
    return urlsafe_b64encode(json.dumps(cursor).encode()).rstrip(b"=").decode()


def accounts(listing: Any) -> list[str]:
    return [item["owner"]["id"] for item in listing["results"]]


# -- the list ---------------------------------------------------------------------------------------------------------


async def test_the_list_has_the_shape_that_the_vendor_printed(app: App) -> None:
    made = [await app.create() for _ in range(10)]
    await app.delete(made[3]["id"])
    await app.create()

    listing = await app.list()

    assert shape(listing) == shape(SAMPLE)
    first, printed = listing["results"][0], SAMPLE["results"][0]
    for name in ("resource", "type", "api_version"):
        assert first[name] == printed[name]
    assert first["path"] == f"/session_tokens/{first['id']}"
    assert first["owner"]["path"] == f"/accounts/{first['owner']['id']}"
    assert first["mobile_session"] == {"time_to_live": DAY_S, "account_id": first["owner"]["id"]}
    assert first["expire_time"] - first["create_time"] == DAY_S
    assert first["session_token"].startswith("stg_")
    assert {item["state"] for item in listing["results"]} == {"active", "deleted"}


async def test_the_list_of_an_application_without_tokens_is_one_empty_page(app: App) -> None:
    assert await app.list() == {"previous": None, "next": None, "results": [], "api_version": "3.0"}


async def test_the_newest_come_first_and_next_and_previous_lead_through_all(app: App) -> None:
    names = [f"account {number}" for number in range(7)]
    for name in names:
        await app.create(name)

    first = await app.list(page_size=3)
    second = await app.follow(first["next"])
    third = await app.follow(second["next"])

    assert accounts(first) + accounts(second) + accounts(third) == names[::-1]
    assert (first["previous"], third["next"]) == (None, None)
    assert await app.follow(third["previous"]) == second
    assert await app.follow(second["previous"]) == first


async def test_a_page_that_is_exactly_full_and_the_last_has_no_next(app: App) -> None:
    for _ in range(3):
        await app.create()

    assert (await app.list(page_size=3))["next"] is None
    assert (await app.list(page_size=2))["next"] is not None


async def test_the_window_is_pinned_on_the_first_page(app: App) -> None:
    for number in range(4):
        await app.create(f"old {number}")
    first = await app.list(page_size=2)

    for number in range(3):
        await app.create(f"new {number}")
    second = await app.follow(first["next"])
    again = await app.follow(second["previous"])

    assert accounts(second) == ["old 1", "old 0"]
    assert accounts(again) == accounts(first)
    assert second["next"] is None


async def test_a_deletion_shifts_no_page(app: App) -> None:
    made = [await app.create() for _ in range(4)]
    first = await app.list(page_size=2)

    await app.delete(made[3]["id"])
    second = await app.follow(first["next"])

    assert [item["id"] for item in second["results"]] == [made[1]["id"], made[0]["id"]]


async def test_cursors_are_spelled_as_the_vendor_spells_them(app: App) -> None:
    for _ in range(3):
        await app.create("acc")

    plain = (await app.list(page_size=1))["next"]
    filtered = (await app.list(page_size=1, account_id="acc", state="active", type="mobile_session"))["next"]

    cursor = opened(plain)
    assert list(cursor)[:7] == CURSOR_KEYS
    assert len(cursor) == 8
    assert shape({key: cursor[key] for key in CURSOR_KEYS}) == shape(opened(SAMPLE["next"]))
    assert plain == PATH + "?page=" + sealed(cursor)
    assert [cursor[key] for key in CURSOR_KEYS if key != "create_time_end"] == [
        None, None, "1970-01-01 00:00:00", None, 2, 1,
    ]  # fmt: skip
    end = datetime.fromisoformat(cursor["create_time_end"]).replace(tzinfo=UTC)
    assert str(end.replace(tzinfo=None)) == cursor["create_time_end"]
    assert abs((datetime.now(UTC) - end).total_seconds()) < 5
    assert [opened(filtered)[key] for key in ("type", "account_id", "state")] == ["mobile_session", "acc", "active"]


async def test_the_previous_of_page_two_is_its_own_cursor_with_page_one(app: App) -> None:
    for _ in range(3):
        await app.create()
    first = await app.list(page_size=1)

    previous = opened((await app.follow(first["next"]))["previous"])

    expected = {**opened(first["next"]), "page": 1}
    assert {key: previous[key] for key in CURSOR_KEYS} == {key: expected[key] for key in CURSOR_KEYS}


async def test_the_cursor_of_the_sample_is_taken(app: App) -> None:
    await app.create()

    listing = await app.follow(f"{PATH}?page={SAMPLE_CURSOR}")

    assert (listing["results"], listing["next"]) == ([], None)


async def test_a_cursor_of_the_vendors_seven_keys_alone_leads_to_its_page(app: App) -> None:
    for number in range(5):
        await app.create(f"account {number}")
    cursor = {**opened(SAMPLE["next"]), "create_time_end": "2100-01-01 00:00:00", "page": 2, "page_size": 2}

    listing = await app.follow(f"{PATH}?page={sealed(cursor)}")

    assert accounts(listing) == ["account 2", "account 1"]
    assert accounts(await app.follow(listing["next"])) == ["account 0"]
    assert accounts(await app.follow(listing["previous"])) == ["account 4", "account 3"]


async def test_a_cursor_wins_over_the_other_parameters(app: App) -> None:
    for _ in range(3):
        await app.create("one")
    cursor = (await app.list(page_size=1))["next"]

    listing = await app.follow(f"{cursor}&page_size=50&account_id=another&state=deleted")

    assert accounts(listing) == ["one"]


async def test_a_cursor_of_another_application_shows_ones_own_tokens_only(here: Here, app: App, tenant: str) -> None:
    other = App(here, f"{tenant}-b", (await here.caller(f"{tenant}-b", *GRANTS))["token"])
    for _ in range(3):
        await app.create("theirs")
    cursor = (await app.list(page_size=1))["next"]

    listing = await other.follow(cursor)

    assert listing["results"] == []


async def test_a_page_from_which_all_was_purged_leads_back_to_the_first(here: Here, app: App) -> None:
    made = [await app.create() for _ in range(3)]
    cursor = (await app.list(page_size=2))["next"]
    await app.delete(made[0]["id"])
    await here.forget(made[0]["id"])

    listing = await app.follow(cursor)

    assert (listing["results"], listing["next"]) == ([], None)
    assert len((await app.follow(listing["previous"]))["results"]) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("type", "session"), ("type", 1), ("account_id", ""), ("account_id", 5), ("account_id", "a\nb"),
        ("create_time_start", "yesterday"), ("create_time_start", "2021-04-23T17:30:15"), ("create_time_start", None),
        ("create_time_start", "2021-04-23"), ("create_time_start", "2021-04-23 17:30:15+00:00"),
        ("create_time_start", "2021-13-23 17:30:15"), ("create_time_start", "2200-01-01 00:00:00"),
        ("create_time_end", 1619198505), ("create_time_end", "10000-01-01 00:00:00"),
        ("state", "expired"), ("state", []), ("page", 0), ("page", -1), ("page", "2"), ("page", 1.5), ("page", True),
        ("page", 10**30), ("page", 2**31), ("page_size", 0), ("page_size", 51), ("page_size", None),
        ("anchor", "5"), ("anchor", None), ("anchor", 10**30), ("app_id", "another"),
    ],
)  # fmt: skip
async def test_each_field_of_a_cursor_is_checked(app: App, key: str, value: Any) -> None:
    cursor = {**opened(SAMPLE["next"]), key: value}

    reply = await app.ask("GET", f"{PATH}?page={sealed(cursor)}")

    status, target, kind = no(reply)
    assert (status, kind) == (400, "HTTP_REQUEST_QUERY_STRING")
    assert target in (["page"], ["account_id"])


@pytest.mark.parametrize(
    "text",
    ["", "%20", "e30", "W10", "bnVsbA", "MQ", "a", "not!base64", "=", "eyJ0eXBlIjogbnVsbA", "%C3%A9", "_" * 999,
     SAMPLE_CURSOR[:-2], SAMPLE_CURSOR + "x", urlsafe_b64encode(b"[" * 40_00).decode()[:4000],
     urlsafe_b64encode(b'{"type":"\xff\xfe"}').decode()],
)  # fmt: skip
async def test_what_is_no_cursor_is_refused(app: App, text: str) -> None:
    reply = await app.ask("GET", f"{PATH}?page={text}")

    assert no(reply) == (400, ["page"], "HTTP_REQUEST_QUERY_STRING")


async def test_a_cursor_of_the_vendors_seven_keys_passes_over_a_thousand_tokens_at_most(app: App) -> None:
    cursor = {**opened(SAMPLE["next"]), "page": 22, "page_size": 50}

    assert no(await app.ask("GET", f"{PATH}?page={sealed(cursor)}")) == (400, ["page"], "HTTP_REQUEST_QUERY_STRING")
    assert good(await app.ask("GET", f"{PATH}?page={sealed({**cursor, 'page': 21})}"))["results"] == []


async def test_filters_combine(here: Here, app: App) -> None:
    a, b = "account a", "account b"
    for account in (a, b, a, b, a):
        await app.create(account)
    listing = await app.list()
    await app.delete(listing["results"][0]["id"])
    here.expire(listing["results"][2]["id"])

    assert accounts(await app.list(account_id=a)) == [a, a, a]
    assert accounts(await app.list(state="deleted")) == [a]
    assert accounts(await app.list(state="active")) == [b, a, b, a]
    assert accounts(await app.list(state="active", account_id=a, type="mobile_session")) == [a, a]
    assert accounts(await app.list(state="deleted", account_id=b)) == []
    assert accounts(await app.list(type="api_session")) == []
    assert accounts(await app.list(account_id="account")) == []


async def test_the_window_of_creation_includes_both_its_ends(app: App) -> None:
    made = await app.create()
    at = made["create_time"]

    assert accounts(await app.list(create_time_start=at, create_time_end=at)) == [made["owner"]["id"]]
    assert accounts(await app.list(create_time_start=0, create_time_end=at - 1)) == []
    assert accounts(await app.list(create_time_start=at + 1)) == []
    assert accounts(await app.list(create_time_end=2**63 - 1)) == [made["owner"]["id"]]
    assert accounts(await app.list(create_time_start=2**63 - 1)) == []


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("page_size=0", "page_size"), ("page_size=51", "page_size"), ("page_size=ten", "page_size"),
        ("page_size=", "page_size"), ("page_size=5&page_size=6", "page_size"), ("page_size=-1", "page_size"),
        ("type=session", "type"), ("type=", "type"), ("state=expired", "state"), ("state=Active", "state"),
        ("account_id=", "account_id"), ("account_id=" + "x" * 257, "account_id"), ("account_id=%00", "account_id"),
        ("create_time_start=-1", "create_time_start"), ("create_time_end=soon", "create_time_end"),
        ("create_time_start=9223372036854775808", "create_time_start"),
        ("create_time_start=2&create_time_end=1", "create_time_start"),
    ],
)  # fmt: skip
async def test_a_parameter_that_cannot_be_taken_is_named(app: App, query: str, target: str) -> None:
    assert no(await app.ask("GET", f"{PATH}?{query}")) == (400, [target], "HTTP_REQUEST_QUERY_STRING")


# -- create, read, delete ---------------------------------------------------------------------------------------------


async def test_a_new_token_is_one_bare_item_which_reading_repeats(app: App) -> None:
    made = await app.create("acc")

    assert shape(made) == shape(SAMPLE["results"][0])
    assert abs(made["create_time"] - time.time()) < 5
    assert await app.read(made["id"]) == made
    assert (await app.list())["results"] == [made]


async def test_reading_needs_no_content_type_and_any_version_three_is_echoed(app: App) -> None:
    made = await app.create()

    reply = await app.ask("GET", f"{PATH}/{made['id']}", Content_Type=None, Api_Version="3.2")

    assert good(reply)["api_version"] == "3.2"


async def test_a_charset_may_be_named(app: App) -> None:
    body = {"type": "mobile_session", "mobile_session": {"account_id": "acc"}}

    good(await app.ask("GET", PATH, Content_Type="application/json; charset=utf-8"))
    good(await app.ask("POST", PATH, body, Content_Type="application/json; charset=UTF-8"))


async def test_a_shorter_life_may_be_asked_for(here: Here, app: App) -> None:
    made = await app.create(time_to_live=60.0)

    assert made["expire_time"] - made["create_time"] == 60
    assert made["mobile_session"]["time_to_live"] == 60
    assert 50_000 < here.pttl(made["id"]) <= 60_000


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({}, ["type"]),
        ({"type": "mobile_session"}, ["mobile_session"]),
        ({"type": "api_session", "mobile_session": {"account_id": "a"}}, ["type"]),
        ({"type": "mobile_session", "mobile_session": {}}, ["mobile_session", "account_id"]),
        ({"type": "mobile_session", "mobile_session": []}, ["mobile_session"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": 5}}, ["mobile_session", "account_id"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": ""}}, ["mobile_session", "account_id"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": "a\x00"}}, ["account_id"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": "a", "time_to_live": 0}},
         ["mobile_session", "time_to_live"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": "a", "time_to_live": DAY_S + 1}},
         ["mobile_session", "time_to_live"]),
        ({"type": "mobile_session", "mobile_session": {"account_id": "a", "time_to_live": "60"}},
         ["mobile_session", "time_to_live"]),
        ([], ["body"]), (None, ["body"]), (b"", ["body"]), (b"{", ["body"]), (b"\xff", ["body"]),
        (b"[" * 5000, ["body"]),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_taken_is_named(app: App, body: Any, target: list[str]) -> None:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()

    assert no(await app.ask("POST", PATH, sent)) == (400, target, "HTTP_REQUEST_BODY")


async def test_a_text_in_the_wrong_place_is_not_repeated(app: App) -> None:
    text = (await app.create())["session_token"]

    replies = [
        await app.ask("POST", PATH, {"type": text, "mobile_session": {"account_id": "a"}}),
        await app.ask("GET", f"{PATH}?state={text}"),
        await app.ask("GET", f"{PATH}/{text}"),
    ]

    assert [no(reply)[0] for reply in replies] == [400] * 3
    assert not [reply for reply in replies if text.encode() in reply.body]


async def test_deleting_answers_the_whole_object_once_and_again(here: Here, app: App) -> None:
    made = await app.create()

    deleted = await app.delete(made["id"])

    assert deleted == {**made, "state": "deleted"}
    assert await app.delete(made["id"]) == deleted
    assert await app.read(made["id"]) == deleted
    assert (await app.list())["results"] == [deleted]
    assert await here.story(made["id"]) == ["issued", "revoked"]


async def test_an_expired_token_stays_active_in_the_list_until_it_is_forgotten(here: Here, app: App) -> None:
    made = await app.create()
    here.expire(made["id"])

    listed = (await app.list())["results"]
    read = await app.read(made["id"])
    await here.forget(made["id"])

    assert [(item["id"], item["state"]) for item in listed] == [(made["id"], "active")]
    assert listed[0]["expire_time"] <= time.time() + 1
    assert read == listed[0]
    assert (await app.list())["results"] == []
    assert no(await app.ask("GET", f"{PATH}/{made['id']}"))[0] == 400


async def test_deleting_an_expired_token_leaves_it_as_it_is(here: Here, app: App) -> None:
    made = await app.create()
    here.expire(made["id"])

    deleted = await app.delete(made["id"])

    assert deleted["state"] == "active"
    assert (await here.view(made["id"]))["state"] == "expired"


async def test_a_deleted_token_is_forgotten_in_the_end(here: Here, app: App) -> None:
    made = await app.create()
    await app.delete(made["id"])

    await here.forget(made["id"])

    assert (await app.list())["results"] == []
    assert no(await app.ask("DELETE", f"{PATH}/{made['id']}")) == (400, ["id"], "HTTP_REQUEST_PATH")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_unknown_and_foreign_ids_are_told_apart_nowhere(here: Here, app: App, tenant: str, method: str) -> None:
    other = App(here, f"{tenant}-b", (await here.caller(f"{tenant}-b", *GRANTS))["token"])
    theirs = await other.create()
    session = await here.issue("acc", tenant=tenant)
    ids = [theirs["id"], session["id"], str(uuid4()), "614cc73c-9eda-41e1-a5b2-807e4a905775", "x", "x" * 255,
           theirs["id"].upper(), "%00", "%F0%9F%99%82", theirs["session_token"]]  # fmt: skip

    replies = [await app.ask(method, f"{PATH}/{id_}") for id_ in ids]

    assert {no(reply)[0] for reply in replies} == {400}
    assert {reply.body for reply in replies} == {replies[0].body}
    assert no(replies[0])[1:] == (["id"], "HTTP_REQUEST_PATH")
    assert (await other.read(theirs["id"]))["state"] == "active"
    assert (await here.view(session["id"]))["state"] == "active"


# -- Unique-Key -------------------------------------------------------------------------------------------------------


def ask_for(account: str, **more: Any) -> dict[str, Any]:
    return {"type": "mobile_session", "mobile_session": {"account_id": account, **more}}


async def test_a_repeat_under_one_key_fetches_the_token_that_the_first_made(here: Here, app: App) -> None:
    first = good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))

    again = good(await app.ask("POST", PATH, b'{"mobile_session": {"account_id": "acc"}, "type": "mobile_session"}',
                               Unique_Key="k"))  # fmt: skip
    await app.delete(first["id"])
    late = good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))
    await here.forget(first["id"])
    later = good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))

    assert again == first
    assert late == {**first, "state": "deleted"}
    assert later == first
    assert (await app.list())["results"] == []


async def test_of_many_at_once_under_one_key_one_makes_the_token(app: App) -> None:
    replies = await asyncio.gather(*[app.ask("POST", PATH, ask_for("acc"), Unique_Key="k") for _ in range(12)])

    assert {good(reply)["session_token"] for reply in replies} == {good(replies[0])["session_token"]}
    assert len((await app.list())["results"]) == 1


async def test_another_request_under_the_same_key_is_refused(app: App) -> None:
    await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k")

    changed = await app.ask("POST", PATH, ask_for("another"), Unique_Key="k")
    longer = await app.ask("POST", PATH, ask_for("acc", time_to_live=5), Unique_Key="k")
    newer = await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k", Api_Version="3.1")

    expected = (400, ["Unique-Key"], "HTTP_REQUEST_HEADER")
    assert [no(changed), no(longer), no(newer)] == [expected] * 3
    assert len((await app.list())["results"]) == 1


@pytest.mark.parametrize(("one", "two"), [("1", "2"), ("1", None), ("9" * 5_000, "8" * 5_000), ("1e999", "[1]")])
async def test_what_is_ignored_is_part_of_the_request_too(app: App, one: str, two: str | None) -> None:
    """The members in another order and other spaces are the same JSON."""

    def body(x: str | None) -> bytes:
        more = "" if x is None else f', "x": {x}'
        return f'{{"type": "mobile_session", "mobile_session": {{"account_id": "acc"}}{more}}}'.encode()

    first = good(await app.ask("POST", PATH, body(one), Unique_Key="k"))
    same = f'{{"x":{one},"mobile_session":{{"account_id":"acc"}},"type":"mobile_session"}}'.encode()

    assert good(await app.ask("POST", PATH, same, Unique_Key="k")) == first
    for path, changed in ((PATH, body(two)), (f"{PATH}?x=1", body(one))):
        assert no(await app.ask("POST", path, changed, Unique_Key="k"))[:2] == (400, ["Unique-Key"])


async def test_a_key_is_remembered_for_a_day(here: Here, app: App) -> None:
    before = set(here.redis.keys("tl:*:k:*"))
    good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))

    [kept] = set(here.redis.keys("tl:*:k:*")) - before
    assert (DAY_S - 60) * 1000 < here.redis.pttl(kept) <= DAY_S * 1000


async def test_a_key_means_nothing_to_a_call_that_makes_nothing(app: App) -> None:
    made = good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))

    for method, path in (("GET", PATH), ("GET", f"{PATH}/{made['id']}"), ("DELETE", f"{PATH}/{made['id']}")):
        good(await app.ask(method, path, Unique_Key="k"))


async def test_keys_are_each_applications_own(here: Here, app: App, tenant: str) -> None:
    other = App(here, f"{tenant}-b", (await here.caller(f"{tenant}-b", *GRANTS))["token"])

    mine = good(await app.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))
    theirs = good(await other.ask("POST", PATH, ask_for("acc"), Unique_Key="k"))

    assert mine["id"] != theirs["id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_from_1_to_255_characters(app: App, key: str) -> None:
    reply = await app.ask("POST", PATH, ask_for("acc"), Unique_Key=key)

    assert no(reply) == (400, ["Unique-Key"], "HTTP_REQUEST_HEADER")


# -- who asks ---------------------------------------------------------------------------------------------------------

CALLS = [("GET", PATH), ("POST", PATH), ("GET", PATH + "/x"), ("DELETE", PATH + "/x")]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_an_application_that_is_not_known_may_do_nothing(
    here: Here, app: App, tenant: str, method: str, path: str
) -> None:
    mine = app.headers["App_Token"]
    theirs = (await here.caller(f"{tenant}-b", *GRANTS))["token"]
    revoked = await here.caller(tenant, *GRANTS)
    expired = await here.caller(tenant, *GRANTS)
    session = (await here.issue("ann", tenant=tenant))["token"]
    weak = (await here.caller(tenant, "events:read"))["token"]
    await here.native("DELETE", f"/v1/tokens/{revoked['id']}")
    here.expire(expired["id"])
    wrong: list[dict[str, str | None]] = [
        {"App_Id": None}, {"App_Token": None}, {"App_Id": None, "App_Token": None}, {"App_Token": ""},
        {"App_Token": "stg_MTA0X2Y3NjM4OTAxLWFiNGUtNDA4OC1hYTQyLWM3YjE5YzllYWExNA"},
        {"App_Token": f"{str(mine)[:-1]}!"}, {"App_Token": theirs}, {"App_Id": f"{tenant}-b"}, {"App_Id": ""},
        {"App_Token": revoked["token"]}, {"App_Token": expired["token"]}, {"App_Token": session}, {"App_Token": weak},
    ]  # fmt: skip

    replies = [await app.ask(method, path, **each) for each in wrong]

    assert [no(reply)[0] for reply in replies] == [403] * len(wrong)
    assert {reply.body for reply in replies} == {replies[0].body}


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_who_is_not_known_hears_nothing_of_the_request(app: App, method: str, path: str) -> None:
    reply = await app.ask(method, path + "?page_size=0", b"{", App_Token=None, Api_Version=None, Content_Type=None)

    assert no(reply)[0] == 403


@pytest.mark.parametrize("name", ["App-Id", "App-Token"])
async def test_who_says_twice_who_it_is_is_not_known(app: App, session: aiohttp.ClientSession, name: str) -> None:
    headers = [(given.replace("_", "-"), str(value)) for given, value in app.headers.items()]
    twice = next(pair for pair in headers if pair[0] == name)

    async with session.get(app.here.url + PATH, headers=[*headers, twice]) as response:
        reply = Reply(response.status, response.headers, await response.read())

    assert no(reply)[0] == 403


async def test_the_admin_may_be_any_application(here: Here, app: App, tenant: str) -> None:
    made = await app.create()
    admin = App(here, tenant, "the-admin-token-of-the-facades")

    assert (await admin.list())["results"] == [made]
    assert no(await admin.ask("GET", PATH, App_Id=None))[0] == 403
    assert no(await admin.ask("GET", f"{PATH}/{made['id']}", App_Id=f"{tenant}-b"))[0] == 400


@pytest.mark.parametrize(
    ("method", "headers", "target"),
    [
        ("GET", {"Api_Version": None}, "Api-Version"), ("GET", {"Api_Version": "2.0"}, "Api-Version"),
        ("GET", {"Api_Version": "3"}, "Api-Version"), ("GET", {"Api_Version": "v3.0"}, "Api-Version"),
        ("GET", {"Content_Type": None}, "Content-Type"), ("GET", {"Content_Type": "text/plain"}, "Content-Type"),
        ("POST", {"Api_Version": None}, "Api-Version"), ("POST", {"Content_Type": None}, "Content-Type"),
        ("POST", {"Content_Type": "text/json"}, "Content-Type"),
    ],
)  # fmt: skip
async def test_the_required_headers_are_required(
    app: App, method: str, headers: dict[str, str | None], target: str
) -> None:
    body = ask_for("acc") if method == "POST" else None

    assert no(await app.ask(method, PATH, body, **headers)) == (400, [target], "HTTP_REQUEST_HEADER")


async def test_where_the_settings_say_so_the_list_needs_no_content_type(
    limited: Running, session: aiohttp.ClientSession
) -> None:
    here = Here(limited, session)
    app = App(here, "untyped", (await here.caller("untyped", *GRANTS))["token"])

    assert good(await app.ask("GET", PATH, Content_Type=None))["results"] == []
    assert no(await app.ask("POST", PATH, ask_for("acc"), Content_Type=None))[:2] == (400, ["Content-Type"])


async def test_a_charset_that_is_not_utf_8_is_refused(app: App) -> None:
    reply = await app.ask("POST", PATH, ask_for("acc"), Content_Type="application/json; charset=latin-1")

    assert no(reply)[0::2] == (400, "HTTP_REQUEST_HEADER")


# -- one core ---------------------------------------------------------------------------------------------------------


async def test_use_through_our_own_api_renews_and_the_listed_expiry_follows(here: Here, app: App) -> None:
    made = await app.create()
    here.shorten(made["id"], 3_600_000)
    shortened = await app.read(made["id"])

    await here.native("POST", "/v1/tokens/use", {"token": made["session_token"]})

    renewed = (await app.list())["results"][0]
    assert shortened["expire_time"] - made["create_time"] < 3_700
    assert renewed["expire_time"] >= made["expire_time"]
    assert here.pttl(made["id"]) > (DAY_S - 60) * 1000


async def test_reading_and_listing_are_no_use(here: Here, app: App) -> None:
    made = await app.create()
    before = await here.view(made["id"])

    await app.list()
    await app.read(made["id"])

    after = await here.view(made["id"])
    assert (after["uses"], after["last_used_at_ms"], after["expires_at_ms"]) == (
        before["uses"], before["last_used_at_ms"], before["expires_at_ms"],
    )  # fmt: skip


async def test_our_own_api_sees_and_ends_what_was_made_here(here: Here, app: App, tenant: str) -> None:
    made = await app.create("acc")

    page = await here.native("GET", f"/v1/tokens?tenant={tenant}&owner=acc")
    peeked = await here.native("POST", "/v1/tokens/peek", {"token": made["session_token"]})
    await here.native("POST", "/v1/tokens/revoke", {"token": made["session_token"]})

    assert [(item["id"], item["type"], item["token"]) for item in page["items"]] == [
        (made["id"], "mobile_session", made["session_token"])
    ]
    assert peeked["remaining_ms"] <= DAY_S * 1000
    assert (await app.read(made["id"]))["state"] == "deleted"
    assert [item["state"] for item in (await app.list())["results"]] == ["deleted"]


async def test_what_our_own_api_makes_of_the_type_is_listed_here(here: Here, app: App, tenant: str) -> None:
    kept = await here.issue("acc", tenant=tenant, type="mobile_session", recoverable=True)
    await here.issue("acc", tenant=tenant, type="mobile_session", life_ms=None)
    await here.issue("acc", tenant=tenant)

    endless, plain = (await app.list())["results"]

    assert shape(endless) == shape(SAMPLE["results"][0])
    assert endless["session_token"] == ""
    assert (plain["id"], plain["session_token"]) == (kept["id"], kept["token"])
    assert plain["mobile_session"]["time_to_live"] == 1800


async def test_a_rotated_token_is_deleted_and_its_successor_active(here: Here, app: App) -> None:
    made = await app.create("acc")

    successor = await here.native("POST", "/v1/tokens/rotate", {"token": made["session_token"], "overlap_ms": 0})

    items = {item["id"]: item for item in (await app.list())["results"]}
    assert items[made["id"]]["state"] == "deleted"
    assert items[successor["id"]]["state"] == "active"
    assert items[successor["id"]]["session_token"] == successor["token"]
    assert successor["token"].startswith("stg_")


# -- the edges of HTTP ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", PATH, "GET, HEAD, POST"), ("DELETE", PATH, "GET, HEAD, POST"), ("PATCH", PATH, "GET, HEAD, POST"),
     ("POST", PATH + "/x", "DELETE, GET, HEAD"), ("OPTIONS", PATH + "/x", "DELETE, GET, HEAD")],
)  # fmt: skip
async def test_another_method_is_refused_in_this_dialect(app: App, method: str, path: str, allowed: str) -> None:
    reply = await app.ask(method, path)

    assert no(reply)[0] == 405
    assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize("path", [PATH + "/", PATH + "/x/y", PATH + "/x/", PATH + "//x"])
async def test_an_unknown_path_below_is_refused_in_this_dialect(app: App, path: str) -> None:
    assert no(await app.ask("GET", path)) == (404, [], "HTTP_REQUEST_PATH")


async def test_a_body_that_is_too_large_is_refused_in_this_dialect(app: App) -> None:
    assert no(await app.ask("POST", PATH, b'"' + b"x" * 200_000))[0] == 413


async def test_a_body_that_is_not_encoded_as_it_says_is_refused_in_this_dialect(app: App) -> None:
    assert no(await app.ask("POST", PATH, b"plain", Content_Encoding="gzip"))[0] == 400


async def test_every_answer_can_be_found_in_the_log_by_its_correlation_id(app: App) -> None:
    replies = [await app.ask(method, path, X_Request_Id="one") for method, path in [*CALLS, ("PUT", PATH)]]

    assert {reply.headers["X-Correlation-Id"] for reply in replies} == {"one"}


async def test_an_outage_is_503_in_this_dialect(apart: Running, session: aiohttp.ClientSession) -> None:
    here = Here(apart, session)
    app = App(here, "shop", (await here.caller("shop", *GRANTS))["token"])

    apart.store.pause()
    try:
        asked = [app.ask(method, path, ask_for("a") if method == "POST" else None) for method, path in CALLS]
        replies = await asyncio.gather(*asked)
    finally:
        apart.store.resume()

    assert [no(reply)[0] for reply in replies] == [503] * 4
    assert {reply.headers["Retry-After"] for reply in replies} == {"1"}
    await wait_until(lambda: apart.service.status("/readyz") == 200)


async def test_a_fault_is_500_in_this_dialect_and_tells_nothing(apart: Running, session: aiohttp.ClientSession) -> None:
    here = Here(apart, session)
    app = App(here, "shop", (await here.caller("shop", *GRANTS))["token"])
    made = await app.create("the account of somebody")
    [record] = here.redis.keys(f"tl:*:t:{made['id'].replace('-', '')}")
    here.redis.set(record, here.redis.get(record).replace(b"{", b"?"))

    reply = await app.ask("GET", PATH)

    assert no(reply)[0] == 500
    assert b"somebody" not in reply.body
    assert made["session_token"] not in apart.service.said()


# -- bad input --------------------------------------------------------------------------------------------------------

JUNK = ["", "0", "-1", "null", "true", "[]", "{}", "1e9", "NaN", "9" * 400, "%00", "%ff", "\ud7ff", "é" * 9, "a b",
        "'--", "../..", "x" * 3000, SAMPLE_CURSOR, "stg_x", "2021-04-23 17:30:15", "active"]  # fmt: skip
NAMES = ["page", "page_size", "type", "account_id", "state", "create_time_start", "create_time_end", "limit", "é"]


def junk_body(dice: random.Random) -> bytes:
    parts: list[Any] = [None, 0, -1, 1e400, "", "x" * 999, [], {}, True, "mobile_session", {"account_id": "a"}]
    choice = {dice.choice(["type", "mobile_session", "x"]): dice.choice(parts) for _ in range(3)}
    body = json.dumps(choice).encode()
    return dice.choice([body, body[: dice.randrange(len(body))], dice.randbytes(40)])


async def test_whatever_is_sent_is_answered_in_this_dialect(app: App) -> None:
    dice = random.Random(20261121)
    seen: Counter[int] = Counter()

    for _ in range(250):
        method = dice.choice(["GET", "GET", "POST", "DELETE", "PUT"])
        tail = "".join(f"/{quote(dice.choice(JUNK), safe='%')}" for _ in range(dice.choice([0, 0, 1, 1, 2])))
        query = "&".join(f"{quote(dice.choice(NAMES))}={quote(dice.choice(JUNK), safe='%')}" for _ in range(2))
        names = ("App_Id", "App_Token", "Api_Version", "Content_Type", "Unique_Key")
        header = {dice.choice(names): dice.choice(["", "x", "3.0", "text/html", "é", "a" * 300])}
        body = junk_body(dice) if method == "POST" else None

        reply = await app.ask(method, f"{PATH}{tail}?{query}", body, **(header if dice.random() < 0.3 else {}))

        seen[reply.status] += 1
        if reply.status != 200:
            assert no(reply)[0] in {400, 403, 404, 405}, (method, tail, query, header, body)
    assert set(seen) == {200, 400, 403, 404, 405}


# Three requests a second of an application to each endpoint, where the settings ask for that


@pytest.fixture(scope="module")
def limited() -> Iterator[Running]:
    with running(wepay_per_second=3, wepay_typed=False) as both:
        yield both


async def test_an_application_that_asks_too_often_is_throttled_for_a_while(
    limited: Running, session: aiohttp.ClientSession
) -> None:
    here = Here(limited, session)
    busy, other = [App(here, name, (await here.caller(name, *GRANTS))["token"]) for name in ("busy", "other")]

    replies = await asyncio.gather(*[busy.ask("GET", PATH) for _ in range(12)])

    refused = [reply for reply in replies if reply.status != 200]
    assert 3 <= len(replies) - len(refused) < 12
    assert {no(reply)[0] for reply in refused} == {429}
    assert {reply.headers["Retry-After"] for reply in refused} == {"1"}
    assert (await other.ask("GET", PATH)).status == 200
    assert (await busy.ask("GET", PATH + "/x")).status == 400, "another call has its own"
    assert (await busy.ask("POST", PATH, ask_for("acc"))).status == 200

    async def answered() -> bool:
        return (await busy.ask("GET", PATH)).status == 200

    await wait_until(answered)
