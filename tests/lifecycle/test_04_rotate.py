"""A text is replaced; the old one works on for a moment, for the requests that are on their way."""

import pytest

from service.core.errors import BadInput, Revoked
from tests.world import World


async def test_a_successor_takes_over_with_a_full_life_and_the_same_policy(world: World) -> None:
    old = await world.issue("ann", life_ms=60_000, scopes=("read",), description="web login", uses=9)
    await world.tokens.use(old.text)

    new = await world.tokens.rotate(old.text)

    assert new.text != old.text
    assert new.token.id != old.token.id
    assert new.token.rotated_from == old.token.id
    assert new.token.remaining_ms == 60_000
    same = ("owner", "tenant", "type", "life_ms", "scopes", "description", "sliding", "uses_left")
    before = await world.tokens.peek(old.text)
    assert {name: getattr(new.token, name) for name in same} == {name: getattr(before, name) for name in same}


async def test_the_old_text_works_for_the_overlap_and_then_counts_as_revoked(world: World) -> None:
    old = await world.issue(life_ms=60_000)
    new = await world.tokens.rotate(old.text, overlap_ms=5_000)

    used = await world.tokens.use(old.text)
    assert used.rotated_to == new.token.id
    assert used.remaining_ms is not None
    assert used.remaining_ms <= 5_000

    ended = await world.expire_now(old)
    with pytest.raises(Revoked) as refused:
        await world.tokens.use(old.text)
    assert refused.value.evidence == {"id": old.token.id, "ended_at_ms": ended}
    await world.sweep()
    seen = await world.tokens.look(old.token.id, await world.caller("tokens:read"))
    assert (seen.state, seen.ended_by, seen.ended_at_ms) == ("revoked", "rotated", ended)
    assert await world.story(old) == ["issued", "rotated", "revoked"]
    assert await world.story(new) == ["issued"]


async def test_rotating_again_within_the_overlap_gives_the_same_successor(world: World) -> None:
    old = await world.issue()

    first = await world.tokens.rotate(old.text)
    second = await world.tokens.rotate(old.text)

    assert first.text == second.text
    assert first.token.id == second.token.id
    assert await world.story(old) == ["issued", "rotated"]


async def test_without_an_overlap_the_old_text_ends_at_once(world: World) -> None:
    old = await world.issue()

    await world.tokens.rotate(old.text, overlap_ms=0)

    with pytest.raises(Revoked):
        await world.tokens.use(old.text)
    assert await world.story(old) == ["issued", "rotated", "revoked"]


async def test_an_overlap_never_lengthens_a_life(world: World) -> None:
    old = await world.issue(life_ms=60_000)
    deadline = await world.shorten(old, 3_000)

    await world.tokens.rotate(old.text, overlap_ms=30_000)

    assert (await world.tokens.use(old.text)).deadline_at_ms == deadline


async def test_a_token_that_lives_for_ever_still_ends_with_the_overlap(world: World) -> None:
    old = await world.issue(life_ms=None)

    new = await world.tokens.rotate(old.text, overlap_ms=5_000)

    remaining = (await world.tokens.peek(old.text)).remaining_ms
    assert remaining is not None
    assert remaining <= 5_000
    assert new.token.remaining_ms is None


async def test_a_recoverable_token_has_a_recoverable_successor(world: World) -> None:
    old = await world.issue(recoverable=True)

    new = await world.tokens.rotate(old.text)

    seen = await world.tokens.look(new.token.id, await world.caller("tokens:read"))
    assert world.tokens.recover(seen) == new.text


async def test_a_token_of_another_kind_of_text_cannot_be_rotated(world: World) -> None:
    admin = world.admin

    with pytest.raises(BadInput, match="cannot be rotated"):
        await world.tokens.rotate(admin)
