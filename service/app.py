"""Puts the parts together.  The only module that knows them all."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from service import expirer, lines, rekeyer, server, telling, tracing
from service.api import native
from service.api.health import Readiness
from service.api.openapi import describe
from service.core.accounts import Accounts
from service.core.admin import Admin
from service.core.cursor import Cursors
from service.core.errors import Unavailable
from service.core.lifecycle import Tokens
from service.core.lists import Lists
from service.core.pace import Pace
from service.core.replays import Replays
from service.core.ring import Ring
from service.core.rules import Rules
from service.core.seal import Sealer
from service.core.store import SWEPT
from service.core.text import Texts
from service.facades import onespan, sarus, taler, wepay
from service.metrics import Metrics
from service.settings import Settings, signing_keys
from service.store.connect import WrongStore, client, explained, look, refused_for_good
from service.store.evictions import Evictions
from service.store.feed import BLOCK_MS, RedisFeed
from service.store.leases import Leases
from service.store.link import Link
from service.store.scripts import Scripts
from service.store.shelf import Shelf
from service.store.tokens import RedisStore
from service.wire import Voice, under

AWAY_S = 0.5  # between tries while the store has not answered yet

__all__ = ["Service", "Start", "WrongStore"]

log = logging.getLogger("service.app")


class Start(msgspec.Struct, frozen=True):
    """What a process needs beside the settings."""

    store_url: str
    signing_keys: tuple[str, ...]
    admin_token: str | None
    metrics: str = ""  # the folder in which several workers keep their numbers
    place: int = 0  # of this worker among them

    def __repr__(self) -> str:
        return "Start(...)"


def openapi() -> dict[str, Any]:
    """The description of the API; asks no store."""
    [voice, *_] = Service(Settings(), Start("unix:///nowhere", ("no key signs anything here",), None)).voices()
    return describe(voice.routes)


class Service:
    """One process of the service."""

    def __init__(self, settings: Settings, start: Start) -> None:
        self.settings = settings
        self.metrics = Metrics(start.metrics, start.place)
        self.lines, self.spans = lines.configured(), tracing.spans()
        self.telling = telling.Telling(self.metrics.request, self.lines, self.spans)
        timeout_s, told = settings.store_timeout_ms / 1000, self.lines.transition if self.lines else None
        nodes, self._store_url = client(start.store_url, timeout_s), start.store_url
        scripts = Scripts(settings.retention_ms, settings.events_kept, many=nodes.many)
        self.link = Link(nodes, scripts, timeout_s, self.metrics, told, settings.revoke_wait)
        self.store = RedisStore(self.link, settings.partitions, events_used=settings.events_used)
        self.leases = Leases(self.link, self.store.sweep, settings.partitions)
        store = self.spans.around(self.store) if self.spans else self.store
        self.feed = RedisFeed(self.link, client(start.store_url, timeout_s + BLOCK_MS / 1000), settings.partitions)
        self.ring = Ring(start.signing_keys)
        self.texts = self.ring.part(Texts)
        rules = Rules(
            default_life_ms=settings.default_life_ms, max_life_ms=settings.max_life_ms, forever=settings.forever
        )
        self.tokens = Tokens(store, self.texts, self.ring.part(Sealer), rules, self.metrics)
        self.shelf = Shelf(self.link, settings.partitions)
        self.lists = Lists(store, self.ring.part(Cursors))
        self.readiness = Readiness(self.link.answers, needs_store=settings.ready_needs_store)
        self.stopping, self.drained = asyncio.Event(), asyncio.Event()
        self.admin = Admin(start.admin_token, self.texts, self.store) if start.admin_token else None

    @classmethod
    async def serve(
        cls, settings: Settings, start: Start, doors: list[socket.socket], on_ready: Callable[[], object]
    ) -> None:
        """Serves until SIGTERM or SIGINT.  Raises `WrongStore`."""
        await cls(settings, start).run(doors, on_ready)

    async def run(self, doors: list[socket.socket], on_ready: Callable[[], object]) -> None:
        """doors: the socket for requests, then one for operations if it is apart."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        background: list[asyncio.Future[None]] = []
        runners = []
        try:
            found = await self._finds_store()
            runners = [*[await self._serve(*one) for one in self._behind(doors)], *await self._grpc()]
            if not found:
                await self.prepare()
            if not self.stopping.is_set():
                self.readiness.started = True
                on_ready()
                sweep = expirer.run(self.leases.sweep, self.settings.tick_ms, self.drained, self.metrics)
                evictions = Evictions(self.link, self.settings.partitions).run(self.drained)
                rekeying = rekeyer.run(signing_keys, self.ring, self.drained)
                background += map(asyncio.ensure_future, (sweep, evictions, rekeying))
            await self.stopping.wait()
        finally:
            await self._leave(runners, background)

    async def prepare(self) -> None:
        """Waits until the store answers, and looks what it is.  Until then requests get their 503."""
        told = set[str]()
        while not self.stopping.is_set():
            try:
                await self._look_at_store()
            except Unavailable as error:
                if error.reason not in told:
                    log.warning("waiting for the store", extra={"reason": error.reason})
                told.add(error.reason)
                await asyncio.sleep(AWAY_S)
            else:
                return

    async def _finds_store(self) -> bool:
        """One look before the doors open: where the store is there, nobody who comes early is told to wait."""
        try:
            await self._look_at_store()
        except Unavailable:
            return False
        return True

    async def _look_at_store(self) -> None:
        try:
            with refused_for_good():
                await look(self.link, self.settings.partitions)
                if self.admin and not await self.admin.exists():
                    log.warning("the admin token was revoked: set another one")
        except Unavailable as error:
            raise await explained(error, self._store_url, self.link.timeout_s) from None

    async def sweep(self) -> dict[str, int]:
        """Passes until nothing is due; what they did.  Raises `Unavailable`: it does not wait for a store."""
        await self._look_at_store()
        totals = dict.fromkeys(SWEPT, 0)
        while not (done := await self.store.sweep(expirer.MOST)).idle:
            totals = {name: total + getattr(done, name) for name, total in totals.items()}
        await self.link.close()
        return totals

    def voices(self) -> list[Voice]:
        """Ours first: it also speaks where no other does."""
        settings, replays = self.settings, Replays(self.shelf, self.tokens)
        accounts, heartbeat_s = Accounts(self.shelf), settings.heartbeat_ms / 1000
        cookie_name, public_url = settings.cookie_name, settings.public_url
        prefixes = dict(entry.partition("=")[::2] for entry in settings.facades)
        dialects: dict[str, Callable[[], Voice]] = {
            "sarus": lambda: sarus.voice(self.tokens, accounts, Pace(self.shelf, settings.sarus_per_second)),
            "wepay": lambda: wepay.voice(
                self.tokens, self.lists, replays, Pace(self.shelf, settings.wepay_per_second), settings.wepay_typed
            ),
            "taler": lambda: taler.voice(self.tokens, self.lists, accounts, settings.taler_basic),
            "onespan": lambda: onespan.voice(self.tokens, self.lists, self.ring, settings.onespan_life_ms),
        }
        return [
            native.voice(self.tokens, self.lists, replays, accounts, self.feed, heartbeat_s, cookie_name, public_url),
            *[under(prefix, dialects[name]()) for name, prefix in prefixes.items()],
        ]

    def _behind(self, doors: list[socket.socket]) -> list[tuple[socket.socket, server.Runner]]:
        settings, voices, operations = (
            self.settings,
            self.voices(),
            [native.operations(self.readiness, self.exposition)],
        )
        each = [voices + operations] if len(doors) == 1 else [voices, operations]
        limits = settings.max_body_bytes, settings.body_ms / 1000, settings.grace_ms / 1000
        short = self.spans is None  # a span lives in the context of a task, which the short way does without
        runners = [server.runner(those, *limits, self.telling, short=short) for those in each]
        return list(zip(doors, runners, strict=True))

    async def _serve(self, door: socket.socket, running: server.Runner) -> server.Runner:
        running.app.on_shutdown.append(lambda _app: self.feed.close())  # open streams would double the shutdown
        await running.setup()
        await web.SockSite(running, door, backlog=1024).start()
        return running

    async def _grpc(self) -> "list[Any]":
        """What Envoy may ask over gRPC, if a port is set for it."""
        settings = self.settings
        if settings.grpc_port is None:
            return []
        from service import grpc_check  # noqa: PLC0415 - needs an extra

        grace_s, shared = settings.grace_ms / 1000, settings.workers > 1
        listening = grpc_check.Server(self.tokens, settings.cookie_name, self.telling, grace_s, shared=shared)
        return [await listening.start(settings.host, settings.grpc_port)]

    async def _leave(self, runners: list[Any], background: "list[asyncio.Future[None]]") -> None:
        """Not ready first; then what is under way ends; then the links."""
        self.readiness.draining = True
        self.stopping.set()
        if self.readiness.started:  # else nobody was sent here
            await asyncio.sleep(self.settings.drain_ms / 1000)
        self.drained.set()  # until now tokens go on expiring on time
        for running in runners:
            await running.cleanup()
        await asyncio.gather(*background, return_exceptions=True)
        await self.leases.leave()
        await self.store.close()
        await self.link.close()
        if self.lines is not None:
            self.lines.flush()

    async def exposition(self) -> tuple[bytes, str]:
        try:
            stats = await self.store.stats()
            self.metrics.holds(stats.tokens, stats.backlog, stats.events)
        except Unavailable:
            log.debug("metrics without what the store holds")
        return self.metrics.exposition()
