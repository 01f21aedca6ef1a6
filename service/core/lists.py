"""Pages of a tenant's tokens, in the order of issue: keyset pages, so that page 1,000 costs what page 1 costs."""

import msgspec

from service.core import rules
from service.core.callers import Caller
from service.core.cursor import Cursors, Place
from service.core.store import Filter, Store
from service.core.token import TICKS, Token, place_of

ENDLESS = place_of(2**53 - 1)
LONGEST = 1_000


class Page(msgspec.Struct, frozen=True):
    """Tokens, and the cursors of the pages beside it."""

    items: list[Token]
    next: str | None
    previous: str | None


class Lists:
    """Reading; nothing here is a use."""

    def __init__(self, store: Store, cursors: Cursors) -> None:
        self._store, self._cursors = store, cursors

    async def page(self, which: Filter, *, limit: int, cursor: str | None, descending: bool) -> Page:
        """Each token once, while others come and go.  Raises `BadInput` for a cursor of another list."""
        check(which)
        rules.between("limit", limit, 1, LONGEST)
        place = self._cursors.read(cursor, which, descending=descending) if cursor else None
        items, following, previous = await self.beside(which, place, limit, descending=descending)

        def cursor_of(beside: Place | None) -> str | None:
            return self._cursors.make(beside, which, descending=descending) if beside else None

        return Page(items, cursor_of(following), cursor_of(previous))

    async def beside(
        self, which: Filter, place: Place | None, limit: int, *, descending: bool
    ) -> tuple[list[Token], Place | None, Place | None]:
        """Up to `limit` tokens beyond a place, then where the next and the previous page begin, if there are any."""
        back = place is not None and place.back
        downwards = descending != back
        after = place.at if place and not downwards else -1
        before = place.at if place and downwards else ENDLESS
        found = await self.between(which, after, before, limit + 1, descending=downwards)
        more, items = len(found) > limit, found[:limit]
        if back:
            items.reverse()
        has_next, has_previous = (True, more) if back else (more, place is not None)
        return (
            items,
            Place(items[-1].place) if items and has_next else None,
            Place(items[0].place, back=True) if items and has_previous else None,
        )

    async def between(self, which: Filter, after: int, before: int, limit: int, *, descending: bool) -> list[Token]:
        """Up to `limit` tokens with `after < place < before`: for voices that have cursors of their own."""
        check(which)
        first, last = _window(which)
        return await self._store.page(which, max(after, first), min(before, last), limit, descending=descending)

    async def count(self, which: Filter) -> dict[tuple[str, str], int]:
        """By (type, state), from kept counts."""
        check(which)
        return await self._store.count(which)


def check(which: Filter) -> None:
    """Raises `BadInput`."""
    rules.name("tenant", which.tenant)
    for state in which.states:
        rules.state("state", state)
    if which.owner is not None:
        rules.words("owner", which.owner, rules.OWNER)
    if which.type is not None:
        rules.check("type", which.type, rules.TYPE, "a type: lower-case letters, digits, '_', '.' and '-'")


def of(caller: Caller, which: Filter) -> Filter:
    """The filter, held to the tenants that the caller acts for.  Raises `Forbidden`."""
    return msgspec.structs.replace(which, tenant=caller.acts_for(which.tenant or None))


def _window(which: Filter) -> tuple[int, int]:
    """Between which places to look, both excluded."""
    first = 0 if which.created_from_ms is None else place_of(which.created_from_ms * TICKS)
    last = ENDLESS if which.created_to_ms is None else place_of((which.created_to_ms + 1) * TICKS)
    return first - 1, last
