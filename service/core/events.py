"""Events: one per transition, and the cursors from which a reader goes on.

A cursor holds a position in the stream of every partition: a single moment would lose what another node, or a clock
that was set back, writes below it.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import product
from typing import Protocol

import msgspec

from service.core.errors import BadInput
from service.core.token import Token

KINDS = ("issued", "used", "renewed", "rotated", "revoked", "expired", "consumed")
UNREADABLE = "unreadable"  # an entry that the service did not write; it has a place, and nobody is told of it

Position = tuple[int, int]  # ms and number within the ms: a stream's entry id
START: Position = (0, 0)  # from the oldest that is kept
FRESH: Position = (0, 1)  # from the first that comes to a stream which is empty now
PLACES = re.compile(r"[A-Za-z0-9_-]{1,8192}")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One transition, with the token as it stood right after it."""

    partition: int
    position: Position
    kind: str
    token: Token

    def __hash__(self) -> int:
        return hash((self.partition, self.position))

    @property
    def id(self) -> str:
        """Unique for ever: what a consumer drops repeats by."""
        return f"{self.partition:02x}-{self.position[0]}-{self.position[1]}"

    @property
    def at_ms(self) -> int:
        """When it happened, by the store's clock; for an expiry, when it was detected."""
        return self.position[0]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a reader asks for.  None: all."""

    tenant: str | None = None
    owner: str | None = None
    kind: str | None = None

    def covers(self, event: Event) -> bool:
        return (
            event.kind != UNREADABLE
            and self.tenant in (None, event.token.tenant)
            and self.owner in (None, event.token.owner)
            and self.kind in (None, event.kind)
        )

    @classmethod
    def all_covering(cls, event: Event) -> "Iterator[Wanted]":
        """All that a reader may ask for to hear of this event."""
        token = event.token
        for tenant, owner, kind in product((None, token.tenant), (None, token.owner), (None, event.kind)):
            yield cls(tenant=tenant, owner=owner, kind=kind)


class Places(msgspec.Struct, frozen=True):
    """A position per partition."""

    each: tuple[Position, ...]

    def past(self, event: Event) -> "Places":
        each = list(self.each)
        each[event.partition] = event.position
        return Places(tuple(each))

    def merged(self, other: "Places") -> "Places":
        """Of each partition the later."""
        return Places(tuple(map(max, self.each, other.each)))

    def cursor(self) -> str:
        """Distances from the latest moment: most take two or three bytes."""
        latest = max(ms for ms, _ in self.each)
        flat = [number for ms, seq in self.each for number in (latest - ms if ms else -1, seq)]
        return urlsafe_b64encode(msgspec.msgpack.encode([latest, *flat])).rstrip(b"=").decode()


def read_cursor(cursor: str, partitions: int, field: str = "after") -> Places:
    """Raises `BadInput` for what is not a cursor of a service with as many partitions."""
    try:
        if not PLACES.fullmatch(cursor):
            raise ValueError
        latest, *flat = msgspec.msgpack.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[int])
        if len(flat) != 2 * partitions or not 0 <= latest < 2**53 or min(flat[1::2]) < 0 or max(flat[1::2]) >= 2**53:
            raise ValueError
        each = tuple((0 if back == -1 else latest - back, seq) for back, seq in zip(flat[::2], flat[1::2], strict=True))
        if min(ms for ms, _ in each) < 0:
            raise ValueError
    except (ValueError, msgspec.DecodeError):
        raise BadInput(field, "is not a cursor of this service") from None
    return Places(each)


class Feed(Protocol):
    """Where events are read."""

    partitions: int

    async def now(self) -> Places:
        """The end: from here only what comes is read."""

    async def check(self, after: Places) -> None:
        """Raises `Gone` when some of what came after the cursor was trimmed away."""

    async def read(self, after: Places, wanted: Wanted, limit: int) -> tuple[Sequence[Event], Places]:
        """What is kept after the cursor, oldest first, and the cursor behind what was looked at.

        Raises `Gone` when some of it was trimmed away.
        """

    def follow(self, after: Places, wanted: Wanted, idle_s: float) -> AsyncGenerator[list[tuple[Event, Places]], None]:
        """What comes, each event with the cursor behind it; an empty list after `idle_s` without any.

        Ends when the service does.  Raises `Gone`, and `Unavailable` when the store is away while it catches up.
        """
