"""What ended in a burst: tokens whose lives are over, marked or not, and what the lists say of them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from service.core.store import Filter
from service.core.token import Issued
from tests import leaks
from tests.world import World

A = TypeVar("A")
B = TypeVar("B")

SHOP = Filter(tenant="shop")
ACTIVE, EXPIRED, REVOKED = [Filter(tenant="shop", states=(state,)) for state in ("active", "expired", "revoked")]


async def each(call: Callable[[A], Coroutine[Any, Any, B]], things: Sequence[A]) -> list[B]:
    """Fifty at once: the client of fakeredis has a hundred connections."""
    parts = [things[at : at + 50] for at in range(0, len(things), 50)]
    return [found for part in parts for found in await asyncio.gather(*map(call, part))]


async def issued_in(world: World, number: int, owner: str = "ann", **policy: Any) -> list[Issued]:
    return [await world.issue(owner, **{"tenant": "shop", **policy}) for _ in range(number)]


async def overdue(world: World, number: int, *owners: str) -> list[Issued]:
    """Their lives are over, and no sweep has seen them."""
    found = await each(lambda owner: world.issue(owner, tenant="shop"), (owners or ("ann",)) * number)
    await each(world.expire_now, found)
    return found


async def unlisted(world: World, number: int, *owners: str) -> list[Issued]:
    """A pass without room for more than them has marked them."""
    found = await overdue(world, number, *owners)
    done = await world.store.sweep(len(found))
    assert (done.marked, done.relisted) == (len(found), 0)
    return found


async def paged(world: World, which: Filter, **way: bool) -> list[str]:
    page = await world.lists.page(which, limit=500, cursor=None, descending=way.get("descending", False))
    return [token.id for token in page.items]


def ids(*tokens: Issued) -> list[str]:
    return [one.token.id for one in sorted(tokens, key=lambda one: one.token.place)]


async def stories(world: World, *tokens: Issued) -> list[list[str]]:
    """The kinds of the events of each."""
    events = await world.events()
    return [[event.kind for event in events if event.token.id == one.token.id] for one in tokens]


def in_order(world: World) -> None:
    with world.backend.plain() as store:
        leaks.check(store)
