"""WePay v3 `session_tokens`: an application lists, creates, reads and deletes its mobile sessions.

`App-Id` is the tenant, `App-Token` a token of one of its callers, the account the owner.  `state` is `active` until
the token is deleted: an expired one stays listed as long as its record is kept.  Narrower than the vendor's: README.md.
"""

import json
import logging
import re
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from service.core import callers, errors, rules
from service.core.cursor import Place
from service.core.errors import BadInput, CallerRefused, Refusal
from service.core.lifecycle import Tokens
from service.core.lists import Lists
from service.core.pace import Pace
from service.core.replays import Replays
from service.core.store import Filter
from service.core.token import ACTIVE, CONSUMED, EXPIRED, REVOKED, Draft, Token
from service.wire import REQUEST_ID, HttpError, Route, Voice, answer, as_http_error, decoded, read_json, read_query

log = logging.getLogger("service.facades.wepay")
PATH, MOBILE, DRESSING, KEY = "/session_tokens", "mobile_session", "stg_", "Unique-Key"
PASSED = 1_000  # tokens that a cursor without an anchor may pass over: such a page costs what lies before it
VERSION, DAY_S, EXCEEDED = re.compile(r"3\.[0-9]{1,3}"), 86_400, "application_request_throttle_exceeded"
EPOCH, MS, YEAR_9999 = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1), 253_402_300_799_999
INVALID, FAULT, AWAY = "INVALID_PARAMS", "UNEXPECTED_ERROR", "SERVICE_TEMPORARILY_UNAVAILABLE"
BODY, QUERY, HEADER, IN_PATH = (f"HTTP_REQUEST_{part}" for part in ("BODY", "QUERY_STRING", "HEADER", "PATH"))

# What is said of a token that a path names.  Of the caller's own token nothing is said but NOT_AUTHORIZED.
STATUS: dict[type[Refusal], tuple[int, str, str]] = {
    errors.Missing: (400, INVALID, "PARAM_IS_MISSING"),
    errors.Malformed: (400, INVALID, "RESOURCE_NOT_FOUND"),
    errors.Unknown: (400, INVALID, "RESOURCE_NOT_FOUND"),
    errors.Revoked: (400, INVALID, "RESOURCE_DELETED"),
    errors.Expired: (400, INVALID, "RESOURCE_EXPIRED"),
    errors.Consumed: (400, INVALID, "RESOURCE_EXPIRED"),
    errors.Forbidden: (403, "NOT_AUTHORIZED", "APP_NOT_AUTHORIZED"),
}
NAMES = {"tenant": "App-Id", "owner": "account_id", "life_ms": "time_to_live"}  # the core's names: this API's

Account = Annotated[str, Meta(min_length=1, max_length=rules.OWNER)]
Type = Literal["mobile_session", "api_session"]
State = Literal["active", "deleted"]
STATES = {None: (), "active": (ACTIVE, EXPIRED, CONSUMED), "deleted": (REVOKED,)}
Second = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size = Annotated[int, Meta(ge=1, le=50)]


class MobileSession(msgspec.Struct, frozen=True):
    account_id: Account
    time_to_live: Annotated[int, Meta(ge=1, le=DAY_S)] | UnsetType = UNSET


class Create(msgspec.Struct, frozen=True):
    type: Literal["mobile_session"]
    mobile_session: MobileSession


