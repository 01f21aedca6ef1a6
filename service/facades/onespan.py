"""OneSpan Identity Verification: `POST /api/transaction/{id}/token`, and the small registry of transactions it needs.

A transaction is a token of type `transaction` without a text: it lives 90 days, use does not renew it, and it owns
its session creation tokens, which its cancellation revokes.  These are JWTs whose `jti` is the handle, and whose end
is in the signed text, so no use renews them.  A credential is such a JWT too, over a caller's token, and is made by
`POST /v1/credentials/onespan`, a path of our own API.  Narrower than the vendor's: README.md.
"""

import logging
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Raw
from msgspec.structs import replace

from service.core import callers, errors
from service.core.callers import Caller
from service.core.errors import BadInput, CallerRefused, Conflict, Forbidden, Gone, Malformed, Refusal, Unavailable
from service.core.jwts import Jwts
from service.core.lifecycle import Tokens
from service.core.lists import Lists
from service.core.ring import Ring
from service.core.store import Filter
from service.core.token import ACTIVE, CONSUMED, EXPIRED, REVOKED, SERVICE, Draft, Issued, Token
from service.wire import HttpError, Route, Voice, answer, as_http_error, bearer, read_body, read_json

log = logging.getLogger("service.facades.onespan")

DAY_MS = 86_400_000
TRANSACTION_MS, CREDENTIAL_MS = 90 * DAY_MS, 365 * DAY_MS
TRANSACTION, SESSION = "transaction", "session_creation"  # types of tokens
ACCESS, CREATION = "tenant_access", "session_creation_authorization_code"  # scopes in the JWTs
GRANTS = (callers.ISSUE, callers.READ, callers.REVOKE)  # what a credential may do at our own API
REFUSED = re.compile(r";q=0(\.0*)?(;|$)")  # a media range that is not acceptable (RFC 9110 section 12.4.2)
SHOWN = 100  # tokens in the view of a transaction
STATES = {ACTIVE: "new", REVOKED: "cancelled", EXPIRED: "expired", CONSUMED: "completed"}

INVALID, BAD_DATA, FAULT = "Invalid token.", "The transaction data is invalid.", "Server or application error."

# About the token in Authorization.  A transaction that will not do is bad data, whatever became of it.
STATUS: dict[type[Refusal], tuple[int, str]] = {
    errors.Missing: (401, INVALID),
    errors.Malformed: (401, INVALID),
    errors.Unknown: (401, INVALID),
    errors.Revoked: (401, INVALID),
    errors.Expired: (401, INVALID),
    errors.Consumed: (401, INVALID),
    errors.Forbidden: (403, "The token does not grant transaction creation rights."),
}

T = TypeVar("T")


class Role(msgspec.Struct):
    role: Annotated[str, Meta(min_length=1, max_length=32)]


class Asked(msgspec.Struct, omit_defaults=True):
    """What is kept of a transaction, 4 KiB at most, to be shown again; all other members are ignored."""

    workflow_id: str | None = None
    brand_id: str | None = None
    language: str | None = None
    opaque_id: str | None = None
    tokens: Annotated[list[Role], Meta(max_length=16)] = []  # the roles there are; none: any


class Event(msgspec.Struct):
    trigger: Literal["transaction_cancelled"]


class Shown(msgspec.Struct):
    token: str
    role: str
    version: int = 0


