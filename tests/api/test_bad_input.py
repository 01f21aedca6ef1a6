"""What cannot be taken is refused with a problem that names the field, and changes nothing."""

from typing import Any

import pytest

from tests.api.calls import GRANTS, Answer, Caller, fresh

LONG = "x" * 65_536
DEEP = '{"owner": "ann", "metadata": ' + '{"a":' * 5_000 + "1" + "}" * 5_001

FIELDS = [
    ({"owner": 1}, "owner"),
    ({"owner": None}, "owner"),
    ({"owner": ["ann"]}, "owner"),
    ({"owner": ""}, "owner"),
    ({"owner": "x" * 257}, "owner"),
    ({"owner": "a\nb"}, "owner"),
    ({"owner": "a\x00b"}, "owner"),
    ({"owner": "a\u2028b"}, "owner"),
    ({"owner": "\x9b31m"}, "owner"),
    ({}, "owner"),
    ({"tenant": ""}, "tenant"),
    ({"tenant": "a b"}, "tenant"),
    ({"tenant": "*"}, "tenant"),
    ({"tenant": 7}, "tenant"),
    ({"type": ""}, "type"),
    ({"type": "Session"}, "type"),
    ({"type": "a:b"}, "type"),
    ({"type": None}, "type"),
    ({"life_ms": 0}, "life_ms"),
    ({"life_ms": -1}, "life_ms"),
    ({"life_ms": "60000"}, "life_ms"),
    ({"life_ms": 1.5}, "life_ms"),
    ({"life_ms": True}, "life_ms"),
    ({"life_ms": 31_536_000_001}, "life_ms"),
    ({"life_ms": 2**63}, "life_ms"),
    ({"life_ms": 10**40}, "life_ms"),
    ({"life_ms": [1]}, "life_ms"),
    ({"ceiling_ms": 0}, "ceiling_ms"),
    ({"ceiling_ms": -(10**13)}, "ceiling_ms"),
    ({"ceiling_ms": 10**12}, "ceiling_ms"),
    ({"ceiling_ms": 10**18}, "ceiling_ms"),
    ({"life_ms": 0.0}, "life_ms"),
    ({"life_ms": 1e22}, "life_ms"),
    ({"life_ms": 60_000.0, "uses": 2.5}, "uses"),
    ({"life_ms": 60_000.0, "scopes": ["a", 1.0]}, "scopes[1]"),
    ({"uses": 0}, "uses"),
    ({"uses": 10**10}, "uses"),
    ({"uses": 1, "type": "service"}, "uses"),
    ({"sliding": 1}, "sliding"),
    ({"sliding": "true"}, "sliding"),
    ({"refreshable": None}, "refreshable"),
    ({"recoverable": "no"}, "recoverable"),
    ({"scopes": "read"}, "scopes"),
    ({"scopes": ["a b"]}, "scopes[0]"),
    ({"scopes": [""]}, "scopes[0]"),
    ({"scopes": ["ü"]}, "scopes[0]"),
    ({"scopes": ["a", "a"]}, "scopes"),
    ({"scopes": ["a", 1]}, "scopes[1]"),
    ({"scopes": [f"s{n}" for n in range(65)]}, "scopes"),
    ({"scopes": None}, "scopes"),
    ({"description": ""}, "description"),
    ({"description": "x" * 513}, "description"),
    ({"description": "a\tb"}, "description"),
    ({"metadata": []}, "metadata"),
    ({"metadata": "{}"}, "metadata"),
    ({"metadata": {"a": "x" * 4096}}, "metadata"),
    ({"lifems": 1}, "lifems"),
    ({"life_MS": 1}, "life_MS"),
    ({"x" * 75: 1}, "body"),
]  # fmt: skip

