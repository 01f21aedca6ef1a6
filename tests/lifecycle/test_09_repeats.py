"""A request that is sent again, because its answer was lost, makes no second token."""

import asyncio

import msgspec
import pytest
from msgspec import UNSET

from service.core.errors import Conflict
from service.core.token import Draft, Issued
from tests.world import World

DRAFT = Draft(owner="ann", life_ms=60_000)


async def test_the_same_key_and_body_give_the_same_answer_text_included(world: World) -> None:
    first = await world.replays.issue("caller", "key", b"body", DRAFT)
    await world.tokens.use(first.text)

    again = await world.replays.issue("caller", "key", b"body", DRAFT)

    assert again == first
    assert again.text == first.text
    assert await world.story(first) == ["issued"]


async def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    await world.replays.issue("caller", "key", b"body", DRAFT)

    with pytest.raises(Conflict) as refused:
        await world.replays.issue("caller", "key", b"other body", DRAFT)

    assert refused.value.code == "idempotency_key_reused"


async def test_a_key_belongs_to_the_caller_that_sent_it(world: World) -> None:
    one = await world.replays.issue("caller", "key", b"body", DRAFT)
    other = await world.replays.issue("another caller", "key", b"body", DRAFT)

    assert one.token.id != other.token.id


async def test_repeats_at_the_same_time_make_one_token(world: World) -> None:
    answers: list[Issued] = await asyncio.gather(
        *[world.replays.issue("caller", "key", b"body", DRAFT) for _ in range(10)]
    )

    assert len({answer.text for answer in answers}) == 1
    assert len({answer.token.id for answer in answers}) == 1
    assert await world.story(answers[0]) == ["issued"]


async def test_a_repeat_after_a_crash_in_between_answers_the_token_of_the_first(world: World) -> None:
    """The first request wrote its claim and the token, and died before it could write down its answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.shelf, "settle", _die)
        with pytest.raises(RuntimeError):
            await world.replays.issue("caller", "key", b"body", DRAFT)
    [event] = [event for event in await world.events(owner="ann") if event.kind == "issued"]

    again = await world.replays.issue("caller", "key", b"body", DRAFT)

    assert again.token.id == event.token.id
    assert (await world.tokens.use(again.text)).id == event.token.id


async def test_a_repeat_after_a_crash_tells_that_the_token_has_expired_since(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.shelf, "settle", _die)
        with pytest.raises(RuntimeError):
            await world.replays.issue("caller", "key", b"body", DRAFT)
    [event] = [event for event in await world.events(owner="ann") if event.kind == "issued"]
    ended = await world.expire_now(event.token)

    again = await world.replays.issue("caller", "key", b"body", DRAFT)

    assert (again.token.state, again.token.remaining_ms, again.token.ended_at_ms) == ("expired", 0, ended)


async def test_what_is_kept_of_the_answer_opens_with_the_key_alone(world: World) -> None:
    issued = await world.replays.issue("caller", "the secret key", b"body", DRAFT)

    kept = world.dump()
    answers = [expires for name, (_, expires) in kept.items() if ":k:" in name]
    now = await world.now()

    assert issued.text not in str(kept)
    assert "the secret key" not in str(kept)
    assert len(answers) == 1
    assert now < answers[0] <= now + 86_400_000


async def test_a_draft_is_settled_before_anything_is_claimed(world: World) -> None:
    issued = await world.replays.issue("caller", "key", b"body", msgspec.structs.replace(DRAFT, life_ms=UNSET))

    assert issued.token.life_ms == world.settings.default_life_ms


async def _die(*_: object) -> None:
    raise RuntimeError("the process died here")
