"""The way between service and store is broken: by the store, or by what lies between."""

import asyncio
import random

import pytest

from tests.chaos.proxy import GREETINGS, BlackHole, Canned, Cut, Delay, Reset
from tests.chaos.scenario import Chaos

pytestmark = pytest.mark.chaos

KILLS = 200
ASKED = 1_500  # requests while a line is bad
FROZEN = 80  # where each takes as long as the store may
ERRORS = {
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "READONLY": "READONLY You can't write against a read only replica.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
}


@pytest.fixture
def dice(seed: int) -> random.Random:
    return random.Random(seed)


async def test_connections_that_the_store_kills(chaos: Chaos) -> None:
    async with chaos("CLIENT KILL storm") as run:
        await run.busy()
        with run.fault(), run.plain() as store:
            for _ in range(KILLS):
                store.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(0.02)
        await run.busy()

    assert run.outcomes()[503] > 0


async def test_a_slow_line(chaos: Chaos, dice: random.Random) -> None:
    async with chaos("line: 20 ms and up to 100 ms more, each way", proxied=True) as run:
        await run.busy()
        with run.fault(), run.proxy.under(Delay(0.02, 0.1, dice)):
            await run.asked(ASKED // 2)
        await run.busy()


async def test_replies_that_are_cut_in_the_middle(chaos: Chaos, dice: random.Random) -> None:
    async with chaos("line: replies cut in the middle", proxied=True) as run:
        await run.busy()
        with run.fault(), run.proxy.under(Cut(0.05, dice)) as cut:
            await run.asked(ASKED)
        await run.busy()

    assert cut.times > 20


async def test_connections_that_are_reset(chaos: Chaos, dice: random.Random) -> None:
    async with chaos("line: connections reset", proxied=True) as run:
        await run.busy()
        with run.fault(), run.proxy.under(Reset(0.05, dice)) as reset:
            await run.asked(ASKED)
        await run.busy()

    assert reset.times > 20


@pytest.mark.parametrize("replies", [False, True], ids=["both ways", "replies only"])
async def test_a_black_hole(chaos: Chaos, replies: bool) -> None:
    """Twice: what the first gave back late may meet the second."""
    name = "line: black hole, " + ("replies only" if replies else "both ways")
    async with chaos(name, proxied=True) as run:
        for _ in range(2):
            await run.busy()
            began = run.mark("the hole opens")
            with run.fault(), run.proxy.under(BlackHole(replies=replies)):
                await run.asked(FROZEN)
            assert run.outcomes(began)[503] >= FROZEN / 2
        await run.busy()


@pytest.mark.parametrize("error", ERRORS)
async def test_a_store_that_answers_with_an_error(chaos: Chaos, error: str) -> None:
    async with chaos(f"-{error} for a while", proxied=True) as run:
        for _ in range(2):
            await run.busy()
            with run.fault(), run.proxy.under(Canned(ERRORS[error], GREETINGS)) as canned:
                await run.asked(ASKED // 4)
            assert canned.times > 0
        await run.busy()

    assert run.outcomes()[503] > ASKED // 4
