"""The scripts are there whenever they are needed, and a full store still renews and ends what it holds."""

import pytest
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from service.core.errors import Unavailable
from service.core.store import Filter
from service.core.token import SERVICE, Change
from service.store import keys
from service.store.scripts import VERBS, Scripts, source, told
from tests import backends
from tests.world import World


async def run_every_verb(world: World) -> None:
    issuer, everybody = await world.caller("tokens:issue"), Filter(tenant="default")
    issued = await world.issue("ann")
    await world.tokens.use(issued.text)
    await world.tokens.renew(issued.text)
    await world.tokens.amend(issued.token.id, Change(description="new"), issuer)
    await world.tokens.rotate(issued.text)
    await world.tokens.revoke(issued.text)
    await world.store.revoke_owner("default", "ann", None, "owner", [], 10, dry=False)
    await world.lists.page(everybody, limit=10, cursor=None, descending=False)
    await world.lists.count(everybody)
    await world.store.sweep(10)
    await world.store.stats()
    await world.shelf.turn("00" * 16, 1)


async def test_each_script_is_loaded_again_after_it_was_flushed(world: World) -> None:
    await run_every_verb(world)

    await world.redis.script_flush()

    await run_every_verb(world)


async def test_every_file_is_a_verb_and_says_what_it_takes() -> None:
    for verb in VERBS:
        head = source(verb).partition(f"-- {verb}: ")[2]
        assert "\n-- KEYS" in head, verb
        assert "\n-- ARGV" in head, verb


async def test_nothing_runs_on_a_store_that_nobody_has_looked_at(world: World) -> None:
    scripts = Scripts(1000, 1000)

    with pytest.raises(Unavailable) as refused:
        await scripts(world.redis, "stats", "tl:{00}:due", "tl:{00}:")

    assert refused.value.reason == "starting"


@pytest.mark.parametrize(
    ("refused", "means"),
    [
        ("-OOM command not allowed when used memory > 'maxmemory'.", OutOfMemoryError),
        ("-READONLY You can't write against a read only replica.", ReadOnlyError),
        ("-NOREPLICAS Not enough good replicas to write.", ResponseError),
        ("Attempt to compare nil with number", ResponseError),
    ],
)
def test_what_redis_6_refuses_a_script_is_what_later_ones_say(refused: str, means: type[Exception]) -> None:
    error = ResponseError(f"Error running script (call to f_0fa757f2): @user_script:65: @user_script: 65: {refused}")

    assert type(told(error)) is means


@pytest.mark.parametrize("oldest", [False, True], ids=["as it can", "as Redis 6.2 can"])
@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_a_full_store_issues_nothing_but_renews_and_ends_what_it_holds(world: World, oldest: bool) -> None:
    if oldest:
        world.link.scripts.say_allow_oom(allowed=False)
    one, other, third = await world.issue("ann"), await world.issue("bob", uses=1), await world.issue("eve")
    await world.expire_now(third)
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    with pytest.raises(Unavailable, match="The token store is full") as refused:
        await world.issue("joe")

    assert refused.value.reason == "OutOfMemoryError"
    assert (await world.tokens.use(one.text)).uses == 1
    assert (await world.tokens.renew(one.text)).state == "active"
    assert (await world.tokens.use(other.text)).state == "consumed"
    assert (await world.tokens.revoke(one.text)).state == "revoked"
    assert (await world.store.sweep(10)).marked == 1


@pytest.mark.parametrize("oldest", [False, True], ids=["as it can", "as Redis 6.2 can"])
@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_so_does_what_begins_with_what_needs_room(world: World, oldest: bool) -> None:
    """Redis 6.2 refuses that as the first write of a script: a use that renews nothing, and all beside uses."""
    if oldest:
        world.link.scripts.say_allow_oom(allowed=False)
    caller = await world.issue("a service", type=SERVICE, scopes=("tokens:use", "tokens:issue"), life_ms=None)
    fixed, endless = await world.issue("ann", sliding=False), await world.issue("bob", life_ms=None)
    world.on_close(world.redis.config_set, "maxmemory", 0)
    await world.redis.config_set("maxmemory", 1)

    assert (await world.tokens.use(fixed.text, by=caller.text)).uses == 1
    assert (await world.tokens.use(endless.text)).uses == 1
    assert (await world.tokens.renew(endless.text)).state == "active"
    amended = await world.tokens.amend(fixed.token.id, Change(description="new"), caller.text)
    assert amended.description == "new"
    assert (await world.tokens.rotate(fixed.text)).token.state == "active"
    assert await world.link.run("lease", keys.LEASES, "one of them", 16, 1000)
    assert await world.shelf.turn("00" * 16, 1) == 0
