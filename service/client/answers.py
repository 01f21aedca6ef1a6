"""What the service answers, as the SDK hands it on: structs, whose `repr` never shows a text.

Members that this version does not know are passed over, so that an older client can talk to a newer service.
"""

from typing import Any

import msgspec


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """One token at one moment of the service's clock.  Moments and durations are integer milliseconds."""

    id: str
    type: str
    tenant: str
    owner: str
    state: str
    remaining_ms: int | None  # None: for ever
    life_ms: int | None
    created_at_ms: int
    expires_at_ms: int | None
    last_used_at_ms: int | None = None
    uses: int = 0
    uses_left: int | None = None
    ceiling_at_ms: int | None = None
    sliding: bool = True
    refreshable: bool = False
    scopes: tuple[str, ...] = ()
    description: str | None = None
    metadata: dict[str, Any] = {}
    capped: bool = False  # the ceiling cut the present life shorter than a full one
    ended_at_ms: int | None = None
    ended_by: str | None = None
    rotated_from: str | None = None
    rotated_to: str | None = None
    token: str | None = None  # the text: after issue and rotate, and in lists of recoverable tokens
    etag: str | None = None  # for `amend`; from the header of `get` and `amend`

    @property
    def active(self) -> bool:
        return self.state == "active"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        values = msgspec.structs.asdict(self).items()
        return [(name, "***" if name == "token" and value else value) for name, value in values]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Happening(TokenView, frozen=True, kw_only=True):
    """A token right after a transition.  The moments are set for `expired`."""

    deadline_at_ms: int | None = None
    detected_at_ms: int | None = None
    lag_ms: int | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One transition.  `id` is unique for ever: drop repeats by it.  `cursor` resumes right behind it."""

    id: str
    type: str  # tokenlife.token.issued, ...
    subject: str  # the token's id
    time: str
    data: Happening
    cursor: str = ""

    @property
    def kind(self) -> str:
        """issued, renewed, rotated, revoked, expired, consumed, used."""
        return self.type.rpartition(".")[2]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[TokenView, ...]
    next: str | None = None
    previous: str | None = None


class OwnerRevoked(msgspec.Struct, frozen=True, kw_only=True):
    """`more`: call again, there is more than one call ends."""

    revoked: int
    more: bool


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is the cursor behind what was looked at, whether or not there were events."""

    events: tuple[Event, ...]
    next: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    by_state: dict[str, int]
    by_type: dict[str, int]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    results: list[dict[str, Any]]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`ready`: send requests here.  `store`: whether it answers; without it the service says 503 to each."""

    ready: bool
    draining: bool
    store: bool
