"""GNU Taler's bank: the tokens of an account, `/accounts/$USERNAME/token` and `/tokens` of the core bank API.

The username is a login of this service (`ann`, or `shop~ann` for the tenant shop), `token_id` a sequence number.  To
log in with a token is a use: it renews, never past the duration asked for unless refreshable.  Narrower: README.md.
"""

import logging
import re
from base64 import b64decode
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from service.core import errors, rules
from service.core.accounts import Accounts, whose
from service.core.errors import BadInput, CallerRefused, Refusal
from service.core.lifecycle import Tokens
from service.core.lists import ENDLESS, Lists
from service.core.store import Filter
from service.core.token import ACTIVE, Draft, Token, place_of
from service.wire import HttpError, Route, Voice, answer, as_http_error, read_json, read_query

log = logging.getLogger("service.facades.taler")

PREFIX, TYPE = "secret-token:", "taler"
TEXT, ID = re.compile(r"secret-token:[A-Za-z0-9._-]+"), re.compile(r"[0-9]{1,18}")
DAY_US, LONGEST_US = 86_400_000_000, 2**53 - 1
USUAL, MOST = -20, 1024  # entries a page

# The numbers of GANA, GNU's registry of error codes.
NO_PERMISSION, METHOD, ENDPOINT, BAD_JSON, BAD_HEADER, NO_HEADER, BAD_PARAMETER = 16, 20, 21, 22, 23, 25, 26
PACKED, LARGE, NO_LOGIN, NO_TOKEN, EXPIRED, NOT_YOURS, AWAY, FAULT, NOT_FOUND = 28, 32, 40, 41, 42, 44, 53, 60, 5107

STATUS: dict[type[Refusal], tuple[int, int, str]] = {
    errors.Missing: (401, NO_HEADER, "No credentials were sent."),
    errors.Malformed: (401, NO_TOKEN, "The token is not known."),
    errors.Unknown: (401, NO_TOKEN, "The token is not known."),
    errors.Revoked: (401, NO_TOKEN, "The token is not known."),
    errors.Consumed: (401, NO_TOKEN, "The token is not known."),
    errors.Expired: (401, EXPIRED, "The token has expired."),
    errors.Forbidden: (403, NO_PERMISSION, "The token does not permit this."),
}
HTTP = {404: ENDPOINT, 405: METHOD, 413: LARGE}  # any other is about how the request was sent

Scope = Literal["readonly", "readwrite", "revenue", "wiregateway", "observability"]
# What a scope permits beside itself.
COVERS = {"readwrite": {"readonly", "revenue", "wiregateway", "observability"}, "readonly": {"revenue"}}
Limit = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | UnsetType
Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType


class Duration(msgspec.Struct, frozen=True):
    d_us: Annotated[int, Meta(ge=0, le=LONGEST_US)] | Literal["forever"]


class TokenRequest(msgspec.Struct, frozen=True):
    scope: Scope
    duration: Duration = Duration(DAY_US)
    refreshable: bool = False
    description: str | None = None


class Query(msgspec.Struct, frozen=True):
    """`delta` and `start` are the names that v5 deprecated."""

    limit: Limit = UNSET
    offset: Offset = UNSET
    delta: Limit = UNSET
    start: Offset = UNSET


class No(Exception):
    """What only this dialect says no to, with its number at GANA."""

    def __init__(self, status: int, code: int, hint: str) -> None:
        super().__init__(hint)
        self.status, self.code, self.hint = status, code, hint


def voice(tokens: Tokens, lists: Lists, accounts: Accounts, basic: bool) -> Voice:
    async def login(request: web.Request) -> tuple[Filter, Token | None]:
        """The tokens of the account, and the one that was presented; None: a password was, which permits everything.

        Raises: 400 what cannot be read, 401 who is not known, 403 who is another, of whose account nothing is told.
        """
        scheme, given = _credentials(request)
        if scheme == "basic" and not basic and request.method != "POST":
            raise No(401, NO_LOGIN, "A password gets a token, and that does the rest.")
        token = await by_token(given) if scheme == "bearer" else None
        tenant, owner = (token.tenant, token.owner) if token else await by_password(given)
        if (tenant, owner) != whose(request.match_info["username"]):
            raise No(403, NOT_YOURS, "These credentials are not those of this account.")
        return Filter(tenant=tenant, owner=owner, type=TYPE, states=(ACTIVE,)), token

    async def by_token(text: str) -> Token:
        try:
            return await tokens.use(text)
        except errors.Malformed:
            if TEXT.fullmatch(text):
                raise
            raise No(400, BAD_HEADER, f"A token is {PREFIX} and letters, digits, '.', '_' and '-'.") from None

    async def by_password(given: str) -> tuple[str, str]:
        username, password = _pair(given)
        if not await accounts.verify(*whose(username), password):
            raise No(401, NO_LOGIN, "The user is unknown or the password is wrong.")
        return whose(username)

    async def create(request: web.Request) -> web.Response:
        which, token = await login(request)
        if token is not None and not token.refreshable:
            raise No(403, NO_PERMISSION, "The token is not refreshable.")
        try:
            asked = await read_json(request, TokenRequest)
        except BadInput as error:
            raise No(400, BAD_JSON, f"{error}.") from None
        _check_scope(token, asked.scope)
        life_ms = _life(asked.duration, tokens.rules)
        draft = Draft(
            tenant=which.tenant, owner=str(which.owner), type=TYPE, scopes=(asked.scope,), life_ms=life_ms,
            ceiling_ms=None if asked.refreshable else life_ms, refreshable=asked.refreshable,
            description=asked.description or None,
        )  # fmt: skip
        issued = await tokens.issue(draft, dressing=PREFIX)
        return answer({"access_token": issued.text, "expiration": _moment(issued.token.deadline_at_ms)})

    async def page(request: web.Request) -> web.Response:
        which, token = await login(request)
        _check_scope(token, "readonly")
        asked = read_query(request, Query)
        limit, offset = _either("limit", asked.limit, asked.delta), _either("offset", asked.offset, asked.start)
        if limit == 0:
            raise BadInput("limit", "must not be zero")
        limit = USUAL if limit is UNSET else limit
        after = place_of(offset + 1) - 1 if limit > 0 and offset is not UNSET else -1
        before = place_of(offset) if limit < 0 and offset is not UNSET else ENDLESS
        found = await lists.between(which, after, before, min(abs(limit), MOST), descending=limit < 0)
        return answer({"tokens": [_info(one) for one in found]}) if found else web.Response(status=204)

    async def end_own(request: web.Request) -> web.Response:
        _, token = await login(request)
        if token is None:
            raise No(400, BAD_HEADER, "Only a token can be deleted, and a password was sent.")
        await tokens.end(token, "holder")
        return web.Response(status=204)

    async def end(request: web.Request) -> web.Response:
        which, token = await login(request)
        _check_scope(token, "readwrite")
        id_ = int(rules.check("TOKEN_ID", request.match_info["id"], ID, "a whole number"))
        found = await lists.between(which, place_of(id_) - 1, place_of(id_ + 1), 1, descending=False)
        if not found:
            raise No(404, NOT_FOUND, "The account has no such token.")
        await tokens.end(found[0])
        return web.Response(status=204)

    one, all_ = "/accounts/{username}/token", "/accounts/{username}/tokens"
    handlers = [("POST", one, create), ("DELETE", one, end_own), ("GET", all_, page), ("DELETE", all_ + "/{id}", end)]
    # A slash at the end is ignored.
    routes = [Route(method=m, path=path + slash, handler=h) for m, path, h in handlers for slash in ("", "/")]
    return Voice("taler", routes, render, lambda path: f"{path}/".startswith("/accounts/"))


