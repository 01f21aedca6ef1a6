"""What the SDK repeats, what it never does twice, and when it gives up."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from service.client import Client, TokenView, Unavailable
from tests.cli.conftest import ADMIN, on
from tests.cli.line import Line
from tests.cli.test_sdk_verbs import text_of
from tests.servers import Server, Service, free_port, wait_until

pytestmark = pytest.mark.chaos

SLACK_S = 0.5  # a shared machine is slow at times


@contextmanager
def within(least_s: float, most_s: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least_s <= time.monotonic() - began <= most_s + SLACK_S


@contextmanager
def paused(child: Server | Service) -> Iterator[None]:
    child.pause()
    try:
        yield
    finally:
        child.resume()


@asynccontextmanager
async def client_on(line: Line, timeout_s: float = 10.0) -> AsyncIterator[Client]:
    async with Client(line.url, ADMIN, timeout_s=timeout_s) as client:
        yield client


async def test_nobody_at_the_port_is_unavailable_within_the_deadline() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", ADMIN, timeout_s=0.5) as client:
        with within(0.05, 0.5), pytest.raises(Unavailable) as gone:
            await client.peek("text")

    assert str(gone.value) == f"the service cannot be reached at {client._caller.url}: Connection refused"


async def test_a_call_waits_for_a_service_that_is_still_starting(store: Server) -> None:
    late = on(store)
    try:
        async with Client(late.url, ADMIN, timeout_s=20.0) as client:
            asked = asyncio.create_task(client.issue("ann"))
            await asyncio.sleep(0)
            late.launch()

            assert (await asked).owner == "ann"
    finally:
        late.close()


async def test_a_service_that_hangs_is_unavailable_at_the_deadline(client: Client, service: Service) -> None:
    text = text_of(await client.issue("ann"))
    async with Client(service.url, ADMIN, timeout_s=0.4) as hasty:
        with paused(service), within(0.4, 0.4), pytest.raises(Unavailable) as gone:
            await hasty.peek(text)

    assert str(gone.value) == f"no answer from {service.url} within 0.4 s"


@pytest.mark.parametrize("verb", ["peek", "use", "renew", "revoke"])
async def test_a_call_outlasts_a_pause_of_the_store(verb: str, client: Client, line: Line, store: Server) -> None:
    text = text_of(await client.issue("ann"))
    async with client_on(line) as patient:
        with paused(store):
            asked: asyncio.Task[TokenView] = asyncio.create_task(getattr(patient, verb)(text))
            await wait_until(lambda: 503 in line.statuses)

        assert (await asked).owner == "ann"
    assert len(line.paths) > 1


async def test_between_attempts_it_rests_as_long_as_the_service_asks(client: Client, line: Line, store: Server) -> None:
    text = text_of(await client.issue("ann"))
    async with client_on(line) as patient:
        with paused(store):
            asked = asyncio.create_task(patient.peek(text))
            await wait_until(lambda: 503 in line.statuses)
        await asked

    first, second, *_ = line.asked_at_s
    assert second - first >= 1.0


async def test_it_does_not_wait_for_an_attempt_that_would_come_too_late(
    client: Client, hasty: Service, store: Server
) -> None:
    text = text_of(await client.issue("ann"))
    async with Client(hasty.url, ADMIN, timeout_s=1.0) as caller:
        with paused(store), within(0.0, 0.4), pytest.raises(Unavailable) as gone:
            await caller.peek(text)

    assert gone.value.reason == "The token store cannot answer right now."


async def test_a_use_whose_answer_is_lost_is_not_repeated(client: Client, line: Line) -> None:
    text = text_of(await client.issue("ann", uses=3))
    line.lose = 1

    async with client_on(line) as caller:
        with pytest.raises(Unavailable):
            await caller.use(text)

    assert (await client.peek(text)).uses == 1


@pytest.mark.parametrize("verb", ["peek", "renew", "revoke"])
async def test_what_does_no_harm_is_repeated_when_its_answer_is_lost(verb: str, client: Client, line: Line) -> None:
    text = text_of(await client.issue("ann"))
    line.lose = 2

    async with client_on(line) as caller:
        view = await getattr(caller, verb)(text)

    assert view.owner == "ann"
    assert len(line.paths) == 3


async def test_an_issue_whose_answer_is_lost_makes_one_token(client: Client, line: Line) -> None:
    line.lose = 2

    async with client_on(line) as caller:
        view = await caller.issue("once")

    assert len(line.paths) == 3
    assert (await client.count(owner="once")).total == 1
    assert (await client.peek(text_of(view))).id == view.id


async def test_a_lost_rotation_without_overlap_is_not_taken_for_a_revocation(client: Client, line: Line) -> None:
    text = text_of(await client.issue("ann"))
    line.lose = 1

    async with client_on(line) as caller:
        with pytest.raises(Unavailable):
            await caller.rotate(text, overlap_ms=0)


async def test_no_path_or_query_holds_a_text(line: Line) -> None:
    async with client_on(line) as caller:
        text = text_of(await caller.issue("ann"))
        for verb in (caller.use, caller.peek, caller.renew, caller.self_peek, caller.self_renew, caller.revoke):
            await verb(text)
        await caller.batch("peek", [text])

    assert len(line.paths) == 8
    assert not [path for path in line.paths if text in path or ADMIN in path]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
        b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 18\r\n\r\n{"error": "login"}',
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_the_word_of_a_stranger_says_nothing_about_a_token(answer: bytes) -> None:
    """A gateway or a wrong port may say no in its own name; that must not log anybody out."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    stranger = await asyncio.start_server(say, "127.0.0.1", 0)
    async with stranger:
        url = f"http://127.0.0.1:{stranger.sockets[0].getsockname()[1]}"
        async with Client(url, ADMIN, timeout_s=0.5) as client:
            with pytest.raises(Unavailable, match="the answer "):
                await client.peek("text")