RAW = [
    ("", "body"),
    (" ", "body"),
    ("null", "body"),
    ("[]", "body"),
    ('["owner"]', "body"),
    ('"owner"', "body"),
    ("7", "body"),
    ("{", "body"),
    ('{"owner": "ann"', "body"),
    ('{"owner": "ann"} {}', "body"),
    ('{"owner": "ann",}', "body"),
    ("{'owner': 'ann'}", "body"),
    ('{"owner": "ann", "life_ms": NaN}', "body"),
    ('{"owner": "ann", "life_ms": Infinity}', "body"),
    ('{"owner": "ann", "metadata": {"a": NaN}}', "body"),
    ('{"owner": "ann", "metadata": {"a": 1e999}}', "metadata[...]"),
    ('{"owner": "ann", "life_ms": 1e999}', "life_ms"),
    ('{"owner": "ann", "life_ms": 60000.0, "metadata": {"a": 1e999}}', "body"),
    ('{"owner": "ann", "life_ms": 60000.0, "metadata": {"a": NaN}}', "body"),
    ('{"owner": "ann", "life_ms": 60000.0, "life_ms": 60000.0}', "life_ms"),
    ('{"owner": "\\ud800"}', "body"),
    ('{"owner": "ann", "owner": "ben"}', "owner"),
    ('{"owner": "ann", "metadata": {"a": 1, "b": {"c": 1, "c": 1}}}', "c"),
    (DEEP, "body"),
    ("owner=ann", "body"),
    ("\ufeff{}", "body"),
]

QUERIES = [
    ({"limit": "0"}, "limit"),
    ({"limit": "1001"}, "limit"),
    ({"limit": "-1"}, "limit"),
    ({"limit": "ten"}, "limit"),
    ({"limit": ""}, "limit"),
    ({"limit": "9" * 30}, "limit"),
    ({"order": "up"}, "order"),
    ({"state": "dead"}, "state"),
    ({"state": "active'"}, "state"),
    ({"owner": ""}, "owner"),
    ({"owner": "x" * 257}, "owner"),
    ({"owner": "a\nb"}, "owner"),
    ({"tenant": "a b"}, "tenant"),
    ({"type": "A"}, "type"),
    ({"created_from_ms": "-1"}, "created_from_ms"),
    ({"created_to_ms": "yesterday"}, "created_to_ms"),
    ({"cursor": "x"}, "cursor"),
    ({"cursor": "x" * 513}, "cursor"),
    ({"onwer": "ann"}, "onwer"),
    ([("owner", "ann"), ("owner", "ben")], "owner"),
]


async def posted(caller: Caller, data: str | bytes, content_type: str = "application/json") -> Answer:
    return await caller.call("POST", "/v1/tokens", data=data, headers={"Content-Type": content_type})


async def nothing_changed(caller: Caller) -> bool:
    """The tenant has still no token but the caller's own."""
    return bool((await caller.ok("GET", "/v1/tokens/count"))["total"] == 1)


@pytest.mark.parametrize(("wrong", "field"), FIELDS)
async def test_a_field_that_cannot_be_taken_is_named(admin: Caller, wrong: Any, field: str) -> None:
    body = {**({} if field == "owner" else {"owner": "ann"}), "tenant": fresh("tenant"), **wrong}

    answer = await admin.post("/v1/tokens", body)

    assert (answer.status, answer.code, answer.field) == (400, "invalid_request", field)
    assert field == "tenant" or (await admin.ok("GET", "/v1/tokens/count", tenant=body["tenant"]))["total"] == 0


async def test_a_whole_number_may_be_written_with_a_point(admin: Caller) -> None:
    """To JSON Schema, and so to the description of the API, 60000.0 is an integer: some languages write all so."""
    issued = await admin.issue(life_ms=60_000.0, uses=5.0, ceiling_ms=9e4, metadata={"half": 0.5})
    rotated = await admin.post("/v1/tokens/rotate", {"token": issued["token"], "overlap_ms": 5e3})

    assert [issued[name] for name in ("life_ms", "uses_left", "metadata")] == [60_000, 5, {"half": 0.5}]
    assert issued["ceiling_at_ms"] == issued["created_at_ms"] + 90_000
    assert rotated.status == 201


@pytest.mark.parametrize(("body", "field"), RAW)
async def test_a_body_that_is_not_an_object_of_json_is_refused(shop: Caller, body: str, field: str) -> None:
    answer = await posted(shop, body)

    assert (answer.status, answer.code, answer.field) == (400, "invalid_request", field)
    assert await nothing_changed(shop)


