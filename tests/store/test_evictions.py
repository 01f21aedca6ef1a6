"""A store that is set to evict gives up live tokens without a word; they are found and told."""

import asyncio
from collections.abc import Awaitable
from typing import cast

import pytest
from redis.exceptions import ResponseError

from service.core.errors import Expired
from service.core.token import Token
from service.store import evictions
from service.store.evictions import Evictions
from tests import backends
from tests.servers import wait_until
from tests.world import World

# Due now, with 1 to 8 ms to live: some end while the next sweep is under way.
ALMOST_OVER = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, id in ipairs(ARGV) do
  local tag, ends = 'tl:{' .. string.sub(id, 1, 2) .. '}:', string.format('%013.0f', now + 1 + i % 8)
  redis.call('SETRANGE', tag .. 't:' .. id, 2, ends)
  redis.call('PEXPIREAT', tag .. 'l:' .. id, ends)
  redis.call('ZADD', tag .. 'due', now, string.sub(id, 3))
end
"""

real = pytest.mark.parametrize("backend", backends.REAL, indirect=True)


async def test_what_was_evicted_is_marked_by_the_next_sweep_and_nothing_else_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evictions, "PART", 3)
    lost, kept = [[await world.issue(f"owner-{number}") for number in range(20)] for _ in range(2)]
    eternal, revoked = await world.issue("ann", life_ms=None), await world.issue("ann")
    await world.tokens.revoke(revoked.text)
    for one in lost:
        await world.lose_life(one)

    found = await Evictions(world.link, 16).find(asyncio.Event())
    done = await world.sweep()

    assert found == 20
    assert (done.marked, done.evicted) == (20, 20)
    assert await world.states(*lost) == ["expired"] * 20
    assert await world.states(*kept, eternal, revoked) == [*["active"] * 21, "revoked"]
    assert {event.token.ended_by for event in await world.events(kind="expired")} == {"evicted"}


@pytest.mark.parametrize("verb", ["use", "peek"])
async def test_what_was_evicted_is_refused_before_any_sweep(world: World, verb: str) -> None:
    """Its record says that it has an hour left: only its life says that it is over."""
    lost, kept = await world.issue("ann"), await world.issue("ann")
    await world.lose_life(lost)
    caller = await world.caller("tokens:use")

    answers = await world.tokens.many(verb, [lost.text, kept.text, lost.text], caller)

    assert [type(answer) for answer in answers] == [Expired, Token, Expired]
    with pytest.raises(Expired):
        await getattr(world.tokens, verb)(lost.text)
    await world.make_due(lost)
    await world.sweep()
    assert await world.story(lost) == ["issued", "expired"]


async def test_one_that_expired_meanwhile_is_no_eviction(world: World) -> None:
    expired = await world.issue("ann")
    await world.expire_now(expired)

    await Evictions(world.link, 16).find(asyncio.Event())
    done = await world.sweep()

    assert (done.marked, done.evicted) == (1, 0)


@real
async def test_those_that_expire_while_a_sweep_looks_at_them_are_no_evictions(world: World) -> None:
    """On Redis 7.0 many of these once counted as evicted: its PTTL has a clock that goes on while a script runs."""
    evicted = 0
    for _ in range(3):
        shorts = [(await world.issue("ann")).token.id.replace("-", "") for _ in range(200)]
        await cast(Awaitable[None], world.redis.eval(ALMOST_OVER, 0, *shorts))
        left = 200
        while left:
            done = await world.store.sweep(200)
            left, evicted = left - done.marked, evicted + done.evicted

    assert evicted == 0
    assert {event.token.ended_by for event in await world.events(kind="expired")} == {"life"}


@real
async def test_it_looks_only_when_the_store_has_evicted_something(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, asked = [0, 0, 7, 7, 7, 9], []
    looking = Evictions(world.link, 16)
    stopping = asyncio.Event()

    async def number() -> int:
        asked.append(len(found))
        if len(asked) == len(numbers):
            stopping.set()
        return numbers[len(asked) - 1]

    found: list[str] = []
    real_run = world.link.run

    async def run(verb: str, *words: object) -> object:
        found.append(verb)
        return await real_run(verb, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(evictions, "LOOK_S", 0.001)
    monkeypatch.setattr(looking, "number", number)
    monkeypatch.setattr(world.link, "run", run)
    await asyncio.wait_for(looking.run(stopping), 10)

    assert asked == [0, 0, 0, 16, 16, 16]
    assert set(found) == {"evicted"}


@real
async def test_a_store_says_how_many_it_has_evicted(world: World) -> None:
    world.on_close(world.redis.config_set, "maxmemory", 0)
    world.on_close(world.redis.config_set, "maxmemory-policy", "noeviction")
    before = await Evictions(world.link, 16).number()
    await world.redis.config_set("maxmemory-policy", "volatile-ttl")
    await world.issue("ann")
    await world.redis.config_set("maxmemory", 1)

    async def evicted() -> bool:
        await world.redis.ping()
        return await Evictions(world.link, 16).number() > before

    await wait_until(evicted)


async def test_where_the_store_does_not_tell_nobody_asks_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A managed store may not let clients ask."""
    stopping = asyncio.Event()

    async def call(*_words: str) -> None:
        raise ResponseError("NOPERM")

    [node] = await world.link.nodes.each()
    monkeypatch.setattr(node.lane, "call", call)

    await asyncio.wait_for(Evictions(world.link, 16).run(stopping), 10)

    assert not stopping.is_set()
