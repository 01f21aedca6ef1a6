"""The HTTP server: what is true of every request, whichever voice answers it.

Each answer has its `X-Request-Id`; each error is rendered by the voice that owns the path; and what cannot be read
as HTTP is answered without a word of it, for aiohttp would log and echo the bytes, tokens and all.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from service.connection import SERVER, Connection, Way
from service.core.watch import Note
from service.express import Express
from service.telling import Telling
from service.wire import REQUEST_ID, HttpError, Render, Voice

KEEPALIVE_S = 75.0  # above the 60 s that gateways keep an idle connection, so that we are not the first to close it
LINGER_S = 1.0  # for the rest of a body that was given up; with aiohttp's 10 s a few of them hold a stop as long
CUT_OFF = 500  # what the line and the numbers say of a request that was not answered
VARIABLE = re.compile(r"{(\w+)}")  # aiohttp would take no braces in it, but owners may have them


class Server(web.Server):
    """Every request comes here first, whichever voice answers it."""

    def __init__(self, plain: web.Server, edge: "Edge", way: Way, body_s: float) -> None:
        super().__init__(edge.handle, request_factory=plain.request_factory, **plain._kwargs)  # noqa: SLF001
        self._way, self._body_s = way, body_s

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._way, self._body_s, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our server in front of the application."""

    def __init__(self, app: web.Application, edge: "Edge", way: Way, body_s: float, grace_s: float) -> None:
        super().__init__(
            app, access_log=None, keepalive_timeout=KEEPALIVE_S, lingering_time=LINGER_S, shutdown_timeout=grace_s
        )
        self._edge, self._way, self._body_s = edge, way, body_s

    async def _make_server(self) -> Any:
        return Server(await super()._make_server(), self._edge, self._way, self._body_s)


class Edge:
    """What happens to every request, whichever way it goes."""

    def __init__(self, app: web.Application, voices: Sequence[Voice], telling: Telling) -> None:
        self._app, self._voices, self._telling = app, voices, telling

    async def handle(self, request: Any) -> web.StreamResponse:
        """The usual way."""
        began = time.perf_counter()
        id_, note = self._telling.noted(request.headers)
        request[REQUEST_ID] = id_
        try:
            response = await self._app._handle(request)  # noqa: SLF001
        except Exception as error:
            response = self.rendered(error, request, id_, note)
        except asyncio.CancelledError as end:  # the grace of a stop is over, and nobody answers it any more
            if note is not None:
                note.error = end
            self._telling.over(note, request.method, _template(request), CUT_OFF, began)
            raise
        if not response.prepared:
            self._dress(response, id_)
        self._telling.over(note, request.method, _template(request), response.status, began)
        return response

    def rendered(
        self, error: Exception, request: web.BaseRequest, id_: str, note: Note | None, render: Render | None = None
    ) -> web.Response:
        """The one place where every fault becomes its voice's answer."""
        path = request.path
        voice = next((voice for voice in self._voices[1:] if voice.owns(path)), self._voices[0])
        response = (render or voice.render)(error, request)
        self._dress(response, id_)
        if isinstance(error, HttpError) and error.code == "bad_http":
            response.force_close()  # aiohttp closes it behind such a body: who keeps the connection is told
        if note is not None:
            note.error = error
        return response

    def _dress(self, response: web.StreamResponse, id_: str) -> None:
        response.headers["X-Request-Id"] = id_
        response.headers.update(SERVER)


def runner(
    voices: Sequence[Voice], max_body_bytes: int, body_s: float, grace_s: float, telling: Telling, *, short: bool = True
) -> Runner:
    """All routes of all voices.  The first voice also speaks where no other does.  short: with a short way."""
    app = web.Application(client_max_size=max_body_bytes)
    for voice in voices:
        for route in voice.routes:
            path = VARIABLE.sub(r"{\1:[^/]+}", route.path)
            if route.method == "GET":
                app.router.add_get(path, route.handler)
            else:
                app.router.add_route(route.method, path, route.handler)
    edge = Edge(app, voices, telling)
    express = Express(voices if short else [], max_body_bytes, telling, edge.rendered)
    return Runner(app, edge, express, body_s, grace_s)


def _template(request: web.Request) -> str:
    """The route as it was declared: never the path, which holds names of people."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
