"""What all HTTP voices share: routes, bodies, and who renders an error.  Knows no store.

A voice is one published API: its routes, the paths that are its own, and how it says no.  On a voice's paths every
answer is in that voice's form, the router's own 404, 405 and 413 and unforeseen faults included.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar, cast

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from msgspec.structs import fields, replace

from service.core.errors import BadInput, Malformed
from service.typed import typed

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
REQUEST_ID = web.RequestKey("id", str)  # of a request on the usual way
FIELD = 64  # characters of a field's name
BODY_S = 10.0  # where the connection does not say: aiohttp bounds everything but the time that a body may take


class Headers(Protocol):
    """Of a request; names in any case, every line of its own."""

    def getall(self, key: str, default: Sequence[str]) -> Sequence[str]: ...
    def get(self, key: str) -> str | None: ...


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Render = Callable[[Exception, web.BaseRequest], web.Response]
T = TypeVar("T")


class HttpError(Exception):
    """A no that is about HTTP and not about a token: 404, 405, 413 ..."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class Short(msgspec.Struct, frozen=True):
    """The short way of a route (`express.py`), of which its handler is the usual way.

    read: what is asked, from the headers and the body and nothing else.  ask: with that, as often as it is asked, and
    with whom to tell the outcome: a token, in the voice's form or not, or an error.  Both may raise anything as long as
    nobody was asked.  give: the header lines and the body of the 200 for a token.  render: an error, where the voice
    would do it in another way.
    """

    read: Callable[[Headers, bytes], Any]
    ask: Callable[[Any, Callable[[Any], None]], None]
    give: Callable[[Any], tuple[bytes, bytes]]
    render: Render | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One call, and what the API's description says of it."""

    method: str
    path: str
    handler: Handler
    summary: str = ""
    takes: Any = None  # the Struct of the body
    media: str = JSON  # what the body is
    asks: Any = None  # the Struct of the query
    gives: Any = None  # the Struct of the answer
    status: int = 200
    grant: str | None = None
    refusals: tuple[int, ...] = ()  # statuses beside those that every call has
    fault: Any = None  # the Struct of a refusal, where it is no problem
    short: Short | None = None  # beside the handler; the path has no variable part
    hidden: bool = False  # left out of the description


class Voice(msgspec.Struct, frozen=True):
    """`owns` says which paths are this voice's, unknown ones below them included."""

    name: str
    routes: Sequence[Route]
    render: Render
    owns: Callable[[str], bool]


def under(prefix: str, voice: Voice) -> Voice:
    """The voice with its own paths behind a prefix; '' is none.  A route at another's path stays there."""

    def owns(path: str) -> bool:
        return path.startswith(f"{prefix}/") and voice.owns(path[len(prefix) :])

    routes = [replace(route, path=prefix + route.path) if voice.owns(route.path) else route for route in voice.routes]
    return replace(voice, routes=routes, owns=owns)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON.  Answers about tokens are never to be stored by what lies between."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


async def read_body(request: web.BaseRequest, limit: int | None = None) -> bytes:
    """The whole body, once.  limit in bytes; None: that of the server.  Raises `HttpError` 400, 408 and 413."""
    most = limit or request.client_max_size
    try:
        # A small body came in one piece with the headers; asking for it with a timeout would cost 6 us of 50.
        body = request.content.read_nowait() if request.content.is_eof() else await _arriving(request, most)
    except (BadHttpMessage, web.RequestPayloadError):
        raise HttpError(400, "bad_http", "The body is not framed or encoded as its headers say.") from None
    except ConnectionError:
        raise HttpError(400, "body_cut", "The client left before its body was complete.") from None
    if len(body) > most:
        raise HttpError(413, "too_large", f"The body is larger than {most} bytes.")
    return body


async def _arriving(request: web.BaseRequest, most: int) -> bytes:
    """What comes, up to just beyond the limit."""
    body, body_s = bytearray(), getattr(request.protocol, "body_s", BODY_S)
    try:
        async with asyncio.timeout(body_s):
            while len(body) <= most and (chunk := await request.content.readany()):
                body += chunk
    except TimeoutError:
        raise HttpError(408, "body_timeout", f"The body did not arrive within {body_s:g} s.") from None
    return bytes(body)


