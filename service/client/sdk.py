"""The client: the verbs about one token, and those about many, about events and about the service itself."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import quote

import aiohttp
import msgspec

from service.client.answers import Counts, Event, EventPage, Health, OwnerRevoked, Page, Results, TokenView
from service.client.calls import Call, Caller
from service.client.feed import Feed
from service.client.keeper import KeepAlive
from service.client.problems import error_in
from service.client.verbs import Verbs
from service.core.errors import CallerRefused, Unavailable

MANY = 1_000  # texts in one call: what the service takes


class Which(TypedDict, total=False):
    """The filters of lists and counts; None and absent are the same.  `order` is desc (newest first) or asc."""

    owner: str | None
    tenant: str | None
    type: str | None
    state: str | None


class Listed(Which, total=False):
    created_from_ms: int | None
    created_to_ms: int | None
    order: str | None


class Client(Verbs):
    """Speaks to one service as one caller, whose text is `token`.

    Raises what the service says: a `Refusal` about the token that was asked about, `CallerRefused` about the
    client's own, `BadInput` with the field at fault, `Conflict`, `Gone`; and `Unavailable` when no answer came within
    `timeout_s` seconds, repeats included.  A call is repeated only where doing it twice is harmless; `use` only when
    nothing was sent or the service itself said 503, since a repeat may spend another of a token's uses.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 2.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        super().__init__(Caller(url, token, timeout_s, session))

    def __repr__(self) -> str:
        return f"Client({self._caller.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._caller.close()

    async def page(self, *, cursor: str | None = None, limit: int = 100, **which: Unpack[Listed]) -> Page:
        """cursor: `next` or `previous` of a page with the same filters."""
        query = {"cursor": cursor, "limit": limit, **which}
        answer = await self._caller.ask(Call(method="GET", path="/v1/tokens", query=query))
        return answer.read(Page)

    async def list(self, *, limit: int = 1000, **which: Unpack[Listed]) -> AsyncIterator[TokenView]:
        """All tokens of these filters, `limit` a call; stable while tokens come and go."""
        page = await self.page(limit=limit, **which)
        while True:
            for view in page.items:
                yield view
            if page.next is None:
                return
            page = await self.page(cursor=page.next, limit=limit, **which)

    async def count(self, **which: Unpack[Which]) -> Counts:
        answer = await self._caller.ask(Call(method="GET", path="/v1/tokens/count", query=dict(which)))
        return answer.read(Counts)

    async def batch(self, verb: str, texts: Sequence[str]) -> Sequence[TokenView | Exception]:
        """use, peek or revoke; in the order of the texts, the refusal of a token in its place."""
        found: Sequence[TokenView | Exception] = ()
        for start in range(0, len(texts), MANY):
            body = {"verb": verb, "tokens": texts[start : start + MANY]}
            call = Call(method="POST", path="/v1/tokens/batch", body=body, repeatable=verb != "use")
            answer = await self._caller.ask(call)
            found = [*found, *map(_result, answer.read(Results).results)]
        return found

    async def revoke_owner(
        self,
        owner: str,
        *,
        spared: Iterable[str] = (),
        type: str | None = None,
        tenant: str | None = None,
        dry_run: bool = False,
    ) -> OwnerRevoked:
        """Ends what an owner has but the spared ids, a bounded number a call: call again while `more`."""
        asked = {"except": [*spared], "type": type, "tenant": tenant, "dry_run": dry_run}
        path = f"/v1/owners/{quote(owner, safe='')}/revoke"
        return (await self._caller.ask(Call(method="POST", path=path, body=asked))).read(OwnerRevoked)

    def events(
        self,
        after: str | None = None,
        *,
        owner: str | None = None,
        type: str | None = None,
        tenant: str | None = None,
        on_break: Callable[[Unavailable], None] = lambda _: None,
    ) -> AsyncGenerator[Event, None]:
        """Events as they come, from behind the cursor `after`, which may be `start`; from now without one.

        After a break it goes on behind the last event by itself, and tells `on_break`; only a first connection that
        fails raises `Unavailable`.  Raises `Gone` when events after the cursor were trimmed away.
        """
        query = {"owner": owner, "type": type, "tenant": tenant}
        return Feed(self._caller, query, on_break).events(after)

    async def events_page(
        self,
        after: str | None = None,
        *,
        limit: int = 100,
        wait_ms: int = 0,
        owner: str | None = None,
        type: str | None = None,
        tenant: str | None = None,
    ) -> EventPage:
        """Looks at up to `limit` kept events behind a cursor, and gives those that are wanted, the oldest first.

        There is no more when `next` is the cursor that was given.  wait_ms: how long to wait for a first event.
        """
        query = {"after": after, "limit": limit, "wait_ms": wait_ms, "owner": owner, "type": type, "tenant": tenant}
        timeout_s = self._caller.timeout_s + wait_ms / 1000
        answer = await self._caller.ask(Call(method="GET", path="/v1/events", query=query), timeout_s)
        return answer.read(EventPage)

    def keep_alive(self, text: str | None = None) -> KeepAlive:
        """`async with client.keep_alive(text):` renews the token, by default the client's own, while the body runs.

        It needs no more than the token itself.  See `KeepAlive` for what happens when the token ends.
        """

        async def renew(timeout_s: float) -> TokenView:
            try:
                return await self.self_renew(text, timeout_s=timeout_s)
            except CallerRefused as no:  # the token speaks for itself there
                raise no.refusal from None

        return KeepAlive(renew, self._caller.timeout_s)

    async def live(self) -> None:
        """Raises: Unavailable unless the process answers."""
        await self._caller.ask(Call(method="GET", path="/livez"))

    async def health(self) -> Health:
        """Raises: Unavailable when there is nobody to ask."""
        return (await self._caller.ask(Call(method="GET", path="/readyz", also=(503,)))).read(Health)

    async def set_account(self, username: str, password: str, *, tenant: str | None = None) -> None:
        """For the two vendor APIs that log in by password; replaces the password of an existing account."""
        body = {"password": password, "tenant": tenant}
        await self._caller.ask(Call(method="PUT", path=_account(username), body=body))

    async def delete_account(self, username: str, *, tenant: str | None = None) -> None:
        await self._caller.ask(Call(method="DELETE", path=_account(username), query={"tenant": tenant}))

    async def onespan_credential(self, owner: str, *, tenant: str | None = None, life_ms: int | None = None) -> str:
        """What a caller of the OneSpan API sends as `Authorization`, whole.  life_ms None: a year, the longest."""
        asked = {"owner": owner, "tenant": tenant} | ({"life_ms": life_ms} if life_ms else {})
        call = Call(method="POST", path="/v1/credentials/onespan", body=asked, repeatable=False)
        return (await self._caller.ask(call)).read(dict[str, str])["authorization"]


def _account(username: str) -> str:
    return "/v1/accounts/" + quote(username, safe="")


def _result(found: dict[str, Any]) -> TokenView | Exception:
    return error_in(found) if "code" in found else msgspec.convert(found, TokenView)
