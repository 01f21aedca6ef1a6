"""What is looked at before the service begins to serve."""

import contextlib
import logging
from typing import Any
from unittest.mock import AsyncMock

import pytest
import redis

from service.core.errors import Unavailable
from service.store import keys
from service.store.connect import WrongStore, agree_on_partitions, allow_oom, client, look, refused_for_good, version
from service.store.nodes import Nodes
from tests import backends
from tests.backends import Backend, Farm
from tests.groups import Trio
from tests.servers import Server, version_of
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


@pytest.mark.parametrize("name", backends.REAL)
async def test_whether_scripts_may_run_on_a_full_store_is_asked_of_it(farm: Farm, name: str) -> None:
    async with World(farm.backend(name)) as world:
        assert await allow_oom(world.link) == knows_allow_oom(farm.server(name))


def knows_allow_oom(server: Server) -> bool:
    return version_of(server.command[0]) >= (7, 0)


@real
async def test_a_store_that_may_evict_is_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.on_close(world.redis.config_set, "maxmemory-policy", "noeviction")
    await world.redis.config_set("maxmemory-policy", "volatile-ttl")

    with caplog.at_level(logging.WARNING, "service.store"):
        await allow_oom(world.link)

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


@pytest.mark.parametrize("name", backends.MANY)
async def test_what_several_servers_are_is_asked_of_those_that_hold_keys(farm: Farm, name: str) -> None:
    async with World(farm.backend(name)) as world:
        nodes = await world.link.nodes.each()

        assert len(nodes) == (3 if name == "cluster" else 1)
        assert await allow_oom(world.link) == all(knows_allow_oom(one) for one in farm.group(name).servers)
        assert await world.link.answers()


@pytest.mark.parametrize("name", backends.MANY)
async def test_passwords_of_the_url_are_those_of_the_servers_and_of_sentinel(farm: Farm, name: str) -> None:
    group = farm.group(name)
    sentinels = group.sentinels if isinstance(group, Trio) else []
    url = group.url.replace("://", "://default:s%23cret@") + ("?sentinel_password=an%20other" if sentinels else "")
    with contextlib.ExitStack() as stack:
        for server, password in [(one, "s#cret") for one in group.servers] + [(one, "an other") for one in sentinels]:
            user = stack.enter_context(redis.Redis(port=server.port))
            stack.callback(user.execute_command, "ACL", "SETUSER", "default", "nopass")
            user.execute_command("ACL", "SETUSER", "default", "resetpass", f">{password}")

        async with World(Anywhere(url)) as world:
            issued = await world.issue("ann")
            assert (await world.tokens.use(issued.text)).uses == 1
        for wrong in (url.replace("cret", "crab"), *([url.replace("other", "one")] if sentinels else [])):
            async with World(Anywhere(wrong), ready=False) as world:
                with pytest.raises(WrongStore, match="does not take this user and password"), refused_for_good():
                    await look(world.link, 16)


@pytest.mark.parametrize("oldest", [False, True], ids=["as it can", "as Redis 6.2 can"])
@pytest.mark.parametrize("name", backends.MANY)
async def test_a_user_that_may_touch_no_other_keys_will_do(farm: Farm, name: str, oldest: bool) -> None:
    group = farm.group(name)
    with contextlib.ExitStack() as stack:
        for server in group.servers:
            user = stack.enter_context(redis.Redis(port=server.port))
            stack.callback(user.execute_command, "ACL", "DELUSER", "service")
            user.execute_command("ACL", "SETUSER", "service", "on", ">s3cret", "~tl:*", "+@all")

        async with World(Anywhere(group.url.replace("://", "://service:s3cret@"))) as world:
            if oldest:
                world.link.scripts.say_allow_oom(allowed=False)
            issued = await world.issue("ann", sliding=False)
            assert (await world.tokens.use(issued.text)).uses == 1
            assert await world.link.run("lease", keys.LEASES, "one of them", 16, 1000)


async def test_a_master_that_no_sentinel_knows_is_named(farm: Farm) -> None:
    backend = farm.backend("sentinel")
    backend.url = backend.url.replace("/main", "/mine")

    async with World(backend, ready=False) as world:
        with pytest.raises(WrongStore, match="knows no master named mine; it knows main"):
            await allow_oom(world.link)


async def test_sentinels_that_are_away_are_waited_for() -> None:
    backend = Anywhere("redis+sentinel://127.0.0.1:1/main")

    async with World(backend, ready=False) as world:
        with pytest.raises(Unavailable):
            await allow_oom(world.link)
        assert not await world.link.answers()


async def test_so_is_a_cluster() -> None:
    async with World(Anywhere("redis+cluster://127.0.0.1:1"), ready=False) as world:
        with pytest.raises(Unavailable):
            await allow_oom(world.link)
        with pytest.raises(Unavailable):
            await world.tokens.use(world.texts.mint(0)[0])


async def test_a_node_of_a_cluster_is_no_store_by_itself(farm: Farm) -> None:
    for server in farm.group("cluster").servers:
        async with World(Anywhere(server.url), ready=False) as world:
            with pytest.raises(WrongStore, match=r"write redis\+cluster:// instead"):
                await allow_oom(world.link)


async def test_one_server_is_no_cluster() -> None:
    with Server(tcp=True) as server:
        async with World(Anywhere(f"redis+cluster://127.0.0.1:{server.port}"), ready=False) as world:
            with pytest.raises(WrongStore, match=r"127\.0\.0\.1 is no node of a cluster"):
                await allow_oom(world.link)


class Anywhere(Backend):
    """Where it may be that nobody listens."""

    def __init__(self, url: str) -> None:
        super().__init__("anywhere")
        self.url = url

    def connect(self, url: str, timeout_s: float) -> Nodes:
        return client(url, timeout_s)

    def raw(self, nodes: Nodes) -> Any:  # noqa: ARG002
        return AsyncMock()