@pytest.mark.parametrize("owner", [b"\xff\xfe", b"\xc0\xaf", "ü".encode("utf-16"), "ü".encode("latin-1")])
async def test_a_body_that_is_not_utf_8_is_refused(shop: Caller, owner: bytes) -> None:
    answer = await posted(shop, b'{"owner": "' + owner + b'"}')

    assert (answer.status, answer.field) == (400, "body")
    assert await nothing_changed(shop)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json; charset=latin-1", "x"],
)
async def test_another_content_type_is_415(shop: Caller, content_type: str) -> None:
    answer = await posted(shop, '{"owner": "ann"}', content_type)

    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert await nothing_changed(shop)


@pytest.mark.parametrize("more", ["; charset=utf-8", "; Charset=UTF-8", ";x=y", " "])
async def test_json_is_known_in_every_spelling(shop: Caller, more: str) -> None:
    assert (await posted(shop, '{"owner": "ann"}', f"Application/JSON{more}")).status == 201


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_64_kib_is_413(shop: Caller, chunked: bool) -> None:
    body = b'{"owner": "ann", "description": "%s"}' % LONG.encode()

    async def pieces() -> Any:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    data = pieces() if chunked else body
    answer = await shop.call("POST", "/v1/tokens", data=data, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.code) == (413, "too_large")
    assert await nothing_changed(shop)


async def test_a_batch_may_be_larger_but_not_endless(shop: Caller) -> None:
    many = {"verb": "peek", "tokens": ["a" * 75] * 1_000}
    more = {"verb": "peek", "tokens": ["a" * 75] * 1_001}
    larger = {"verb": "peek", "tokens": ["a" * 900] * 1_000}

    answers = [await shop.post("/v1/tokens/batch", body) for body in (many, more, larger)]

    assert [answer.status for answer in answers] == [200, 400, 413]
    assert answers[1].field == "tokens"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/tokens/use", {}, "token"),
        ("/v1/tokens/use", {"token": None}, "token"),
        ("/v1/tokens/use", {"token": "x" * 4097}, "token"),
        ("/v1/tokens/use", {"token": "x", "scope": "read"}, "scope"),
        ("/v1/tokens/use", {"token": "x", "scopes": [1]}, "scopes[0]"),
        ("/v1/tokens/peek", {"token": "x", "scopes": []}, "scopes"),
        ("/v1/tokens/renew", {"token": "x", "life_ms": 5}, "life_ms"),
        ("/v1/tokens/rotate", {"token": "x", "overlap_ms": -1}, "overlap_ms"),
        ("/v1/tokens/rotate", {"token": "x", "overlap_ms": 10**15}, "overlap_ms"),
        ("/v1/tokens/batch", {"verb": "issue", "tokens": []}, "verb"),
        ("/v1/tokens/batch", {"verb": "use"}, "tokens"),
        ("/v1/tokens/batch", {"verb": "use", "tokens": [None]}, "tokens[0]"),
        ("/v1/tokens/batch", {"verb": "use", "tokens": ["x"] * 1_001}, "tokens"),
        ("/v1/owners/ann/revoke", {"except": "x"}, "except"),
        ("/v1/owners/ann/revoke", {"spared": []}, "spared"),
        ("/v1/owners/ann/revoke", {"type": "A"}, "type"),
        ("/v1/owners/ann/revoke", {"dry_run": 1}, "dry_run"),
        ("/v1/owners/%0a/revoke", {}, "owner"),
        ("/v1/owners/ann/revoke", {"tenant": "*"}, "tenant"),
    ],
)
async def test_the_other_calls_name_their_fields_too(admin: Caller, path: str, body: Any, field: str) -> None:
    answer = await admin.post(path, body)

    assert (answer.status, answer.field) == (400, field)


@pytest.mark.parametrize("again", ['"verb": "use"', '"tokens": []', '"to\\u006bens": []'])
async def test_no_name_of_a_batch_is_given_twice(shop: Caller, again: str) -> None:
    text = (await shop.issue())["token"]
    body = f'{{"verb": "revoke", "tokens": ["{text}"], {again}}}'

    answer = await shop.call("POST", "/v1/tokens/batch", data=body, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.field) == (400, "verb" if "verb" in again else "tokens")
    assert (await shop.peek(text)).json["state"] == "active"


