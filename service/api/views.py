"""What goes over the wire at `/v1`.  The same types decode the requests and make the API's description."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import replace

from service.core import rules
from service.core.token import Token

Ms = Annotated[int, Meta(ge=1, description="a duration in milliseconds")]
Text = Annotated[str, Meta(description="the text of a token", max_length=4096)]
Tenant = Annotated[str, Meta(pattern=f"^{rules.NAME.pattern}$", description="an admin's to name; else the caller's")]
Type = Annotated[str, Meta(pattern=f"^{rules.TYPE.pattern}$", description="what kind of token; callers are `service`")]
Scope = Annotated[str, Meta(pattern=f"^{rules.SCOPE.pattern}$")]
Owner = Annotated[str, Meta(min_length=1, max_length=rules.OWNER, description="whom the token stands for")]
Scopes = Annotated[
    tuple[Scope, ...],
    Meta(
        max_length=rules.SCOPES,
        extra_json_schema={"uniqueItems": True},
        description="what it covers; of a caller, its grants",
    ),
]
Handle = Annotated[str, Meta(pattern=f"^{rules.HANDLE.pattern}$")]
Description = Annotated[str, Meta(min_length=1, max_length=rules.DESCRIPTION, description="words for people")]
State = Literal["active", "expired", "revoked", "consumed"]
Order = Literal["asc", "desc"]
Sliding = Annotated[bool, Meta(description="any successful use puts it back to full life")]
Refreshable = Annotated[bool, Meta(description="its holder may ask for another one (GNU Taler)")]
Used = Annotated[int, Meta(description="how often it was used")]
Left = Annotated[int | None, Meta(description="null: as often as one likes")]
Moment = Annotated[int, Meta(description="milliseconds since 1970, by the store's clock")]
Remaining = Annotated[int | None, Meta(description="of its life, in milliseconds; null: for ever")]
Expires = Annotated[int | None, Meta(description="when its life runs out, as things stand: the next use moves it")]
Ceiling = Annotated[int | None, Meta(description="the moment beyond which no renewal reaches")]
Capped = Annotated[bool, Meta(description="true when the ceiling shortened its life")]
EndedBy = Annotated[str | None, Meta(description="life, evicted, rotated, uses, or the reason that was given")]
Shown = Annotated[str, Meta(description="the text: after issue and rotate, and in lists of recoverable tokens")]


class View(msgspec.Struct):
    """A token as callers see it.  Moments (`_at_ms`) and durations are integer milliseconds."""

    id: str
    type: str
    tenant: str
    owner: str
    state: State
    remaining_ms: Remaining
    life_ms: Ms | None
    created_at_ms: Moment
    expires_at_ms: Expires
    last_used_at_ms: Moment
    uses: Used
    uses_left: Left
    ceiling_at_ms: Ceiling
    sliding: Sliding
    refreshable: Refreshable
    scopes: tuple[str, ...]
    description: str | None
    metadata: Raw
    capped: Capped | UnsetType = UNSET
    ended_at_ms: Moment | None | UnsetType = UNSET
    ended_by: EndedBy | UnsetType = UNSET
    rotated_from: str | UnsetType = UNSET
    rotated_to: str | UnsetType = UNSET
    token: Shown | UnsetType = UNSET


def view(token: Token, text: str | None = None) -> View:
    final = token.ended_at_ms is not None
    # In the order of the fields: by 24 names it would take 1 us more.
    return View(
        token.id, token.type, token.tenant, token.owner, token.state,  # type: ignore[arg-type]
        token.remaining_ms, token.life_ms, token.created_at_ms, token.deadline_at_ms, token.last_used_at_ms,
        token.uses, token.uses_left, token.ceiling_at_ms, token.sliding, token.refreshable, token.scopes,
        token.description, token.metadata,
        True if token.capped and not final else UNSET,
        token.ended_at_ms if final else UNSET, token.ended_by if final else UNSET,
        token.rotated_from or UNSET, token.rotated_to or UNSET, text or UNSET,
    )  # fmt: skip


def form(token: Token) -> bytes | None:
    """The JSON of the view of any active token like this one: see `service.core.store.Form`."""
    if token.life_ms is None or token.max_uses is not None or token.ceiling_at_ms is not None:
        return None
    # JSON has neither of the two bytes; of a Raw msgspec writes what it is.
    text, number = Raw(b"\0"), Raw(b"\1")
    marked = replace(
        view(token), id=Raw(b'"\0"'), remaining_ms=number, expires_at_ms=text, last_used_at_ms=text, uses=text
    )
    return msgspec.json.encode(marked).replace(b"%", b"%%").replace(b"\0", b"%b").replace(b"\1", b"%d")


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request.  Unknown fields are refused, so that a typo never silently changes a policy."""


class Issue(Wire, frozen=True):
    owner: Owner
    tenant: Tenant | None = None
    type: Type = "session"
    life_ms: Ms | None | UnsetType = UNSET
    ceiling_ms: Annotated[int, Meta(ge=1, description="a moment; below 10^12 a duration from now")] | None = None
    uses: Annotated[int, Meta(ge=1, le=rules.USES, description="how often it may be used; null: no limit")] | None = (
        None
    )
    sliding: Sliding = True
    refreshable: Refreshable = False
    scopes: Scopes = ()
    description: Description | None = None
    metadata: Annotated[dict[str, Any], Meta(description="at most 4 KiB of JSON")] = {}
    recoverable: Annotated[bool, Meta(description="lists show its text to callers that may issue such tokens")] = False


class Use(Wire, frozen=True):
    token: Text
    scopes: Scopes = ()


class Subject(Wire, frozen=True):
    token: Text


class Many(Wire, frozen=True):
    verb: Literal["use", "peek", "revoke"]
    tokens: Annotated[list[Text], Meta(max_length=1000)]


class Results(msgspec.Struct, frozen=True):
    """Views and problems, in the order of the tokens."""

    results: list[Any]


class Rotate(Wire, frozen=True):
    token: Text
    overlap_ms: Annotated[int, Meta(ge=0)] = 10_000


class Patch(Wire, frozen=True):
    description: Description | None | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    life_ms: Ms | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET


class CountQuery(Wire, frozen=True):
    owner: Owner | None = None
    tenant: Tenant | None = None
    type: Type | None = None
    state: State | None = None


class ListQuery(CountQuery, frozen=True):
    created_from_ms: Annotated[int, Meta(ge=0)] | None = None
    created_to_ms: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    cursor: Annotated[str, Meta(max_length=512)] | None = None
    order: Order = "desc"


class PageView(msgspec.Struct, frozen=True):
    """One page; `next` and `previous` are cursors, null at the ends."""

    items: list[View]
    next: str | None
    previous: str | None


class CountView(msgspec.Struct, frozen=True):
    """`total`, and the same by state and by type."""

    total: int
    by_state: dict[str, int]
    by_type: dict[str, int]


class RevokeOwner(Wire, frozen=True, rename={"spared": "except"}):
    tenant: Tenant | None = None
    type: Type | None = None
    spared: Annotated[list[Handle], Meta(max_length=1000)] = []
    dry_run: bool = False


class Revoked(msgspec.Struct, frozen=True):
    """How many were (or, in a dry run, would be) revoked; `more` says that a further call is needed."""

    revoked: int
    more: bool


class Password(Wire, frozen=True):
    password: Annotated[str, Meta(min_length=8, max_length=256)]
    tenant: Tenant | None = None


class TenantQuery(Wire, frozen=True):
    tenant: Tenant | None = None
