"""The verbs of `/v1`, each as API.md says it: status, headers, body."""

import asyncio
import re
from urllib.parse import quote

import pytest
from yarl import URL

from tests.api.calls import NOBODY, VIEW, Caller, fresh
from tests.servers import wait_until

FINAL = VIEW | {"ended_at_ms", "ended_by"}


async def test_issue_answers_the_view_the_text_and_where_the_token_is(shop: Caller) -> None:
    answer = await shop.post("/v1/tokens", {"owner": "ann"})

    token = answer.json
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/tokens/{token['id']}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert token.keys() == VIEW | {"token"}
    assert re.fullmatch(r"tl_[\w-]{28}\.[\w-]{43}", token["token"])
    assert await shop.look(token["id"]) == {
        **{name: value for name, value in token.items() if name != "token"},
        "remaining_ms": pytest.approx(1_800_000, abs=10_000),
    }


async def test_issue_keeps_every_policy_that_it_was_given(shop: Caller) -> None:
    policy = {
        "type": "session", "life_ms": 60_000, "uses": 3, "sliding": False, "refreshable": True,
        "scopes": ["read", "write"], "description": "web login", "metadata": {"ip": "10.0.0.1", "n": [1, None, "ü"]},
    }  # fmt: skip

    token = await shop.issue("ann", **policy, ceiling_ms=90_000)

    assert {name: value for name, value in token.items() if name in policy} == {**policy, "uses": 0}
    assert token["tenant"] == shop.tenant
    assert token["uses_left"] == 3
    assert token["state"] == "active"
    assert token["expires_at_ms"] == token["created_at_ms"] + 60_000
    assert token["ceiling_at_ms"] == token["created_at_ms"] + 90_000
    assert token["remaining_ms"] == 60_000


async def test_a_life_of_null_lasts_for_ever(shop: Caller) -> None:
    token = await shop.issue(life_ms=None)

    assert (token["life_ms"], token["remaining_ms"], token["expires_at_ms"]) == (None, None, None)


async def test_use_renews_and_peek_changes_nothing(shop: Caller) -> None:
    token = await shop.issue(life_ms=60_000)
    await wait_until(lambda: _older_than(shop, token, 30))

    peeked = await shop.peek(token["token"])
    used = await shop.use(token["token"])

    assert (peeked.status, used.status) == (200, 200)
    assert peeked.json.keys() == used.json.keys() == VIEW
    assert peeked.json["uses"] == 0
    assert peeked.json["remaining_ms"] < 60_000
    assert peeked.json["expires_at_ms"] == token["expires_at_ms"]
    assert used.json["uses"] == 1
    assert used.json["remaining_ms"] == 60_000
    assert used.json["last_used_at_ms"] > token["last_used_at_ms"]
    for answer in (peeked, used):
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers


async def test_renew_puts_back_to_full_life_and_counts_no_use(shop: Caller) -> None:
    token = await shop.issue(life_ms=60_000, sliding=False)
    await wait_until(lambda: _older_than(shop, token, 30))

    by_text = await shop.post("/v1/tokens/renew", {"token": token["token"]})
    by_handle = await shop.post(f"/v1/tokens/{token['id']}/renew")

    assert (by_text.status, by_handle.status) == (200, 200)
    assert by_text.json["remaining_ms"] == by_handle.json["remaining_ms"] == 60_000
    assert by_handle.json["uses"] == 0
    assert by_handle.json.keys() == VIEW


async def test_a_renewal_that_the_ceiling_shortens_says_so(shop: Caller) -> None:
    token = await shop.issue(life_ms=60_000, ceiling_ms=20_000)

    renewed = (await shop.post("/v1/tokens/renew", {"token": token["token"]})).json

    assert token["capped"] is True
    assert renewed["capped"] is True
    assert renewed["remaining_ms"] <= 20_000
    assert renewed["expires_at_ms"] == renewed["ceiling_at_ms"]


