"""Of each partition a page reads its likely share; what a partition has beyond it is not passed over."""

import asyncio
from typing import Any

import pytest

from service.core.store import Filter
from service.store.tokens import _likely
from tests.world import World

PAGE = 40
SHARE = _likely(PAGE, 16)


def owners(world: World, tenant: str) -> list[str]:
    """One in each of some partitions."""
    found = {world.store.partition(tenant, f"owner {number}"): f"owner {number}" for number in range(99)}
    return list(found.values())


@pytest.mark.parametrize("descending", [False, True])
async def test_a_row_beyond_the_share_of_its_partition_is_the_last_of_a_page(world: World, descending: bool) -> None:
    """Wherever the end of the share falls, before the end of the page or behind it."""
    for before in range(PAGE - SHARE - 4, PAGE - SHARE + 3):
        which = Filter(tenant=f"shop-{before}")
        long, other, *others = owners(world, f"shop-{before}")
        rows = [*[others[number % 5] for number in range(before)], *[long] * (SHARE + 1), *[other] * 5]
        issued = [await world.issue(owner, tenant=f"shop-{before}") for owner in (rows[::-1] if descending else rows)]
        if descending:
            issued.reverse()

        found = await asyncio.gather(*[
            world.store.page(which, 0, 2**62, limit, descending=descending) for limit in (PAGE - 1, PAGE, PAGE + 1)
        ])  # fmt: skip

        for page in found:
            assert [token.id for token in page] == [one.token.id for one in issued[: len(page)]]
        assert [len(page) for page in found] == [min(limit, len(issued)) for limit in (PAGE - 1, PAGE, PAGE + 1)]


async def test_of_partitions_that_gave_less_than_asked_for_nothing_is_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = [await world.issue(f"owner {number}", tenant="shop") for number in range(30)]
    run_each, asked = world.link.run_each, list[str]()

    async def noted(verb: str, each: Any) -> list[Any]:
        asked.append(verb)
        return await run_each(verb, each)

    monkeypatch.setattr(world.link, "run_each", noted)
    page = await world.store.page(Filter(tenant="shop"), 0, 2**62, PAGE, descending=False)

    assert [token.id for token in page] == [one.token.id for one in issued]
    assert asked == ["page"]
