"""How often a second something may come."""

from service.core.pace import Pace
from tests.servers import wait_until
from tests.world import World


async def test_as_many_as_allowed_come_at_once_and_then_each_in_its_turn(world: World) -> None:
    pace = Pace(world.shelf, 3)

    waits = [await pace.wait_ms("ann asks") for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(0 < wait <= 334 for wait in waits[3:])


async def test_every_rate_lets_as_many_through_as_it_says(world: World) -> None:
    """Turns are fractions of a millisecond: their sum must not cost the last one its place."""
    rates = [3, 6, 7]

    waits = {rate: [await Pace(world.shelf, rate).wait_ms(f"{rate}") for _ in range(rate + 1)] for rate in rates}

    assert {rate: each.count(0) for rate, each in waits.items()} == {rate: rate for rate in rates}


async def test_who_waited_as_long_as_told_comes_through(world: World) -> None:
    pace = Pace(world.shelf, 20)
    while not (wait_ms := await pace.wait_ms("ann asks")):
        pass  # a slow store lets more than 20 come through
    until = await world.now() + wait_ms

    async def due() -> bool:
        return await world.now() >= until

    await wait_until(due)

    assert await pace.wait_ms("ann asks") == 0


async def test_one_does_not_slow_another(world: World) -> None:
    pace = Pace(world.shelf, 1)
    assert await pace.wait_ms("ann asks") == 0

    assert await pace.wait_ms("bob asks") == 0
    assert await pace.wait_ms("ann asks") > 0


async def test_no_limit_asks_no_store(world: World) -> None:
    pace = Pace(world.shelf, 0)

    assert [await pace.wait_ms("ann asks") for _ in range(50)] == [0] * 50
    assert not await world.redis.keys("tl:*p:*")


async def test_nothing_of_what_was_said_is_kept_and_what_is_kept_ends(world: World) -> None:
    await Pace(world.shelf, 3).wait_ms("a secret")

    [key] = await world.redis.keys("tl:*p:*")

    assert b"secret" not in key
    assert 0 < await world.redis.pttl(key) <= 1000
