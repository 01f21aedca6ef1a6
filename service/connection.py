"""One client's connection: aiohttp's, but that a request may be answered without waking aiohttp's task for it."""

import asyncio
import secrets
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD

from service.recall import is_whole

SERVER = {"Server": "tokenlife"}  # not with which versions of what it was built
UNREADABLE = {
    "type": "about:blank", "title": "Bad request", "status": 400, "code": "bad_http",
    "detail": "The request cannot be read as HTTP: its first line or its headers are malformed or too large.",
}  # fmt: skip


class Way(Protocol):
    """The short way, asked first about each request that is alone on its connection.

    True: it departed, and will arrive with the answer.
    """

    def again(self, connection: "Connection", data: bytes) -> bool:
        """Is asked with bytes that begin a message, before they are parsed."""

    def takes(self, connection: "Connection", message: Any, payload: Any, whole: bytes | None) -> bool:
        """whole: the bytes of the request, if they came alone."""


class Connection(web.RequestHandler):
    """body_s: how long the body of a request may take to arrive."""

    __slots__ = ("_answering", "_asleep", "_at_rest", "_way", "body_s")

    def __init__(self, server: web.Server, way: Way, body_s: float, **more: Any) -> None:
        super().__init__(server, **more)
        self._way, self.body_s = way, body_s
        self._at_rest = True  # the parser stands between two messages
        self._asleep: asyncio.Future[None] | None = None
        self._answering: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        idle, at_rest, queued = self._waiter, self._at_rest, len(self._messages)
        awaited = idle is not None and not idle.done()
        if awaited and at_rest and self._way.again(self, data):
            return
        self._waiter = None  # what is parsed now wakes nobody before it was looked at
        if self._request_in_progress and (self._close or self._force_close):
            self._receive_while_stopping(data)
        else:
            super().data_received(data)
        self._waiter = idle
        self._at_rest = len(self._messages) == queued + 1 and is_whole(data, *self._messages[-1])
        if idle is None or idle.done() or not self._messages:
            return
        whole = data if at_rest and self._at_rest else None
        if len(self._messages) > 1 or not self._way.takes(self, *self._messages[0], whole):
            idle.set_result(None)

    def _receive_while_stopping(self, data: bytes) -> None:
        """aiohttp drops what comes after the stop has begun, even the rest of a body that a handler waits for."""
        stopping = self._close, self._force_close
        self._close = self._force_close = False
        super().data_received(data)
        self._close, self._force_close = stopping

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT002 - as aiohttp has it
        """aiohttp asks for it after every read; parsing nothing and touching the transport takes 5 us."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def take(self) -> None:
        """The one request that was parsed is nobody else's any more."""
        parser: Any = self._parser
        parser.message_consumed()
        self._messages.popleft()

    def depart(self) -> None:
        """A request is under way.

        aiohttp's task sleeps on without counting as idle: so the keep-alive timer does not take the connection for
        unused, a stop waits for the answer, and what comes behind this request is queued.
        """
        self._asleep, self._waiter, self._request_in_progress = self._waiter, None, True

    def arrive(self, answer: bytes) -> None:
        """With the answer; what has come meanwhile is aiohttp's."""
        if self.transport is not None:  # else the client has left
            self.transport.write(answer)
        self._wake(keep_alive=True)

    def arrive_as(self, response: web.StreamResponse, request: web.BaseRequest) -> None:
        """With an answer that aiohttp has to write."""
        self._answering = self._loop.create_task(self._write(response, request))

    async def _write(self, response: web.StreamResponse, request: web.BaseRequest) -> None:
        gone = True
        try:
            _, gone = await self.finish_response(request, response, None)
        finally:
            self._wake(keep_alive=not gone and bool(response.keep_alive))

    def request(self, message: Any) -> web.BaseRequest:
        """The request as others know it, also when its client has left."""
        task: Any = self._task_handler
        return web.BaseRequest(message, EMPTY_PAYLOAD, self, StreamWriter(self, self._loop), task, self._loop)

    def _wake(self, *, keep_alive: bool) -> None:
        """aiohttp's task is idle again, or wakes for what has come meanwhile, or ends with the connection."""
        idle, self._asleep, self._request_in_progress, self._keepalive = self._asleep, None, False, keep_alive
        self._waiter = idle
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)  # a stop that waits for this answer
        if idle is None or idle.done() or self._close or self._force_close or not keep_alive:
            self.close()
            if self.transport is not None:
                self.transport.close()
        elif self._messages:
            idle.set_result(None)
        else:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Only what is no HTTP comes here: faults in handlers were rendered by then."""
        del request, exc, message
        response = web.Response(
            status=status, body=msgspec.json.encode({**UNREADABLE, "status": status}),
            content_type="application/problem+json",
            headers={"X-Request-Id": secrets.token_hex(8), "Cache-Control": "no-store", **SERVER},
        )  # fmt: skip
        response.force_close()
        return response
