"""Clients that send slowly, and connections whose other end vanished without a word."""

import asyncio
import contextlib
import time
from typing import Self

import pytest

from tests.api.calls import Caller, calling
from tests.chaos.checker import Rules
from tests.chaos.peers import Peer, connect, half_a_body, hang_up, request, requests, stream
from tests.chaos.proxy import GREETINGS, Command, Fault, Wire
from tests.chaos.scenario import Chaos
from tests.servers import wait_until

pytestmark = pytest.mark.chaos

SLOW = 300  # clients
BODY_MS = 2_000
DRIP_S = 0.1
VANISHED = 100  # clients of each kind
GRACE_MS, STOP_S = 2_000, 8.0  # what is in the middle of a request may hold a stop for the grace


async def test_bodies_that_drip(chaos: Chaos) -> None:
    async with chaos("slow request bodies", body_ms=BODY_MS) as run:
        await run.busy()
        with run.fault():
            slow = await connect(run.service.port, [Peer(half_a_body(1_000)) for _ in range(SLOW)])
            dripping = asyncio.ensure_future(_drip(slow))
            await run.busy()
            await wait_until(lambda: all(peer.status for peer in slow), 30)
            dripping.cancel()
        await wait_until(lambda: not any(peer.open for peer in slow), 20)
        await run.busy()

    assert {peer.status for peer in slow} == {408}


async def _drip(peers: list[Peer]) -> None:
    """A byte each, as long as nobody answers."""
    while True:
        for peer in peers:
            if not peer.status and peer.open:
                peer.transport.write(b" ")
        await asyncio.sleep(DRIP_S)


class Vanished(Fault):
    """The store's end of all connections that there were is gone: nothing comes back, not even that it is gone.  New
    ones find it."""

    def __init__(self) -> None:
        super().__init__()
        self._new: set[Wire] = set()

    async def request(self, wire: Wire, command: Command) -> None:
        if command.name in GREETINGS:
            self._new.add(wire)
        if wire in self._new:
            await wire.forward(command)
        else:
            self.times += 1

    async def reply(self, wire: Wire, data: bytes) -> None:
        if wire in self._new:
            await wire.answer(data)
        else:
            self.times += 1


async def test_connections_whose_other_end_the_store_forgot(chaos: Chaos) -> None:
    """It goes on over others while these are still as they are."""
    async with chaos("half-open connections to the store", proxied=True) as run:
        await run.busy()
        with run.fault(), run.proxy.under(Vanished()) as vanished:
            await run.busy()
        await run.busy()

    assert vanished.times > 1
    assert run.outcomes()[503] > 0


class Tunnel:
    """Between clients and service; when it is blocked, both ends stay open and nothing goes through."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._ways: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._door = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1_024)
        self.port: int = self._door.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._door.close()
        self.block()
        for end in self._ends:
            end.transport.abort()

    def block(self) -> None:
        for way in self._ways:
            way.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, service = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends += [writer, service]
        for way in (_pump(reader, service), _pump(replies, writer)):
            task = asyncio.ensure_future(way)
            self._ways.add(task)
            task.add_done_callback(self._ways.discard)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()


async def test_clients_that_vanished(chaos: Chaos) -> None:
    """Between two requests, in the middle of a body, while they wait for an answer, and while they follow events."""
    async with chaos("half-open connections of clients", rules=Rules(silent=True), body_ms=BODY_MS,
                     heartbeat_ms=1_000, grace_ms=GRACE_MS) as run, Tunnel(run.service.port) as tunnel:  # fmt: skip
        await run.busy()
        async with calling(run.service.url) as admin:
            timed_out = await requests(admin, "POST", "/v1/tokens", 408)
            idle, following, waiting, sending = [
                await connect(tunnel.port, [Peer(asked) for _ in range(VANISHED)])
                for asked in (
                    request("GET", "/v1/self"), stream("owner=owner-0&after=now"),
                    request("GET", "/v1/events?after=now&owner=nobody&wait_ms=30000"), half_a_body(1_000),
                )
            ]  # fmt: skip
            with run.fault():
                tunnel.block()
                await run.busy()
                await wait_until(lambda: _as_many(admin, timed_out + VANISHED), 20)
                began = time.monotonic()
                assert await asyncio.to_thread(run.service.stop) == 0
                took_s = time.monotonic() - began
                await asyncio.to_thread(run.service.start)
        await run.busy()
        assert not any(peer.status for peer in waiting)
        hang_up(idle + waiting + following + sending)

    assert took_s < STOP_S


async def _as_many(admin: Caller, number: int) -> bool:
    return await requests(admin, "POST", "/v1/tokens", 408) >= number
