"""Sarus Monitor+ session tokens (sections 2.1 to 2.4 of its API): `/GetSessionToken` and its kin, GET only.

What a page of that API leaves open: asking for the remaining life is not a use, and every other use renews; `Errors`
is an array of one object whose `Status` is the HTTP status too; a token that ran out is 410 as long as its record
is kept, then 401; HEAD is 405.  Narrower than the vendor's: README.md.
"""

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from service.core import callers, errors
from service.core.accounts import Accounts, whose
from service.core.errors import BadInput, CallerRefused, Conflict, Gone, Refusal, Unavailable
from service.core.lifecycle import Tokens
from service.core.pace import Pace
from service.core.token import Draft, Token
from service.wire import Handler, HttpError, Route, Voice, answer, as_http_error

log = logging.getLogger("service.facades.sarus")

MINUTES, LONGEST_MINUTES = 30, 1440
MINUTE_MS = 60_000
WHOLE = re.compile("[0-9]{1,4}")
ENDLESS = 2**53 - 1  # ms; what a token that never expires has left: the largest number that every JSON reader knows
BEGAN = web.RequestKey("began", float)  # by the clock of performance, s
EPOCH_JD, DAY_S = 2440587.5, 86_400  # the Julian date of 1970, and what a day of it is

UNKNOWN = "Invalid or unknown session token."
DOWN = "Server may be down for maintenance."
NO_LOGIN = "Invalid or unknown credentials."

STATUS: dict[type[Refusal], tuple[int, str]] = {
    errors.Missing: (400, "Missing Session Token."),
    errors.Malformed: (401, UNKNOWN),
    errors.Unknown: (401, UNKNOWN),
    errors.Revoked: (401, UNKNOWN),
    errors.Consumed: (401, UNKNOWN),
    errors.Forbidden: (403, "The session token does not allow this."),
    errors.Expired: (410, "Session Token has expired."),
}


class Remaining(msgspec.Struct, rename="pascal"):
    remaining: int


class Session(msgspec.Struct, rename="pascal"):
    last_active: str
    session_token: str
    remaining: int


class Said(msgspec.Struct, rename="pascal"):
    """The documents say `Detail`, the vendor's own clients read `Details`."""

    status: int
    detail: str
    details: str


class Envelope(msgspec.Struct, rename="pascal"):
    """Either a result or errors, never both."""

    server_date_time: str
    time_stamp: float
    execution_time: float
    result: Any | UnsetType = UNSET
    errors: list[Said] | UnsetType = UNSET


Query = Mapping[str, str]
Verb = Callable[[Query], Awaitable[msgspec.Struct]]


def voice(tokens: Tokens, accounts: Accounts, pace: Pace) -> Voice:
    """`pace` is held for each call and each who calls; an API key is a caller's token with `tokens:issue`."""

    async def get(query: Query) -> Session:
        key, email, password = query.get("apikey"), query.get("email"), query.get("password")
        if not key and not (email and password):
            raise HttpError(400, "missing", "Missing APIKey, or email and Password.")
        minutes = _minutes(query.get("minutes"))
        await turn("GetSessionToken", key or email or "")
        tenant, owner = await login(key, email or "", password or "")
        issued = await tokens.issue(Draft(owner=owner, tenant=tenant, life_ms=minutes * MINUTE_MS))
        return _session(issued.token, issued.text)

    async def login(key: str | None, email: str, password: str) -> tuple[str, str]:
        """The tenant and the owner of a new session.  An API key goes before a password."""
        if key:
            caller = await tokens.authorize(key, callers.ISSUE)
            return caller.tenant, caller.owner
        tenant, username = whose(email)
        if not await accounts.verify(tenant, username, password):
            raise HttpError(401, "credentials", NO_LOGIN)
        return tenant, username

    async def renew(query: Query) -> Session:
        text = await subject("RenewSessionToken", query)
        return _session(await tokens.renew(text), text)

    async def revoke(query: Query) -> Said:
        text = await subject("RevokeSessionToken", query)
        await tokens.peek(text)  # to revoke one that is no longer active is not refused by the core, but here it is
        await tokens.revoke(text, reason="holder")
        return _said(200, "Session Token has been revoked.")

    async def remaining(query: Query) -> Remaining:
        return Remaining(_left(await tokens.peek(await subject("QuerySessionToken", query))))

    async def subject(name: str, query: Query) -> str:
        """The text that the query is about.  Forged ones are refused before anybody is asked."""
        text = query.get("sessiontoken", "")
        await turn(name, tokens.texts.open(text))
        return text

    async def turn(name: str, who: str) -> None:
        wait_ms = await pace.wait_ms(f"sarus {name} {who}")
        if wait_ms:
            after = {"Retry-After": str(math.ceil(wait_ms / 1000))}
            raise HttpError(429, "rate_limited", "Too many requests: wait before the next one.", after)

    verbs: dict[str, Verb] = {
        "GetSessionToken": get,
        "RenewSessionToken": renew,
        "RevokeSessionToken": revoke,
        "QuerySessionToken": remaining,
        "SessionTokenExpires": remaining,  # its old name
    }
    routes = [Route(method="*", path=f"/{name}", handler=_only_get(verb)) for name, verb in verbs.items()]
    return Voice("sarus", routes, render, lambda path: path.lstrip("/").partition("/")[0] in verbs)


