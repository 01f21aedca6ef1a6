"""From a request to what the core is asked, and back."""

from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Raw

from service.api import views
from service.api.problems import ByHandle
from service.core.errors import Forbidden, Malformed, Refusal
from service.core.lists import Page
from service.core.store import Filter
from service.core.token import Draft, Token
from service.wire import bearer

UNREADABLE = "malformed"  # a text that nobody signed stands for a header that cannot be read


def caller_text(request: web.BaseRequest) -> str | None:
    """The caller's own token, from Authorization: Bearer."""
    try:
        return bearer(request.headers)
    except Malformed:
        return UNREADABLE


def raw(metadata: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode(metadata))


def draft_of(asked: views.Issue, tenant: str) -> Draft:
    return Draft(
        owner=asked.owner,
        tenant=tenant,
        type=asked.type,
        life_ms=asked.life_ms,
        ceiling_ms=asked.ceiling_ms,
        uses=asked.uses,
        sliding=asked.sliding,
        refreshable=asked.refreshable,
        scopes=asked.scopes,
        description=asked.description,
        metadata=raw(asked.metadata),
        recoverable=asked.recoverable,
    )


def filter_of(asked: views.CountQuery) -> Filter:
    """tenant '' stands for the caller's own until `lists.of` has put it in."""
    return Filter(
        tenant=asked.tenant or "",
        owner=asked.owner,
        type=asked.type,
        states=(asked.state,) if asked.state else (),
        created_from_ms=asked.created_from_ms if isinstance(asked, views.ListQuery) else None,
        created_to_ms=asked.created_to_ms if isinstance(asked, views.ListQuery) else None,
    )


def links(request: web.BaseRequest, page: Page) -> dict[str, str]:
    """`Link` (RFC 8288) to the pages beside this one: the same query with another cursor."""
    beside = {"next": page.next, "prev": page.previous}
    query = {name: value for name, value in request.query.items() if name != "cursor"}
    links = [f'<{request.path}?{urlencode({**query, "cursor": to})}>; rel="{rel}"' for rel, to in beside.items() if to]
    return {"Link": ", ".join(links)} if links else {}


async def by_handle_only(looking: Awaitable[Token]) -> Token:
    """A handle is a path: a token that it does not lead to is 404, while a text that is unknown is 401."""
    try:
        return await looking
    except Forbidden:
        raise
    except Refusal as refusal:
        raise ByHandle(refusal) from None
