"""Calls over real HTTP.  Each answer is held at once to what is true of every answer."""

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import msgspec
from multidict import CIMultiDictProxy

ADMIN = "tl_admin_" + "0123456789abcdef" * 2
KEYS = "the-signing-key-of-the-tests"
GRANTS = ["tokens:issue", "tokens:use", "tokens:read", "tokens:revoke", "events:read", "accounts:write"]
NOBODY = f"tl_{'A' * 28}.{'A' * 43}"  # of the form of a text, but signed by nobody
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
VIEW = {
    "id", "type", "tenant", "owner", "state", "remaining_ms", "life_ms", "created_at_ms", "expires_at_ms",
    "last_used_at_ms", "uses", "uses_left", "ceiling_at_ms", "sliding", "refreshable", "scopes", "description",
    "metadata",
}  # fmt: skip

Json = Any
_numbers = itertools.count(1)


def fresh(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{next(_numbers)}"


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Json:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The stable word of a problem."""
        return str(self.json["code"])

    @property
    def field(self) -> str:
        return str(self.json["field"])

    def hold(self) -> Self:
        """True of every answer of ours, whatever was asked."""
        assert REQUEST_ID.fullmatch(self.headers["X-Request-Id"])
        assert "aiohttp" not in self.headers.get("Server", "")
        if self.body.startswith(b'{"ready":'):
            return self
        if self.status >= 400 and self.body:
            assert self.headers["Content-Type"] == "application/problem+json"
            assert self.headers["Cache-Control"] == "no-store"
            problem = self.json
            assert problem.keys() >= {"type", "title", "status", "detail", "code"}
            assert problem["status"] == self.status != 500
        if self.status in (401, 405, 503):
            assert self.headers[{401: "WWW-Authenticate", 405: "Allow", 503: "Retry-After"}[self.status]]
        return self


class Caller:
    """One who calls with a token: `await shop.post("/v1/tokens", {"owner": "ann"})`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, text: str | None) -> None:
        self.http, self.url, self.text = http, url, text
        self.id = ""
        self.tenant = "default"

    def bearing(self, text: str | None) -> "Caller":
        """The same connection with another token."""
        return Caller(self.http, self.url, text)

    def headers(self, more: dict[str, str] | None = None) -> dict[str, str]:
        own = {} if self.text is None else {"Authorization": f"Bearer {self.text}"}
        return own | (more or {})

    async def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None,
        data: Any = None, params: dict[str, Any] | None = None,
    ) -> Answer:  # fmt: skip
        more = dict(headers or {})
        if body is not None:
            data = msgspec.json.encode(body)
            more.setdefault("Content-Type", "application/json")
        async with self.http.request(
            method, self.url + path, data=data, headers=self.headers(more), params=params, allow_redirects=False,
            timeout=aiohttp.ClientTimeout(40),
        ) as got:  # fmt: skip
            return Answer(got.status, got.headers, await got.read()).hold()

    async def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> Answer:
        return await self.call("GET", path, headers=headers, params=params)

    async def post(self, path: str, body: Json = None, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("POST", path, {} if body is None else body, headers)

    async def ok(self, method: str, path: str, body: Json = None, status: int = 200, **params: Any) -> Json:
        """The body of an answer that has to have this status."""
        answer = await self.call(method, path, body, params=params)
        assert answer.status == status, (answer.status, answer.body)
        return answer.json

    async def issue(self, owner: str | None = None, **policy: Any) -> Json:
        return await self.ok("POST", "/v1/tokens", {"owner": owner or fresh("owner"), **policy}, 201)

    async def peek(self, text: str) -> Answer:
        return await self.post("/v1/tokens/peek", {"token": text})

    async def use(self, text: str, **asked: Any) -> Answer:
        return await self.post("/v1/tokens/use", {"token": text, **asked})

    async def look(self, id_: str) -> Json:
        return await self.ok("GET", f"/v1/tokens/{id_}")

    async def events(self, after: str = "start", **asked: Any) -> list[Json]:
        """All that are kept behind a cursor; a page may be empty while there are more."""
        found: list[Json] = []
        while True:
            page = await self.ok("GET", "/v1/events", after=after, **asked)
            found += page["events"]
            if page["next"] == after:
                return found
            after = page["next"]

    async def caller(self, *grants: str, tenant: str | None = None) -> "Caller":
        """A new caller with these grants, of a tenant of its own if none is named."""
        tenant = tenant or fresh("tenant")
        made = await self.issue("caller", tenant=tenant, type="service", life_ms=600_000, scopes=list(grants))
        new = self.bearing(made["token"])
        new.id, new.tenant = made["id"], tenant
        return new


@asynccontextmanager
async def calling(url: str, text: str | None = ADMIN) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield Caller(http, url, text)