@pytest.mark.parametrize("scopes", [["a b"], ["x\n"], [""], ["a"] * 65, ["-"], ["#"]])
async def test_odd_scopes_never_use_a_token(shop: Caller, scopes: list[str]) -> None:
    """A scope with a space in it would be two words to the script that looks for it."""
    token = await shop.issue(scopes=["a", "b"])

    answer = await shop.use(token["token"], scopes=scopes)

    assert answer.status in (400, 403)
    assert (await shop.look(token["id"]))["uses"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"life_ms": 0}, "life_ms"),
        ({"life_ms": None}, "life_ms"),
        ({"life_ms": 10**15}, "life_ms"),
        ({"scopes": ["a b"]}, "scopes[0]"),
        ({"scopes": None}, "scopes"),
        ({"description": ""}, "description"),
        ({"description": "a\nb"}, "description"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {"a": "x" * 4096}}, "metadata"),
        ({"owner": "ben"}, "owner"),
        ({"state": "active"}, "state"),
    ],
)
async def test_a_patch_that_cannot_be_taken_changes_nothing(shop: Caller, change: Any, field: str) -> None:
    token = await shop.issue()
    path = f"/v1/tokens/{token['id']}"
    tag = (await shop.get(path)).headers["ETag"]

    answer = await shop.call("PATCH", path, {**change, **({} if "description" in change else {"description": "new"})})

    assert (answer.status, answer.field) == (400, field)
    assert (await shop.get(path)).headers["ETag"] == tag


@pytest.mark.parametrize("password", ["", "short", "x" * 257, 12345678, None])
async def test_a_password_has_from_8_to_256_characters(shop: Caller, password: Any) -> None:
    path = f"/v1/accounts/{fresh('user')}"

    answer = await shop.call("PUT", path, {"password": password})

    assert (answer.status, answer.field) == (400, "password")
    assert (await shop.call("DELETE", path)).status == 404


@pytest.mark.parametrize(("query", "field"), QUERIES)
async def test_a_parameter_of_a_list_that_cannot_be_taken_is_named(admin: Caller, query: Any, field: str) -> None:
    answer = await admin.call("GET", "/v1/tokens", params=query)

    assert (answer.status, answer.code, answer.field) == (400, "invalid_request", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "x"}, "after"),
        ({"after": "_" * 8_000}, "after"),
        ({"limit": "0"}, "limit"),
        ({"wait_ms": "30001"}, "wait_ms"),
        ({"type": "exploded"}, "type"),
        ({"tenant": "a b"}, "tenant"),
        ({"since": "now"}, "since"),
    ],
)
async def test_a_parameter_of_the_events_that_cannot_be_taken_is_named(
    admin: Caller, query: dict[str, str], field: str
) -> None:
    pages = await admin.call("GET", "/v1/events", params=query)
    stream = await admin.call("GET", "/v1/events", params=query, headers={"Accept": "text/event-stream"})

    assert [(answer.status, answer.field) for answer in (pages, stream)] == [(400, field)] * 2


async def test_a_cursor_belongs_to_its_list(admin: Caller, shop: Caller) -> None:
    for _ in range(3):
        await shop.issue("ann")
    cursor = (await shop.ok("GET", "/v1/tokens", owner="ann", limit=1))["next"]
    other = await admin.caller(*GRANTS)
    tampered = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor), 7)]

    strangers = await other.get("/v1/tokens", owner="ann", limit=1, cursor=cursor)
    others: list[dict[str, Any]] = [{"owner": "ben"}, {}, {"owner": "ann", "order": "asc"}]
    others += [{"owner": "ann", "state": "active"}, {"owner": "ann", "created_from_ms": 0}]
    elsewhere = [await shop.get("/v1/tokens", cursor=cursor, **query) for query in others]
    broken = [await shop.get("/v1/tokens", owner="ann", cursor=text) for text in tampered]

    assert [(one.status, one.field) for one in (strangers, *elsewhere, *broken)] == [(400, "cursor")] * (
        1 + len(others) + len(tampered)
    )
    assert (await shop.get("/v1/tokens", owner="ann", cursor=cursor)).status == 200
