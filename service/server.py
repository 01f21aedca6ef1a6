"""The HTTP server: what is true of every request, whichever voice answers it.

Each answer has its `X-Request-Id`; each error is rendered by the voice that owns the path; and what cannot be read
as HTTP is answered without a word of it, for aiohttp would log and echo the bytes, tokens and all.
"""

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from aiohttp import web

from service.connection import SERVER, Connection, Takes
from service.core.watch import NOTE, Note
from service.express import Express
from service.lines import Lines, trace_id
from service.tracing import Spans
from service.wire import Voice

KEEPALIVE_S = 75.0  # above the 60 s that gateways keep an idle connection, so that we are not the first to close it
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
VARIABLE = re.compile(r"{(\w+)}")  # aiohttp would take no braces in it, but owners may have them
Told = Callable[[str, str, int, float], None]  # method, route, status, seconds


class Server(web.Server):
    """Every request comes here first, whichever voice answers it."""

    def __init__(self, plain: web.Server, edge: "Edge", takes: Takes, body_s: float) -> None:
        super().__init__(edge.handle, request_factory=plain.request_factory, **plain._kwargs)  # noqa: SLF001
        self._takes, self._body_s = takes, body_s

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._takes, self._body_s, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our server in front of the application."""

    def __init__(self, app: web.Application, edge: "Edge", takes: Takes, body_s: float, grace_s: float) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=grace_s)
        self._edge, self._takes, self._body_s = edge, takes, body_s

    async def _make_server(self) -> Any:
        return Server(await super()._make_server(), self._edge, self._takes, self._body_s)


class Edge:
    """What happens to every request, whichever way it goes."""

    def __init__(
        self, app: web.Application, voices: Sequence[Voice], told: Told, lines: Lines | None, spans: Spans | None
    ) -> None:
        self._app, self._voices, self._told, self._lines, self._spans = app, voices, told, lines, spans
        self._start, self._numbers = secrets.token_hex(4), count(1)

    async def handle(self, request: Any) -> web.StreamResponse:
        """The usual way."""
        began = time.perf_counter()
        id_, note = self.noted(request.headers)
        request["id"] = id_
        try:
            response = await self._app._handle(request)  # noqa: SLF001
        except Exception as error:
            response = self.rendered(error, request, id_, note)
        if not response.prepared:
            self._dress(response, id_)
        self.over(note, request.method, _template(request), response.status, began)
        return response

    def noted(self, headers: Mapping[str, str]) -> tuple[str, Note | None]:
        """The id of a new request, and what the rooms behind may write on; its line tells it."""
        given = headers.get("X-Request-Id")
        id_ = given if given and REQUEST_ID.fullmatch(given) else f"{self._start}-{next(self._numbers):x}"
        if self._lines is None and self._spans is None:
            return id_, None
        note = Note(id_, trace_id(headers.get("traceparent")))
        NOTE.set(note)
        if self._spans is not None:
            self._spans.begin(note, headers)
        return id_, note

    def rendered(self, error: Exception, request: web.BaseRequest, id_: str, note: Note | None) -> web.Response:
        """The one place where every fault becomes its voice's answer."""
        path = request.path
        voice = next((voice for voice in self._voices[1:] if voice.owns(path)), self._voices[0])
        response = voice.render(error, request)
        self._dress(response, id_)
        if note is not None:
            note.error = error
        return response

    def over(self, note: Note | None, method: str, route: str, status: int, began: float) -> None:
        """It was answered, or is about to be."""
        seconds = time.perf_counter() - began
        self._told(method, route, status, seconds)
        if note is not None and self._lines is not None:
            self._lines.request(note, method, route, status, seconds)
        if note is not None and self._spans is not None:
            self._spans.end(note, method, route, status)

    def _dress(self, response: web.StreamResponse, id_: str) -> None:
        response.headers["X-Request-Id"] = id_
        response.headers.update(SERVER)


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
    edge = Edge(app, voices, told, lines, spans)
    # A span lives in the context of a task, which the short way has not.
    shorts = [] if spans else voices
    express = Express(shorts, max_body_bytes, edge.noted, edge.rendered, edge.over)
    return Runner(app, edge, express.takes, body_s, grace_s)


def _template(request: web.Request) -> str:
    """The route as it was declared: never the path, which holds names of people."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
