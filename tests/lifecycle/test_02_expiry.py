"""The life runs out.  The store's TTL decides; the sweep only tidies."""

import pytest

from service.core import rules
from service.core.errors import Expired, Unknown
from tests.world import World


@pytest.mark.parametrize("verb", ["use", "peek", "renew"])
async def test_a_token_is_refused_from_its_last_millisecond_on(world: World, verb: str) -> None:
    issued = await world.issue(life_ms=60_000, ceiling_ms=60_000)
    ends = await world.end_at_ceiling(issued, 40)
    present = getattr(world.tokens, verb)

    async def until_refused() -> None:
        while True:
            asked = await world.now()
            await present(issued.text)
            assert asked < ends  # it was accepted, so it was asked for in time

    with pytest.raises(Expired) as refused:
        await until_refused()

    assert await world.now() >= ends
    assert refused.value.evidence == {"id": issued.token.id, "expired_at_ms": ends}


async def test_an_expired_token_says_when_it_expired_swept_or_not(world: World) -> None:
    issued = await world.issue()
    ended = await world.expire_now(issued)

    with pytest.raises(Expired) as unswept:
        await world.tokens.use(issued.text)
    await world.sweep()
    with pytest.raises(Expired) as swept:
        await world.tokens.use(issued.text)

    assert unswept.value.evidence["expired_at_ms"] == swept.value.evidence["expired_at_ms"] == ended


async def test_a_lapsed_token_looks_expired_before_any_sweep(world: World) -> None:
    issued = await world.issue()
    ended = await world.expire_now(issued)

    seen = await world.tokens.look(issued.token.id, await world.caller("tokens:read"))

    assert (seen.state, seen.ended_by, seen.ended_at_ms, seen.remaining_ms) == ("expired", "life", ended, 0)


@pytest.mark.parametrize("life_ms", [3_600_000, None])
async def test_one_that_the_store_gave_up_is_not_said_to_end_in_the_future(world: World, life_ms: int | None) -> None:
    """Nobody knows when it did; its record names a deadline that is an hour away, or none."""
    issued = await world.issue(life_ms=life_ms)
    await world.lose_life(issued)

    with pytest.raises(Expired) as refused:
        await world.tokens.use(issued.text)
    seen = await world.tokens.look(issued.token.id, await world.caller("tokens:read"))

    told = refused.value.evidence["expired_at_ms"], seen.ended_at_ms
    assert all(issued.token.created_at_ms <= moment <= rules.now_ms() for moment in told)  # type: ignore[operator]


async def test_nothing_brings_an_expired_token_back(world: World) -> None:
    issued = await world.issue(recoverable=True)
    await world.expire_now(issued)

    for verb in (world.tokens.use, world.tokens.renew, world.tokens.peek, world.tokens.rotate):
        with pytest.raises(Expired):
            await verb(issued.text)
        await world.sweep()

    assert await world.story(issued) == ["issued", "expired"]


async def test_what_it_was_is_kept_for_the_retention_and_then_forgotten(world: World) -> None:
    issued = await world.issue()
    await world.expire_now(issued)
    await world.sweep()
    reader = await world.caller("tokens:read")
    assert (await world.tokens.look(issued.token.id, reader)).state == "expired"

    await world.pass_retention(issued)
    await world.sweep()

    with pytest.raises(Unknown):
        await world.tokens.use(issued.text)
    with pytest.raises(Unknown):
        await world.tokens.look(issued.token.id, reader)
