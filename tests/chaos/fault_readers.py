"""Readers of events: thousands that hear nothing, and one that does not listen."""

import asyncio
import re
import socket
import time
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.api.calls import ADMIN, Caller, calling
from tests.chaos import table
from tests.chaos.checker import Rules
from tests.chaos.history import History, Operation
from tests.chaos.peers import Peer, allow_files, memory_kib, requests, served, stream
from tests.chaos.scenario import Chaos
from tests.chaos.traffic import OWNERS
from tests.servers import Service, wait_until

pytestmark = pytest.mark.chaos

READERS = 5_000
MOST_KIB = 64  # a reader
STOP_S = 10.0
RULES = Rules(silent=True, limit_s=5.0)  # 5,000 who come at once take some seconds of a processor
BEAT_MS = 5_000
IDS = re.compile(rb'data: \{"id":"([^"]+)"')

FILLER = {"x": "y" * 4_000}
FILLED = 1_600  # events of 5 kB: twice what the buffers of a connection hold


@pytest.mark.timeout(300)  # on a busy machine it takes its time until all are there
async def test_five_thousand_idle_readers(chaos: Chaos) -> None:
    """Forty of them hear of those for whom tokens are issued, and each of these hears all of it, in order, once."""
    allow_files(2 * READERS)
    async with chaos("5,000 idle readers of events", rules=RULES, heartbeat_ms=BEAT_MS) as run:
        await run.busy()
        async with calling(run.service.url) as admin:
            start = (await admin.ok("GET", "/v1/events", after="now"))["next"]
            before = memory_kib(run.service.pid)
            with run.fault():
                heard = [Peer(stream(f"owner=owner-{n}&after={start}"), keeps=True) for n in range(OWNERS)]
                idle = [Peer(stream(f"owner=nobody-{n}&after=now")) for n in range(READERS - OWNERS)]
                heard, _ = await served(run.service.port, heard)
                began = time.monotonic()
                idle, busy = await served(run.service.port, idle)
                run.mark("they are there")
                connected_s = time.monotonic() - began
                each_kib = (memory_kib(run.service.pid) - before) / READERS
                await run.busy()
                run.mark("all works beside them")
                await wait_until(lambda: all(peer.times > 1 for peer in heard + idle), 30)
                run.mark("each has heard a heartbeat")
                took_s = await _stopped(run.service)
                await wait_until(lambda: not any(peer.open for peer in heard + idle))
            await asyncio.to_thread(run.service.start)
            await run.busy()
            await run.traffic.stop()
            told = await admin.events(after=start, limit=1_000)

    _all_heard(heard, told)
    table.NOTES.append(
        f"5,000 idle readers: connected in {connected_s:.1f} s ({busy} came back after a 503), {each_kib:.0f} KiB each,"
        f" all ended with the service in {took_s:.1f} s"
    )
    assert each_kib < MOST_KIB
    assert took_s < STOP_S


def _all_heard(peers: list[Peer], told: list[Any]) -> None:
    for number, peer in enumerate(peers):
        ids = [id_.decode() for id_ in IDS.findall(peer.data)]
        story = [event["id"] for event in told if event["data"]["owner"] == f"owner-{number}"]
        assert ids
        assert ids == story[: len(ids)]


async def _stopped(service: Service) -> float:
    began = time.monotonic()
    assert await asyncio.to_thread(service.stop) == 0
    return time.monotonic() - began


async def test_a_reader_that_never_reads_is_cut_off_and_misses_nothing(chaos: Chaos) -> None:
    async with chaos("a reader that never reads", heartbeat_ms=1_000) as run:
        await run.busy()
        async with calling(run.service.url) as admin:
            with run.fault(), socket.socket() as connection:
                start = (await admin.ok("GET", "/v1/events", after="now"))["next"]
                await asyncio.to_thread(_open, connection, run.service.port, start)
                cut = await requests(admin, "GET", "/v1/events", 200)
                await _fill(admin, run.history)
                await wait_until(lambda: _more(admin, cut), 30)
                seen = await asyncio.to_thread(_rest, connection)
            await run.busy()
            await run.traffic.stop()
            told = [event["id"] for event in await admin.events(after=start, limit=1_000)]
            again = await _resumed(admin, seen[-1][0] if seen else start, told[-1])

    got = [event for _, event in seen] + again
    table.NOTES.append(f"a reader that never reads: {len(seen):,} of {len(got):,} events were in its buffers")
    assert len(seen) < FILLED
    assert len(set(got)) == len(got)
    assert set(got) == set(told)
    assert _by_partition(got) == _by_partition(told)


def _open(connection: socket.socket, port: int, start: str) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(stream(f"after={start}"))
    connection.settimeout(10)
    assert connection.recv(12) == b"HTTP/1.1 200"


async def _fill(admin: Caller, history: History) -> None:
    for number in range(0, FILLED, 40):
        await asyncio.gather(*[_issue(admin, history, f"reader-{number + one}") for one in range(40)])


async def _issue(admin: Caller, history: History, owner: str) -> None:
    began = time.monotonic()
    made = await admin.issue(owner, life_ms=600_000, metadata=FILLER)
    history.add(
        Operation(verb="issue", began=began, ended=time.monotonic(), status=201, owner=owner, made=made["id"],
                  state=made["state"], deadline_ms=made["expires_at_ms"])
    )  # fmt: skip


async def _more(admin: Caller, than: int) -> bool:
    return await requests(admin, "GET", "/v1/events", 200) > than


def _rest(connection: socket.socket) -> list[tuple[str, str]]:
    """Cursor and id of each event that had arrived whole."""
    data = b""
    try:
        while more := connection.recv(65_536):
            data += more
    except ConnectionError:
        pass
    return re.findall(r'id: (\S+)\nevent: \S+\ndata: \{"id":"([^"]+)".*\n\n', _whole(data))


def _whole(data: bytes) -> str:
    """The body without the sizes of its chunks."""
    body = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", data)
    return body.decode(errors="replace")


async def _resumed(admin: Caller, last: str, until: str) -> list[str]:
    """The ids of the events of a stream that goes on behind a cursor, up to this one."""
    headers = {"Authorization": f"Bearer {ADMIN}", "Accept": "text/event-stream", "Last-Event-ID": last}
    ids: list[str] = []
    async with (
        asyncio.timeout(30),
        aiohttp.ClientSession(headers=headers, read_bufsize=2**20) as http,
        http.get(f"{admin.url}/v1/events") as answer,
    ):
        async for line in answer.content:
            if line.startswith(b"data: "):
                ids.append(msgspec.json.decode(line[6:])["id"])
                if ids[-1] == until:
                    break
    return ids


def _by_partition(ids: list[str]) -> dict[str, list[str]]:
    """Order is kept per partition."""
    grouped: dict[str, list[str]] = {}
    for id_ in ids:
        grouped.setdefault(id_[:2], []).append(id_)
    return grouped
