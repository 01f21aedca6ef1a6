"""The network keeps apart what it says, and only that; nothing that was on its way is lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import redis

from tests.chaos.network import Network
from tests.groups import replication, wait_for
from tests.servers import Server, wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network() as whole:
        yield whole


class Pair:
    """A master and its replica, which comes to it through its door."""

    def __init__(self, network: Network, known_by: str) -> None:
        self.master, self.replica = (Server(tcp=True, repl_diskless_sync_delay="0") for _ in range(2))
        self._network, self._known_by = network, known_by
        self.door = 0

    def form(self, stack: contextlib.ExitStack) -> None:
        stack.enter_context(self.master)
        self.door = self._network.door(self.master, self.master.port)
        self.replica.command += ["--replicaof", f"127.0.0.1 {self.door}"]
        if self._known_by == "address":
            self.replica.command += ["--bind-source-addr", self._network.address(self.replica)]
        else:
            self._network.add(self.replica)
        stack.enter_context(self.replica)
        wait_for(self.linked)

    def linked(self) -> bool:
        return bool(replication(self.replica)["master_link_status"] == "up")

    async def kept(self, wait_ms: int) -> bool:
        """Whether the replica has what is written now."""

        def write() -> bool:
            with redis.Redis(port=self.master.port) as client:
                client.incr("a")
                return int(client.wait(1, wait_ms)) == 1

        return await asyncio.to_thread(write)


@pytest.fixture(params=["address", "process"])
async def pair(request: pytest.FixtureRequest, network: Network) -> AsyncIterator[Pair]:
    with contextlib.ExitStack() as stack:
        formed = Pair(network, request.param)
        await asyncio.to_thread(formed.form, stack)
        yield formed


async def test_whole_it_passes_on_what_comes(pair: Pair) -> None:
    assert await pair.kept(5_000)


async def test_cut_in_silence_it_holds_back_what_arrives_when_it_is_whole_again(network: Network, pair: Pair) -> None:
    with network.split([pair.master]):
        assert not await pair.kept(300)

        said = await asyncio.to_thread(replication, pair.master)
        assert said["connected_slaves"] == 1  # nobody has heard of anything

    assert await pair.kept(5_000)
    said = await asyncio.to_thread(replication, pair.master)
    assert said["slave0"]["lag"] <= 1
    assert await asyncio.to_thread(_syncs, pair.master) == 1


async def test_cut_it_resets_what_there_is_and_what_comes_anew(network: Network, pair: Pair) -> None:
    with network.split([pair.replica], silent=False):
        await wait_until(lambda: asyncio.to_thread(lambda: not pair.linked()), timeout_s=10)
        assert not await pair.kept(1_500)  # it tries again each second

    await wait_until(lambda: asyncio.to_thread(pair.linked), timeout_s=10)
    assert await pair.kept(5_000)


@pytest.mark.parametrize("silent", [True, False])
async def test_who_is_on_the_same_side_or_on_none_is_not_kept_apart(network: Network, pair: Pair, silent: bool) -> None:
    with network.split([pair.master, pair.replica], silent=silent):
        assert await pair.kept(5_000)

    with network.split([pair.master], silent=silent):
        assert await asyncio.to_thread(_pings, pair.door)


def _syncs(master: Server) -> int:
    with redis.Redis(port=master.port) as client:
        return int(client.info("stats")["sync_full"])


def _pings(port: int) -> bool:
    with redis.Redis(port=port, socket_timeout=5.0) as client:
        return bool(client.ping())
