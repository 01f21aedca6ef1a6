"""What operators and their probes ask: `/livez`, `/readyz`, `/metrics`."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from service.wire import Route, answer

LOOK_S = 0.25  # a probe gives up after a second (Kubernetes' default), and one that gave up counts as not ready


class Readiness:
    """Whether to send requests here.  Turned by the start and by SIGTERM, not by the store unless so set."""

    def __init__(self, store_answers: Callable[[], Awaitable[bool]], *, needs_store: bool = False) -> None:
        self._store_answers, self._needs_store = store_answers, needs_store
        self.started = self.draining = False

    async def look(self) -> "Ready":
        try:
            store = await asyncio.wait_for(self._store_answers(), LOOK_S)
        except TimeoutError:
            store = False
        open_ = self.started and not self.draining
        return Ready(open_ and (store or not self._needs_store), self.started, self.draining, store)


class Ready(msgspec.Struct, frozen=True):
    ready: bool
    started: bool
    draining: bool
    store: bool  # whether the store answers; by itself no reason to turn clients away


class Live(msgspec.Struct, frozen=True):
    live: bool = True


Exposition = Callable[[], Awaitable[tuple[bytes, str]]]


def routes(readiness: Readiness, exposition: Exposition) -> list[Route]:
    async def live(_request: web.Request) -> web.Response:
        return answer(Live())

    async def ready(_request: web.Request) -> web.Response:
        found = await readiness.look()
        return answer(found, 200 if found.ready else 503)

    async def metrics(_request: web.Request) -> web.Response:
        body, content_type = await exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [
        Route(method="GET", path="/livez", handler=live, gives=Live, summary="The process and its loop; no store."),
        Route(method="GET", path="/readyz", handler=ready, gives=Ready, refusals=(503,),
              summary="Started, and not draining; the body says whether the store answers."),
        Route(method="GET", path="/metrics", handler=metrics, hidden=True),
    ]  # fmt: skip
