"""How our own voice says no: RFC 9457 problem details with a stable `code` and, where it helps, evidence."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from service.core import errors
from service.core.errors import BadInput, CallerRefused, Conflict, Gone, Refusal, Unavailable
from service.wire import HttpError, as_http_error

log = logging.getLogger("service.api")

STATUS: dict[type[Refusal], int] = {
    errors.Missing: 400,
    errors.Malformed: 401,
    errors.Unknown: 401,
    errors.Revoked: 401,
    errors.Consumed: 401,
    errors.Forbidden: 403,
    errors.Expired: 410,
}
CONFLICTS = {"changed": 412, "idempotency_key_reused": 422}  # any other is 409
RETRY_AFTER_S = "1"


class ByHandle(Exception):
    """A refusal of a token that was named by handle: nobody presented it, so it is not about credentials."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Problem(msgspec.Struct, frozen=True):
    """An error as it goes out.  `extra` holds the evidence, beside the members of RFC 9457."""

    status: int
    code: str
    detail: str
    extra: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}

    def members(self) -> dict[str, Any]:
        title = self.code.replace("_", " ").capitalize()
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail,
                "code": self.code, **self.extra}  # fmt: skip


def problem(error: Exception) -> Problem:
    """What an error is to the outside."""
    match error:
        case Refusal():
            return _refusal(error)
        case ByHandle():
            status = 404 if isinstance(error.refusal, errors.Unknown) else 410
            return Problem(status, error.refusal.code, error.refusal.message, error.refusal.evidence)
        case CallerRefused():
            return _caller(error.refusal)
        case Unavailable():
            return Problem(503, error.code, error.message, headers={"Retry-After": RETRY_AFTER_S})
        case BadInput():
            return Problem(400, error.code, str(error), {"field": error.field})
        case Conflict():
            return Problem(CONFLICTS.get(error.code, 409), error.code, str(error))
        case Gone():
            return Problem(410, error.code, error.message, {"oldest": error.oldest})
        case web.HTTPException():
            return problem(as_http_error(error))
        case HttpError():
            return Problem(error.status, error.code, error.message, headers=error.headers)
    log.error("a fault of ours", exc_info=error)
    return Problem(500, "internal", "Something went wrong here; the request id finds it in the log.")


def render(error: Exception, _request: web.BaseRequest | None = None) -> web.Response:
    made = problem(error)
    return web.Response(
        status=made.status,
        body=msgspec.json.encode(made.members()),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **made.headers},
    )


def _outside(refusal: Refusal) -> str:
    """`malformed` and `unknown` are told apart nowhere outside."""
    return "unknown" if isinstance(refusal, errors.Malformed) else refusal.code


def _refusal(refusal: Refusal) -> Problem:
    status = STATUS[type(refusal)]
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if status == 401 else {}
    return Problem(status, _outside(refusal), refusal.message, refusal.evidence, headers)


def _caller(refusal: Refusal) -> Problem:
    """About the token in `Authorization`: 401 whatever is wrong with it, but for a grant that it lacks."""
    extra = {**refusal.evidence, "field": "Authorization"}
    detail = f"The caller's own token, in Authorization: {refusal.message}"
    if isinstance(refusal, errors.Forbidden):
        return Problem(403, refusal.code, detail, extra)
    challenge = "Bearer" if isinstance(refusal, errors.Missing) else 'Bearer error="invalid_token"'
    return Problem(401, _outside(refusal), detail, extra, {"WWW-Authenticate": challenge})
