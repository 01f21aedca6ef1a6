"""The store's disk is full: a limit on the size of its files makes its writes fail as a full disk does, halfway."""

import asyncio
import resource

import pytest

from tests.api.calls import calling
from tests.chaos.scenario import REDIS, Chaos, Run
from tests.servers import Server, wait_until

pytestmark = pytest.mark.chaos

ROOM = 20_000  # bytes that are left
FAILED = 60  # requests that fail while it is full
ALL = resource.RLIM_INFINITY


def kept(fsync: str) -> Server:
    """A store with a log on disk.  Without the trap the signal that comes with the limit would end it."""
    store = Server(REDIS, appendonly="yes", appendfsync=fsync)
    store.command = ["/bin/sh", "-c", 'trap "" XFSZ; exec "$0" "$@"', *store.command]
    return store


def fill(store: Server) -> None:
    files = [*store.room.glob("appendonlydir/*"), *store.room.glob("appendonly.aof")]  # before Redis 7 it is one
    written = max(file.stat().st_size for file in files)
    resource.prlimit(store.pid, resource.RLIMIT_FSIZE, (written + ROOM, ALL))


def make_room(store: Server) -> None:
    resource.prlimit(store.pid, resource.RLIMIT_FSIZE, (ALL, ALL))


async def failed(run: Run, full: float) -> None:
    await wait_until(lambda: run.outcomes(full)[503] >= FAILED, 30)


async def test_a_full_disk_is_a_503_and_nothing_is_lost_when_it_has_room(chaos: Chaos) -> None:
    """It goes on in memory, and takes no more writes; then it is started anew from what it wrote."""
    async with chaos("disk full, AOF everysec", store=kept("everysec")) as run:
        await run.busy()
        with run.fault():
            fill(run.store)
            full = run.mark("it is full")
            await failed(run, full)
            async with calling(run.service.url) as admin:
                refused = await admin.post("/v1/tokens", {"owner": "owner-0"})
            make_room(run.store)
        await run.busy()
        await asyncio.to_thread(run.store.restart)
        await run.busy()

    assert (refused.status, refused.code) == (503, "unavailable")
    assert "disk" in refused.json["detail"]


async def test_a_store_that_a_full_disk_ended_comes_back_with_all_that_it_acknowledged(chaos: Chaos) -> None:
    """With `always` it answers only what is written, and ends when it cannot write."""
    async with chaos("disk full, AOF always", store=kept("always")) as run:
        await run.busy()
        with run.fault():
            fill(run.store)
            full = run.mark("it is full")
            await wait_until(lambda: not run.store.running, 20)
            await failed(run, full)
            await asyncio.to_thread(run.store.start)
        await run.busy()
