"""When the token service is not there: 503 or the gateway's own 5xx, never a pass, never a 401."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.gateways.real.client import Client
from tests.gateways.running import outage
from tests.servers import Server, Service, wait_until
from tests.world import World

HALVES = [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX-Token-Id: x\r\nX-Tok", b"\x00\x00\x12\x04\x00"]


@contextlib.contextmanager
def stopped(service: Service) -> Iterator[None]:
    service.kill()
    try:
        yield
    finally:
        service.start()


@contextlib.contextmanager
def hanging(service: Service) -> Iterator[None]:
    service.pause()
    try:
        yield
    finally:
        service.resume()


@contextlib.asynccontextmanager
async def cutting(port: int, answer: bytes) -> AsyncIterator[None]:
    """Takes each question, and ends after half of an answer."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(answer)
        await asyncio.sleep(0)
        writer.transport.abort() if not answer else writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", port):
        yield


async def recovered(http: Client, token: str) -> bool:
    return (await http.ask("/x", token)).status == 200


@pytest.mark.parametrize("path", ["/x", "/status/x", "/admin/x"])
async def test_a_lost_store_is_503(world: World, http: Client, store: Server, path: str) -> None:
    token = await world.issue(scopes=("admin",))

    with outage(store):
        answer = await http.ask(path, token)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    await wait_until(lambda: recovered(http, token.text))


async def test_a_stopped_service_lets_nobody_through_and_logs_nobody_out(
    world: World, http: Client, service: Service
) -> None:
    token = await world.issue()

    with stopped(service):
        answers = [await http.ask("/x", text) for text in (token.text, None, "nonsense")]

    assert {answer.status for answer in answers} <= {500, 502, 503, 504}
    await wait_until(lambda: recovered(http, token.text))


async def test_a_hanging_service_lets_nobody_through_and_logs_nobody_out(
    world: World, http: Client, service: Service
) -> None:
    token = await world.issue()

    with hanging(service):
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*[http.ask("/x", text) for text in (token.text, None)])

    assert {answer.status for answer in answers} <= {500, 502, 503, 504}
    await wait_until(lambda: recovered(http, token.text))


async def test_half_an_answer_lets_nobody_through_and_logs_nobody_out(
    world: World, http: Client, service: Service, grpc_port: int
) -> None:
    token = await world.issue()
    answers = []

    with stopped(service):
        for half in HALVES:
            async with contextlib.AsyncExitStack() as stack:
                for port in (service.port, grpc_port):
                    await stack.enter_async_context(cutting(port, half))
                answers.append(await http.ask("/x", token))

    assert {answer.status for answer in answers} <= {500, 502, 503, 504}
    await wait_until(lambda: recovered(http, token.text))
