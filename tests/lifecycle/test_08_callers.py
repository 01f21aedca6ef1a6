"""Who may ask.  Callers are tokens too: of type `service`, with grants, bound to a tenant."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.core import callers, lists
from service.core.errors import CallerRefused, Expired, Forbidden, Malformed, Missing, Unknown
from service.core.store import Filter
from service.core.token import Change, Token
from tests.world import World


async def test_a_caller_asks_about_tokens_of_its_tenant(world: World) -> None:
    caller = await world.caller("tokens:use", tenant="shop")
    issued = await world.issue("ann", tenant="shop")

    used = await world.tokens.use(issued.text, by=caller)

    assert used.uses == 1


async def test_a_callers_own_token_is_renewed_with_what_it_asks(world: World) -> None:
    caller = await world.caller("tokens:use")
    issued = await world.issue("ann")
    own = await world.tokens.peek(caller)
    await world.shorten(own, 10_000)

    await world.tokens.peek(issued.text, by=caller)

    renewed = await world.tokens.peek(caller)
    assert renewed.uses == own.uses + 1
    assert renewed.remaining_ms is not None
    assert renewed.remaining_ms > 60_000
    assert (await world.tokens.peek(issued.text)).uses == 0


async def test_another_tenants_token_is_unknown(world: World) -> None:
    theirs = await world.issue("ann", tenant="shop")
    grants = ("tokens:issue", "tokens:use", "tokens:read", "tokens:revoke")
    stranger = await world.caller(*grants, tenant="bank")
    id_, before = theirs.token.id, await world.tokens.peek(theirs.text)

    for call in (
        world.tokens.use(theirs.text, by=stranger),
        world.tokens.peek(theirs.text, by=stranger),
        world.tokens.renew(theirs.text, by=stranger),
        world.tokens.rotate(theirs.text, by=stranger),
        world.tokens.revoke(theirs.text, by=stranger),
        world.tokens.look(id_, stranger),
        world.tokens.renew_by_id(id_, stranger),
        world.tokens.revoke_by_id(id_, stranger),
        world.tokens.amend(id_, Change(description="mine"), stranger),
    ):
        with pytest.raises(Unknown) as refused:
            await call
        assert refused.value.evidence == {}

    assert [type(answer) for answer in await world.tokens.many("use", [theirs.text], stranger)] == [Unknown]
    assert [type(answer) for answer in await world.tokens.many("revoke", [theirs.text], stranger)] == [Unknown]
    after = await world.tokens.peek(theirs.text)
    assert (after.deadline_at_ms, after.uses) == (before.deadline_at_ms, 0)


async def test_a_final_token_of_another_tenant_is_unknown_too(world: World) -> None:
    theirs = await world.issue("ann", tenant="shop")
    await world.tokens.revoke(theirs.text)

    with pytest.raises(Unknown):
        await world.tokens.use(theirs.text, by=await world.caller("tokens:use", tenant="bank"))


async def test_an_admin_acts_for_every_tenant(world: World) -> None:
    theirs = await world.issue("ann", tenant="shop")
    admin = await world.tokens.authorize(world.admin, "tokens:read")

    assert (await world.tokens.use(theirs.text, by=world.admin)).uses == 1
    assert (await world.tokens.look(theirs.token.id, world.admin)).id == theirs.token.id
    assert admin.acts_for("shop") == "shop"
    assert admin.acts_for(None) == callers.DEFAULT_TENANT
    assert (await world.tokens.revoke(theirs.text, by=world.admin)).state == "revoked"


async def test_others_act_for_their_own_tenant_only(world: World) -> None:
    caller = await world.tokens.authorize(await world.caller("tokens:read", tenant="shop"), "tokens:read")

    assert lists.of(caller, Filter(tenant="")) == Filter(tenant="shop")
    assert lists.of(caller, Filter(tenant="shop")) == Filter(tenant="shop")
    with pytest.raises(Forbidden):
        lists.of(caller, Filter(tenant="bank"))


async def test_each_verb_needs_its_grant(world: World) -> None:
    issued = await world.issue("ann")
    id_ = issued.token.id
    asks: dict[str, Callable[[str], Awaitable[Token]]] = {
        "tokens:use": lambda by: world.tokens.use(issued.text, by=by),
        "tokens:read": lambda by: world.tokens.look(id_, by),
        "tokens:issue": lambda by: world.tokens.amend(id_, Change(description="x"), by),
        "tokens:revoke": lambda by: world.tokens.revoke_by_id(id_, by),
    }

    for grant, ask in asks.items():
        others = [other for other in asks if other != grant]
        with pytest.raises(CallerRefused) as refused:
            await ask(await world.caller(*others, "events:read", "accounts:write"))
        assert isinstance(refused.value.refusal, Forbidden)
        assert refused.value.refusal.evidence["needed"] == grant
        assert (await ask(await world.caller(grant))).id == id_


async def test_a_token_that_is_no_service_is_no_caller_whatever_its_scopes(world: World) -> None:
    session = await world.issue("ann", scopes=("tokens:use", "admin"))

    with pytest.raises(CallerRefused) as refused:
        await world.tokens.use(session.text, by=session.text)

    assert isinstance(refused.value.refusal, Forbidden)


async def test_a_callers_token_that_does_not_do_is_told_from_the_one_it_asks_about(world: World) -> None:
    issued, caller = await world.issue("ann"), await world.caller("tokens:use")
    own = await world.tokens.peek(caller)
    await world.expire_now(own)

    for by, kind in ((caller, Expired), ("nonsense", Malformed), (None, Missing)):
        with pytest.raises(CallerRefused) as refused:
            await world.tokens.use(issued.text, by=by)
        assert isinstance(refused.value.refusal, kind)

    assert (await world.tokens.peek(issued.text)).uses == 0


async def test_a_caller_that_is_refused_is_so_for_all_that_it_asks_about_at_once(world: World) -> None:
    issued, caller = [await world.issue(owner) for owner in "abc"], await world.caller("tokens:read")
    texts = [one.text for one in issued]

    with pytest.raises(CallerRefused):
        await world.tokens.many("use", texts, caller)
    apart = await asyncio.gather(*[world.tokens.use(text, by=caller) for text in texts], return_exceptions=True)

    assert [type(answer) for answer in apart] == [CallerRefused] * 3
    assert [(await world.tokens.peek(text)).uses for text in texts] == [0] * 3


async def test_nobody_hands_out_grants_that_it_lacks(world: World) -> None:
    caller = await world.tokens.authorize(await world.caller("tokens:issue", "tokens:use"), "tokens:issue")
    admin = await world.tokens.authorize(world.admin, "tokens:issue")

    caller.may_hand_out("service", ("tokens:use",))
    caller.may_hand_out("session", ("admin", "anything"))
    admin.may_hand_out("service", ("admin",))

    with pytest.raises(Forbidden) as refused:
        caller.may_hand_out("service", ("tokens:use", "tokens:read", "admin"))
    assert refused.value.evidence["needed"] == "tokens:read admin"


async def test_a_holder_needs_nobody_for_its_own_token(world: World) -> None:
    issued = await world.issue("ann", tenant="shop")

    assert (await world.tokens.peek(issued.text)).tenant == "shop"
    assert (await world.tokens.renew(issued.text)).state == "active"
    assert (await world.tokens.revoke(issued.text)).state == "revoked"
