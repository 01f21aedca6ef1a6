"""`GET /v1/events`: what happened, as CloudEvents 1.0, by page, by long poll, or as a stream (SSE)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from service.api.asked import caller_text
from service.api.problems import problem
from service.api.views import View, Wire, view
from service.core import callers
from service.core.errors import BadInput, CallerRefused, Gone, Refusal, Unavailable
from service.core.events import KINDS, START, Event, Feed, Places, Wanted, read_cursor
from service.core.lifecycle import Tokens
from service.wire import Route, answer, read_query

HEARTBEAT_S = 15.0  # below the idle limits of the usual proxies (30 s and more)
STUCK_S = 10.0  # a reader that takes nothing for so long is cut off; it resumes by its last id
TYPE = "tokenlife.token."
SSE = "text/event-stream"
STREAM = {"Content-Type": SSE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx buffers otherwise

Check = Callable[[], Awaitable[object]]


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
    owner: str | None = None
    tenant: str | None = None
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


def routes(tokens: Tokens, feed: Feed) -> list[Route]:
    """One call, two forms: JSON, or a stream when the client accepts text/event-stream."""

    async def place(after: str | None, otherwise: Literal["start", "now"]) -> Places:
        after = after or otherwise
        if after == "now":
            return await feed.now()
        return Places((START,) * feed.partitions) if after == "start" else read_cursor(after, feed.partitions)

    async def events(request: web.Request) -> web.StreamResponse:
        caller = await tokens.authorize(caller_text(request), callers.EVENTS)
        asked = read_query(request, EventsQuery)
        kind = asked.type and asked.type.removeprefix(TYPE)
        if kind not in (None, *KINDS):
            raise BadInput("type", f"must be one of {', '.join(KINDS)}")
        everything = caller.is_admin and asked.tenant is None
        wanted = Wanted(tenant=None if everything else caller.acts_for(asked.tenant), owner=asked.owner, kind=kind)
        if SSE in request.headers.get("Accept", ""):
            after = await place(request.headers.get("Last-Event-ID") or asked.after, "now")
            return await stream(
                request, feed, after, wanted, lambda: tokens.authorize(caller_text(request), callers.EVENTS)
            )
        after = await place(asked.after, "start")
        found, after = await feed.read(after, wanted, asked.limit)
        if not found and asked.wait_ms:
            async for chunk in feed.follow(after, wanted, asked.wait_ms / 1000):
                found, after = [event for event, _ in chunk], chunk[-1][1] if chunk else after
                break
        return answer(EventsView([cloud_event(event) for event in found], after.cursor()))

    return [
        Route(method="GET", path="/v1/events", handler=events, asks=EventsQuery, gives=EventsView,
              grant=callers.EVENTS, refusals=(410,),
              summary="What happened, from a cursor on; with Accept: text/event-stream as a stream."),
    ]  # fmt: skip


async def stream(request: web.Request, feed: Feed, after: Places, wanted: Wanted, allowed: Check) -> web.StreamResponse:
    """Ends with the service, with the client, or when the client takes nothing or may no longer read.

    `allowed` uses the caller's token again every HEARTBEAT_S: an open stream does not outlive a revocation.
    """
    await feed.read(after, wanted, 1)  # a cursor that was trimmed away is still a plain 410 here
    response = web.StreamResponse(headers={**STREAM, "X-Request-Id": request["id"]})
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    checked = loop.time()
    try:
        async for chunk in feed.follow(after, wanted, HEARTBEAT_S):
            if loop.time() - checked >= HEARTBEAT_S:
                await allowed()
                checked = loop.time()
            async with asyncio.timeout(STUCK_S):
                await response.write(b"".join(map(message, chunk)) or b": still here\n\n")
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except (Refusal, CallerRefused, Unavailable, Gone) as error:
        await response.write(b"event: end\ndata: " + msgspec.json.encode(problem(error).members()) + b"\n\n")
    except ConnectionError:
        pass  # the client left
    return response


def message(item: tuple[Event, Places]) -> bytes:
    """One event of the stream; its id is the cursor to resume from."""
    event, after = item
    data = msgspec.json.encode(cloud_event(event))
    return f"id: {after.cursor()}\nevent: {event.kind}\ndata: ".encode() + data + b"\n\n"
