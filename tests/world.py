"""One process of the service without its doors: the core on a store, wired by `service/app.py` itself."""

from typing import Any, Self
from unittest.mock import patch

from service import app
from service.core.accounts import Accounts
from service.core.callers import DEFAULT_TENANT
from service.core.events import START, Event, Places, Wanted
from service.core.replays import Replays
from service.core.store import Pass
from service.core.token import SERVICE, Draft, Issued, Token
from service.settings import Settings
from service.store import keys
from tests.backends import Backend

SIGNING_KEYS = ("the newest signing key", "an older signing key")
ADMIN = "the-admin-token-of-the-settings"

# What is left of a life, set in place: 'an hour later' without an hour.
SHORTEN = """
local time, prefix = redis.call('TIME'), KEYS[1]
local ends = string.format('%013.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
redis.call('SETRANGE', prefix .. 't:' .. ARGV[1], 7, ends)
redis.call('PEXPIREAT', prefix .. 'l:' .. ARGV[1], ends)
redis.call('ZADD', prefix .. 'due', ends, ARGV[1])
return tonumber(ends)
"""


class World:
    """The parts, and the few words that tests need again and again."""

    def __init__(self, backend: Backend, **settings: Any) -> None:
        given = Settings(redis_url=backend.url, signing_keys=SIGNING_KEYS, **settings)
        with patch.object(app, "client", backend.connect):
            self.service = app.Service(given, app.Start(backend.url, SIGNING_KEYS, ADMIN))
        self.backend, self.settings = backend, given
        self.tokens, self.store, self.link = self.service.tokens, self.service.store, self.service.link
        self.lists, self.feed, self.shelf = self.service.lists, self.service.feed, self.service.shelf
        self.texts, self.redis = self.service.texts, self.service.redis
        self.replays, self.accounts = Replays(self.shelf, self.tokens), Accounts(self.shelf)

    async def __aenter__(self) -> Self:
        await self.service.prepare()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.feed.close()
        await self.store.close()
        await self.link.close()

    async def issue(self, owner: str = "ann", **policy: Any) -> Issued:
        return await self.tokens.issue(Draft(owner=owner, **policy))

    async def caller(self, *grants: str, tenant: str = DEFAULT_TENANT) -> str:
        """The text of a caller's token."""
        return (await self.issue("a service", tenant=tenant, type=SERVICE, scopes=grants)).text

    async def shorten(self, token: Token | Issued, left_ms: int) -> int:
        """Leaves so much of a life, in place.  Gives its new deadline, by the store's clock."""
        id_ = keys.short(token.token.id if isinstance(token, Issued) else token.id)
        tag = keys.tag(keys.partition(id_))
        ends: int = await self.redis.eval(SHORTEN, 1, tag, id_, left_ms)
        return ends

    async def expire_now(self, token: Token | Issued) -> int:
        """An hour later.  Gives the moment at which the life ran out."""
        return await self.shorten(token, 0)

    async def pass_retention(self, token: Token | Issued) -> None:
        """A day later: what was kept of a final token is due to be purged."""
        id_ = keys.short(token.token.id if isinstance(token, Issued) else token.id)
        await self.redis.zadd(keys.due(keys.partition(id_)), {id_: await self.now()})

    async def sweep(self) -> Pass:
        """Passes until nothing is due; gives what the first one with work did."""
        first = done = await self.store.sweep(200)
        while done.looked_at:
            done = await self.store.sweep(200)
        return first

    async def now(self) -> int:
        """The store's clock, ms."""
        seconds, micros = await self.redis.time()
        return seconds * 1000 + micros // 1000

    async def events(self, **wanted: Any) -> list[Event]:
        """All that are kept, oldest first."""
        start = Places((START,) * self.settings.partitions)
        events, _ = await self.feed.read(start, Wanted(**wanted), 10_000)
        return list(events)

    async def story(self, token: Token | Issued) -> list[str]:
        """The kinds of a token's events."""
        id_ = token.token.id if isinstance(token, Issued) else token.id
        return [event.kind for event in await self.events() if event.token.id == id_]
