"""Requests that are known by their bytes (`service/recall.py`) say what they said, however their bytes arrive."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable
from itertools import accumulate
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from service import recall, server
from service.recall import Recall
from service.telling import Telling
from service.wire import Route, Short, Voice
from tests.api.calls import Caller
from tests.api.test_short_way import Peer, answer, asking, peer
from tests.servers import wait_until

__all__ = ["peer"]


class Echo(NamedTuple):
    """A server with one hot route, which answers what it read: the lines of Who and the body."""

    port: int
    read: list[tuple[str, bytes]]  # what was taken apart on the short way


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    read: list[tuple[str, bytes]] = []

    def reading(headers: Any, body: bytes) -> tuple[str, bytes]:
        read.append((",".join(headers.getall("Who")), body))
        return read[-1]

    def ask(asked: object, tell: Callable[[object], None]) -> None:
        asyncio.get_running_loop().call_soon(tell, asked)

    async def usual(request: web.Request) -> web.Response:
        return web.Response(body=said((",".join(request.headers.getall("Who")), await request.read())))

    short = Short(reading, ask, lambda asked: (b"", said(asked)))
    routes = [Route(method=method, path="/said", handler=usual, short=short) for method in ("GET", "POST")]
    voice = Voice("only", routes, lambda _error, _request: web.Response(status=500), lambda _path: True)
    runner = server.runner([voice], 1000, 5.0, 1.0, Telling(lambda *_: None, None, None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Echo(runner.addresses[0][1], read)
    await runner.cleanup()


def said(asked: tuple[str, bytes]) -> bytes:
    return asked[0].encode() + b"|" + asked[1]


def get(who: str) -> bytes:
    return f"GET /said HTTP/1.1\r\nHost: h\r\nWho: {who}\r\n\r\n".encode()


def post(who: str, body: bytes, *more: str) -> bytes:
    lines = ["POST /said HTTP/1.1", "Host: h", f"Who: {who}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(who: str, body: bytes) -> bytes:
    head = f"POST /said HTTP/1.1\r\nHost: h\r\nWho: {who}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


# Each with what it says.
MESSAGES = [
    (get("a"), b"a|"),
    (get("b"), b"b|"),
    (post("a", b"one"), b"a|one"),
    (post("a", b""), b"a|"),
    (post("a", get("a")), b"a|" + get("a")),
    (post("a", b"\r\n\r\n" + get("a") + b"x"), b"a|\r\n\r\n" + get("a") + b"x"),
    (chunked("c", b"two"), b"c|two"),
    (chunked("c", get("a")), b"c|" + get("a")),
    (b"GET /said HTTP/1.1\r\nWho: front\r\nX: " + get("a"), b"front,a|"),
    (post("d", b"three", "Expect: 100-continue"), b"d|three"),
]


async def heard(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer; one that only says that it listens is passed over."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 100"):
            assert head.startswith(b"HTTP/1.1 200"), head
            return await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))


async def test_the_same_bytes_are_taken_apart_once(echo: Echo) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)

    bodies = []
    for request in [get("a"), post("b", b"one"), get("a"), post("b", b"one"), get("a")]:
        writer.write(request)
        bodies.append(await heard(reader))

    assert bodies == [b"a|", b"b|one", b"a|", b"b|one", b"a|"]
    assert echo.read == [("a", b""), ("b", b"one")]
    writer.close()


async def test_however_requests_are_cut_each_says_what_it_says(echo: Echo, seed: int) -> None:
    """Cut and joined at any byte, with pauses in which answers come: so that a known request may come in pieces, behind
    another's end, or in another's body, and is taken for a request only where it is one."""
    dice = random.Random(seed)

    for _ in range(60):
        chosen = dice.choices(MESSAGES, k=8)
        stream = b"".join(request for request, _ in chosen)
        ends = list(accumulate(len(request) for request, _ in chosen))
        seams = [place.start() for place in re.finditer(re.escape(get("a")), stream)]
        cuts = sorted({*dice.choices([*seams, *ends], k=10), *dice.sample(range(1, len(stream)), 2), len(stream)} - {0})
        reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
        bodies: list[bytes] = []
        at = 0
        for cut in cuts:
            writer.write(stream[at:cut])
            await writer.drain()
            at = cut
            while len(bodies) < sum(end <= at for end in ends):
                bodies.append(await asyncio.wait_for(heard(reader), 5.0))
        writer.close()
        assert bodies == [says for _, says in chosen], cuts

    assert len(echo.read) > len(set(echo.read))  # some came in pieces, and were taken apart again


async def test_what_was_known_asks_the_store_anew(admin: Caller, peer: Peer) -> None:
    once, other = (await admin.issue(uses=2))["token"], (await admin.issue())["token"]

    answers = []
    for _ in range(3):
        peer[1].write(asking("use", once))
        answers.append(await answer(peer))
    peer[1].write(asking("use", other))
    before = await answer(peer)
    await admin.post("/v1/tokens/revoke", {"token": other})
    peer[1].write(asking("use", other))
    after = await answer(peer)

    assert [status for status, _, _ in answers] == [200, 200, 401]
    assert [body.get("uses_left") for _, _, body in answers[:2]] == [1, 0]
    assert (before[0], after[0], after[2]["code"]) == (200, 401, "revoked")
    assert len({headers["x-request-id"] for _, headers, _ in (*answers, before, after)}) == 5


def test_what_nobody_asked_for_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "MOST", 3)
    known: Recall[int] = Recall()
    known.keep(b"often", 0)

    for number in range(100):
        known.keep(b"%d" % number, number)
        assert known.get(b"often") == 0

    kept = [number for number in range(100) if known.get(b"%d" % number) is not None]
    assert kept[-1] == 99
    assert len(kept) <= 6


def test_a_long_request_is_not_kept() -> None:
    known: Recall[int] = Recall()

    known.keep(b"x" * (recall.LONGEST + 1), 1)
    known.keep(b"x" * recall.LONGEST, 2)

    assert known.get(b"x" * (recall.LONGEST + 1)) is None
    assert known.get(b"x" * recall.LONGEST) == 2


async def test_after_a_fault_of_form_the_connection_ends(echo: Echo) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(get("a"))
    await heard(reader)

    writer.write(b"GET /said HTTP/1.1\nHost: h\nWho: a\n\n" + get("a"))

    assert b" 400 " in (await reader.read()).split(b"\r\n")[0]
    writer.close()
    await wait_until(lambda: echo.read == [("a", b"")])
