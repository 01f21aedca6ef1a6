"""`/gateway/use` and `/gateway/peek`: what a gateway asks before it lets a request through.

Any method, any tail of the path: gateways hand on what their clients chose.  Query and body are never read, and no
identity is believed that came with the request.  An answer is a verdict or no 200: a gateway takes any 200 for yes.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote

import msgspec
from aiohttp import web

from service.api import problems
from service.core.errors import Malformed, Missing, Refusal, Unavailable
from service.core.lifecycle import Tokens
from service.core.rules import SCOPE, SCOPES, UNHELD
from service.core.store import Asking
from service.core.token import Token
from service.wire import Headers, HttpError, Route, Short

PREFIX = "/gateway/"
VERBS = ("use", "peek")
SPLIT = re.compile(r"[\s,]+")  # what joins two header lines into one puts a comma between them
BARE = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"  # printable and itself; '%' is not, so decoding gives back what was encoded
CHALLENGE = {401: 'Bearer error="invalid_token"', 403: 'Bearer error="insufficient_scope"'}  # RFC 6750 section 3.1

IDENTITY = (
    "X-Token-Id", "X-Token-Owner", "X-Token-Tenant", "X-Token-Scopes", "X-Token-State", "X-Token-Remaining-Ms",
    "X-Token-Expires-At-Ms",
)  # fmt: skip
LINES = "".join(f"{name}: %s\r\n" for name in IDENTITY)


class Verdict(msgspec.Struct, frozen=True):
    """What a gateway is told, over whatever protocol it asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


AnswerFor = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def verb_of(path: str) -> str | None:
    """The verb that a path asks for, as it came and without its query: what is encoded is nobody's verb."""
    verb = path.removeprefix(PREFIX).partition("/")[0]
    return verb if path.startswith(PREFIX) and verb in VERBS else None


async def judge(tokens: Tokens, verb: str, headers: Headers, cookie_name: str) -> Verdict:
    """The verdict about the token of a request."""
    ask = tokens.use if verb == "use" else tokens.peek
    try:
        text = presented(headers, cookie_name)
        return Verdict(200, identity(await ask(text, scopes=required(headers))))
    except (Refusal, Unavailable) as no:
        return refused(no)


def presented(headers: Headers, cookie_name: str) -> str | None:
    """The token: of `Authorization: Bearer`, else of `X-Session-Token`, else of the cookie.

    Two that differ are refused as malformed, as are two lines of Authorization: the gateway, or what stands behind
    it, could believe the other one.
    """
    authorization = headers.getall("Authorization", ())
    if len(authorization) > 1:
        raise Malformed
    scheme, _, text = "".join(authorization).partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    return _only(headers.getall("X-Session-Token", ())) or _only(_cookies(headers, cookie_name))


def required(headers: Headers) -> tuple[str, ...]:
    """The scopes of all lines of `X-Require-Scope`; `UNHELD` when no token could have them.

    A line that a client adds asks for more, never for less.
    """
    lines = headers.getall("X-Require-Scope", ())
    if not lines:
        return ()
    asked = set(SPLIT.split(" ".join(lines))) - {""}
    possible = len(asked) <= SCOPES and all(map(SCOPE.fullmatch, asked))
    return tuple(sorted(asked)) if possible else UNHELD


def identity(token: Token) -> dict[str, str]:
    """All of the headers, always: one that was left out would let a client's own one through."""
    return dict(zip(IDENTITY, _identity(token), strict=True))


def _identity(token: Token) -> tuple[str, ...]:
    remaining, deadline = token.remaining_ms, token.deadline_at_ms  # empty for a life without end
    return (
        token.id, _quoted(token.owner), token.tenant, " ".join(token.scopes), token.state,
        "" if remaining is None else str(remaining), "" if deadline is None else str(deadline),
    )  # fmt: skip


def form(token: Token) -> bytes:
    """The lines of any active token like this one: see `service.core.store.Form`."""
    fixed = [word.replace("%", "%%") for word in _identity(token)[1:5]]
    return (LINES % ("%b", *fixed, "%d", "%b%.0b%.0b")).encode()


@lru_cache(16_384)  # 1 of the 2 us of an identity
def _quoted(owner: str) -> str:
    return quote(owner, safe=BARE)


def refused(no: Refusal | Unavailable) -> Verdict:
    """401 whatever is wrong with the token, for nginx makes a 500 of a 410, and a missing one is no fault of form."""
    made = problems.problem(no)
    status = made.status if made.status in (403, 503) else 401
    headers = {"Content-Type": "application/problem+json", **made.headers}
    if status != 503:
        headers["X-Token-Reason"] = made.code
        headers["WWW-Authenticate"] = "Bearer" if isinstance(no, Missing) else CHALLENGE[status]
    return Verdict(status, headers, msgspec.json.encode({**made.members(), "status": status}))


def answering(tokens: Tokens, cookie_name: str) -> AnswerFor:
    """The whole of it as one function of a request; asks neither a router nor an application."""

    async def answer_for(request: web.BaseRequest) -> web.StreamResponse:
        verb = verb_of(request.rel_url.raw_path)
        if verb is None:
            return problems.render(HttpError(404, "not_found", "There is nothing at this path."))
        return _response(await judge(tokens, verb, request.headers, cookie_name))

    return answer_for


def short(tokens: Tokens, verb: str, cookie_name: str) -> Short:
    """The short way of it, for those who may get a 200."""

    def read(headers: Headers, _body: bytes) -> Asking:
        return tokens.asking(verb, presented(headers, cookie_name), scopes=required(headers), form=form)

    def give(told: Token | bytes) -> tuple[bytes, bytes]:
        lines = told if isinstance(told, bytes) else (LINES % _identity(told)).encode()
        return lines, b""

    def render(error: Exception, request: web.BaseRequest) -> web.Response:
        if isinstance(error, Refusal | Unavailable):
            return _response(refused(error))
        return problems.render(error, request)

    return Short(read, tokens.present_soon, give, render)


def routes(tokens: Tokens, cookie_name: str) -> list[Route]:
    """Described are the plain GETs; served is every method below the prefix, `\\n` in the path included."""
    answer_for = answering(tokens, cookie_name)
    said = {
        "use": "Let a request through? The token is put back to full life; the answer is in headers.",
        "peek": "Let a request through? The token is only looked at; the answer is in headers.",
    }
    described = [
        Route(
            method="GET",
            path=PREFIX + verb,
            handler=answer_for,
            short=short(tokens, verb, cookie_name),
            refusals=(401, 403),
            summary=said[verb],
        )
        for verb in VERBS
    ]
    return [*described, Route(method="*", path=PREFIX + "{tail:(?s:.*)}", handler=answer_for, hidden=True)]


def _response(verdict: Verdict) -> web.Response:
    headers = {"Cache-Control": "no-store", **verdict.headers}
    return web.Response(status=verdict.status, body=verdict.body, headers=headers)


def _only(values: Iterable[str]) -> str | None:
    different = set(values) - {""}
    if len(different) > 1:
        raise Malformed
    return different.pop() if different else None


def _cookies(headers: Headers, name: str) -> Iterable[str]:
    """The values of the cookies of this name: a browser may send several, for several paths and domains."""
    for pair in ";".join(headers.getall("Cookie", ())).split(";"):
        given, _, value = pair.strip().partition("=")
        if given == name:
            yield value.strip('"')
