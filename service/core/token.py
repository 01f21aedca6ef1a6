"""A token as the service knows it, and the request for one.

    issue ──> active ──life ran out──────> expired ─┐
                │ ├──── revoke ──────────> revoked ─┼─ kept for the retention, then purged
                │ └──── last use spent ──> consumed ┘
                └ use, renew: back to full life, never past the ceiling

Every state but active is final.
"""

import hashlib
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

T = TypeVar("T")

ACTIVE, EXPIRED, REVOKED, CONSUMED = STATES = ("active", "expired", "revoked", "consumed")

SERVICE = "service"  # the type of a caller's token: its scopes are grants

EMPTY = Raw(b"{}")
TICKS = 2048  # sequence numbers in a millisecond, as in the prelude of the scripts
PARTITIONS = 256  # at most: a partition is a byte


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token, seen at one moment of the store's clock.  Moments and durations are integer milliseconds."""

    id: str  # the handle: a UUID, public
    tenant: str
    owner: str
    type: str
    state: str
    sequence: int  # creation order: strictly growing per owner, comparable between owners
    created_at_ms: int
    remaining_ms: int | None  # what PTTL said; None: lives for ever
    life_ms: int | None
    deadline_at_ms: int | None  # when the life runs out, or ran out
    ceiling_at_ms: int | None
    last_used_at_ms: int
    uses: int
    max_uses: int | None
    sliding: bool
    refreshable: bool
    scopes: tuple[str, ...]
    ended_at_ms: int | None = None
    ended_by: str | None = None  # life, evicted, rotated, uses, or the reason given to revoke
    description: str | None = None
    metadata: Raw = EMPTY
    sealed: str | None = None  # the text under AEAD, for recoverable tokens only
    rotated_from: str | None = None
    rotated_to: str | None = None
    successor: str | None = None  # the successor's text, sealed under a key that only the old text yields

    @property
    def place(self) -> int:
        """Where it stands in lists: in the order of issue, and nothing else stands there."""
        return place_of(self.sequence, int(self.id[:2], 16))

    @property
    def capped(self) -> bool:
        """The ceiling cut the present life shorter than the full life."""
        return self.remaining_ms is not None and self.deadline_at_ms == self.ceiling_at_ms

    @property
    def seen_at_ms(self) -> int:
        """The moment of the store's clock at which an active token was seen; of one without end, its last use."""
        if self.deadline_at_ms is None or self.remaining_ms is None:
            return self.last_used_at_ms
        return self.deadline_at_ms - self.remaining_ms

    @property
    def words(self) -> "Words":
        return Words(self.description, self.metadata, self.sealed, self.rotated_from)

    @property
    def uses_left(self) -> int | None:
        return None if self.max_uses is None else max(0, self.max_uses - self.uses)


def place_of(sequence: int, partition: int = 0) -> int:
    """Two partitions may give the same sequence number in the same millisecond; a place is unique among them all."""
    return sequence * PARTITIONS + partition


class Words(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a token that no rule looks at."""

    description: str | None = None
    metadata: Raw = EMPTY
    sealed: str | None = None
    rotated_from: str | None = None


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for when a token is issued.  UNSET takes the service's default."""

    owner: str
    tenant: str = "default"
    type: str = "session"
    life_ms: int | None | UnsetType = UNSET  # None: for ever
    ceiling_ms: int | None = None  # a moment; below 10^12 a duration from now
    uses: int | None = None
    sliding: bool = True
    refreshable: bool = False
    scopes: tuple[str, ...] = ()
    description: str | None = None
    metadata: Raw = EMPTY
    recoverable: bool = False


def etag(token: Token) -> str:
    """Changes with what PATCH can change, and with the state; not with each use."""
    seen = msgspec.json.encode([token.state, token.life_ms, token.scopes, token.words])
    return hashlib.sha256(seen).hexdigest()[:16]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What PATCH may change; UNSET leaves as it is."""

    description: str | None | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET
    life_ms: int | UnsetType = UNSET
    scopes: tuple[str, ...] | UnsetType = UNSET


def given(value: T | UnsetType, otherwise: T) -> T:
    """What a change says, or what was there."""
    return otherwise if isinstance(value, UnsetType) else value


class Issued(msgspec.Struct, frozen=True):
    """A new token and its text: the one time that the text leaves the service."""

    token: Token
    text: str

    def __repr__(self) -> str:
        return f"Issued({self.token!r}, <text>)"