async def test_revoke_ends_a_token_once_however_often_it_is_asked(shop: Caller) -> None:
    token = await shop.issue()

    answers = [await shop.post("/v1/tokens/revoke", {"token": token["token"]}) for _ in range(3)]
    deleted = await shop.call("DELETE", f"/v1/tokens/{token['id']}")

    assert [answer.status for answer in (*answers, deleted)] == [200] * 4
    assert answers[0].json == answers[2].json == deleted.json
    assert deleted.json.keys() == FINAL
    assert (deleted.json["state"], deleted.json["ended_by"], deleted.json["remaining_ms"]) == ("revoked", "request", 0)
    events = await shop.events(owner=token["owner"])
    assert [event["type"] for event in events] == ["tokenlife.token.issued", "tokenlife.token.revoked"]


async def test_rotate_gives_a_successor_and_the_old_text_works_for_the_overlap(shop: Caller) -> None:
    old = await shop.issue(life_ms=60_000, scopes=["read"], description="web login")

    first = await shop.post("/v1/tokens/rotate", {"token": old["token"], "overlap_ms": 300})
    second = await shop.post("/v1/tokens/rotate", {"token": old["token"]})

    new = first.json
    assert (first.status, second.status) == (201, 201)
    assert new.keys() == VIEW | {"token", "rotated_from"}
    assert new["rotated_from"] == old["id"]
    assert (second.json["token"], second.json["id"]) == (new["token"], new["id"])
    assert first.headers["Location"] == f"/v1/tokens/{new['id']}"
    assert {name: new[name] for name in ("owner", "scopes", "description", "life_ms")} == {
        name: old[name] for name in ("owner", "scopes", "description", "life_ms")
    }
    assert (await shop.use(new["token"])).status == 200
    assert (await shop.look(old["id"]))["rotated_to"] == new["id"]
    await wait_until(lambda: _ends_with(shop, old["token"], "revoked"))


async def test_without_an_overlap_the_old_text_ends_at_once(shop: Caller) -> None:
    old = await shop.issue()

    new = await shop.post("/v1/tokens/rotate", {"token": old["token"], "overlap_ms": 0})

    assert new.status == 201
    assert (await shop.peek(old["token"])).code == "revoked"
    assert (await shop.look(old["id"]))["ended_by"] == "rotated"


async def test_a_batch_answers_each_token_in_its_place(shop: Caller) -> None:
    live, dead = await shop.issue(), await shop.issue()
    await shop.post("/v1/tokens/revoke", {"token": dead["token"]})

    answer = await shop.post(
        "/v1/tokens/batch", {"verb": "use", "tokens": [live["token"], NOBODY, dead["token"], "", live["token"]]}
    )

    results = answer.json["results"]
    assert answer.status == 200
    assert [result.get("code", result.get("state")) for result in results] == [
        "active", "unknown", "revoked", "missing", "active"
    ]  # fmt: skip
    assert [results[0].keys(), results[4]["uses"]] == [VIEW, 2]
    assert (results[2]["status"], results[2]["id"]) == (401, dead["id"])


@pytest.mark.parametrize("verb", ["use", "peek", "revoke"])
async def test_a_thousand_tokens_go_in_one_call(shop: Caller, verb: str) -> None:
    few = [(await shop.issue())["token"] for _ in range(4)]
    texts = [*(few * 250)[:999], NOBODY]

    answer = await shop.post("/v1/tokens/batch", {"verb": verb, "tokens": texts})

    results = answer.json["results"]
    assert answer.status == 200
    assert len(results) == 1_000
    assert {result["state"] for result in results[:-1]} == {"revoked" if verb == "revoke" else "active"}
    assert results[-1]["code"] == "unknown"


async def test_an_empty_batch_is_empty(shop: Caller) -> None:
    for verb in ("use", "peek", "revoke"):
        answer = await shop.post("/v1/tokens/batch", {"verb": verb, "tokens": []})

        assert (answer.status, answer.json) == (200, {"results": []})


