"""How `/v1` says no: a status of the table, a stable code, evidence, and never a word of the text."""

import asyncio
from typing import Any

import pytest

from tests.api.calls import ADMIN, KEYS, NOBODY, Answer, Caller, calling
from tests.servers import Server, Service, wait_until

ASKING = ["/v1/tokens/use", "/v1/tokens/peek", "/v1/tokens/renew", "/v1/tokens/rotate"]
INVALID = 'Bearer error="invalid_token"'


async def expired(caller: Caller, **policy: Any) -> Any:
    token = await caller.issue(life_ms=20, **policy)
    await wait_until(lambda: _is(caller, token["id"], "expired"))
    return token


async def _is(caller: Caller, id_: str, state: str) -> bool:
    return bool((await caller.look(id_))["state"] == state)


async def consumed(caller: Caller) -> Any:
    token = await caller.issue(uses=1)
    assert (await caller.use(token["token"])).status == 200
    return token


async def revoked(caller: Caller) -> Any:
    token = await caller.issue()
    assert (await caller.post("/v1/tokens/revoke", {"token": token["token"]})).status == 200
    return token


@pytest.mark.parametrize("path", ASKING)
async def test_an_expired_token_is_410_and_says_when(shop: Caller, path: str) -> None:
    token = await expired(shop)

    answer = await shop.post(path, {"token": token["token"]})

    assert (answer.status, answer.code) == (410, "expired")
    assert answer.json["expired_at_ms"] == token["expires_at_ms"]
    assert answer.json["id"] == token["id"]


@pytest.mark.parametrize("path", ASKING)
async def test_revoked_and_consumed_tokens_are_401(shop: Caller, path: str) -> None:
    ends = {"revoked": await revoked(shop), "consumed": await consumed(shop)}

    answers = {code: await shop.post(path, {"token": token["token"]}) for code, token in ends.items()}

    for code, answer in answers.items():
        assert (answer.status, answer.code) == (401, code)
        assert answer.headers["WWW-Authenticate"] == INVALID
        assert answer.json["id"] == ends[code]["id"]
        assert answer.json["ended_at_ms"] > 0


@pytest.mark.parametrize("path", [*ASKING, "/v1/tokens/revoke"])
@pytest.mark.parametrize("text", [NOBODY, "x", "tl_", "Bearer x", "\u00fc" * 75, "a" * 4096, "tl_" + "=" * 72])
async def test_malformed_and_unknown_texts_are_told_apart_nowhere(shop: Caller, path: str, text: str) -> None:
    answer = await shop.post(path, {"token": text})

    assert (answer.status, answer.code, answer.json["detail"]) == (401, "unknown", "The token is not known here.")
    assert answer.headers["WWW-Authenticate"] == INVALID
    assert answer.json.keys() == {"type", "title", "status", "detail", "code"}


@pytest.mark.parametrize("path", [*ASKING, "/v1/tokens/revoke"])
async def test_an_empty_text_is_missing(shop: Caller, path: str) -> None:
    answer = await shop.post(path, {"token": ""})

    assert (answer.status, answer.code) == (400, "missing")


async def test_scopes_that_are_not_covered_are_403_and_nothing_is_renewed(shop: Caller) -> None:
    token = await shop.issue(scopes=["read"])

    answer = await shop.use(token["token"], scopes=["read", "write"])

    assert (answer.status, answer.code) == (403, "forbidden")
    assert answer.json["needed"] == "read write"
    assert (await shop.look(token["id"]))["uses"] == 0
    assert (await shop.use(token["token"], scopes=["read"])).status == 200


async def test_every_bit_of_a_text_counts(shop: Caller) -> None:
    text = (await shop.issue())["token"]
    flipped = [text[:i] + chr(ord(text[i]) ^ 1) + text[i + 1 :] for i in range(3, len(text))]

    answer = await shop.post("/v1/tokens/batch", {"verb": "use", "tokens": flipped})

    assert len(flipped) == 72
    assert {result["code"] for result in answer.json["results"]} == {"unknown"}
    assert (await shop.peek(text)).json["uses"] == 0


async def test_any_dressing_opens_the_same_token(shop: Caller) -> None:
    token = await shop.issue()

    dressed = [await shop.peek(f"{dressing}{token['token'][3:]}") for dressing in ("stg_", "secret-token:")]

    assert [answer.json["id"] for answer in dressed] == [token["id"]] * 2


