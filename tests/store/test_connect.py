"""What is looked at before the service begins to serve."""

import logging
from typing import Any

import pytest

from service.core.errors import Unavailable
from service.store import keys
from service.store.connect import WrongStore, agree_on_partitions, allow_oom, client, version
from tests import backends
from tests.backends import Backend
from tests.world import World

real = pytest.mark.parametrize("backend", backends.REAL, indirect=True)


async def test_the_number_of_partitions_is_fixed_at_the_first_start(world: World) -> None:
    assert await world.redis.get(keys.PARTITIONS) == b"16"

    await agree_on_partitions(world.link, 16)
    with pytest.raises(WrongStore, match=r"TOKENLIFE_PARTITIONS is 8, but .* written with 16; set it to 16"):
        await agree_on_partitions(world.link, 8)

    assert await world.redis.get(keys.PARTITIONS) == b"16"


@pytest.mark.parametrize("partitions", [1, 3, 256])
async def test_any_number_of_partitions_works_alike(backend: Backend, partitions: int) -> None:
    async with World(backend, partitions=partitions) as world:
        for owner in "abcdefgh":
            issued = await world.issue(owner)
            assert keys.partition(issued.token.id) < partitions
            assert (await world.tokens.use(issued.text)).owner == owner
            await world.expire_now(issued)

        assert (await world.sweep()).marked == 8
        assert len(await world.events(kind="expired")) == 8


@real
async def test_a_store_that_may_evict_is_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.on_close(world.redis.config_set, "maxmemory-policy", "noeviction")
    await world.redis.config_set("maxmemory-policy", "volatile-ttl")

    with caplog.at_level(logging.WARNING, "service.store"):
        allowed = await allow_oom(world.link)

    assert allowed
    [line] = caplog.records
    assert (
        line.getMessage() == "the store may evict live tokens: maxmemory-policy is volatile-ttl; set it to noeviction"
    )


@real
async def test_one_that_does_not_evict_is_not(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await allow_oom(world.link)

    assert caplog.records == []


@real
async def test_a_store_that_does_not_tell_is_used_without_asking_more_of_it(world: World) -> None:
    """Managed services restrict INFO and CONFIG."""
    user: Any = world.redis
    world.on_close(user.execute_command, "ACL", "SETUSER", "default", "+info", "+config")
    await user.execute_command("ACL", "SETUSER", "default", "-info", "-config")

    assert not await allow_oom(world.link)


@real
async def test_a_store_that_is_away_is_waited_for_not_misjudged(backend: Backend) -> None:
    async with World(backends.nobody(backend), ready=False) as world:
        with pytest.raises(Unavailable):
            await allow_oom(world.link)
        with pytest.raises(Unavailable):
            await agree_on_partitions(world.link, 16)


@pytest.mark.parametrize("said", ["6.2.0", "7.0.15", "7.2", "10.0.1", "255.255.255"])
def test_versions_that_will_do(said: str) -> None:
    assert version(said) >= (6, 2)


@pytest.mark.parametrize("said", ["6.0.16", "5.0.14", "2.8"])
def test_versions_that_are_too_old_are_named(said: str) -> None:
    with pytest.raises(WrongStore, match=f"Redis {said}; 6.2"):
        version(said)


@pytest.mark.parametrize("url", ["redis+cluster://127.0.0.1:7000", "redis+sentinel://127.0.0.1:26379/main"])
def test_what_is_not_served_yet_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(WrongStore, match=r"TOKENLIFE_REDIS_URL: redis\+\w+:// is not served yet"):
        client(url, 1.0)