def render(error: Exception, request: web.BaseRequest) -> web.Response:
    match error:
        case CallerRefused():
            return render(error.refusal, request)
        case Refusal():
            return _no(*STATUS[type(error)])
        case No():
            return _no(error.status, error.code, error.hint)
        case BadInput():
            return _no(400, BAD_PARAMETER, f"{error}.", parameter=error.field)
        case errors.Conflict() | errors.Gone():
            return _no(400, BAD_PARAMETER, str(error))
        case errors.Unavailable():
            return _no(503, AWAY, error.message, {"Retry-After": "1"})
        case web.HTTPException():
            return render(as_http_error(error), request)
        case HttpError(code="bad_http") if "Content-Encoding" in request.headers:
            return _no(400, PACKED, error.message)
        case HttpError():
            status = 400 if error.status == 415 else error.status
            return _no(status, HTTP.get(status, BAD_HEADER), error.message, error.headers)
    log.error("a fault of ours", exc_info=error)
    return _no(500, FAULT, "Something went wrong here.")


def _no(status: int, code: int, hint: str, headers: dict[str, str] | None = None, **more: str) -> web.Response:
    challenge = {"WWW-Authenticate": "Basic" if code in (NO_HEADER, NO_LOGIN) else 'Bearer error="invalid_token"'}
    return answer({"code": code, "hint": hint, **more}, status, challenge if status == 401 else headers)


def _credentials(request: web.Request) -> tuple[str, str]:
    """The scheme, `basic` or `bearer`, and what follows it."""
    values = request.headers.getall("Authorization", ())
    if not values:
        raise errors.Missing
    scheme, _, given = values[0].partition(" ")
    if len(values) > 1 or not given.strip():
        raise No(400, BAD_HEADER, "Authorization must be one scheme with one credential.")
    if scheme.lower() not in ("basic", "bearer"):
        raise No(401, NO_LOGIN, "Only Basic and Bearer are known here.")
    return scheme.lower(), given.strip()


def _pair(given: str) -> tuple[str, str]:
    """The username and the password of Basic (RFC 7617)."""
    try:
        username, colon, password = b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        username = colon = password = ""
    if not colon:
        raise No(400, BAD_HEADER, "Basic must be followed by the base64 of username:password.")
    return username, password


def _check_scope(token: Token | None, scope: str) -> None:
    """Raises `Forbidden`."""
    if token is not None and not any(scope == own or scope in COVERS.get(own, ()) for own in token.scopes):
        raise errors.Forbidden(id=token.id, needed=scope)


def _life(asked: Duration, limits: rules.Rules) -> int | None:
    """ms, None for ever.  What is longer than a life may be here is cut to that: the server decides."""
    if asked.d_us == "forever":
        return None if limits.forever else limits.max_life_ms
    return min(max(1, asked.d_us // 1000), limits.max_life_ms)


def _either(name: str, new: int | UnsetType, old: int | UnsetType) -> int | UnsetType:
    if UNSET not in (new, old) and new != old:
        raise BadInput(name, "contradicts its deprecated name")
    return old if new is UNSET else new


def _info(token: Token) -> dict[str, Any]:
    return {
        "creation_time": _moment(token.created_at_ms), "expiration": _moment(token.deadline_at_ms),
        "scope": " ".join(token.scopes), "refreshable": token.refreshable,
        **({"description": token.description} if token.description else {}),
        "last_access": _moment(token.last_used_at_ms), "token_id": token.sequence, "row_id": token.sequence,
    }  # fmt: skip


def _moment(ms: int | None) -> dict[str, int | str]:
    return {"t_s": "never" if ms is None else ms // 1000}
