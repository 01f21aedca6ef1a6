"""What may be asked for when a token is issued."""

import pytest
from msgspec import Raw

from service.core.errors import BadInput, Consumed, Expired, Forbidden
from tests.backends import Backend
from tests.world import World


async def test_no_renewal_reaches_past_the_ceiling_and_the_answer_says_so(world: World) -> None:
    issued = await world.issue(life_ms=60_000, ceiling_ms=90_000)
    assert issued.token.ceiling_at_ms == issued.token.created_at_ms + 90_000
    assert not issued.token.capped
    ceiling = await world.end_at_ceiling(issued, 30_000)

    used = await world.tokens.use(issued.text)

    assert used.capped
    assert used.deadline_at_ms == ceiling
    assert used.remaining_ms is not None
    assert 29_000 < used.remaining_ms <= 30_000


async def test_a_ceiling_is_a_duration_or_a_moment(world: World) -> None:
    moment = await world.now() + 50_000

    issued = await world.issue(life_ms=60_000, ceiling_ms=moment)

    assert issued.token.ceiling_at_ms == issued.token.deadline_at_ms == moment
    assert issued.token.capped


async def test_a_ceiling_in_the_past_is_refused(world: World) -> None:
    moment = await world.now() - 1

    with pytest.raises(BadInput, match="ceiling_ms"):
        await world.issue(ceiling_ms=moment)


async def test_a_use_count_is_spent_and_then_the_token_is_consumed(world: World) -> None:
    issued = await world.issue(uses=2)

    first = await world.tokens.use(issued.text)
    second = await world.tokens.use(issued.text)

    assert (first.state, first.uses_left) == ("active", 1)
    assert (second.state, second.uses_left, second.remaining_ms) == ("consumed", 0, 0)
    with pytest.raises(Consumed) as refused:
        await world.tokens.use(issued.text)
    assert refused.value.evidence == {"id": issued.token.id, "ended_at_ms": second.ended_at_ms}
    assert await world.story(issued) == ["issued", "consumed"]


async def test_a_peek_spends_no_use(world: World) -> None:
    issued = await world.issue(uses=1)

    for _ in range(3):
        assert (await world.tokens.peek(issued.text)).uses_left == 1

    assert (await world.tokens.use(issued.text)).uses_left == 0


async def test_scopes_that_it_does_not_cover_are_refused_without_renewal(world: World) -> None:
    issued = await world.issue(life_ms=60_000, scopes=("read", "write"), uses=5)
    deadline = await world.shorten(issued, 10_000)

    with pytest.raises(Forbidden) as refused:
        await world.tokens.use(issued.text, scopes=("read", "delete"))

    assert refused.value.evidence == {"id": issued.token.id, "needed": "read delete"}
    unchanged = await world.tokens.peek(issued.text)
    assert (unchanged.deadline_at_ms, unchanged.uses) == (deadline, 0)
    assert (await world.tokens.use(issued.text, scopes=("write", "read"))).uses == 1


async def test_half_of_a_scopes_name_is_not_that_scope(world: World) -> None:
    issued = await world.issue(scopes=("tokens:read", "a.b"))

    for scope in ("tokens", "read", "tokens:rea", "a", "a_b", ".*"):
        with pytest.raises(Forbidden):
            await world.tokens.use(issued.text, scopes=(scope,))


async def test_a_token_that_does_not_slide_is_used_without_renewal(world: World) -> None:
    issued = await world.issue(life_ms=60_000, sliding=False)
    deadline = await world.shorten(issued, 10_000)

    used = await world.tokens.use(issued.text)
    renewed = await world.tokens.renew(issued.text)

    assert (used.uses, used.deadline_at_ms) == (1, deadline)
    assert renewed.remaining_ms == 60_000


async def test_a_life_of_null_is_for_ever(world: World) -> None:
    issued = await world.issue(life_ms=None)

    used = await world.tokens.use(issued.text)
    renewed = await world.tokens.renew(issued.text)
    await world.sweep()

    for token in (issued.token, used, renewed, await world.tokens.peek(issued.text)):
        assert (token.state, token.remaining_ms, token.deadline_at_ms) == ("active", None, None)
    assert (await world.tokens.revoke(issued.text)).state == "revoked"


async def test_a_life_of_null_under_a_ceiling_ends_there(world: World) -> None:
    issued = await world.issue(life_ms=None, ceiling_ms=60_000)
    assert issued.token.remaining_ms == 60_000

    ceiling = await world.end_at_ceiling(issued, 30_000)
    assert (await world.tokens.use(issued.text)).deadline_at_ms == ceiling

    await world.expire_now(issued)
    with pytest.raises(Expired):
        await world.tokens.use(issued.text)


async def test_for_ever_is_refused_where_the_settings_say_so(backend: Backend) -> None:
    async with World(backend, forever=False) as world:
        with pytest.raises(BadInput, match="life_ms"):
            await world.issue(life_ms=None)


async def test_a_recoverable_text_can_be_shown_again(world: World) -> None:
    kept, other = await world.issue(recoverable=True), await world.issue()
    reader = await world.caller("tokens:read")

    shown = world.tokens.recover(await world.tokens.look(kept.token.id, reader))

    assert shown == kept.text
    assert world.tokens.recover(await world.tokens.look(other.token.id, reader)) is None


async def test_what_the_issuer_says_of_it_is_kept_as_it_was_said(world: World) -> None:
    metadata = b'{"ip":"10.0.0.1","tags":["a",null,1.50,{"deep":true}],"quote":"\\"\\\\ \xc3\xa4 \\u2028"}'

    issued = await world.issue(type="web.login", description="Ännes Laptop", metadata=Raw(metadata), refreshable=True)

    seen = await world.tokens.peek(issued.text)
    assert (seen.type, seen.description, seen.refreshable) == ("web.login", "Ännes Laptop", True)
    assert bytes(seen.metadata) == metadata
