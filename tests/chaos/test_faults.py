"""One short scenario, so that `make test` runs what `make chaos` stands on."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import table
from tests.chaos.history import History
from tests.chaos.scenario import Chaos
from tests.servers import Server

pytestmark = pytest.mark.chaos


async def test_a_store_that_kills_all_connections_for_a_second(chaos: Chaos, tmp_path: Path) -> None:
    async with chaos("CLIENT KILL, short") as run:
        await run.busy(2)
        with run.fault(), run.plain() as store:
            for _ in range(20):
                store.client_kill_filter(_type="normal", skipme=True)
                await asyncio.sleep(0.05)
        await run.busy(2)

    written = History.read(tmp_path / "history.jsonl")
    assert written.operations == run.history.operations
    assert len(written.kept) > 10
    assert run.outcomes()[503] > 0
    assert f"| CLIENT KILL, short | {len(written.operations):10,} |          0 |" in table.text()


async def test_a_store_that_writes_nothing_down_is_found_out(chaos: Chaos) -> None:
    async def lose() -> None:
        async with chaos("SIGKILL of a store without AOF", store=Server(appendonly="no")) as run:
            await run.busy(2)
            await asyncio.to_thread(run.store.kill)
            await asyncio.to_thread(run.store.start)

    with pytest.raises(AssertionError, match=r"'an acknowledged token was lost': \d\d"):
        await lose()

    assert table.ROWS.pop().violations
