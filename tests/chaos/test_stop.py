"""SIGTERM: not ready first, then what is under way ends, then the process, with code 0."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from tests.api.calls import ADMIN, KEYS, Caller, calling
from tests.logs.reading import Log
from tests.servers import Server, Service, wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@asynccontextmanager
async def serving(store: Server, **settings: object) -> AsyncIterator[tuple[Service, Caller]]:
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, **settings) as service:
        async with calling(service.url) as admin:
            yield service, admin


def terminate(service: Service) -> "asyncio.Future[int]":
    return asyncio.ensure_future(asyncio.to_thread(service.stop))


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_is_not_ready_at_once_and_serves_through_the_drain(store: Server, workers: int) -> None:
    async with serving(store, drain_ms=1_000, workers=workers) as (service, admin):
        short = await admin.issue(life_ms=400)
        started = time.monotonic()
        ending = terminate(service)
        await wait_until(lambda: asyncio.to_thread(lambda: service.status("/readyz") == 503))
        turned = time.monotonic() - started

        live = await asyncio.to_thread(service.status, "/livez")
        async with calling(service.url) as late:
            token = await late.issue()
            used = await late.use(token["token"])
            await wait_until(lambda: _expired(late, short["id"]))  # and it sweeps
        code = await ending
        took = time.monotonic() - started

    assert turned < 0.9
    assert (live, used.status) == (200, 200)
    assert code == 0
    assert 1.0 <= took < 8


async def test_requests_under_way_are_answered(store: Server) -> None:
    body = msgspec.json.encode({"owner": "ann"})
    async with serving(store) as (service, admin):
        connections = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(5)]
        for _, writer in connections:
            writer.write(f"POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: "
                         f"application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5])  # fmt: skip
        await wait_until(lambda: _used(admin, times=5))  # each of them is in its handler, waiting for the rest

        ending = terminate(service)
        await wait_until(lambda: asyncio.to_thread(lambda: service.status("/livez") is None))
        for _, writer in connections:
            writer.write(body[5:])
        heads = [await asyncio.wait_for(reader.readuntil(b"\r\n"), 5) for reader, _ in connections]
        code = await ending
        for _, writer in connections:
            writer.close()

    assert heads == [b"HTTP/1.1 201 Created\r\n"] * 5
    assert code == 0


async def test_a_request_that_never_ends_does_not_hold_it_longer_than_the_grace(store: Server) -> None:
    async with serving(store, grace_ms=500, body_ms=60_000) as (service, admin):
        writer = await _endless(service, admin)
        started = time.monotonic()
        code = await terminate(service)
        took = time.monotonic() - started
        writer.close()

    assert code == 0
    assert took < 5


async def test_a_request_that_is_cut_off_has_its_line(store: Server) -> None:
    async with serving(store, grace_ms=200, body_ms=60_000) as (service, admin):
        writer = await _endless(service, admin)
        await terminate(service)
        [line] = Log(service).lines(request_id="endless")
        writer.close()

    assert (line["message"], line["route"], line["level"]) == ("cut off", "/v1/tokens", "ERROR")
    assert line["fault"] == "CancelledError"


async def test_it_ends_while_the_store_is_frozen(store: Server) -> None:
    async with serving(store, store_timeout_ms=300) as (service, admin):
        store.pause()
        asking = asyncio.ensure_future(admin.get("/v1/self"))
        await asyncio.sleep(0)
        code = await terminate(service)
        store.resume()
        asking.cancel()

    assert code == 0


async def _endless(service: Service, admin: Caller) -> asyncio.StreamWriter:
    """A request in its handler, which waits for a body that never ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(f"POST /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\nX-Request-Id: endless\r\n"
                 "Content-Type: application/json\r\nContent-Length: 99\r\n\r\n".encode())  # fmt: skip
    await wait_until(lambda: _used(admin, times=1))
    return writer


async def _expired(caller: Caller, id_: str) -> bool:
    return id_ in [event["subject"] for event in await caller.events(type="expired")]


async def _used(caller: Caller, times: int) -> bool:
    """Whether the admin's token was used as often; this look at it is none."""
    return bool((await caller.ok("GET", "/v1/self"))["uses"] == times)
