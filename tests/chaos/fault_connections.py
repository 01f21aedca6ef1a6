"""The connections between service and store are broken."""

import asyncio

import pytest

from tests.chaos.scenario import Chaos

pytestmark = pytest.mark.chaos

KILLS = 200


async def test_connections_that_the_store_kills(chaos: Chaos) -> None:
    async with chaos("CLIENT KILL storm") as run:
        await run.busy()
        with run.fault(), run.plain() as store:
            for _ in range(KILLS):
                store.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(0.02)
        await run.busy()
