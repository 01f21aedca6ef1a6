"""The events, as they come: a stream (SSE) that is taken up again behind the last event after every break."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from service.client.answers import Event, EventPage
from service.client.calls import Call, Caller, pauses
from service.client.problems import error_in, error_of
from service.core.errors import Unavailable

SILENCE_S = 45.0  # three heartbeats of the service: then the connection is dead

_event = msgspec.json.Decoder(Event)
_problem = msgspec.json.Decoder(dict[str, Any])


class Feed:
    def __init__(
        self, caller: Caller, query: Mapping[str, str | None], on_break: Callable[[Unavailable], None]
    ) -> None:
        self._caller, self._query, self._on_break = caller, query, on_break
        self._met = False  # the service has answered once

    async def events(self, after: str | None) -> AsyncGenerator[Event, None]:
        """For ever.  Raises: Unavailable when the first connection fails; Gone when the cursor was trimmed away."""
        self._after = await self._now() if after in (None, "now") else after
        rests = pauses()
        while True:
            try:
                async for cursor, data in self._stream():
                    rests = pauses()
                    self._after = cursor or self._after
                    if data:
                        yield msgspec.structs.replace(_event.decode(data), cursor=cursor)
            except Unavailable as unavailable:
                if not self._met:
                    raise
                self._on_break(unavailable)
            await asyncio.sleep(next(rests))

    async def _now(self) -> str:
        """The cursor of this moment: a break before the first event must not lose what happens meanwhile."""
        call = Call(method="GET", path="/v1/events", query={**self._query, "after": "now", "limit": 1})
        page = (await self._caller.ask(call)).read(EventPage)
        self._met = True
        return page.next

    async def _stream(self) -> AsyncIterator[tuple[str, bytes]]:
        """Cursors and events until the connection breaks."""
        accept = {"Accept": "text/event-stream"}
        call = Call(method="GET", path="/v1/events", query={**self._query, "after": self._after}, headers=accept)
        try:
            async with asyncio.timeout(self._caller.timeout_s) as limit, self._caller.open(call, SILENCE_S) as response:
                if response.status != 200:
                    raise error_of(response.status, await response.read())
                limit.reschedule(None)
                self._met = True
                async for cursor, kind, data in _frames(response.content):
                    if kind == b"end":
                        raise error_in(_problem.decode(data))
                    yield cursor, data
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._caller.unreachable(error) from None


async def _frames(lines: AsyncIterable[bytes]) -> AsyncIterator[tuple[str, bytes, bytes]]:
    """Of each frame its id, which is the cursor; its event; and its data.  Comments are heartbeats."""
    cursor, kind, data = "", b"", b""
    async for line in lines:
        name, _, value = line.strip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id":
            cursor = value.decode()
        elif name == b"event":
            kind = value
        elif name == b"data":
            data += value
        elif not line.strip():
            if cursor or data:
                yield cursor, kind, data
            cursor, kind, data = "", b"", b""
