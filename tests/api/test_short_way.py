"""The short way of hot requests (`service/express.py`): nobody can tell by which way a request went."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest
import uvloop
from aiohttp import web

from service import server
from service.telling import Telling
from service.wire import Route, Short, Voice
from tests.api.calls import ADMIN, Caller, Json
from tests.servers import Service, wait_until

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
VARY = {"date", "x-request-id"}  # from answer to answer


@pytest.fixture
async def peer(service: Service) -> AsyncIterator[Peer]:
    """A connection, byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    yield reader, writer
    writer.close()


async def answer(peer: Peer) -> tuple[int, dict[str, str], Json]:
    """The next answer: status, headers by lower-case names, body."""
    head = (await peer[0].readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await peer[0].readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, msgspec.json.decode(body) if body else None


def asking(verb: str, text: str, *more: str) -> bytes:
    body = msgspec.json.encode({"token": text})
    lines = [
        f"POST /v1/tokens/{verb} HTTP/1.1", "Host: h", f"Authorization: Bearer {ADMIN}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", *more,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


def held(service: Service) -> int:
    """Files that the service has open, sockets among them."""
    return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))


async def test_both_ways_answer_alike(admin: Caller, peer: Peer) -> None:
    text = (await admin.issue(life_ms=60_000))["token"]

    peer[1].write(asking("peek", text))
    status, headers, body = await answer(peer)
    peer[1].write(asking("peek?", text))  # with a query, though it is empty: the usual way
    usual_status, usual_headers, usual_body = await answer(peer)

    assert status == usual_status == 200
    assert {name: headers[name] for name in headers.keys() - VARY} == {
        name: usual_headers[name] for name in usual_headers.keys() - VARY
    }
    assert {**body, "remaining_ms": 0} == {**usual_body, "remaining_ms": 0}


async def test_requests_in_one_piece_are_answered_in_their_order(admin: Caller, peer: Peer) -> None:
    texts = [(await admin.issue(owner=str(n)))["token"] for n in range(5)]

    peer[1].write(b"".join(asking("use", text) for text in texts))
    answers = [await answer(peer) for _ in texts]

    assert [body["owner"] for _, _, body in answers] == [str(n) for n in range(5)]
    assert {body["uses"] for _, _, body in answers} == {1}


async def test_what_comes_behind_a_request_that_is_under_way_waits_for_its_turn(admin: Caller, peer: Peer) -> None:
    text = (await admin.issue())["token"]

    for _ in range(20):
        peer[1].write(asking("use", text))
        await peer[1].drain()
        peer[1].write(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n" + asking("use", text))
        answers = [await answer(peer) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 200]
        assert ["remaining_ms" in (body or ()) for _, _, body in answers] == [True, False, True]

    assert (await admin.peek(text)).json["uses"] == 40


async def test_a_refusal_leaves_the_connection_as_it_was(admin: Caller, peer: Peer) -> None:
    once = (await admin.issue(uses=1))["token"]

    for _ in range(3):
        peer[1].write(asking("use", once))
    answers = [await answer(peer) for _ in range(3)]

    assert [status for status, _, _ in answers] == [200, 401, 401]
    assert {body["code"] for _, _, body in answers[1:]} == {"consumed"}
    assert all(headers["x-request-id"] for _, headers, _ in answers)


async def test_a_client_that_wants_no_more_is_told_goodbye(admin: Caller, peer: Peer) -> None:
    text = (await admin.issue())["token"]

    peer[1].write(asking("use", text, "Connection: close"))
    status, headers, _ = await answer(peer)

    assert (status, headers["connection"]) == (200, "close")
    assert await peer[0].read() == b""


async def test_clients_that_leave_at_once_take_nobody_with_them(service: Service, admin: Caller) -> None:
    text = (await admin.issue())["token"]
    before = held(service)

    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(asking("use", text))
        await writer.drain()
        writer.transport.abort()

    for _ in range(20):
        seen, _ = await asyncio.gather(asyncio.gather(*[admin.peek(text) for _ in range(5)]), leave())
        assert {one.json["state"] for one in seen} == {"active"}

    await wait_until(lambda: held(service) <= before + 5)  # those of `admin`


def test_an_answer_to_a_client_that_leaves_in_that_moment_ends_its_connection() -> None:
    uvloop.run(left_in_that_moment())  # the loop of the service


async def left_in_that_moment() -> None:
    asked: list[Callable[[object], None]] = []
    short = Short(lambda _headers, _body: None, lambda _asked, tell: asked.append(tell), lambda _token: (b"", b""))
    route = Route(method="GET", path="/x", handler=never, short=short)
    voice = Voice("only", [route], lambda _error, _request: web.Response(status=500), lambda _path: True)
    runner = server.runner([voice], 1000, 1.0, 1.0, Telling(lambda *_: None, None, None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
    await wait_until(lambda: asked)
    before = {task for task in asyncio.all_tasks() if "RequestHandler.start" in repr(task)}

    server_ = cast("web.Server", runner.server)
    [connection] = server_.connections
    cast("asyncio.Transport", connection.transport).abort()
    asked[0](object())

    await wait_until(lambda: before.isdisjoint(asyncio.all_tasks()))
    writer.close()
    await runner.cleanup()
    assert len(before) == 1


async def never(_request: web.Request) -> web.Response:
    raise AssertionError("it went the usual way")
