"""`/oauth2/introspect` (RFC 7662), `/oauth2/revoke` (RFC 7009), and where they are (RFC 8414).

The caller authenticates by `Authorization: Bearer`, or by Basic with its token as the password and any client_id.
A token of another tenant is one that does not exist: inactive to one endpoint, already gone to the other.
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from service.api.problems import RETRY_AFTER_S
from service.core import callers
from service.core.errors import CallerRefused, Forbidden, Missing, Refusal, Unavailable
from service.core.lifecycle import Tokens
from service.core.token import Token
from service.wire import FORM, Handler, HttpError, Route, answer, read_body

INTROSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"
WELL_KNOWN = "/.well-known/oauth-authorization-server"
FIELDS = 32  # in a form: the two that are read, and room for those that are ignored
BASIC = 'Basic realm="tokenlife"'


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2."""

    def __init__(self, status: int, error: str, description: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(description)
        self.status, self.error, self.description, self.headers = status, error, description, headers or {}


class Fault(msgspec.Struct, frozen=True):
    error: str
    error_description: str


class Presented(msgspec.Struct, frozen=True):
    """The form.  The hint is not needed: a text says itself where its token lies."""

    token: str
    token_type_hint: str | UnsetType = UNSET


class Introspection(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 7662 section 2.2.  Moments are seconds since 1970, rounded down; an inactive token has `active` alone."""

    active: bool
    sub: str | UnsetType = UNSET  # the owner
    client_id: str | UnsetType = UNSET  # the tenant: the application that the token was issued to
    jti: str | UnsetType = UNSET  # the handle
    token_type: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    iat: int | UnsetType = UNSET
    exp: int | UnsetType = UNSET  # as things stand: the next use moves it
    remaining_ms: int | UnsetType = UNSET  # ours, as section 2.2 allows


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 8414 section 2.

    There is neither an authorization nor a token endpoint: tokens are issued by our own API.  The standard asks for
    response types all the same and forbids an empty list (section 3.2), so they are the registered `none`.
    """

    issuer: str
    introspection_endpoint: str
    revocation_endpoint: str
    response_types_supported: tuple[str, ...] = ("none",)
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic", "Bearer")
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


Ask = Callable[[str | None, str | None], Awaitable[web.Response]]  # a token, and the caller's own


def routes(tokens: Tokens, public_url: str | None) -> list[Route]:
    """public_url: the issuer; None: what the request takes this server for."""

    async def introspect(token: str | None, caller: str | None) -> web.Response:
        try:
            return answer(introspection(await tokens.peek(token, by=caller)))
        except Missing:
            raise
        except Refusal:
            return answer(Introspection(active=False))

    async def revoke(token: str | None, caller: str | None) -> web.Response:
        try:
            await tokens.revoke(token, by=caller)
        except Missing:
            raise
        except Refusal:
            pass  # what does not exist needs no revoking: RFC 7009 section 2.2
        return web.Response(headers={"Cache-Control": "no-store"})

    async def metadata(request: web.Request) -> web.Response:
        return answer(metadata_of((public_url or f"{request.scheme}://{request.host}").rstrip("/")))

    return [
        # Where RFC 6750 has 403 for what a caller may not, RFC 7662 section 2.3 has 401.
        Route(method="POST", path=INTROSPECT, handler=_speaking(introspect, forbidden=401), takes=Presented,
              media=FORM, gives=Introspection, fault=Fault, grant=callers.USE, summary="RFC 7662: is a token live?"),
        Route(method="POST", path=REVOKE, handler=_speaking(revoke, forbidden=403), takes=Presented, media=FORM,
              fault=Fault, grant=callers.REVOKE, summary="RFC 7009: end a token; one that is not there is fine."),
        Route(method="GET", path=WELL_KNOWN, handler=metadata, gives=Metadata,
              summary="RFC 8414: where the OAuth 2.0 endpoints are."),
    ]  # fmt: skip


def introspection(token: Token) -> Introspection:
    deadline, remaining = token.deadline_at_ms, token.remaining_ms
    return Introspection(
        active=True,
        sub=token.owner,
        client_id=token.tenant,
        jti=token.id,
        token_type="Bearer",  # noqa: S106 - a type, no password
        scope=" ".join(token.scopes) or UNSET,
        iat=token.created_at_ms // 1000,
        exp=UNSET if deadline is None else deadline // 1000,
        remaining_ms=UNSET if remaining is None else remaining,
    )


def metadata_of(issuer: str) -> Metadata:
    return Metadata(issuer=issuer, introspection_endpoint=issuer + INTROSPECT, revocation_endpoint=issuer + REVOKE)


async def read_form(request: web.BaseRequest) -> dict[str, str]:
    """The parameters of the body; those of the query are nobody's.  Raises `OAuthError`, `HttpError`."""
    if request.content_type != FORM:
        raise _malformed(f"Send the parameters in the body, as {FORM}.")
    body = await read_body(request)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError:
        raise _malformed("The body is no form in UTF-8, or has too many parameters.") from None
    if len(dict(pairs)) < len(pairs):
        raise _malformed("A parameter is there twice.")
    return dict(pairs)


def credentials(request: web.BaseRequest) -> tuple[str, str | None]:
    """The scheme ('' for none that is known) and the caller's token.  Raises `OAuthError`."""
    lines = request.headers.getall("Authorization", ())
    if len(lines) > 1:
        raise _malformed("There are two Authorization headers.")
    scheme, _, rest = "".join(lines).strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return "Bearer", rest.strip()
        case "basic":
            return "Basic", _password(rest.strip())
    return "", None


def _password(encoded: str) -> str | None:
    """Each half was encoded as in a form before the two were joined (RFC 6749 section 2.3.1)."""
    try:
        return unquote_plus(b64decode(encoded, validate=True).decode().partition(":")[2])
    except ValueError:
        return None


def _speaking(ask: Ask, *, forbidden: int) -> Handler:
    """The endpoint around a question.  forbidden: the status when a Bearer caller lacks the grant."""

    async def handler(request: web.Request) -> web.Response:
        scheme = ""
        try:
            scheme, caller = credentials(request)
            form = await read_form(request)
            if scheme and "client_secret" in form:
                raise _malformed("The caller authenticates in two ways at once.")
            return await ask(form.get("token"), caller)
        except OAuthError as no:
            error = no
        except (Missing, CallerRefused, Unavailable, HttpError) as no:
            error = _said(no, scheme, forbidden)
        return answer(Fault(error.error, error.description), error.status, error.headers)

    return handler


def _said(no: Missing | CallerRefused | Unavailable | HttpError, scheme: str, forbidden: int) -> OAuthError:
    match no:
        case Missing():
            return _malformed("The parameter token is missing.")
        case CallerRefused():
            return _caller(no.refusal, scheme, forbidden)
        case Unavailable():
            return OAuthError(503, "temporarily_unavailable", no.message, {"Retry-After": RETRY_AFTER_S})
        case HttpError():
            return OAuthError(no.status, "invalid_request", no.message, no.headers)


def _malformed(description: str) -> OAuthError:
    return OAuthError(400, "invalid_request", description)


def _caller(refusal: Refusal, scheme: str, forbidden: int) -> OAuthError:
    """About the caller's own token, in the words of the scheme by which it came."""
    lacks = isinstance(refusal, Forbidden)
    if scheme == "Bearer" and not isinstance(refusal, Missing):
        word = "insufficient_scope" if lacks else "invalid_token"
        return OAuthError(forbidden if lacks else 401, word, refusal.message, _challenge(f'Bearer error="{word}"'))
    if lacks:
        return OAuthError(400, "unauthorized_client", "The caller's token lacks the grant for this.")
    challenge = BASIC if scheme == "Basic" else f"Bearer, {BASIC}"
    return OAuthError(401, "invalid_client", "The caller's own token does not do.", _challenge(challenge))


def _challenge(text: str) -> dict[str, str]:
    return {"WWW-Authenticate": text}
