"""A token is issued, used, peeked at and renewed."""

import pytest

from service.core.errors import Consumed, Malformed, Missing, Unknown
from service.core.token import Issued, Token
from tests.world import World


async def test_a_token_is_issued_with_a_full_life(world: World) -> None:
    issued = await world.issue("ann", life_ms=60_000)

    assert issued.token.state == "active"
    assert issued.token.owner == "ann"
    assert issued.token.life_ms == issued.token.remaining_ms == 60_000
    assert issued.token.deadline_at_ms == issued.token.created_at_ms + 60_000
    assert issued.token.uses == 0


async def test_without_a_life_it_gets_the_one_of_the_settings(world: World) -> None:
    issued = await world.issue()

    assert issued.token.life_ms == world.settings.default_life_ms


async def test_its_text_is_given_once_and_stands_for_its_handle(world: World) -> None:
    issued = await world.issue()

    seen = await world.tokens.peek(issued.text)

    assert seen.id == issued.token.id
    assert world.texts.open(issued.text) == issued.token.id
    assert issued.text not in repr(issued)
    assert issued.text not in repr(seen)


async def test_a_use_puts_it_back_to_full_life(world: World) -> None:
    issued = await world.issue(life_ms=60_000)
    await world.shorten(issued, 10_000)

    used = await world.tokens.use(issued.text)

    assert used.remaining_ms == 60_000
    assert used.uses == 1
    assert used.last_used_at_ms >= issued.token.created_at_ms
    assert used.deadline_at_ms == used.last_used_at_ms + 60_000


async def test_what_remains_is_the_stores_own_ttl(world: World) -> None:
    issued = await world.issue(life_ms=60_000)
    await world.shorten(issued, 10_000)

    seen = await world.tokens.peek(issued.text)

    assert seen.remaining_ms is not None
    assert 9_000 < seen.remaining_ms <= 10_000


async def test_a_peek_changes_nothing(world: World) -> None:
    issued = await world.issue(life_ms=60_000)
    deadline = await world.shorten(issued, 10_000)
    before = world.dump()

    seen = await world.tokens.peek(issued.text)

    assert seen.uses == 0
    assert seen.deadline_at_ms == deadline
    assert world.dump() == before


async def test_a_renewal_puts_it_back_to_full_life_and_is_no_use(world: World) -> None:
    issued = await world.issue(life_ms=60_000)
    await world.shorten(issued, 10_000)

    renewed = await world.tokens.renew(issued.text)

    assert renewed.remaining_ms == 60_000
    assert renewed.uses == 0
    assert renewed.last_used_at_ms == issued.token.last_used_at_ms
    assert await world.story(issued) == ["issued", "renewed"]


async def test_a_token_is_also_renewed_by_its_handle(world: World) -> None:
    issued = await world.issue(life_ms=60_000)
    await world.shorten(issued, 10_000)

    renewed = await world.tokens.renew_by_id(issued.token.id, await world.caller("tokens:use"))

    assert renewed.remaining_ms == 60_000


async def test_no_text_is_missing_and_one_that_nobody_signed_is_malformed(world: World) -> None:
    with pytest.raises(Missing):
        await world.tokens.use("")
    with pytest.raises(Missing):
        await world.tokens.use(None)
    with pytest.raises(Malformed):
        await world.tokens.use("tl_" + "A" * 28 + "." + "A" * 43)


async def test_a_text_that_was_signed_but_never_issued_is_unknown(world: World) -> None:
    text, _ = world.texts.mint(world.store.partition("default", "ann"))

    with pytest.raises(Unknown) as refused:
        await world.tokens.use(text)

    assert refused.value.evidence == {}


async def test_many_are_presented_in_one_call_each_with_its_own_answer(world: World) -> None:
    caller = await world.caller("tokens:use")
    alive, ended = await world.issue("ann"), await world.issue("bob")
    await world.tokens.revoke(ended.text)

    answers = await world.tokens.many("use", [alive.text, "nonsense", ended.text, alive.text, ""], caller)

    words = [getattr(answer, "state", None) or getattr(answer, "code", None) for answer in answers]
    assert words == ["active", "malformed", "revoked", "active", "missing"]
    assert (await world.tokens.peek(alive.text)).uses == 2


async def test_many_may_be_told_in_the_words_of_who_asks(world: World) -> None:
    """A form has places for what a use changes; a token that it does not fit is given as it is."""
    caller, (ann, bob) = await world.caller("tokens:use"), [await world.issue(owner) for owner in ("ann", "bob")]
    once = await world.issue("cid", uses=1)

    def form(token: Token) -> bytes | None:
        return None if token.max_uses else b"%b %d %b %b %b " + token.owner.encode()

    texts = [bob.text, once.text, ann.text, "nonsense", bob.text]
    *found, last = await world.tokens.many("use", [*texts, once.text], caller, form)

    told = [one.decode().split() if isinstance(one, bytes) else type(one) for one in found]
    assert told[0] == told[4] == await told_of(world, bob)
    assert told[2] == await told_of(world, ann)
    assert (told[1], told[3], type(last)) == (Token, Malformed, Consumed)


async def told_of(world: World, one: Issued) -> list[str]:
    """A whole life is left at the moment of its use."""
    seen = await world.tokens.peek(one.text)
    return [seen.id, *map(str, (seen.life_ms, seen.deadline_at_ms, seen.last_used_at_ms, seen.uses)), seen.owner]
