"""`/v1/tokens`: the verbs, by text and by handle."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw

from service.api import views
from service.api.asked import by_handle_only, caller_text, draft_of, filter_of, links, raw
from service.api.problems import problem
from service.api.views import View, form, view
from service.core import callers, lists
from service.core.errors import BadInput
from service.core.lifecycle import Tokens
from service.core.lists import Lists
from service.core.replays import Replays
from service.core.store import Asking
from service.core.token import Change, Issued, Token, etag
from service.wire import JSON, Headers, HttpError, Route, Short, answer, bearer, decoded, read_json, read_query

KEY = "Idempotency-Key"
AS_JSON = f"Content-Type: {JSON}\r\n".encode()
MANY_BYTES = 131_072  # 1,000 texts of 75 characters are 79 kB of JSON


def created(issued: Issued) -> web.Response:
    return answer(view(issued.token, issued.text), 201, {"Location": f"/v1/tokens/{issued.token.id}"})


def said(one: Token | Exception) -> View | dict[str, Any]:
    """Of one in a batch."""
    return view(one) if isinstance(one, Token) else problem(one).members()


def short(tokens: Tokens, verb: str, takes: type[views.Use] | type[views.Subject]) -> Short:
    """use and peek the short way."""

    def read(headers: Headers, body: bytes) -> Asking:
        if headers.get("Content-Type") != JSON:
            raise HttpError(415, "unsupported_media_type", "Perhaps it is JSON by another name.")
        asked = decoded(body, takes)
        return tokens.asking(verb, asked.token, by=bearer(headers), scopes=getattr(asked, "scopes", ()), form=form)

    def give(told: Token | bytes) -> tuple[bytes, bytes]:
        return AS_JSON, told if isinstance(told, bytes) else msgspec.json.encode(view(told))

    return Short(read, tokens.present_soon, give)


def by_text(tokens: Tokens, replays: Replays) -> list[Route]:
    """The calls whose body holds a text."""

    async def issue(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.ISSUE)
        asked = await read_json(request, views.Issue)
        draft = draft_of(asked, caller.acts_for(asked.tenant))
        caller.may_hand_out(draft.type, draft.scopes)
        key = request.headers.get(KEY)
        if key is None:
            return created(await tokens.issue(draft))
        if not 1 <= len(key) <= 255:
            raise BadInput(KEY, "must have from 1 to 255 characters")
        return created(await replays.issue(caller.id, key, msgspec.json.encode(asked), draft))

    async def use(request: web.Request) -> web.StreamResponse:
        asked = await read_json(request, views.Use)
        return answer(view(await tokens.use(asked.token, by=caller_text(request), scopes=asked.scopes)))

    async def peek(request: web.Request) -> web.StreamResponse:
        asked = await read_json(request, views.Subject)
        return answer(view(await tokens.peek(asked.token, by=caller_text(request))))

    async def renew(request: web.Request) -> web.Response:
        asked = await read_json(request, views.Subject)
        return answer(view(await tokens.renew(asked.token, by=caller_text(request))))

    async def revoke(request: web.Request) -> web.Response:
        asked = await read_json(request, views.Subject)
        return answer(view(await tokens.revoke(asked.token, by=caller_text(request))))

    async def rotate(request: web.Request) -> web.Response:
        asked = await read_json(request, views.Rotate)
        return created(await tokens.rotate(asked.token, by=caller_text(request), overlap_ms=asked.overlap_ms))

    async def batch(request: web.Request) -> web.Response:
        asked = await read_json(request, views.Many, max(request.client_max_size, MANY_BYTES))
        found = await tokens.many(asked.verb, asked.tokens, caller_text(request), form)
        return answer(views.Results([Raw(one) if isinstance(one, bytes) else said(one) for one in found]))

    dead = (401, 410)
    return [
        Route(method="POST", path="/v1/tokens", handler=issue, takes=views.Issue, gives=View, status=201,
              grant=callers.ISSUE, refusals=(409, 422), summary="Issue a token; its text is in this answer only."),
        Route(method="POST", path="/v1/tokens/use", handler=use, takes=views.Use, gives=View, grant=callers.USE,
              short=short(tokens, "use", views.Use),
              refusals=dead, summary="Check a token and put it back to full life, in one atomic step."),
        Route(method="POST", path="/v1/tokens/peek", handler=peek, takes=views.Subject, gives=View,
              grant=callers.USE, short=short(tokens, "peek", views.Subject),
              refusals=dead, summary="Look at a token and its remaining life."),
        Route(method="POST", path="/v1/tokens/renew", handler=renew, takes=views.Subject, gives=View,
              grant=callers.USE, refusals=dead, summary="Put a token back to full life on request."),
        Route(method="POST", path="/v1/tokens/revoke", handler=revoke, takes=views.Subject, gives=View,
              grant=callers.REVOKE, summary="End a token now; repeating it changes nothing."),
        Route(method="POST", path="/v1/tokens/rotate", handler=rotate, takes=views.Rotate, gives=View, status=201,
              grant=callers.ISSUE, refusals=(*dead, 409), summary="Replace a text; the old one lives for the overlap."),
        Route(method="POST", path="/v1/tokens/batch", handler=batch, takes=views.Many, gives=views.Results,
              grant=callers.USE, summary="Use, peek at or revoke up to 1,000 tokens in one round trip."),
    ]  # fmt: skip


def by_handle(tokens: Tokens, listing: Lists) -> list[Route]:
    """The calls that name tokens by handle or list them."""

    async def page(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.READ)
        asked = read_query(request, views.ListQuery)
        which = lists.of(caller, filter_of(asked))
        found = await listing.page(which, limit=asked.limit, cursor=asked.cursor, descending=asked.order == "desc")
        items = [view(one, tokens.recover(one) if caller.may_see_text(one) else None) for one in found.items]
        return answer(views.PageView(items, found.next, found.previous), headers=links(request, found))

    async def count(request: web.Request) -> web.Response:
        caller = await tokens.authorize(caller_text(request), callers.READ)
        totals = await listing.count(lists.of(caller, filter_of(read_query(request, views.CountQuery))))
        by_state: dict[str, int] = {}
        by_type: dict[str, int] = {}
        for (kind, state), number in totals.items():
            by_state[state] = by_state.get(state, 0) + number
            by_type[kind] = by_type.get(kind, 0) + number
        return answer(views.CountView(sum(totals.values()), by_state, by_type))

    async def look(request: web.Request) -> web.Response:
        token = await by_handle_only(tokens.look(request.match_info["id"], caller_text(request)))
        return answer(view(token), headers={"ETag": f'"{etag(token)}"'})

    async def amend(request: web.Request) -> web.Response:
        asked = await read_json(request, views.Patch)
        change = Change(description=asked.description, life_ms=asked.life_ms, scopes=asked.scopes,
                        metadata=UNSET if asked.metadata is UNSET else raw(asked.metadata))  # fmt: skip
        tags = [tag.strip().strip('"') for tag in request.headers.get("If-Match", "").split(",") if tag]
        token = await by_handle_only(tokens.amend(request.match_info["id"], change, caller_text(request), tags))
        return answer(view(token), headers={"ETag": f'"{etag(token)}"'})

    async def revoke(request: web.Request) -> web.Response:
        return answer(view(await by_handle_only(tokens.revoke_by_id(request.match_info["id"], caller_text(request)))))

    async def renew(request: web.Request) -> web.Response:
        return answer(view(await by_handle_only(tokens.renew_by_id(request.match_info["id"], caller_text(request)))))

    one = "/v1/tokens/{id}"
    return [
        Route(method="GET", path="/v1/tokens", handler=page, asks=views.ListQuery, gives=views.PageView,
              grant=callers.READ, summary="List tokens in the order of issue."),
        Route(method="GET", path="/v1/tokens/count", handler=count, asks=views.CountQuery, gives=views.CountView,
              grant=callers.READ, summary="How many tokens there are, from kept counts; an owner's lag a burst."),
        Route(method="GET", path=one, handler=look, gives=View, grant=callers.READ, refusals=(404,),
              summary="A token by its handle, final ones too; not a use."),
        Route(method="PATCH", path=one, handler=amend, takes=views.Patch, gives=View, grant=callers.ISSUE,
              refusals=(404, 410, 412), summary="Change an active token's words, life or scopes."),
        Route(method="DELETE", path=one, handler=revoke, gives=View, grant=callers.REVOKE, refusals=(404,),
              summary="End a token now; repeating it changes nothing."),
        Route(method="POST", path=one + "/renew", handler=renew, gives=View, grant=callers.USE,
              refusals=(404, 410), summary="Put a token back to full life on request."),
    ]  # fmt: skip
