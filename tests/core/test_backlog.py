"""How a backlog is taken off: at a pace, in passes that follow each other without a rest."""

import asyncio

import pytest

from service import expirer
from service.core.store import Pass
from tests import backends
from tests.world import World


@pytest.mark.parametrize(("ms", "tokens"), [(0, 20), (0.5, 20), (3, 105), (5, 175), (14, 490), (15, 500), (9_000, 500)])
def test_a_pass_looks_at_as_many_as_the_time_since_the_last_asks_for_within_bounds(ms: float, tokens: int) -> None:
    assert expirer.room(ms / 1000) == tokens


async def test_a_store_that_is_fast_is_not_asked_for_more_than_the_pace() -> None:
    left, stopping = 2_000, asyncio.Event()

    async def sweep(limit: int) -> Pass:
        nonlocal left
        marked = min(limit, left)
        left -= marked
        if not left:
            stopping.set()
        return Pass(marked, wait_ms=0)

    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(expirer.run(sweep, 60_000, stopping), 30)

    # The last pass may have been a great one, which the wait before it had earned.
    assert (asyncio.get_running_loop().time() - began) * 1000 >= (2_000 - expirer.MOST) / expirer.PACE


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_a_backlog_is_over_before_anything_else_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single rest between its passes would be a minute; the one in the end is cut short."""
    monkeypatch.setattr(expirer, "REST_MS", 60_000)
    for _ in range(5):
        await asyncio.gather(*[world.expire_now(await world.issue("ann")) for _ in range(expirer.MOST)])
    passes: list[Pass] = []
    stopping = asyncio.Event()

    async def sweep(limit: int) -> Pass:
        done = await world.store.sweep(limit)
        passes.append(done)
        if done.looked_at < limit:
            stopping.set()
        return done

    await asyncio.wait_for(expirer.run(sweep, 60_000, stopping), 30)

    assert sum(done.marked for done in passes) == 5 * expirer.MOST
    assert all(done.marked >= expirer.LEAST for done in passes[:-1])
