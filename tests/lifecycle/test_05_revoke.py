"""A token is ended on request; and all of one owner's."""

import pytest

from service.core.callers import Caller
from service.core.errors import BadInput, Revoked, Unknown
from tests.world import World


async def test_a_revoked_token_is_refused_at_once_and_says_when_it_ended(world: World) -> None:
    issued = await world.issue()

    revoked = await world.tokens.revoke(issued.text)

    assert (revoked.state, revoked.remaining_ms, revoked.ended_by) == ("revoked", 0, "request")
    for verb in (world.tokens.use, world.tokens.peek, world.tokens.renew, world.tokens.rotate):
        with pytest.raises(Revoked) as refused:
            await verb(issued.text)
        assert refused.value.evidence == {"id": issued.token.id, "ended_at_ms": revoked.ended_at_ms}


async def test_revoking_again_answers_the_same_and_writes_one_event(world: World) -> None:
    issued = await world.issue()

    first = await world.tokens.revoke(issued.text)
    again = await world.tokens.revoke(issued.text)

    assert again == first
    assert await world.story(issued) == ["issued", "revoked"]


async def test_it_is_also_revoked_by_its_handle_with_a_reason(world: World) -> None:
    issued = await world.issue()

    revoked = await world.tokens.revoke_by_id(issued.token.id, await world.caller("tokens:revoke"), "stolen")

    assert revoked.ended_by == "stolen"


async def test_a_token_that_ended_otherwise_stays_what_it_is(world: World) -> None:
    issued = await world.issue()
    ended = await world.expire_now(issued)

    answer = await world.tokens.revoke(issued.text)

    assert (answer.state, answer.ended_at_ms, answer.ended_by) == ("expired", ended, "life")
    assert await world.story(issued) == ["issued", "expired"]


async def test_what_was_never_issued_cannot_be_revoked(world: World) -> None:
    text, _ = world.texts.mint(0)

    with pytest.raises(Unknown):
        await world.tokens.revoke(text)


@pytest.fixture
async def revoker(world: World) -> Caller:
    return await world.tokens.authorize(await world.caller("tokens:revoke"), "tokens:revoke")


async def test_all_tokens_of_an_owner_are_revoked_and_nobody_elses(world: World, revoker: Caller) -> None:
    anns = [await world.issue("ann", type=kind) for kind in ("session", "session", "device")]
    bobs = await world.issue("bob")

    answer = await world.tokens.revoke_owner(revoker, "default", "ann", type_=None, spared=[], dry=False)

    assert answer == (3, False)
    assert await world.states(*anns) == ["revoked"] * 3
    assert await world.states(bobs) == ["active"]


async def test_some_are_spared(world: World, revoker: Caller) -> None:
    kept, other, device = await world.issue("ann"), await world.issue("ann"), await world.issue("ann", type="device")

    answer = await world.tokens.revoke_owner(
        revoker, "default", "ann", type_="session", spared=[kept.token.id], dry=False
    )

    assert answer == (1, False)
    assert await world.states(kept, other, device) == ["active", "revoked", "active"]


async def test_a_dry_run_counts_and_changes_nothing(world: World, revoker: Caller) -> None:
    for _ in range(3):
        await world.issue("ann")
    await world.expire_now(await world.issue("ann"))
    before = world.dump()

    answer = await world.tokens.revoke_owner(revoker, "default", "ann", type_=None, spared=[], dry=True)

    assert answer == (3, False)
    assert world.dump() == before


async def test_one_call_is_bounded_and_says_that_there_is_more(world: World) -> None:
    for kind in ("session", "device", "session", "device", "session"):
        await world.issue("ann", type=kind)
    revoke = world.store.revoke_owner

    answers = [await revoke("default", "ann", None, "owner", [], 2, dry=False) for _ in range(4)]

    assert answers == [(2, True), (2, True), (1, False), (0, False)]


async def test_a_handle_to_spare_that_is_none_is_refused(world: World, revoker: Caller) -> None:
    with pytest.raises(BadInput, match="except"):
        await world.tokens.revoke_owner(revoker, "default", "ann", type_=None, spared=["x"], dry=False)
    with pytest.raises(BadInput, match="owner"):
        await world.tokens.revoke_owner(revoker, "default", "", type_=None, spared=[], dry=False)
