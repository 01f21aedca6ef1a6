"""The HTTP server: what is true of every request, whichever voice answers it.

Each answer has its `X-Request-Id`; each error is rendered by the voice that owns the path; and what cannot be read
as HTTP is answered without a word of it, for aiohttp would log and echo the bytes, tokens and all.
"""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import msgspec
from aiohttp import web

from service.core.watch import NOTE, Note
from service.lines import Lines, trace_id
from service.tracing import Spans
from service.wire import Voice

KEEPALIVE_S = 75.0  # above the 60 s that gateways keep an idle connection, so that we are not the first to close it
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
VARIABLE = re.compile(r"{(\w+)}")  # aiohttp would take no braces in it, but owners may have them
UNREADABLE = {
    "type": "about:blank", "title": "Bad request", "status": 400, "code": "bad_http",
    "detail": "The request cannot be read as HTTP: its first line or its headers are malformed or too large.",
}  # fmt: skip

SERVER = {"Server": "tokenlife"}  # not with which versions of what it was built

Told = Callable[[str, str, int, float], None]  # method, route, status, seconds


class Connection(web.RequestHandler):
    """One client's connection.  body_s: how long the body of a request may take to arrive."""

    __slots__ = ("body_s",)
    body_s: float

    def data_received(self, data: bytes) -> None:
        """aiohttp drops what comes after the stop has begun, even the rest of a body that a handler waits for."""
        stopping = self._close, self._force_close
        if self._request_in_progress and any(stopping):
            self._close = self._force_close = False
            super().data_received(data)
            self._close, self._force_close = stopping
        else:
            super().data_received(data)

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


class Server(web.Server):
    """Every request comes here first, whichever voice answers it."""

    def __init__(self, plain: web.Server, edge: "Edge", body_s: float) -> None:
        super().__init__(edge.handle, request_factory=plain.request_factory, **plain._kwargs)  # noqa: SLF001
        self._body_s = body_s

    def __call__(self) -> web.RequestHandler:
        connection = Connection(self, loop=self._loop, **self._kwargs)
        connection.body_s = self._body_s
        return connection


class Runner(web.AppRunner):
    """aiohttp's runner with our server in front of the application."""

    def __init__(self, app: web.Application, edge: "Edge", body_s: float, grace_s: float) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=grace_s)
        self._edge, self._body_s = edge, body_s

    async def _make_server(self) -> Any:
        return Server(await super()._make_server(), self._edge, self._body_s)


class Edge:
    """Hot routes are looked up here, before the router; all others are the application's."""

    def __init__(
        self, app: web.Application, voices: Sequence[Voice], told: Told, lines: Lines | None, spans: Spans | None
    ) -> None:
        self._app, self._voices, self._told, self._lines, self._spans = app, voices, told, lines, spans
        self._hot = {
            (route.method, route.path): route.handler for voice in voices for route in voice.routes if route.hot
        }
        self._start, self._numbers = secrets.token_hex(4), count(1)

    async def handle(self, request: Any) -> web.StreamResponse:
        began = time.perf_counter()
        given = request.headers.get("X-Request-Id")
        id_ = given if given and REQUEST_ID.fullmatch(given) else f"{self._start}-{next(self._numbers):x}"
        note = self._noted(id_, request) if self._lines or self._spans else None
        hot = self._hot.get((request.method, request.path))
        if hot is not None and "Expect" in request.headers:
            hot = None
        try:
            if hot is not None:
                response = await hot(request)
            else:
                request["id"] = id_
                response = await self._app._handle(request)  # noqa: SLF001
        except Exception as error:  # the one place where every fault becomes its voice's answer
            response = self._voice_of(request.path).render(error, request)
            if note is not None:
                note.error = error
        if not response.prepared:
            response.headers["X-Request-Id"] = id_
            response.headers.update(SERVER)
        template = request.path if hot is not None else _template(request)
        seconds = time.perf_counter() - began
        self._told(request.method, template, response.status, seconds)
        if note is not None:
            self._tell(note, request.method, template, response.status, seconds)
        return response

    def _noted(self, id_: str, request: web.BaseRequest) -> Note:
        """What the rooms behind may write on; the line of this request tells it."""
        note = Note(id_, trace_id(request.headers.get("traceparent")))
        NOTE.set(note)
        if self._spans is not None:
            self._spans.begin(note, request.headers)
        return note

    def _tell(self, note: Note, method: str, route: str, status: int, seconds: float) -> None:
        if self._lines is not None:
            self._lines.request(note, method, route, status, seconds)
        if self._spans is not None:
            self._spans.end(note, method, route, status)

    def _voice_of(self, path: str) -> Voice:
        return next((voice for voice in self._voices[1:] if voice.owns(path)), self._voices[0])


def runner(
    voices: Sequence[Voice], max_body_bytes: int, body_s: float, grace_s: float, told: Told,
    lines: Lines | None = None, spans: Spans | None = None,
) -> Runner:  # fmt: skip
    """All routes of all voices.  The first voice also speaks where no other does."""
    app = web.Application(client_max_size=max_body_bytes)
    for voice in voices:
        for route in voice.routes:
            path = VARIABLE.sub(r"{\1:[^/]+}", route.path)
            if route.method == "GET":
                app.router.add_get(path, route.handler)
            else:
                app.router.add_route(route.method, path, route.handler)
    return Runner(app, Edge(app, voices, told, lines, spans), body_s, grace_s)


def _template(request: web.Request) -> str:
    """The route as it was declared: never the path, which holds names of people."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
