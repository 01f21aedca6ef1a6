"""Clients that are no good clients: many, slow, silent.  Plain sockets, for thousands must fit into this process."""

import asyncio
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.api.calls import ADMIN, Caller

AT_ONCE = 100  # that connect together; more than wait at the service's door would have to knock again, seconds later
SPARE = 500  # files that a process needs beside


class Peer(asyncio.Protocol):
    """Sends its request, and keeps what comes first, or all of it."""

    def __init__(self, request: bytes, *, keeps: bool = False) -> None:
        self._request, self._keeps = request, keeps
        self.data = b""
        self.times = 0  # that something came
        self.open = False
        self.heard = asyncio.Event()  # something came, or it was hung up on
        self.transport: Any = None

    def again(self) -> "Peer":
        """Another one that asks the same."""
        return Peer(self._request, keeps=self._keeps)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.open = transport, True
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.times += 1
        self.heard.set()
        if self._keeps or self.times == 1:
            self.data += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.open = False
        self.heard.set()

    @property
    def status(self) -> int:
        """0: none yet."""
        return int(self.data[9:12] or b"0")


def request(method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {ADMIN}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def stream(query: str) -> bytes:
    return request("GET", f"/v1/events?{query}", "Accept: text/event-stream")


def half_a_body(length: int) -> bytes:
    """One that is about to issue a token, and never says for whom."""
    return request("POST", "/v1/tokens", "Content-Type: application/json", f"Content-Length: {length}", body=b"{")


async def connect(port: int, peers: Iterable[Peer]) -> list[Peer]:
    """All of them, connected."""
    return list(await asyncio.gather(*[_connected(port, peer) for peer in peers]))


async def _connected(port: int, peer: Peer) -> Peer:
    await asyncio.get_running_loop().create_connection(lambda: peer, "127.0.0.1", port)
    return peer


async def served(port: int, peers: Iterable[Peer]) -> tuple[list[Peer], int]:
    """All of them, in their order, once each has its 200; and how often one had to come back after a 503."""
    turn, came_back = asyncio.Semaphore(AT_ONCE), 0

    async def one(peer: Peer) -> Peer:
        nonlocal came_back
        async with turn:
            await (await _connected(port, peer)).heard.wait()
            while peer.status == 503:
                came_back += 1
                peer = peer.again()
                await (await _connected(port, peer)).heard.wait()
        assert peer.status == 200, peer.data
        return peer

    return list(await asyncio.gather(*map(one, peers))), came_back


def hang_up(peers: Iterable[Peer]) -> None:
    for peer in peers:
        peer.transport.abort()


def allow_files(number: int) -> None:
    """For this process and for those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + SPARE
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"a process may open {hard} files here, and {wanted} are needed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def memory_kib(pid: int) -> int:
    """What a process has to itself, and its part of what it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:")))


async def requests(caller: Caller, method: str, route: str, status: int) -> int:
    """How many the service has answered so."""
    label = f'tokenlife_request_seconds_count{{method="{method}",route="{route}",status="{status}"}} '
    lines = (await caller.get("/metrics")).body.decode().splitlines()
    return round(sum(float(line.removeprefix(label)) for line in lines if line.startswith(label)))
