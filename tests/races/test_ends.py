"""Whoever ends a token wins against whoever renews it; what may happen once happens once."""

import asyncio
import random
from collections import Counter

from service.core.errors import Consumed, Refusal, Revoked
from service.core.token import Issued
from tests.world import World

RACES = 1_000
AT_ONCE = 50


async def test_once_a_revoke_is_acknowledged_nothing_is_accepted_any_more(
    world: World, other: World, dice: random.Random
) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Issued:
        async with turns:
            return await race(world, other, random.Random(dice.random()), number)

    ended = await asyncio.gather(*[one(number) for number in range(RACES)])
    await world.sweep()

    kinds = Counter(event.kind for event in await world.events(tenant="default"))
    assert (kinds["issued"], kinds["revoked"], kinds["expired"]) == (RACES, RACES, 0)
    caller = await world.caller("tokens:use", tenant="default")
    late = await world.tokens.many("use", [issued.text for issued in ended], caller)
    assert {type(answer) for answer in late} == {Revoked}


async def race(world: World, other: World, dice: random.Random, number: int) -> Issued:
    issued = await world.issue(str(number % 40))
    acknowledged = asyncio.Event()

    async def present(each: World) -> None:
        for _ in range(dice.randint(1, 6)):
            late = acknowledged.is_set()
            verb = dice.choice((each.tokens.use, each.tokens.use, each.tokens.renew, each.tokens.peek))
            try:
                await verb(issued.text)
            except Revoked:
                continue
            assert not late, "accepted after its revocation was acknowledged"
            await asyncio.sleep(dice.choice((0, 0, 0.001)))

    async def revoke() -> None:
        for _ in range(dice.randint(0, 8)):
            await asyncio.sleep(0)
        await dice.choice((world, other)).tokens.revoke(issued.text)
        acknowledged.set()

    await asyncio.gather(present(world), present(other), revoke(), revoke())
    return issued


async def test_twenty_rotations_at_once_give_one_successor(world: World, other: World) -> None:
    for _ in range(10):
        old = await world.issue("ann")

        new = await asyncio.gather(*[each.tokens.rotate(old.text) for each in (world, other) for _ in range(10)])

        assert len({issued.text for issued in new}) == 1
        assert len({issued.token.id for issued in new}) == 1
        assert await world.story(old) == ["issued", "rotated"]
        assert await world.story(new[0]) == ["issued"]


async def test_of_fifty_at_once_one_uses_a_token_with_one_use(world: World, other: World) -> None:
    for _ in range(20):
        issued = await world.issue("ann", uses=1)

        answers = await asyncio.gather(
            *[each.tokens.use(issued.text) for each in (world, other) for _ in range(25)], return_exceptions=True
        )

        assert Counter(type(answer).__name__ for answer in answers) == {"Token": 1, "Consumed": 49}
        assert await world.story(issued) == ["issued", "consumed"]


async def test_a_count_of_uses_is_kept_exactly_whoever_presents_it(
    world: World, other: World, dice: random.Random
) -> None:
    issued = await world.issue("ann", uses=100)

    async def present(each: World) -> int:
        served = 0
        for _ in range(10):
            try:
                await each.tokens.use(issued.text)
            except Consumed:
                return served
            served += 1
            await asyncio.sleep(dice.choice((0, 0.001)))
        return served

    served = await asyncio.gather(*[present(each) for each in (world, other) for _ in range(20)])

    assert sum(served) == 100


async def test_all_tokens_of_an_owner_end_while_they_are_used(world: World, other: World) -> None:
    issued = [await world.issue("ann") for _ in range(50)]

    async def use_on(one: Issued) -> None:
        while True:
            await other.tokens.use(one.text)

    using = [asyncio.ensure_future(use_on(one)) for one in issued]
    answer = await world.store.revoke_owner("default", "ann", None, "owner", [], 100, dry=False)

    assert answer == (50, False)
    assert {type(end) for end in await asyncio.gather(*using, return_exceptions=True)} == {Revoked}


async def test_every_kind_of_end_at_once_leaves_one(world: World, other: World, dice: random.Random) -> None:
    """Revoked, rotated away, used up and expired in the same moment: one of them is what happened."""
    for number in range(50):
        issued = await world.issue(str(number), uses=1)
        verbs = [
            world.tokens.use(issued.text),
            other.tokens.revoke(issued.text),
            world.tokens.rotate(issued.text, overlap_ms=0),
            other.expire_now(issued),
            world.store.sweep(10),
        ]
        dice.shuffle(verbs)

        for answer in await asyncio.gather(*verbs, return_exceptions=True):
            assert not isinstance(answer, Exception) or isinstance(answer, Refusal), answer
        await world.sweep()

        ends = [kind for kind in await world.story(issued) if kind in {"revoked", "expired", "consumed"}]
        assert len(ends) == 1, await world.story(issued)
