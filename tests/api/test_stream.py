"""`GET /v1/events` as a stream (SSE).  TOKENLIFE_HEARTBEAT_MS is 500 here."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.api.calls import ADMIN, GRANTS, KEYS, REQUEST_ID, Caller, calling, fresh
from tests.servers import Server, Service, wait_until

SSE = {"Accept": "text/event-stream"}


class Message(msgspec.Struct):
    """One event of a stream, or the comment that stands for a heartbeat."""

    id: str = ""
    event: str = ""
    data: str = ""
    comment: str = ""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.data)


class Stream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, timeout_s: float = 10.0) -> Message | None:
        """None at the end."""
        message = Message()
        async with asyncio.timeout(timeout_s):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line == "\n":
                    return message
                setattr(message, name or "comment", value)
        return None

    async def event(self) -> Message:
        """The next that is no heartbeat."""
        while (message := await self.next()) is not None:
            if message.event:
                return message
        raise AssertionError("the stream has ended")

    async def ended(self) -> list[str]:
        """Reads to the end; the kinds of what came on the way."""
        seen = []
        while (message := await self.next()) is not None:
            seen.append(message.event)
        return seen


@asynccontextmanager
async def streaming(caller: Caller, last: str | None = None, **query: str) -> AsyncIterator[Stream]:
    headers = caller.headers(SSE | ({} if last is None else {"Last-Event-ID": last}))
    async with caller.http.get(
        f"{caller.url}/v1/events", headers=headers, params=query, read_bufsize=2**24,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as response:  # fmt: skip
        assert response.status == 200
        yield Stream(response)


async def test_a_stream_tells_what_happens_from_now_on(shop: Caller) -> None:
    await shop.issue("before")

    async with streaming(shop) as stream:
        token = await shop.issue("ann")
        message = await stream.event()

    assert stream.response.headers["Content-Type"] == "text/event-stream"
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert REQUEST_ID.fullmatch(stream.response.headers["X-Request-Id"])
    assert message.event == "issued"
    assert message.json == (await shop.events(owner="ann"))[0]
    assert message.json["subject"] == token["id"]


async def test_a_silent_stream_beats(shop: Caller) -> None:
    async with streaming(shop) as stream:
        started = time.monotonic()
        beats = [await stream.next() for _ in range(3)]
        took = time.monotonic() - started

    assert [beat.comment for beat in beats if beat] == ["still here"] * 3
    assert 1.2 < took < 6


async def test_a_stream_beats_while_only_others_are_busy(admin: Caller, shop: Caller) -> None:
    other = await admin.caller(*GRANTS)
    busy = asyncio.ensure_future(_busy(other))

    async with streaming(shop) as stream:
        beat = await stream.next(5)
    busy.cancel()

    assert beat is not None
    assert beat.comment == "still here"


async def test_a_stream_goes_on_behind_the_last_event_that_was_seen(shop: Caller) -> None:
    async with streaming(shop) as stream:
        first = await shop.issue()
        seen = await stream.event()
    missed = [await shop.issue() for _ in range(5)]

    async with streaming(shop, last=seen.id) as stream:
        resumed = [await stream.event() for _ in missed]
        fresh_ = await shop.issue()
        new = await stream.event()

    assert seen.json["subject"] == first["id"]
    assert [message.json["subject"] for message in resumed] == [token["id"] for token in missed]
    assert new.json["subject"] == fresh_["id"]


async def test_a_page_goes_on_where_a_stream_was_and_the_other_way_round(shop: Caller) -> None:
    async with streaming(shop, after="start") as stream:
        own = await stream.event()
    token = await shop.issue()

    page = await shop.events(after=own.id)
    async with streaming(shop, after=own.id) as stream:
        message = await stream.event()

    assert own.json["data"]["owner"] == "caller"
    assert [event["subject"] for event in page] == [message.json["subject"]] == [token["id"]]


async def test_a_stream_is_filtered_by_owner_kind_and_tenant(admin: Caller, shop: Caller) -> None:
    other = await admin.caller(*GRANTS)

    async with streaming(shop, owner="ann", type="revoked") as stream:
        ann, ben = await shop.issue("ann"), await shop.issue("ben")
        theirs = await other.issue("ann")
        for caller, token in ((other, theirs), (shop, ben), (shop, ann)):
            await caller.call("DELETE", f"/v1/tokens/{token['id']}")
        message = await stream.event()

    assert (message.event, message.json["subject"]) == ("revoked", ann["id"])


async def test_an_admin_hears_all_tenants(admin: Caller, shop: Caller) -> None:
    owner = fresh("owner")

    async with streaming(admin, owner=owner) as stream:
        token = await shop.issue(owner)
        message = await stream.event()

    assert message.json["subject"] == token["id"]


async def test_many_readers_hear_the_same(shop: Caller) -> None:
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(shop)) for _ in range(50)]
        tokens = [await shop.issue() for _ in range(3)]
        heard = await asyncio.gather(*[_subjects(stream, 3) for stream in streams])

    assert heard == [[token["id"] for token in tokens]] * 50


async def test_a_stream_ends_when_its_callers_token_is_revoked(admin: Caller, shop: Caller) -> None:
    reader = await admin.caller("events:read", tenant=shop.tenant)

    async with streaming(reader) as stream:
        await admin.call("DELETE", f"/v1/tokens/{reader.id}")
        seen: list[Message] = []
        while (message := await stream.next()) is not None:
            seen.append(message)

    end = seen[-1]
    assert end.event == "end"
    assert (end.json["status"], end.json["code"], end.json["field"]) == (401, "revoked", "Authorization")


async def test_a_reader_that_does_not_read_is_cut_off_and_can_resume(shop: Caller) -> None:
    with socket.socket() as connection:
        # As small as can be; the service's side holds 4 MB all the same.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(shop.url.rpartition(":")[2])))
        connection.sendall(
            f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {shop.text}\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        connection.settimeout(10)
        assert await asyncio.to_thread(connection.recv, 12) == b"HTTP/1.1 200"
        start, ended = await shop.ok("GET", "/v1/events", after="now"), await _streams_ended(shop)

        issued = await _fill(shop)
        await wait_until(lambda: _more_ended(shop, ended), timeout_s=20)

    resumed = await shop.events(after=start["next"])
    assert sorted(event["subject"] for event in resumed) == sorted(issued)


async def test_a_cursor_whose_events_were_trimmed_is_410_with_one_that_works() -> None:
    with (
        Server() as store,
        Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, partitions=1, events_kept=10) as service,
    ):
        async with calling(service.url) as admin:
            old = (await admin.ok("GET", "/v1/events", limit=1))["next"]
            await asyncio.gather(*[admin.issue("ann") for _ in range(300)])

            page = await admin.get("/v1/events", after=old)
            stream = await admin.call("GET", "/v1/events", headers=SSE | {"Last-Event-ID": old})
            onward = await admin.events(after=page.json["oldest"])

    assert [(answer.status, answer.code) for answer in (page, stream)] == [(410, "trimmed")] * 2
    assert len(onward) >= 10


async def test_streams_and_polls_end_at_once_with_the_service() -> None:
    with (
        Server() as store,
        Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, grace_ms=20_000) as service,
    ):
        async with calling(service.url) as admin, contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(streaming(admin)) for _ in range(5)]
            polling = asyncio.ensure_future(admin.get("/v1/events", after="now", wait_ms=30_000))
            token = await admin.issue()
            await streams[0].event()

            started = time.monotonic()
            code = await asyncio.to_thread(service.stop)
            took = time.monotonic() - started
            ends = [await stream.ended() for stream in streams]
            page = await polling

    assert code == 0
    assert took < 5
    assert ends == [[]] + [["issued"]] * 4
    assert page.status == 200
    assert [event["subject"] for event in page.json["events"]] in ([], [token["id"]])


@pytest.mark.parametrize("last", ["x", "\u00fc", "A" * 4_000])
async def test_an_id_that_is_no_cursor_is_refused_by_its_header(shop: Caller, last: str) -> None:
    answer = await shop.call("GET", "/v1/events", headers=SSE | {"Last-Event-ID": last})

    assert (answer.status, answer.field) == (400, "Last-Event-ID")


async def _subjects(stream: Stream, number: int) -> list[str]:
    return [(await stream.event()).json["subject"] for _ in range(number)]


async def _busy(caller: Caller) -> None:
    while True:
        await caller.issue()


async def _fill(caller: Caller) -> list[str]:
    """Twice what the buffers hold: 1,600 events of 5 kB."""
    filler, owners = {"x": "y" * 4_000}, [fresh("owner") for _ in range(40)]
    issued = []
    for _ in range(40):
        issued += await asyncio.gather(*[caller.issue(owner, metadata=filler) for owner in owners])
    return [token["id"] for token in issued]


async def _streams_ended(caller: Caller) -> float:
    label = 'tokenlife_request_seconds_count{method="GET",route="/v1/events",status="200"} '
    lines = (await caller.get("/metrics")).body.decode().splitlines()
    return sum(float(line.removeprefix(label)) for line in lines if line.startswith(label))


async def _more_ended(caller: Caller, than: float) -> bool:
    return await _streams_ended(caller) > than