class Query(msgspec.Struct, frozen=True):
    page: str | None = None
    page_size: Size = 10
    type: Type | None = None
    account_id: Account | None = None
    state: State | None = None
    create_time_start: Second = 0
    create_time_end: Second = 2**63 - 1


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a window.  `anchor` is ours: the place before the page, or, negative, the one behind it."""

    type: Type | None
    account_id: Account | None
    create_time_start: str
    create_time_end: str
    state: State | None
    page: Annotated[int, Meta(ge=1, le=2**31)]
    page_size: Size
    anchor: Annotated[int, Meta(ge=-(2**62), le=2**62)] | UnsetType = UNSET


def voice(tokens: Tokens, lists: Lists, replays: Replays, pace: Pace, typed: bool) -> Voice:
    async def app_of(request: web.Request, grant: str) -> str:
        if any(len(request.headers.getall(name, ())) != 1 for name in ("App-Id", "App-Token")):
            raise CallerRefused(errors.Missing())  # of two, each party on the way could believe another one
        caller = await tokens.authorize(request.headers["App-Token"], grant)
        app_id = rules.name("tenant", caller.acts_for(request.headers["App-Id"]))
        if wait_ms := await pace.wait_ms(f"wepay {app_id} {request.method} {len(request.match_info)}"):
            raise HttpError(429, EXCEEDED, "Too many requests.", {"Retry-After": str(-(-wait_ms // 1000))})
        return app_id

    async def named(request: web.Request) -> Token:
        """The token of the path.  What is not there and what is another application's is told apart nowhere."""
        app_id = await app_of(request, callers.READ)
        _check_headers(request)
        token = await tokens.look(request.match_info["id"], request.headers["App-Token"])
        if (token.tenant, token.type) != (app_id, MOBILE):
            raise errors.Unknown
        return token

    def item(request: web.Request, token: Token) -> dict[str, Any]:
        """One without end, which only our own API makes, is shown to end in the year 2100."""
        return {
            "id": token.id, "path": f"{PATH}/{token.id}", "resource": "session_tokens", "type": MOBILE,
            "owner": {"id": token.owner, "resource": "accounts", "path": f"/accounts/{token.owner}"},
            "state": "deleted" if token.state == REVOKED else "active", "api_version": request.headers["Api-Version"],
            "create_time": token.created_at_ms // 1000, "expire_time": (token.deadline_at_ms or rules.FURTHEST) // 1000,
            "session_token": tokens.recover(token) or "",
            "mobile_session": {"time_to_live": (token.life_ms or rules.FURTHEST) // 1000, "account_id": token.owner},
        }  # fmt: skip

    async def page(request: web.Request) -> web.Response:
        app_id = await app_of(request, callers.READ)
        _check_headers(request, typed=typed)
        previous, found, following = await _page(lists, app_id, _cursor(read_query(request, Query)))
        listing = {"previous": previous, "next": following, "results": [item(request, token) for token in found]}
        return _answer(request, {**listing, "api_version": request.headers["Api-Version"]})

    async def create(request: web.Request) -> web.Response:
        app_id = await app_of(request, callers.ISSUE)
        _check_headers(request, typed=True)
        body = bytes(await read_json(request, msgspec.Raw))
        asked = decoded(body, Create).mobile_session
        life_s = min(DAY_S, tokens.rules.max_life_ms // 1000) if asked.time_to_live is UNSET else asked.time_to_live
        draft = Draft(tenant=app_id, owner=asked.account_id, type=MOBILE, life_ms=life_s * 1000, recoverable=True)
        if (key := request.headers.get(KEY)) is None:
            return _answer(request, item(request, (await tokens.issue(draft, dressing=DRESSING)).token))
        rules.words(KEY, key, 255)
        sent = [request.headers["Api-Version"], request.query_string, json.loads(body, parse_int=str, parse_float=str)]
        same = json.dumps(sent, sort_keys=True).encode()  # in whichever order its members came
        token = (await replays.issue(f"wepay {app_id}", key, same, draft, DRESSING)).token
        own = Filter(tenant=app_id, owner=token.owner)
        now = await lists.between(own, token.place - 1, token.place + 1, 1, descending=True)
        return _answer(request, item(request, now[0] if now else token))

    async def read_or_delete(request: web.Request) -> web.Response:
        token = await named(request)
        if request.method == "DELETE":
            token = await tokens.revoke_by_id(token.id, request.headers["App-Token"])
        return _answer(request, item(request, token))

    routes = [Route(method="GET", path=PATH, handler=page), Route(method="POST", path=PATH, handler=create)]
    routes += [Route(method=each, path=PATH + "/{id}", handler=read_or_delete) for each in ("GET", "DELETE")]
    return Voice("wepay", routes, render, lambda path: path == PATH or path.startswith(PATH + "/"))


def render(error: Exception, request: web.BaseRequest) -> web.Response:
    no, error = partial(_no, request), as_http_error(error) if isinstance(error, web.HTTPException) else error
    match error:
        case CallerRefused() | errors.Forbidden():
            return no(*STATUS[errors.Forbidden], "The application is not authorized to do this.", "App-Token", HEADER)
        case Refusal():
            return no(*STATUS[type(error)], "There is no such session token.", "id", IN_PATH)
        case BadInput():
            field = NAMES.get(error.field, error.field)
            kind = HEADER if "-" in field else QUERY if request.method == "GET" else BODY
            reason = "PARAM_IS_MISSING" if error.message == "is missing" else "INVALID_PARAM_VALUE"
            return no(400, INVALID, reason, f"{field} {error.message}.", field, kind)
        case errors.Conflict() | errors.Gone():
            return no(400, INVALID, "UNIQUE_KEY_CONFLICT", f"This {KEY} belongs to another request.", KEY, HEADER)
        case errors.Unavailable():
            return no(503, AWAY, AWAY, error.message, **{"Retry-After": "1"})
        case HttpError():
            code = "THROTTLE_EXCEEDED" if error.status == 429 else INVALID
            status, kind = (400, HEADER) if error.status == 415 else (error.status, IN_PATH)
            return no(status, code, error.code.upper(), error.message, "", kind, **error.headers)
    log.error("a fault of ours", exc_info=error)
    return no(500, FAULT, FAULT, "Something unexpected happened.")


def _no(request: web.BaseRequest, status: int, code: str, reason: str, message: str, target: str = "",
        kind: str = BODY, **headers: str) -> web.Response:  # fmt: skip
    parts = [part for part in target.split(".") if part]
    detail = {"message": message, "reason_code": reason, "target": parts, "target_type": kind}
    return _answer(request, {"error_code": code, "error_message": message, "details": [detail]}, status, **headers)


def _answer(request: web.BaseRequest, value: Any, status: int = 200, **headers: str) -> web.Response:
    return answer(value, status, {"X-Correlation-Id": request.get(REQUEST_ID, ""), **headers})


def _check_headers(request: web.Request, *, typed: bool = False) -> None:
    for name in ("Api-Version", "Content-Type") if typed else ("Api-Version",):
        if name not in request.headers:
            raise BadInput(name, "is missing")
    rules.check("Api-Version", request.headers["Api-Version"], VERSION, "3.0 or a later 3.x")
    if typed and request.content_type != "application/json":
        raise BadInput("Content-Type", "must be application/json")


def _cursor(asked: Query) -> Cursor:
    """The one that was sent, of which nothing is believed, for nobody signed it; else that of a first page."""
    if asked.page is None:
        if asked.create_time_start > asked.create_time_end:
            raise BadInput("create_time_start", "lies after create_time_end")
        window = _moment(asked.create_time_start * 1000), _moment(asked.create_time_end * 1000 + 999)
        return Cursor(asked.type, asked.account_id, *window, asked.state, 1, asked.page_size)
    try:
        padded = asked.page + "=" * (-len(asked.page) % 4)
        cursor = msgspec.json.decode(b64decode(padded, b"-_", validate=True), type=Cursor)
        unordered = _millis(cursor.create_time_start) > _millis(cursor.create_time_end)
        if unordered or (cursor.anchor is UNSET and (cursor.page - 1) * cursor.page_size > PASSED):
            raise ValueError
    except (ValueError, RecursionError):  # those of base64, UTF-8, JSON and dates are ValueErrors
        raise BadInput("page", "is not a cursor of this list") from None
    return cursor


async def _page(lists: Lists, tenant: str, cursor: Cursor) -> tuple[str | None, list[Token], str | None]:
    """The tokens of a page, between the paths of the pages beside it."""
    if cursor.type not in (None, MOBILE):
        return None, [], None
    start_ms, end_ms = _millis(cursor.create_time_start), _millis(cursor.create_time_end)
    which = Filter(tenant=tenant, owner=cursor.account_id, type=MOBILE, states=STATES[cursor.state],
                   created_from_ms=start_ms, created_to_ms=end_ms)  # fmt: skip
    place = None if cursor.anchor is UNSET else Place(abs(cursor.anchor), back=cursor.anchor < 0)
    passed = (cursor.page - 1) * cursor.page_size if place is None else 0
    found, more, _ = await lists.beside(which, place, passed + cursor.page_size, descending=True)
    if not (found := found[passed:]):  # all was purged since: back to the first page
        return None if cursor.page == 1 else _path(cursor, 1, UNSET), [], None
    if cursor.page == 1:  # the window ends now, whichever of the two clocks is behind
        cursor = replace(cursor, create_time_end=_moment(min(end_ms, max(rules.now_ms(), found[0].created_at_ms))))
    previous = _path(cursor, cursor.page - 1, -found[0].place) if cursor.page > 1 else None
    return previous, found, _path(cursor, cursor.page + 1, found[-1].place) if more else None


def _path(cursor: Cursor, page: int, anchor: int | UnsetType) -> str:
    made = json.dumps(msgspec.to_builtins(replace(cursor, page=page, anchor=anchor))).encode()
    return f"{PATH}?page={urlsafe_b64encode(made).rstrip(b'=').decode()}"


def _moment(ms: int) -> str:
    return str((EPOCH + min(ms, YEAR_9999) * MS).replace(tzinfo=None))


def _millis(moment: str) -> int:
    read = datetime.fromisoformat(moment)
    if read.tzinfo or str(read) != moment:
        raise ValueError(moment)
    return (read.replace(tzinfo=UTC) - EPOCH) // MS
