"""The sweep is shared out: nobody does what another does, and nothing is left undone when one is gone."""

from collections.abc import Sequence

import pytest

from service.core.store import Pass
from service.store import keys
from service.store.evictions import Evictions
from service.store.leases import BEAT_S, TERM_S, Leases
from tests import backends
from tests.world import World

PARTITIONS = 16


class Clock:
    """Of an instance; the store's own goes on by itself."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Instance:
    def __init__(self, world: World) -> None:
        self.clock, self.swept = Clock(), list[int]()
        self.leases = Leases(world.link, self._sweep, PARTITIONS, self.clock)

    async def beat(self) -> list[int]:
        """A beat later; what it sweeps then."""
        self.clock.now += BEAT_S
        await self.leases.sweep(200)
        return self.swept

    async def _sweep(self, limit: int, share: Sequence[int]) -> Pass:  # noqa: ARG002
        self.swept = list(share)
        return Pass()


@pytest.fixture
async def three(world: World) -> list[Instance]:
    """All of them have been there for longer than a term."""
    instances = [Instance(world) for _ in range(3)]
    for _ in range(int(TERM_S / BEAT_S) + 3):
        for one in instances:
            await one.beat()
    return instances


async def test_one_alone_sweeps_all_from_the_first_pass_on(world: World) -> None:
    alone = Instance(world)

    passes = [await alone.beat() for _ in range(6)]

    assert passes == [list(range(PARTITIONS))] * 6


async def test_several_share_all_of_it_evenly_and_do_nothing_twice(three: list[Instance]) -> None:
    shares = [await one.beat() for one in three]

    assert sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))
    assert sorted(map(len, shares)) == [4, 6, 6]


async def test_between_two_beats_the_store_is_not_asked(three: list[Instance], world: World) -> None:
    await world.redis.delete(keys.LEASES)

    await three[0].leases.sweep(200)

    assert not await world.redis.exists(keys.LEASES)


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_what_a_service_at_rest_asks_goes_over_one_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool would cost half as much again, ten times a second."""
    monkeypatch.setattr(world.redis.connection_pool, "get_connection", None)

    done = await Leases(world.link, world.store.sweep, PARTITIONS).sweep(200)
    evicted = await Evictions(world.link, PARTITIONS).number()

    assert (done.looked_at, evicted >= 0) == (0, True)
    monkeypatch.undo()


async def test_who_leaves_is_followed_at_the_next_beat(three: list[Instance]) -> None:
    await three[0].leases.leave()

    shares = [await one.beat() for one in three[1:]]

    assert sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))


async def test_who_dies_is_followed_once_its_term_is_over(three: list[Instance], world: World) -> None:
    assert len(await three[1].beat() + await three[2].beat()) < PARTITIONS
    await world.redis.hset(keys.LEASES, f"@{three[0].leases._me}", await world.now())

    shares = [await one.beat() for one in three[1:]]

    assert sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))


async def test_one_more_gets_its_share_and_until_it_has_it_nothing_is_left_undone(
    three: list[Instance], world: World
) -> None:
    new = Instance(world)

    for _ in range(6):
        shares = [await one.beat() for one in (*three, new)]
        assert {partition for share in shares for partition in share} == set(range(PARTITIONS))

    assert sorted(map(len, shares)) == [4, 4, 4, 4]


async def test_more_instances_than_partitions_leave_some_without_work(world: World) -> None:
    instances = [Instance(world) for _ in range(PARTITIONS + 2)]

    for _ in range(6):
        shares = [await one.beat() for one in instances]

    assert sorted(map(len, shares)) == [0, 0] + [1] * PARTITIONS


async def test_who_cannot_reach_the_leases_sweeps_all(three: list[Instance], world: World) -> None:
    world.on_close(world.redis.delete, keys.LEASES)
    await world.redis.delete(keys.LEASES)
    await world.redis.set(keys.LEASES, "something else")

    assert await three[0].beat() == list(range(PARTITIONS))


async def test_the_leases_are_forgotten_when_nobody_sweeps_any_more(three: list[Instance], world: World) -> None:
    assert len(three) == 3
    assert 0 < await world.redis.pttl(keys.LEASES) <= 63_000