async def read_json(request: web.BaseRequest, kind: type[T], limit: int | None = None) -> T:
    """The body as a Struct.  Raises `BadInput` that names the field, or `HttpError` 415, 413, 408."""
    if request.headers.get("Content-Type") != JSON and not _is_json(request):
        raise HttpError(415, "unsupported_media_type", f"Send the body as Content-Type: {JSON}.")
    return decoded(await read_body(request, limit), kind)


def decoded(body: bytes, kind: type[T]) -> T:
    """JSON as a Struct.  Raises `BadInput` that names the field."""
    try:
        value: T = typed(body, cast(Any, kind))
        if body.count(b":") > _names(cast(Any, kind)):  # else what must be there is there once, and nothing else
            json.loads(body, object_pairs_hook=_once, parse_int=str)  # Python's own int() takes 4,300 digits at most
    except UnicodeDecodeError:
        raise BadInput("body", "is not UTF-8") from None
    except RecursionError:
        raise BadInput("body", "is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise bad_input(error, "body") from None
    return value


@cache
def _names(kind: Any) -> int:
    """How many names JSON of a kind has at least, or one."""
    required = sum(field.required for field in fields(kind)) if issubclass(kind, msgspec.Struct) else 0
    return max(1, required)


def _once(members: list[tuple[str, Any]]) -> None:
    """Of a name that is given twice, two parties on the way could each believe another one."""
    if len(dict(members)) < len(members):
        name, _ = Counter(name for name, _ in members).most_common(1)[0]
        raise BadInput(_short(name, "body"), "is given twice")


def _is_json(request: web.BaseRequest) -> bool:
    return request.content_type == JSON and (request.charset or "utf-8").lower() == "utf-8"


def read_query(request: web.BaseRequest, kind: type[T]) -> T:
    """The query as a Struct; a parameter given twice is refused.  Raises `BadInput`."""
    query = request.query
    if len(set(query)) < len(query):
        name, _ = Counter(query.keys()).most_common(1)[0]
        raise BadInput(_short(name, "query"), "is given twice")
    try:
        return msgspec.convert(dict(query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise bad_input(error, "query") from None


def bad_input(error: msgspec.DecodeError, whole: str) -> BadInput:
    """msgspec's complaint with the field at fault.  It quotes names and types, never values."""
    text = str(error)
    at = re.search(r" - at `(?:key in )?\$\.?([^`]*)`$", text)
    named = re.search(r"field `([^`]*)`", text)
    message = text[: at.start()] if at else text
    if message.startswith("Invalid enum value"):
        message = "is not one of the values that are known here"  # msgspec quotes what was sent, a token perhaps
    path = at[1] if at else ""
    if named:
        field = ".".join(part for part in (path, named[1]) if part)
        return BadInput(
            _short(field, whole), "is missing" if "missing" in text else "is not a field that this call knows"
        )
    return BadInput(_short(path, whole), message if message[1:2].isupper() else message[:1].lower() + message[1:])


def _short(field: str, whole: str) -> str:
    """A name as a client sent it may be anything; a text of a token, for one, has 74 characters and more."""
    return field if 0 < len(field) <= FIELD else whole


def bearer(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750 section 2.1), None when there is none.

    Two such headers are refused as malformed: two parties on the way could each believe another one.
    """
    values = headers.getall("Authorization", ())
    if not values:
        return None
    scheme, _, text = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer":
        raise Malformed
    return text.strip() or None


def as_http_error(error: web.HTTPException) -> HttpError:
    """aiohttp's own errors, without its texts."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"Method {error.method} is not allowed here; {allowed} is."
        return HttpError(405, "method_not_allowed", message, {"Allow": allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return HttpError(413, "too_large", "The body is too large.")
    if error.status == web.HTTPNotFound.status_code:
        return HttpError(404, "not_found", "There is nothing at this path.")
    return HttpError(error.status, "http_error", error.reason or "The request cannot be answered.")
