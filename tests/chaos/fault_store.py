"""The store is killed, and comes back with what it wrote down; or it is frozen.

What is held of a killed one: with `appendfsync always` all that was acknowledged is there again.  With `everysec`, too,
a write is handed to the kernel before its reply goes out, and a kernel outlives the process; but while an fsync is
under way Redis puts the next write off, for two seconds at most.  So what was acknowledged in the two seconds before
the kill may be undone, whole, and nothing older.  What a loss of power takes (everysec: a second or two) no kill shows.
"""

import asyncio

import pytest

from tests.chaos import table
from tests.chaos.checker import Rules, check
from tests.chaos.scenario import Chaos
from tests.servers import Server, binaries

pytestmark = pytest.mark.chaos

KILLS = 3
PUT_OFF_S = 2.1  # the two seconds, and what an answer is on its way
FROZEN_S = 10.0


@pytest.mark.parametrize("name", binaries())
@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_a_store_that_is_killed(chaos: Chaos, name: str, fsync: str) -> None:
    store = Server(binaries()[name], appendonly="yes", appendfsync=fsync)
    fault = f"SIGKILL of {name.capitalize()}, AOF {fsync}"
    windows = []
    async with chaos(fault, store=store) as run:
        for _ in range(KILLS):
            await run.busy()
            with run.fault():
                killed = run.mark("killed")
                await asyncio.to_thread(store.kill)
                await run.asked(100)
                await asyncio.to_thread(store.start)
                windows.append((killed - PUT_OFF_S, run.mark("back")))
        await run.busy()
        if fsync == "everysec":
            run.rules = Rules(undone=tuple(windows))

    if fsync == "everysec":
        table.NOTES.append(f"{fault}: {len(check(run.history))} traces of what the last 2 s before a kill lost")
    assert run.outcomes()[503] >= 100


async def test_a_store_that_is_frozen(chaos: Chaos) -> None:
    async with chaos("SIGSTOP of Redis for 10 s") as run:
        await run.busy()
        with run.fault():
            run.store.pause()
            began = run.mark("frozen")
            await asyncio.sleep(FROZEN_S)
            frozen = [one for one in run.history.operations if one.began > began]
            run.store.resume()
        await run.busy()

    assert len(frozen) > 50
    assert {one.status for one in frozen} == {503}
