"""One process of the service without its doors: the core on a store, wired by `service/app.py` itself."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Self
from unittest.mock import patch

from argon2 import PasswordHasher

from service import app
from service.core.accounts import Accounts
from service.core.callers import DEFAULT_TENANT
from service.core.events import START, Event, Places, Wanted
from service.core.replays import Replays
from service.core.store import Pass
from service.core.token import SERVICE, Draft, Issued, Token
from service.settings import Settings
from service.store import keys
from tests import leaks
from tests.backends import Backend

SIGNING_KEYS = ("the newest signing key", "an older signing key")
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # what it costs has a test of its own
ADMIN = "the-admin-token-of-the-settings"

# Sets what is left of the life of an active token, in place; with 'ceiling', as much is left until its ceiling.
SHORTEN = """
local time, tag, id = redis.call('TIME'), KEYS[1], ARGV[1]
local ends = string.format('%013.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2])
if redis.call('GETRANGE', tag .. 't:' .. id, 0, 1) ~= 'a ' then return 0 end
redis.call('SETRANGE', tag .. 't:' .. id, 2, ends)
if ARGV[3] == 'ceiling' then
  local record = redis.call('GET', tag .. 't:' .. id)
  redis.call('SET', tag .. 't:' .. id, (string.gsub(record, '^(%a %d+ %d+ %d+ %S+) %S+', '%1 ' .. ends)))
end
redis.call('PEXPIREAT', tag .. 'l:' .. id, ends)
redis.call('ZADD', tag .. 'due', ends, string.sub(id, 3))
return tonumber(ends)
"""

# Puts a final token before all that are to be forgotten, as if its retention were over.
FORGET = """
local gone, id = KEYS[1] .. 'gone', ARGV[1]
for _, ended in ipairs(redis.call('LRANGE', gone, 0, -1)) do
  local others, found = string.gsub(ended, id, '')
  if found > 0 then
    if #others > 13 then redis.call('LINSERT', gone, 'BEFORE', ended, others) end
    redis.call('LREM', gone, 1, ended)
    redis.call('LPUSH', gone, '0000000000000' .. id)
  end
end
"""

Which = Token | Issued | str  # or its handle


class World:
    """The parts, and the few words that tests need again and again."""

    admin = ADMIN

    def __init__(self, backend: Backend, *, ready: bool = True, **settings: Any) -> None:
        """ready: whether to wait until the store answers."""
        # Many at once on a busy machine are no outage; a test of outages gives a timeout of its own.
        given = Settings(redis_url=backend.url, signing_keys=SIGNING_KEYS, **{"store_timeout_ms": 10_000, **settings})
        with patch.object(app, "client", backend.connect):
            self.service = app.Service(given, app.Start(backend.url, SIGNING_KEYS, ADMIN))
        self.backend, self.settings, self._ready = backend, given, ready
        self._last: list[Callable[[], Awaitable[Any]]] = []
        self.tokens, self.store, self.link = self.service.tokens, self.service.store, self.service.link
        self.lists, self.feed, self.shelf = self.service.lists, self.service.feed, self.service.shelf
        self.texts, self.redis = self.service.texts, backend.raw(self.link.nodes)
        self.replays, self.accounts = Replays(self.shelf, self.tokens), Accounts(self.shelf)
        self.accounts._hasher = CHEAP

    async def __aenter__(self) -> Self:
        if self._ready:
            await self.service.prepare()
            await self.redis.initialize()  # of a cluster's client, that takes its time
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in reversed(self._last):
            await call()
        await self.feed.close()
        await self.store.close()
        await self.redis.aclose()
        await self.link.close()

    def on_close(self, call: Callable[..., Awaitable[Any]], *words: Any) -> None:
        """What puts the store right again, however the test ends."""
        self._last.append(partial(call, *words))

    async def issue(self, owner: str = "ann", **policy: Any) -> Issued:
        return await self.tokens.issue(Draft(owner=owner, **policy))

    async def caller(self, *grants: str, tenant: str = DEFAULT_TENANT) -> str:
        """The text of a caller's token."""
        return (await self.issue("a service", tenant=tenant, type=SERVICE, scopes=grants)).text

    async def shorten(self, token: Which, left_ms: int, what: str = "life") -> int:
        """Leaves so much of a life, in place.  Gives its new deadline, by the store's clock."""
        script: Any = self.redis.eval(SHORTEN, 1, _tag(token), _short(token), left_ms, what)
        ends: int = await script
        return ends

    async def end_at_ceiling(self, token: Which, left_ms: int) -> int:
        """So long before its ceiling.  Gives the ceiling."""
        return await self.shorten(token, left_ms, "ceiling")

    async def expire_now(self, token: Which) -> int:
        """An hour later.  Gives the moment at which the life ran out."""
        return await self.shorten(token, 0)

    async def make_due(self, token: Which) -> None:
        """Lets the sweep look at it: as when a life that was renewed since would have ended."""
        await self.redis.zadd(_tag(token) + "due", {_short(token)[2:]: await self.now()})

    async def pass_retention(self, token: Which) -> None:
        """A day later: what was kept of a final token is due to be purged."""
        script: Any = self.redis.eval(FORGET, 1, _tag(token), _short(token))
        await script

    async def lose_life(self, token: Which) -> None:
        """What eviction does."""
        await self.redis.delete(f"{_tag(token)}l:{_short(token)}")

    async def sweep(self) -> Pass:
        """Passes until nothing is due.  Gives what the first did."""
        first = done = await self.store.sweep(200)
        while not done.idle:
            done = await self.store.sweep(200)
        return first

    async def now(self) -> int:
        """The store's clock, ms."""
        seconds, micros = await self.redis.time()
        return int(seconds * 1000 + micros // 1000)

    async def states(self, *tokens: Which) -> list[str]:
        caller = await self.caller("tokens:read", "admin")
        return [(await self.tokens.look(_id(token), caller)).state for token in tokens]

    async def events(self, **wanted: Any) -> list[Event]:
        """All that are kept, oldest first."""
        start = Places((START,) * self.settings.partitions)
        events, _ = await self.feed.read(start, Wanted(**wanted), 10_000)
        return list(events)

    async def story(self, token: Which) -> list[str]:
        """The kinds of a token's events."""
        return [event.kind for event in await self.events() if event.token.id == _id(token)]

    def commands(self) -> dict[str, int]:
        """How often the store has run each command.  A real one: fakeredis does not count."""
        with self.backend.plain() as store:
            said: Any = store.info("commandstats")
        return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in said.items()}

    def dump(self) -> dict[str, tuple[object, int]]:
        """Every key with its content and the moment at which it expires."""
        with self.backend.plain() as store:
            return leaks.dump(store)


def _id(token: Which) -> str:
    return token.token.id if isinstance(token, Issued) else token if isinstance(token, str) else token.id


def _short(token: Which) -> str:
    return keys.short(_id(token))


def _tag(token: Which) -> str:
    return keys.tag(keys.partition(_id(token)))