def render(error: Exception, request: web.BaseRequest) -> web.Response:
    match error:
        case Refusal():
            return _no(request, *STATUS[type(error)])
        case CallerRefused(refusal=errors.Forbidden()):
            return _no(request, 403, "The APIKey does not allow this.")
        case CallerRefused():
            return _no(request, 401, NO_LOGIN)
        case Unavailable():
            return _no(request, 500, DOWN, {"Retry-After": "1"})
        case BadInput():
            return _no(request, 400, f"{error.field} {error.message}.")
        case Conflict():
            return _no(request, 409, error.message)
        case Gone():
            return _no(request, 410, error.message)
        case web.HTTPException():
            return render(as_http_error(error), request)
        case HttpError(status=405):
            return _no(request, 405, f"Method {request.method} not allowed.", error.headers)
        case HttpError():
            return _no(request, error.status, error.message, error.headers)
    log.error("a fault of ours", exc_info=error)
    return _no(request, 500, DOWN)


def _only_get(verb: Verb) -> Handler:
    """For every method, since the router would let HEAD pass for GET."""

    async def handle(request: web.Request) -> web.Response:
        request[BEGAN] = time.perf_counter()
        if request.method != "GET":
            raise HttpError(405, "method_not_allowed", "", {"Allow": "GET"})
        given = reversed([(name.lower(), value) for name, value in request.query.items()])
        result = await verb(dict(given))  # of a parameter that is given twice, the first
        return _answer(request, 200, result=result)

    return handle


def _no(request: web.BaseRequest, status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return _answer(request, status, headers, errors=[_said(status, detail)])


def _answer(request: web.BaseRequest, status: int, headers: dict[str, str] | None = None, **which: Any) -> web.Response:
    """One reading of the clock says both the date and the Julian date."""
    now_s, ends = time.time(), time.perf_counter()
    took_ms = (ends - request.get(BEGAN, ends)) * 1000
    return answer(Envelope(_iso(now_s), now_s / DAY_S + EPOCH_JD, round(took_ms, 3), **which), status, headers)


def _said(status: int, detail: str) -> Said:
    return Said(status, detail, detail)


def _session(token: Token, text: str) -> Session:
    return Session(_iso(token.seen_at_ms / 1000), text, _left(token))


def _left(token: Token) -> int:
    return ENDLESS if token.remaining_ms is None else token.remaining_ms


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _minutes(given: str | None) -> int:
    if given is None:
        return MINUTES
    if not WHOLE.fullmatch(given) or not 1 <= int(given) <= LONGEST_MINUTES:
        raise BadInput("Minutes", f"must be a whole number from 1 to {LONGEST_MINUTES}")
    return int(given)
