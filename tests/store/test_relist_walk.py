"""Whatever comes between a mark and the move that follows it: the lists show each token once, as what it is."""

import random

from service.core.token import Issued
from tests.backends import Backend
from tests.store.bursts import ACTIVE, SHOP, ids, in_order, paged
from tests.world import World

STEPS = 60
OWNERS, TYPES = ("ann", "bob"), ("session", "login")


class Walk:
    """Steps that are made up, and what each token should be after them.  over: its life is, swept or not."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world, self._dice = world, dice
        self.alive, self.over, self.revoked = list[Issued](), list[Issued](), list[Issued]()

    @property
    def all(self) -> list[Issued]:
        return [*self.alive, *self.over, *self.revoked]

    async def step(self) -> None:
        steps = (
            self._issue,
            self._issue,
            self._expire,
            self._expire,
            self._sweep,
            self._sweep,
            self._revoke,
            self._end,
        )
        await self._dice.choice(steps)()

    async def _issue(self) -> None:
        owner, kind = self._dice.choice(OWNERS), self._dice.choice(TYPES)
        self.alive += [
            await self._world.issue(owner, tenant="shop", type=kind) for _ in range(self._dice.randint(1, 4))
        ]

    async def _expire(self) -> None:
        chosen = self._dice.sample(self.alive, min(len(self.alive), self._dice.randint(1, 4)))
        for one in chosen:
            await self._world.expire_now(one)
        self._move(chosen, self.over)

    async def _sweep(self) -> None:
        """Seldom with room to relist."""
        await self._world.store.sweep(self._dice.randint(1, 4))

    async def _revoke(self) -> None:
        if self.all:
            one = self._dice.choice(self.all)
            await self._world.tokens.revoke(one.text)
            self._move([one], self.revoked)

    async def _end(self) -> None:
        """Of one owner, and perhaps of one type."""
        owner, kind, more = self._dice.choice(OWNERS), self._dice.choice((*TYPES, None)), True
        concerned = [one for one in self.alive if one.token.owner == owner and kind in (None, one.token.type)]
        revoked = 0
        while more:
            number, more = await self._world.store.revoke_owner("shop", owner, kind, "owner", [], 2, dry=False)
            revoked += number
        assert revoked == len(concerned)
        self._move(concerned, self.revoked)

    def _move(self, chosen: list[Issued], to: list[Issued]) -> None:
        to += [one for one in chosen if one in self.alive]
        self.alive = [one for one in self.alive if one not in chosen]


async def test_the_lists_show_each_token_once_whatever_comes_in_between(backend: Backend, seed: int) -> None:
    async with World(backend, partitions=1) as world:
        walk = Walk(world, random.Random(seed))

        for _ in range(STEPS):
            await walk.step()
            in_order(world)
            assert await paged(world, SHOP) == ids(*walk.all)
            assert await paged(world, ACTIVE) == ids(*walk.alive)
        await world.sweep()

        counts = await world.lists.count(SHOP)
        by_state = {
            state: sum(n for (_, of), n in counts.items() if of == state) for state in ("active", "expired", "revoked")
        }
        assert by_state == {"active": len(walk.alive), "expired": len(walk.over), "revoked": len(walk.revoked)}
        events = await world.events()
        assert sorted(event.token.id for event in events if event.kind == "expired") == sorted(ids(*walk.over))
        assert sorted(event.token.id for event in events if event.kind == "revoked") == sorted(ids(*walk.revoked))
