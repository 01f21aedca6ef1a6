"""What the core asks of a store.  Handles are UUIDs; tenant '*' means any.

Every method raises `Unavailable` when the store cannot answer; those about one token raise the `Refusal` that the
store's own clock and record give.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from service.core.token import Draft, Token, Words

ANY_TENANT = "*"


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One presentation.  verb: use, peek, or look (which shows final tokens too).

    caller: the handle of the token that asks, which is used first and must hold `grant`; None: the holder alone.
    subject None asks about the caller only.
    """

    verb: str
    subject: str | None
    caller: str | None = None
    grant: str | None = None
    scopes: tuple[str, ...] = ()


# How a voice says that a token is active: text with places for its handle (%b), what remains of its life (%d), its
# deadline, its last use and its uses (%b each, or %.0b for what it does not say).  None: a use changes more of what is
# said of this one.
Form = Callable[[Token], bytes | None]
Found = Sequence[Token | bytes | Exception]  # of many, each in its place; bytes: in a form
Tell = Callable[[Token | bytes | Exception], None]  # of one


class Asking(msgspec.Struct, frozen=True, gc=False):
    """An ask that may be put again and again, with all that is the same each time.

    question: as the store has it put.  keyed: with which keys its texts were opened; it holds as long as they do.
    form: what an active token may be told in.
    """

    ask: Ask
    question: Any
    keyed: object
    form: Form | None = None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tokens of a tenant a list or a count is about."""

    tenant: str
    owner: str | None = None
    type: str | None = None
    states: tuple[str, ...] = ()  # any of these; none: all
    created_from_ms: int | None = None
    created_to_ms: int | None = None


class Pass(msgspec.Struct, frozen=True):
    """What one sweep pass did; `wait_ms` until the next thing is due, None when nothing is.

    Those that end in a burst are marked first, each told and counted at once; then they are relisted.
    """

    marked: int = 0
    rescored: int = 0
    relisted: int = 0  # of the marked: taken from the lists of active tokens to those of their states
    purged: int = 0
    evicted: int = 0  # of the marked
    wait_ms: int | None = None
    lags_ms: Mapping[int, int] = {}  # from a deadline to its mark -> how many were marked so late

    @property
    def looked_at(self) -> int:
        """What the limit of a pass bounds."""
        return self.marked + self.rescored + self.purged

    @property
    def idle(self) -> bool:
        return not self.looked_at + self.relisted


SWEPT = ("marked", "rescored", "relisted", "purged", "evicted")  # the numbers of a pass


class Stats(msgspec.Struct, frozen=True):
    """What the store holds: tokens by state, tokens that are due and unswept, events that can be read."""

    tokens: dict[str, int]
    backlog: int
    events: int


class Store(Protocol):
    """The keeper of tokens."""

    def partition(self, tenant: str, owner: str) -> int:
        """Where everything of this owner lives."""

    async def present(self, ask: Ask) -> Token:
        """Sharing a round trip with others.  Raises `CallerRefused` for the caller's own token."""

    def question(self, ask: Ask) -> Any:
        """How it puts what is asked."""

    def present_soon(self, asking: Asking, tell: Tell) -> None:
        """The same without a task: whoever asks is told, once and never before this returns."""

    async def present_many(self, ask: Ask, subjects: Sequence[str], form: Form | None = None) -> Found:
        """The same of each of these, in one round trip of their own.  Active ones in this form, where they have it."""

    async def issue(self, id_: str, draft: Draft, words: Words) -> Token:
        """Repeating it with one id answers the first one's token.  Raises `BadInput`."""

    async def renew(self, id_: str, tenant: str) -> Token: ...

    async def revoke(self, ids: Sequence[str], tenant: str, reason: str) -> list[Token | None]:
        """None: unknown.  A final token stays as it is."""

    async def revoke_owner(
        self, tenant: str, owner: str, type_: str | None, reason: str, spared: Sequence[str], limit: int, *, dry: bool
    ) -> tuple[int, bool]:
        """How many, and whether there may be more."""

    async def rotate(self, old: Token, overlap_ms: int, new_id: str, words: Words, sealed: str) -> tuple[Token, str]:
        """The successor and its sealed text, which may be those of an earlier rotation."""

    async def amend(self, seen: Token, life_ms: int | None, scopes: tuple[str, ...], words: Words) -> Token | None:
        """None: changed since it was seen."""

    async def page(self, which: Filter, after: int, before: int, limit: int, *, descending: bool) -> list[Token]:
        """`limit` tokens with `after < place < before`, in the order of issue; fewer only where there are no more."""

    async def count(self, which: Filter) -> dict[tuple[str, str], int]:
        """By (type, state)."""

    async def sweep(self, limit: int) -> Pass:
        """One bounded pass over what is due."""

    async def stats(self) -> Stats:
        """From kept counts."""
