"""`here`: the whole service as a process, spoken to over HTTP as the vendors' clients do.

One process and one store serve all tests of this folder, each test under a `tenant` of its own; what breaks
something on purpose starts its own with `running`.
"""

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
import redis
from yarl import URL

from service.store import connect, keys
from service.store.nodes import Nodes
from tests import leaks
from tests.backends import Backend
from tests.servers import Server, Service, wait_until
from tests.world import FORGET, SHORTEN

ADMIN = "the-admin-token-of-the-facades"
SIGNING_KEYS = "the newest signing key,an older signing key"

_numbers = itertools.count(1)


class Beside(Backend):
    """The store of a running service, for a second process on it that is this one."""

    def __init__(self, store: Server) -> None:
        super().__init__("beside")
        self.url = store.url

    def connect(self, url: str, timeout_s: float, protocol: int = 3) -> Nodes:
        return connect.client(f"{url}?protocol={protocol}", timeout_s)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def type(self) -> str:
        return self.headers.get("Content-Type", "")


class Running(NamedTuple):
    """A store and the service on it."""

    store: Server
    service: Service

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.store.url)


@contextmanager
def running(**settings: object) -> Iterator[Running]:
    """A store and a service of one's own; settings by their names in lower case."""
    with ExitStack() as stack:
        store = stack.enter_context(Server())
        given = {"signing_keys": SIGNING_KEYS, "admin_token": ADMIN, **settings}
        yield Running(store, stack.enter_context(Service(redis_url=store.url, **given)))


class Here:
    """One service, its store, and the few things that every dialect's tests do."""

    def __init__(self, running_: Running, session: aiohttp.ClientSession) -> None:
        self.store, self.service, self.url = running_.store, running_.service, running_.service.url
        self.redis: Any = running_.redis()
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        """`path` goes out byte for byte.  `body`: bytes as they are, anything else as JSON.

        Headers by their names with `_` for `-`; one that is None is left out.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if data is not None and "Content_Type" not in headers:
            sent["Content-Type"] = "application/json"
        url = URL(self.url + path, encoded=True)
        skipped = ["Accept", "Content-Type", "User-Agent"]
        async with self._session.request(
            method, url, data=data, headers=sent, skip_auto_headers=skipped, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def native(self, method: str, path: str, body: Any = None, *, token: str = ADMIN) -> Any:
        """A call of our own API that must succeed; what it answers."""
        reply = await self.ask(method, path, body, Authorization=f"Bearer {token}")
        assert reply.status < 300, reply.body
        return reply.json() if reply.body else None

    async def issue(self, owner: str = "ann", **policy: Any) -> Any:
        """A token of our own API: its view, with the text under `token`."""
        return await self.native("POST", "/v1/tokens", {"owner": owner, **policy})

    async def caller(self, tenant: str, *grants: str, **policy: Any) -> Any:
        """A caller's token, as `issue` gives it."""
        return await self.issue("a service", tenant=tenant, type="service", scopes=grants, **policy)

    async def view(self, id_: str) -> Any:
        """What our own API knows of a token, by its handle."""
        return await self.native("GET", f"/v1/tokens/{id_}")

    async def id_of(self, text: str) -> str:
        """The handle of a text that still lives."""
        view = await self.native("POST", "/v1/tokens/peek", {"token": text})
        return str(view["id"])

    async def story(self, id_: str, tenant: str | None = None) -> list[str]:
        """The kinds of a token's events, oldest first.  tenant: for a token that is forgotten by now."""
        asked: dict[str, Any] = {"tenant": tenant or (await self.view(id_))["tenant"], "limit": 1000}
        kinds, after = list[str](), "start"
        while True:
            page = await self.native("GET", "/v1/events?" + urlencode({**asked, "after": after}))
            kinds += [event["type"].rpartition(".")[2] for event in page["events"] if event["subject"] == id_]
            if page["next"] == after:
                return kinds
            after = page["next"]

    def pttl(self, id_: str) -> int:
        """What the store says of a life, ms."""
        short = keys.short(id_)
        left: int = self.redis.pttl(f"{keys.tag(keys.partition(short))}l:{short}")
        return left

    def shorten(self, id_: str, left_ms: int) -> None:
        """Leaves so much of a life, in place: 'later' without waiting."""
        short = keys.short(id_)
        self.redis.eval(SHORTEN, 1, keys.tag(keys.partition(short)), short, left_ms)

    def expire(self, id_: str) -> None:
        """Its life runs out now."""
        self.shorten(id_, 0)

    async def forget(self, id_: str) -> None:
        """A day after its end: the next sweep purges its record."""
        short = keys.short(id_)
        record = f"{keys.tag(keys.partition(short))}t:{short}"
        await wait_until(lambda: not self.redis.get(record).startswith(b"a"))
        self.redis.eval(FORGET, 1, keys.tag(keys.partition(short)), short)
        await wait_until(lambda: not self.redis.exists(record))


@pytest.fixture(scope="session")
def shared() -> Iterator[Running]:
    with running() as both:
        yield both
        leaks.check(both.redis())


@pytest.fixture(scope="module")
def apart() -> Iterator[Running]:
    """A service of one file's own, to be broken."""
    with running() as both:
        yield both


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as made:
        yield made


@pytest.fixture
def here(shared: Running, session: aiohttp.ClientSession) -> Here:
    return Here(shared, session)


@pytest.fixture
def tenant() -> str:
    """One that no other test uses."""
    return f"shop{next(_numbers)}"
