"""The verdicts that the metrics tell: one for every token that is asked about, whatever became of it."""

from collections import Counter

import pytest
from msgspec import UNSET
from prometheus_client.parser import text_string_to_metric_families

from service.core.errors import CallerRefused, Refusal, Unavailable
from service.core.token import Change
from tests.api.calls import NOBODY, Caller
from tests.world import World

Verdicts = Counter[tuple[str, str]]


def verdicts(world: World) -> Verdicts:
    """By verb and outcome, as a scrape would show them."""
    [family] = world.service.metrics.verdicts.collect()
    return Counter(
        {
            (sample.labels["verb"], sample.labels["outcome"]): int(sample.value)
            for sample in family.samples
            if sample.name.endswith("_total")
        }
    )


async def test_each_verb_has_its_verdict_once(world: World) -> None:
    caller = await world.caller("tokens:issue", "tokens:use", "tokens:read", "tokens:revoke")
    issued, tokens = await world.issue(), world.tokens

    for verb in (tokens.use, tokens.peek, tokens.renew, tokens.rotate, tokens.revoke):
        await verb(issued.text, by=caller)
    await tokens.look(issued.token.id, caller)
    await tokens.authorize(caller, "tokens:read")

    assert verdicts(world) == {
        (verb, "ok"): 1 for verb in ("use", "peek", "renew", "rotate", "revoke", "look", "authorize")
    }


async def test_by_handle_a_verb_counts_as_by_text(world: World) -> None:
    caller = await world.caller("tokens:issue", "tokens:use", "tokens:revoke")
    issued, tokens = await world.issue(), world.tokens

    await tokens.renew_by_id(issued.token.id, caller)
    await tokens.amend(issued.token.id, Change(description="new", metadata=UNSET), caller)
    await tokens.revoke_by_id(issued.token.id, caller)
    with pytest.raises(Refusal):
        await tokens.renew_by_id("nobody", caller)

    assert verdicts(world) == {("renew", "ok"): 1, ("amend", "ok"): 1, ("revoke", "ok"): 1, ("renew", "unknown"): 1}


async def test_each_refusal_has_its_word(world: World) -> None:
    revoked, expired = await world.issue(), await world.issue()
    never, _ = world.texts.mint(0)
    await world.tokens.revoke(revoked.text)
    await world.expire_now(expired)
    before = verdicts(world)

    for text in (None, NOBODY, never, revoked.text, expired.text):
        for verb in (world.tokens.use, world.tokens.renew):
            with pytest.raises(Refusal):
                await verb(text)

    words = ("missing", "malformed", "unknown", "revoked", "expired")
    assert verdicts(world) - before == {(verb, word): 1 for verb in ("use", "renew") for word in words}


@pytest.mark.parametrize("text", ["live", None, NOBODY])
async def test_a_caller_that_does_not_do_is_the_verdict_whatever_it_asked_about(world: World, text: str | None) -> None:
    """Also a caller without a text, or with one that nobody signed: of these the store never hears."""
    asked, tokens = (await world.issue()).text if text == "live" else text, world.tokens
    never, _ = world.texts.mint(0)
    idle = await world.caller()

    for by in (None, NOBODY, never, idle):
        for verb in (tokens.use, tokens.peek, tokens.renew, tokens.revoke, tokens.rotate):
            with pytest.raises(CallerRefused):
                await verb(asked, by=by)
        with pytest.raises(CallerRefused):
            await tokens.authorize(by, "tokens:read")

    verbs, words = ("use", "peek", "renew", "revoke", "rotate", "authorize"), ("missing", "malformed", "unknown")
    assert verdicts(world) == {(verb, f"caller_{word}"): 1 for verb in verbs for word in (*words, "forbidden")}


@pytest.mark.parametrize("verb", ["use", "peek", "revoke"])
async def test_in_a_batch_each_token_has_its_verdict(world: World, verb: str) -> None:
    caller = await world.caller("tokens:use", "tokens:revoke")
    live = [(await world.issue()).text for _ in range(3)]
    never, _ = world.texts.mint(0)

    await world.tokens.many(verb, [*live, NOBODY, never, "", NOBODY], caller)

    assert verdicts(world) == {(verb, "ok"): 3, (verb, "malformed"): 2, (verb, "unknown"): 1, (verb, "missing"): 1}


async def test_a_caller_that_does_not_do_is_the_verdict_of_the_whole_batch(world: World) -> None:
    idle, text = await world.caller(), (await world.issue()).text

    for by in (None, NOBODY, idle):
        with pytest.raises(CallerRefused):
            await world.tokens.many("use", [text] * 5, by)

    assert verdicts(world) == {("use", f"caller_{word}"): 5 for word in ("missing", "malformed", "forbidden")}


async def test_an_outage_is_a_verdict_about_none_but_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, text = await world.caller("tokens:use"), (await world.issue()).text

    async def away(*_: object) -> object:
        raise Unavailable("timeout")

    monkeypatch.setattr(world.store, "present", away)
    monkeypatch.setattr(world.store, "present_many", away)
    with pytest.raises(Unavailable):
        await world.tokens.use(text)
    with pytest.raises(Unavailable):
        await world.tokens.many("peek", [text, text], caller)

    assert verdicts(world) == {("use", "unavailable"): 1, ("peek", "unavailable"): 2}


async def scraped(admin: Caller) -> Verdicts:
    """What the metrics of the service say."""
    body = (await admin.get("/metrics")).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(body)}
    samples = families["tokenlife_verdicts"].samples if "tokenlife_verdicts" in families else []
    return Counter(
        {(one.labels["verb"], one.labels["outcome"]): int(one.value) for one in samples if one.name.endswith("_total")}
    )


async def test_whichever_way_a_request_is_answered_it_is_counted_once(admin: Caller) -> None:
    caller, token = await admin.caller("tokens:use", tenant="default"), await admin.issue()
    text, before = token["token"], await scraped(admin)
    missing, forged = admin.bearing(None), admin.bearing(NOBODY)

    for verb in ("use", "peek"):
        for by in (caller, missing, forged):
            await by.post(f"/v1/tokens/{verb}", {"token": text})
        for wrong in (NOBODY, ""):
            await caller.post(f"/v1/tokens/{verb}", {"token": wrong})
        for by in (admin.bearing(text), missing, forged):
            await by.get(f"/gateway/{verb}")
            await by.get(f"/gateway/{verb}/orders")
    await caller.post("/v1/tokens/batch", {"verb": "peek", "tokens": [text, NOBODY]})

    each = {"ok": 3, "caller_missing": 1, "caller_malformed": 1, "malformed": 3, "missing": 3}
    expected = Counter({(verb, outcome): times for verb in ("use", "peek") for outcome, times in each.items()})
    assert await scraped(admin) - before == expected + Counter({("peek", "ok"): 1, ("peek", "malformed"): 1})


@pytest.mark.parametrize("tail", ["", "/orders"])
@pytest.mark.parametrize("verb", ["use", "peek"])
async def test_who_asks_for_a_scope_that_no_token_can_have_is_counted_as_refused(
    admin: Caller, verb: str, tail: str
) -> None:
    live, ended = await admin.issue(), await admin.issue(uses=1)
    await admin.bearing(ended["token"]).get("/gateway/use")
    before = await scraped(admin)

    for token in (live["token"], ended["token"], NOBODY):
        await admin.bearing(token).get(f"/gateway/{verb}{tail}", headers={"X-Require-Scope": '"'})

    assert await scraped(admin) - before == {(verb, word): 1 for word in ("forbidden", "consumed", "malformed")}
