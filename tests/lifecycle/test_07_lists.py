"""What there is: pages in the order of issue, and counts."""

import pytest

from service.core.errors import BadInput
from service.core.store import Filter
from service.core.token import Issued
from tests.world import World

ALL = Filter(tenant="shop")


@pytest.fixture
async def seven(world: World) -> list[Issued]:
    return [await world.issue(owner, tenant="shop") for owner in ("ann", "bob", "ann", "eve", "bob", "ann", "ann")]


def ids(tokens: list[Issued]) -> list[str]:
    return [issued.token.id for issued in sorted(tokens, key=lambda issued: issued.token.place)]


async def test_a_page_holds_tokens_in_the_order_of_issue(world: World, seven: list[Issued]) -> None:
    page = await world.lists.page(ALL, limit=10, cursor=None, descending=False)
    newest = await world.lists.page(ALL, limit=10, cursor=None, descending=True)

    assert [token.id for token in page.items] == ids(seven)
    assert [token.id for token in newest.items] == ids(seven)[::-1]
    assert (page.next, page.previous) == (None, None)


@pytest.mark.parametrize("descending", [False, True])
async def test_cursors_lead_forwards_and_back(world: World, seven: list[Issued], descending: bool) -> None:
    async def page(cursor: str | None) -> tuple[list[str], str | None, str | None]:
        found = await world.lists.page(ALL, limit=3, cursor=cursor, descending=descending)
        return [token.id for token in found.items], found.next, found.previous

    expected = ids(seven)[::-1] if descending else ids(seven)

    first, to_second, none = await page(None)
    second, to_third, to_first = await page(to_second)
    third, end, to_second_again = await page(to_third)

    assert (first, second, third) == (expected[:3], expected[3:6], expected[6:])
    assert none is None
    assert end is None
    assert (await page(to_first))[0] == first
    back, forwards, further_back = await page(to_second_again)
    assert back == second
    assert (await page(forwards))[0] == third
    beginning, onwards, nothing = await page(further_back)
    assert (beginning, nothing) == (first, None)
    assert (await page(onwards))[0] == second


async def test_a_list_is_narrowed_by_owner_type_state_and_time(world: World) -> None:
    login = await world.issue("ann", tenant="shop", type="login")
    other = await world.issue("ann", tenant="shop")
    await world.issue("bob", tenant="shop", type="login")
    await world.tokens.revoke(other.text)
    made = login.token.created_at_ms

    async def found(**narrowed: object) -> list[str]:
        which = Filter(tenant="shop", owner="ann", **narrowed)  # type: ignore[arg-type]
        page = await world.lists.page(which, limit=10, cursor=None, descending=False)
        return [token.id for token in page.items]

    assert await found() == [login.token.id, other.token.id]
    assert await found(type="login") == [login.token.id]
    assert await found(states=("revoked",)) == [other.token.id]
    assert await found(type="login", states=("revoked",)) == []
    assert (await found(created_from_ms=made, created_to_ms=made))[0] == login.token.id
    assert await found(created_to_ms=made - 1) == []
    assert await found(created_from_ms=other.token.created_at_ms + 1) == []


async def test_a_list_shows_final_tokens_with_how_they_ended(world: World) -> None:
    issued = await world.issue("ann", tenant="shop")
    await world.expire_now(issued)
    await world.sweep()

    [token] = (await world.lists.page(ALL, limit=10, cursor=None, descending=False)).items

    assert (token.state, token.ended_by, token.remaining_ms) == ("expired", "life", 0)


async def test_looking_at_a_list_is_no_use(world: World, seven: list[Issued]) -> None:
    before = world.dump()

    await world.lists.page(ALL, limit=10, cursor=None, descending=False)

    assert len(seven) == 7
    assert world.dump() == before


async def test_counts_follow_every_transition(world: World) -> None:
    spent, revoked, expired, _ = [await world.issue("ann", tenant="shop", uses=1) for _ in range(4)]
    await world.issue("bob", tenant="shop", type="login")
    await world.tokens.use(spent.text)
    await world.tokens.revoke(revoked.text)
    await world.expire_now(expired)
    await world.sweep()

    everybody = await world.lists.count(ALL)
    anns = await world.lists.count(Filter(tenant="shop", owner="ann", states=("active",)))

    kept = {("session", state): 1 for state in ("active", "consumed", "revoked", "expired")}
    assert everybody == kept | {("login", "active"): 1}
    assert anns == {("session", "active"): 1}


async def test_what_is_purged_is_counted_no_more(world: World) -> None:
    issued = await world.issue("ann", tenant="shop")
    await world.tokens.revoke(issued.text)

    await world.pass_retention(issued)
    await world.sweep()

    assert await world.lists.count(ALL) == {}


async def test_a_filter_that_makes_no_sense_is_refused(world: World) -> None:
    wrong = [
        Filter(tenant="shop", states=("active", "alive")),
        Filter(tenant="shop", type="NO"),
        Filter(tenant="shop", owner=""),
        Filter(tenant="a:b"),
    ]

    for which in wrong:
        with pytest.raises(BadInput):
            await world.lists.page(which, limit=10, cursor=None, descending=False)
    for limit in (0, 1001):
        with pytest.raises(BadInput, match="limit"):
            await world.lists.page(ALL, limit=limit, cursor=None, descending=False)
