"""`GET /v1/events`: what happened, as CloudEvents 1.0, by page, by long poll, or as a stream (SSE)."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from service.api.asked import caller_text
from service.api.problems import problem
from service.api.views import Owner, Tenant, View, Wire, view
from service.core import callers
from service.core.callers import Caller
from service.core.errors import BadInput
from service.core.events import KINDS, START, Event, Feed, Places, Wanted, read_cursor
from service.core.lifecycle import Tokens
from service.wire import REQUEST_ID, Route, answer, read_query

HEARTBEAT_S = 15.0  # below the idle limits of the usual proxies (30 s and more)
HEARTBEAT = b": still here\n\n"
TYPE = "tokenlife.token."
SSE = "text/event-stream"
SHARED = 1_000  # messages that are kept, for the same goes to many readers
STREAM = {"Content-Type": SSE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx buffers otherwise

Check = Callable[[], Awaitable[object]]
Following = AsyncGenerator[list[tuple[Event, Places]], None]


class EventData(View, kw_only=True):
    """The token as it stood; an expiry says when it was due and when it was found."""

    deadline_at_ms: int | None | UnsetType = UNSET
    detected_at_ms: int | UnsetType = UNSET
    lag_ms: int | UnsetType = UNSET


class CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0, JSON format."""

    id: str
    type: str
    subject: str
    time: str
    data: EventData
    source: str = "tokenlife"
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


class EventsQuery(Wire, frozen=True):
    after: Annotated[str, Meta(max_length=8192, description="a cursor; or `start`, or `now`")] | None = None
    owner: Owner | None = None
    tenant: Tenant | None = None
    type: Annotated[str, Meta(description="issued, expired ...; with or without `tokenlife.token.`")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait_ms: Annotated[int, Meta(ge=0, le=30_000)] = 0


class EventsView(msgspec.Struct, frozen=True):
    """`next` is the cursor behind what was looked at; it may move on although nothing of it was wanted."""

    events: list[CloudEvent]
    next: str


def cloud_event(event: Event) -> CloudEvent:
    data = EventData(**msgspec.structs.asdict(view(event.token)))
    if event.kind == "expired":
        data.deadline_at_ms, data.detected_at_ms = event.token.deadline_at_ms, event.at_ms
        data.lag_ms = max(0, event.at_ms - (event.token.deadline_at_ms or event.at_ms))
    time = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return CloudEvent(event.id, TYPE + event.kind, event.token.id, time, data)


def routes(tokens: Tokens, feed: Feed, heartbeat_s: float = HEARTBEAT_S) -> list[Route]:
    """One call, two forms: JSON, or a stream when the client accepts text/event-stream."""

    async def place(after: str | None, otherwise: Literal["start", "now"], field: str = "after") -> Places:
        after = after or otherwise
        if after == "now":
            return await feed.now()
        return Places((START,) * feed.partitions) if after == "start" else read_cursor(after, feed.partitions, field)

    async def allowed(request: web.Request) -> Caller:
        return await tokens.authorize(caller_text(request), callers.EVENTS)

    async def events(request: web.Request) -> web.StreamResponse:
        caller = await allowed(request)
        asked = read_query(request, EventsQuery)
        kind = asked.type and asked.type.removeprefix(TYPE)
        if kind not in (None, *KINDS):
            raise BadInput("type", f"must be one of {', '.join(KINDS)}")
        everything = caller.is_admin and asked.tenant is None
        wanted = Wanted(tenant=None if everything else caller.acts_for(asked.tenant), owner=asked.owner, kind=kind)
        if SSE in request.headers.get("Accept", "") and request.method == "GET":  # a HEAD would never end
            last = request.headers.get("Last-Event-ID")
            given = last or asked.after or "now"
            after = await place(given, "now", "Last-Event-ID" if last else "after")
            if given != "now":
                await feed.check(after)  # one that was trimmed away is still a plain 410 here
            return await stream(request, feed.follow(after, wanted, heartbeat_s), heartbeat_s, lambda: allowed(request))
        after = await place(asked.after, "start")
        found, after = await feed.read(after, wanted, asked.limit)
        if not found and asked.wait_ms:
            found, after = await first(feed.follow(after, wanted, asked.wait_ms / 1000), after, asked.limit)
        return answer(EventsView([cloud_event(event) for event in found], after.cursor()))

    return [
        Route(method="GET", path="/v1/events", handler=events, asks=EventsQuery, gives=EventsView,
              grant=callers.EVENTS, refusals=(410,),
              summary="What happened, from a cursor on; with Accept: text/event-stream as a stream."),
    ]  # fmt: skip


async def first(following: Following, after: Places, limit: int) -> tuple[Sequence[Event], Places]:
    """The first that comes, up to the limit, and the cursor behind it."""
    async with aclosing(following) as chunks:
        async for chunk in chunks:
            if chunk:
                return [event for event, _ in chunk[:limit]], chunk[:limit][-1][1]
            break
    return [], after


async def stream(request: web.Request, following: Following, heartbeat_s: float, allowed: Check) -> web.StreamResponse:
    """Ends with the service, with the client, or when the client takes nothing or may no longer read.

    heartbeat_s: the longest silence; a client that takes nothing for as long is cut off, and resumes by its last id.
    `allowed` uses the caller's token again as often: an open stream does not outlive a revocation.
    """
    response = web.StreamResponse(headers={**STREAM, "X-Request-Id": request[REQUEST_ID]})
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    checked = loop.time()
    try:
        async with aclosing(following) as chunks:
            async for chunk in chunks:
                if loop.time() - checked >= heartbeat_s:
                    await allowed()
                    checked = loop.time()
                if not await taken(request, response, b"".join(map(message, chunk)) or HEARTBEAT, heartbeat_s):
                    break
    except Exception as error:  # also a fault of ours: the status is sent, so all that is left is to say it here
        end = b"event: end\ndata: " + msgspec.json.encode(problem(error).members()) + b"\n\n"
        await taken(request, response, end, heartbeat_s)
    return response


async def taken(request: web.Request, response: web.StreamResponse, data: bytes, patience_s: float) -> bool:
    """Whether the client took it.  One that does not in time is cut off: what waits for it would fill our memory."""
    try:
        async with asyncio.timeout(patience_s):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    except ConnectionError:
        return False
    return True


@lru_cache(SHARED)
def message(item: tuple[Event, Places]) -> bytes:
    """One event of the stream; its id is the cursor to resume from."""
    event, after = item
    data = msgspec.json.encode(cloud_event(event))
    return f"id: {after.cursor()}\nevent: {event.kind}\ndata: ".encode() + data + b"\n\n"