async def test_a_holder_looks_at_renews_and_ends_its_own_token(shop: Caller) -> None:
    token = await shop.issue("ann", life_ms=60_000)
    ann = shop.bearing(token["token"])

    seen = await ann.ok("GET", "/v1/self")
    renewed = await ann.ok("POST", "/v1/self/renew")
    ended = await ann.ok("DELETE", "/v1/self")
    after = [await ann.call(*call) for call in (("GET", "/v1/self"), ("POST", "/v1/self/renew"))]

    assert seen.keys() == renewed.keys() == VIEW
    assert (seen["id"], seen["uses"], renewed["remaining_ms"]) == (token["id"], 0, 60_000)
    assert (ended["state"], ended["ended_by"]) == ("revoked", "holder")
    assert [(answer.status, answer.code) for answer in after] == [(401, "revoked")] * 2
    assert (await ann.ok("DELETE", "/v1/self"))["state"] == "revoked"


async def test_all_of_an_owner_are_revoked_but_the_spared(shop: Caller) -> None:
    owner = fresh("owner")
    kept, other = await shop.issue(owner), await shop.issue(owner, type="device")
    ended = [await shop.issue(owner) for _ in range(3)]
    stranger = await shop.issue()
    asked = {"except": [kept["id"]], "type": "session"}

    dry = await shop.ok("POST", f"/v1/owners/{owner}/revoke", {**asked, "dry_run": True})
    alive = await shop.ok("GET", "/v1/tokens/count", owner=owner, state="active")
    done = await shop.ok("POST", f"/v1/owners/{owner}/revoke", asked)
    again = await shop.ok("POST", f"/v1/owners/{owner}/revoke", asked)

    assert [dry["revoked"], done["revoked"], again["revoked"]] == [3, 3, 0]
    assert not any(answer["more"] for answer in (dry, done, again))
    assert alive["total"] == 5
    for token in (kept, other, stranger):
        assert (await shop.look(token["id"]))["state"] == "active"
    assert [(await shop.look(token["id"]))["ended_by"] for token in ended] == ["owner"] * 3


async def test_revoking_an_owner_is_bounded_per_call(shop: Caller) -> None:
    owner = fresh("owner")
    await asyncio.gather(*[shop.issue(owner) for _ in range(510)])

    first = await shop.ok("POST", f"/v1/owners/{owner}/revoke", {})
    second = await shop.ok("POST", f"/v1/owners/{owner}/revoke", {})

    assert (first, second) == ({"revoked": 500, "more": True}, {"revoked": 10, "more": False})


@pytest.mark.parametrize("owner", ["{b}", "a/b", "a%2fb", "a b", "..", "ü", "a?b#c", "a;b", "+", "\U0001f600"])
async def test_an_owner_may_have_any_name(shop: Caller, owner: str) -> None:
    token = await shop.issue(owner)
    path = f"/v1/owners/{quote(owner, safe='').replace('.', '%2E')}/revoke"

    async with shop.http.post(URL(shop.url + path, encoded=True), json={}, headers=shop.headers()) as answer:
        revoked = (await answer.json())["revoked"]

    assert (answer.status, revoked) == (200, 1)
    assert [item["id"] for item in (await shop.ok("GET", "/v1/tokens", owner=owner))["items"]] == [token["id"]]


async def test_an_account_is_put_replaced_and_forgotten(shop: Caller) -> None:
    path = f"/v1/accounts/{fresh('user')}"

    made = await shop.call("PUT", path, {"password": "correct horse"})
    replaced = await shop.call("PUT", path, {"password": "battery staple"})
    forgotten = await shop.call("DELETE", path)
    again = await shop.call("DELETE", path)

    assert [(one.status, one.body) for one in (made, replaced, forgotten)] == [(204, b"")] * 3
    assert (again.status, again.code) == (404, "unknown_account")


async def _older_than(caller: Caller, token: dict[str, int], ms: int) -> bool:
    return bool((await caller.look(str(token["id"])))["remaining_ms"] < token["life_ms"] - ms)


async def _ends_with(caller: Caller, text: str, code: str) -> bool:
    answer = await caller.peek(text)
    return answer.status != 200 and answer.code == code
