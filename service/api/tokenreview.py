"""`POST /k8s/tokenreview`: the TokenReview webhook of Kubernetes, authentication.k8s.io/v1.

The API server keeps an answer for two minutes unless told otherwise (`--authentication-token-webhook-cache-ttl`), so
a review says little about use: it never renews.  Whoever issues tokens names users of the cluster; therefore a
name that Kubernetes keeps for itself is refused, and groups are named after the tenant.

An audience is a scope: the token is for those of the audiences asked about that are among its scopes, and when some
were asked about and it is for none of them, it does not do.
"""

from typing import Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from service.api.asked import caller_text
from service.core import callers
from service.core.errors import Refusal
from service.core.lifecycle import Tokens
from service.core.token import Token
from service.wire import Route, answer, read_json

Version = Literal["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"]
Kind = Literal["TokenReview"]
RESERVED = "system:"


class Spec(msgspec.Struct, frozen=True):
    token: str = ""
    audiences: tuple[str, ...] | None = None


class User(msgspec.Struct, frozen=True):
    """`tokenlife/remaining-ms` is missing for a life without end."""

    username: str
    groups: tuple[str, ...]
    extra: dict[str, tuple[str, ...]]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    authenticated: bool
    user: User | UnsetType = UNSET
    audiences: tuple[str, ...] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class Review(msgspec.Struct, frozen=True, rename="camel"):
    """What is asked.  Kubernetes sends more than this, and may send more yet."""

    api_version: Version
    kind: Kind
    spec: Spec


class Reviewed(msgspec.Struct, frozen=True, rename="camel"):
    """The answer, in the version that was asked."""

    api_version: Version
    status: Status
    kind: Kind = "TokenReview"


def routes(tokens: Tokens) -> list[Route]:
    async def review(request: web.Request) -> web.Response:
        caller = caller_text(request)
        asked = await read_json(request, Review)
        try:
            status = status_of(await tokens.peek(asked.spec.token, by=caller), asked.spec.audiences or ())
        except Refusal as refusal:
            status = _refused(refusal.message)
        return answer(Reviewed(asked.api_version, status))

    return [
        Route(method="POST", path="/k8s/tokenreview", handler=review, takes=Review, gives=Reviewed, grant=callers.USE,
              summary="Kubernetes asks who a token stands for; never renews."),
    ]  # fmt: skip


def status_of(token: Token, audiences: tuple[str, ...]) -> Status:
    """Of a token that lives."""
    if token.owner.startswith(RESERVED):
        return _refused(f"Names that begin with {RESERVED} are those of Kubernetes itself.")
    found = tuple(audience for audience in audiences if audience in token.scopes)
    if audiences and not found:
        return _refused("The token is for none of these audiences.")
    return Status(authenticated=True, user=_user(token), audiences=found or UNSET)


def _user(token: Token) -> User:
    group = f"tokenlife:{token.tenant}"
    extra: dict[str, tuple[str, ...]] = {"tokenlife/id": (token.id,), "tokenlife/tenant": (token.tenant,)}
    if token.remaining_ms is not None:
        extra["tokenlife/remaining-ms"] = (str(token.remaining_ms),)
    return User(token.owner, (group, *(f"{group}:{scope}" for scope in token.scopes)), extra)


def _refused(error: str) -> Status:
    return Status(authenticated=False, error=error)