class Credential(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    tenant: str | None = None
    life_ms: Annotated[int, Meta(ge=1000, le=CREDENTIAL_MS)] = CREDENTIAL_MS


def voice(tokens: Tokens, lists: Lists, ring: Ring, life_ms: int = DAY_MS) -> Voice:
    """life_ms: of a session creation token.  From here on the JWTs open everywhere, at our own API too."""
    jwts, longest_ms = ring.part(lambda keys: Jwts(keys, "onespan")), tokens.rules.max_life_ms
    tokens.texts.also(jwts.handle)

    async def caller_of(request: web.Request) -> tuple[Caller, str]:
        """Who asks, and its text: 401 for what is no live JWT of ours, then 403 for one that is no credential."""
        try:
            text = bearer(request.headers) or ""
            claims = jwts.read(text)
        except Malformed as refusal:
            raise CallerRefused(refusal) from None
        caller = await tokens.authorize(text, callers.ISSUE)
        if ACCESS not in claims.get("scope", ()):
            raise CallerRefused(Forbidden(id=caller.id, needed=ACCESS))
        return caller, text

    async def transaction_of(request: web.Request, by: str, *states: str) -> Token:
        """The one of the path, if it is in one of these states.  Raises `BadInput`."""
        try:
            token = await tokens.look(request.match_info["id"].lower(), by)
        except Refusal:
            raise BadInput("id", "is unknown") from None
        if token.type != TRANSACTION or token.state not in states:
            raise BadInput("id", "is not that of a transaction of which this can be asked")
        return token

    async def signed(draft: Draft, now_ms: int, until_ms: int, claims: dict[str, Any]) -> Issued:
        """A token that ends with the second that its text names."""
        exp_s = until_ms // 1000
        draft = replace(draft, life_ms=exp_s * 1000 - now_ms, ceiling_ms=exp_s * 1000, sliding=False)
        return await tokens.issue_written(
            draft, lambda id_: jwts.write({**claims, "exp": exp_s, "jti": id_, "client_id": draft.tenant})
        )

    async def session_of(transaction: Token, role: str) -> Shown:
        draft = Draft(owner=transaction.id, tenant=transaction.tenant, type=SESSION, scopes=(CREATION,),
                      metadata=Raw(msgspec.json.encode(Role(role))), recoverable=True)  # fmt: skip
        claims = {"session": {"role": role}, "scope": [CREATION], "transaction_uuid": transaction.id}
        now_ms = transaction.seen_at_ms
        until_ms = min(now_ms + life_ms, now_ms + longest_ms, transaction.deadline_at_ms or 0)
        return Shown((await signed(draft, now_ms, until_ms, claims)).text, role)

    async def create(request: web.Request) -> web.Response:
        caller, _ = await caller_of(request)
        asked, life = await _read(request, Asked), min(TRANSACTION_MS, longest_ms)
        draft = Draft(owner="", tenant=caller.tenant, type=TRANSACTION, life_ms=life, ceiling_ms=life, sliding=False,
                      metadata=Raw(msgspec.json.encode(asked)))  # fmt: skip
        transaction = await tokens.enroll(draft)
        return _answer(request, _view(transaction, [await session_of(transaction, one.role) for one in asked.tokens]))

    async def look(request: web.Request) -> web.Response:
        _, by = await caller_of(request)
        transaction = await transaction_of(request, by, *STATES)
        which = Filter(tenant=transaction.tenant, owner=transaction.id, type=SESSION, states=(ACTIVE,))
        found = (await lists.page(which, limit=SHOWN, cursor=None, descending=False)).items
        living = [Shown(tokens.recover(one) or "", _kept(one, Role).role) for one in found]
        return _answer(request, _view(transaction, living))

    async def event(request: web.Request) -> web.Response:
        """Cancels.  Repeating it ends what an interrupted one has left."""
        caller, by = await caller_of(request)
        await _read(request, Event)
        transaction = await transaction_of(request, by, ACTIVE, REVOKED)
        cancelled = await tokens.revoke_by_id(transaction.id, by, "cancelled")
        while (await tokens.revoke_owner(caller, caller.tenant, cancelled.id, type_=None, spared=(), dry=False))[1]:
            pass  # 500 a call, so that a transaction with many does not hold up the store
        return _answer(request, _view(cancelled, []))

    async def issue(request: web.Request) -> web.Response:
        _, by = await caller_of(request)
        asked, transaction = await _read(request, Role), await transaction_of(request, by, ACTIVE)
        roles = _kept(transaction, Asked).tokens
        if roles and asked not in roles:
            raise BadInput("role", "is not one of this transaction")
        shown = await session_of(transaction, asked.role)
        try:
            await transaction_of(request, by, ACTIVE)
        except BadInput:  # cancelled meanwhile, perhaps before there was this token for the cancellation to see
            await tokens.revoke(shown.token, reason="cancelled")
            raise
        return _answer(request, {"token": shown.token, "role": shown.role})

    async def credential(request: web.Request) -> web.Response:
        caller = await tokens.authorize(text := bearer(request.headers), callers.ISSUE)
        asked = await read_json(request, Credential)
        draft = Draft(owner=asked.owner, tenant=caller.acts_for(asked.tenant), type=SERVICE, scopes=GRANTS)
        caller.may_hand_out(draft.type, draft.scopes)
        now_ms = (await tokens.peek(text)).seen_at_ms
        issued = await signed(draft, now_ms, now_ms + min(asked.life_ms, longest_ms), {"scope": [ACCESS]})
        return answer({"id": issued.token.id, "authorization": f"Bearer {issued.text}"}, 201)

    routes = [
        Route(method="PUT", path="/api/transaction/", handler=create),
        Route(method="GET", path="/api/transaction/{id:[^/]+}", handler=look),
        Route(method="PUT", path="/api/transaction/{id:[^/]+}/event", handler=event),
        Route(method="POST", path="/api/transaction/{id:[^/]+}/token", handler=issue),
        Route(method="POST", path="/v1/credentials/onespan", handler=credential, status=201),
    ]
    return Voice("onespan", routes, render, lambda path: f"{path}/".startswith("/api/transaction/"))


def render(error: Exception, request: web.BaseRequest) -> web.Response:
    match error:
        case CallerRefused():
            return render(error.refusal, request)
        case Refusal():
            status, message = STATUS[type(error)]
            return _no(request, status, message, {"WWW-Authenticate": "Bearer"} if status == 401 else {})
        case BadInput():
            return _no(request, 400, BAD_DATA)
        case Conflict() | Gone():
            return _no(request, 409, error.message)
        case Unavailable():
            return _no(request, 503, FAULT, {"Retry-After": "1"})
        case web.HTTPException():
            return render(as_http_error(error), request)
        case HttpError():
            return _no(request, error.status, error.message, error.headers)
    log.error("a fault of ours", exc_info=error)
    return _no(request, 500, FAULT)


def _no(request: web.BaseRequest, status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"status": status, "error": HTTPStatus(status).phrase, "message": message}
    return _answer(request, error, status, headers)


def _answer(
    request: web.BaseRequest, value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """As `text/javascript` for who takes that and no JSON; as JSON for all others, since the vendor has no 406."""
    response = answer(value, status, {"Vary": "Accept", **(headers or {})})
    accept = ",".join(request.headers.getall("Accept", ())).replace(" ", "").lower()
    taken = {part.partition(";")[0] for part in accept.split(",") if not REFUSED.search(part)}
    if taken & {"text/javascript", "text/*"} and not taken & {"application/json", "application/*", "*/*"}:
        response.content_type = "text/javascript"
    return response


async def _read(request: web.Request, kind: type[T]) -> T:
    """The body, whatever type it says it is of.  Raises `BadInput`."""
    try:
        return msgspec.json.decode((await read_body(request)).decode(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadInput("body", "is not what this call takes") from None


def _kept(token: Token, kind: type[T]) -> T:
    return msgspec.json.decode(token.metadata, type=kind)


def _view(transaction: Token, living: list[Shown]) -> dict[str, Any]:
    kept, ends_ms = msgspec.to_builtins(_kept(transaction, Asked)), transaction.deadline_at_ms or 0
    return {
        "id": transaction.id, "status": STATES[transaction.state], "created": _iso(transaction.created_at_ms),
        "tenant_id": transaction.tenant, **kept, "tokens": living,
        "expiry_period": (transaction.life_ms or 0) // DAY_MS, "expiry_timestamp": _iso(ends_ms),
    }  # fmt: skip


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