@pytest.mark.parametrize(
    ("scheme", "code", "challenge"),
    [
        (None, "missing", "Bearer"),
        ("Bearer ", "missing", "Bearer"),
        ("Basic YTpi", "unknown", INVALID),
        (NOBODY, "unknown", INVALID),
        (f"Bearer {NOBODY}", "unknown", INVALID),
        (f"Bearer {ADMIN}x", "unknown", INVALID),
        (f"Bearer {ADMIN} {ADMIN}", "unknown", INVALID),
        ("Bearer \u00fc\u00e4", "unknown", INVALID),
    ],
)
async def test_a_caller_without_a_good_token_is_401_at_authorization(
    shop: Caller, scheme: str | None, code: str, challenge: str
) -> None:
    token = await shop.issue()
    nobody = shop.bearing(None)

    answer = await nobody.post(
        "/v1/tokens/use", {"token": token["token"]}, {} if scheme is None else {"Authorization": scheme}
    )

    assert (answer.status, answer.code, answer.field) == (401, code, "Authorization")
    assert answer.headers["WWW-Authenticate"] == challenge
    assert (await shop.look(token["id"]))["uses"] == 0


async def test_a_caller_whose_token_ended_is_401_whatever_ended_it(admin: Caller, shop: Caller) -> None:
    token = await shop.issue()
    calling = {"type": "service", "scopes": ["tokens:use"], "tenant": shop.tenant}
    ends = {"expired": await expired(admin, **calling), "revoked": await admin.issue("caller", **calling)}
    await admin.call("DELETE", f"/v1/tokens/{ends['revoked']['id']}")

    answers = {code: await admin.bearing(caller["token"]).use(token["token"]) for code, caller in ends.items()}

    for code, answer in answers.items():
        assert (answer.status, answer.code, answer.field) == (401, code, "Authorization")
    assert answers["expired"].json["expired_at_ms"] == ends["expired"]["expires_at_ms"]
    assert (await shop.look(token["id"]))["uses"] == 0


async def test_a_session_is_no_caller(shop: Caller) -> None:
    token = await shop.issue(scopes=["tokens:use", "admin"])

    answer = await shop.bearing(token["token"]).use(token["token"])

    assert (answer.status, answer.code, answer.field) == (403, "forbidden", "Authorization")


async def test_two_authorization_headers_are_refused(shop: Caller, service: Service) -> None:
    headers = [("Authorization", f"Bearer {shop.text}"), ("Authorization", f"Bearer {shop.text}")]

    async with shop.http.get(f"{service.url}/v1/self", headers=headers) as got:
        answer = Answer(got.status, got.headers, await got.read()).hold()

    assert (answer.status, answer.code) == (401, "unknown")


@pytest.mark.parametrize("verb", ["GET", "PATCH", "DELETE", "renew"])
async def test_a_handle_that_leads_nowhere_is_404(shop: Caller, verb: str) -> None:
    real = (await shop.issue())["id"]
    foreign = [real[:-1] + ("0" if real[-1] != "0" else "1"), "x", "%20", real.upper(), real.replace("-", ""), "\u00fc"]

    answers = [await by_handle(shop, verb, id_) for id_ in foreign]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "unknown")] * len(foreign)


@pytest.mark.parametrize("verb", ["PATCH", "renew"])
async def test_what_is_final_cannot_be_changed_by_its_handle(shop: Caller, verb: str) -> None:
    ends = {"expired": await expired(shop), "revoked": await revoked(shop), "consumed": await consumed(shop)}

    answers = {code: await by_handle(shop, verb, token["id"]) for code, token in ends.items()}

    assert {code: (answer.status, answer.code) for code, answer in answers.items()} == {
        code: (410, code) for code in ends
    }


async def test_a_final_token_is_shown_with_its_end(shop: Caller) -> None:
    ends = {"expired": await expired(shop), "revoked": await revoked(shop), "consumed": await consumed(shop)}

    seen = {code: await shop.look(token["id"]) for code, token in ends.items()}

    for code, view in seen.items():
        assert (view["state"], view["remaining_ms"]) == (code, 0)
        assert view["ended_at_ms"] >= view["created_at_ms"]
    assert [view["ended_by"] for view in seen.values()] == ["life", "request", "uses"]


async def test_a_store_that_cannot_answer_is_503_and_logs_nobody_out() -> None:
    with Server() as store, Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as service:
        async with calling(service.url) as admin:
            token = await admin.issue()

            store.pause()
            calls = admin.use(token["token"]), admin.get("/v1/self"), admin.get("/v1/tokens"), admin.peek(NOBODY)
            away = await asyncio.gather(*calls)
            store.resume()
            await wait_until(lambda: _works(admin), 20.0)
            back = await admin.use(token["token"])

    assert [(answer.status, answer.code) for answer in away] == [(503, "unavailable")] * 4
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in away)
    assert back.status == 200


async def _works(caller: Caller) -> bool:
    return (await caller.get("/v1/self")).status == 200


async def by_handle(caller: Caller, verb: str, id_: str) -> Answer:
    if verb == "renew":
        return await caller.post(f"/v1/tokens/{id_}/renew")
    body = {"description": "new"} if verb == "PATCH" else None
    return await caller.call(verb, f"/v1/tokens/{id_}", body)
