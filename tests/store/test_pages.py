"""A page costs the same among 2,000 tokens and among 100,000, and none is listed twice or not at all."""

import asyncio
import itertools
import random
from typing import Any

import pytest

from service.core.errors import BadInput
from service.core.store import Filter
from service.core.token import Issued, Token
from service.store import keys
from service.store.scripts import prelude
from tests import backends
from tests.backends import Backend
from tests.world import World

# Tokens as `issue` makes them but without events, many in one call.
MANY = """
event = function() end
local tokens, ends = load_tokens(), load_ends()
for i = 1, tonumber(ARGV[4]) do
  local id = ARGV[3] .. string.format('%010x80008%015x', i, ARGV[6])
  tokens.create({ id = id, tenant = 'shop', owner = ARGV[5], type = ({ 'session', 'login' })[i % 2 + 1],
    life = '60000000', ceiling = '-', most = '-', flags = 's', scopes = '', body = '{}', uses = 0 })
  if i % 3 == 0 then
    ends.finish(id, redis.call('GET', key('t', id)), 'revoked', whole(now), 'request')
    ends.write()
  end
end
"""
A_CALL = 5_000
NUMBERS = itertools.count()
OWNERS = [f"owner {number}" for number in range(20)]

FILTERS = {
    "none": Filter(tenant="shop"),
    "owner": Filter(tenant="shop", owner="owner 1"),
    "type and state": Filter(tenant="shop", type="login", states=("active",)),
    "all of them": Filter(
        tenant="shop",
        owner="owner 1",
        type="login",
        states=("active", "revoked"),
        created_from_ms=1_000_000_000_000,
        created_to_ms=4_000_000_000_000,
    ),
}


async def fill(world: World, many: int) -> None:
    script: Any = world.redis.register_script(prelude() + MANY)
    each = many // len(OWNERS)
    for owner in OWNERS:
        tag = f"{world.store.partition('shop', owner):02x}"
        for start in range(0, each, A_CALL):
            number = min(A_CALL, each - start)
            await script(keys=[keys.due(int(tag, 16))], args=[86_400_000, 1_000, tag, number, owner, next(NUMBERS)])


async def cost(world: World, which: Filter, cursor: str | None) -> tuple[dict[str, int], str | None]:
    """The commands that one page takes, those inside of scripts included."""
    before = world.commands()
    page = await world.lists.page(which, limit=10, cursor=cursor, descending=False)
    after = world.commands()
    assert len(page.items) == 10
    ours = {
        name: after[name] - before.get(name, 0) for name in after if name not in {"info", "hello", "client|setinfo"}
    }
    return {name: number for name, number in ours.items() if number}, page.next


@pytest.mark.parametrize("backend", backends.REAL[:1], indirect=True)  # the commands are the same on any
async def test_a_page_takes_as_many_commands_among_100000_tokens_as_among_2000(world: World) -> None:
    costs: dict[int, dict[str, Any]] = {}
    world.backend.checked = False  # a scan of so many takes longer than the test; others look at what scripts write

    for many in (2_000, 98_000):
        await fill(world, many)
        await cost(world, FILTERS["none"], None)  # loads the scripts
        found = costs[many] = {}
        for name, which in FILTERS.items():
            first, cursor = await cost(world, which, None)
            second, _ = await cost(world, which, cursor)
            found[name] = (first, second)

    total = await world.lists.count(Filter(tenant="shop"))
    assert sum(total.values()) == 100_000
    assert costs[2_000] == costs[98_000]
    assert sum(costs[2_000]["all of them"][0].values()) < 100


@pytest.fixture
async def shop(world: World) -> list[Issued]:
    """Some of seven owners, and as many of one as are looked at in three rounds."""
    owners = [*[f"owner {number % 7}" for number in range(30)], *["owner 0"] * 70]
    return list(await asyncio.gather(*[world.issue(owner, tenant="shop") for owner in owners]))


async def walk(world: World, which: Filter, limit: int, descending: bool, between: Any) -> list[Token]:
    cursor, seen = None, []
    while True:
        page = await world.lists.page(which, limit=limit, cursor=cursor, descending=descending)
        seen += page.items
        if page.next is None:
            return seen
        assert len(page.items) == limit
        cursor = page.next
        await between()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [3, 40, 80])
async def test_each_is_listed_once_while_others_come_and_go(
    world: World, shop: list[Issued], seed: int, limit: int, descending: bool
) -> None:
    dice, newcomers = random.Random(seed), itertools.count()

    async def between() -> None:
        if next(newcomers) < 20:
            await world.issue(f"owner {dice.randrange(7)}", tenant="shop")
            await world.expire_now(await world.issue(f"owner {dice.randrange(7)}", tenant="shop"))
        await world.tokens.revoke(dice.choice(shop).text)
        await world.store.sweep(1)

    seen = await walk(world, Filter(tenant="shop"), limit, descending, between)

    ids = [token.id for token in seen]
    assert len(ids) == len(set(ids))
    assert {issued.token.id for issued in shop} <= set(ids)
    assert [token.place for token in seen] == sorted([token.place for token in seen], reverse=descending)


async def test_all_issued_in_one_millisecond_are_listed_once(world: World) -> None:
    """Partitions number their tokens apart, so two of them give the same number."""
    issued = await asyncio.gather(*[world.issue(str(number), tenant="shop") for number in range(40)])

    async def nothing() -> None:
        return

    seen = await walk(world, Filter(tenant="shop"), 1, False, nothing)

    assert [token.id for token in seen] == [one.token.id for one in sorted(issued, key=lambda one: one.token.place)]


async def test_an_owner_may_have_more_tokens_than_a_page(world: World) -> None:
    issued = await asyncio.gather(*[world.issue("ann", tenant="shop") for _ in range(100)])

    async def nothing() -> None:
        return

    seen = await walk(world, Filter(tenant="shop", owner="ann"), 40, True, nothing)

    assert [token.id for token in seen] == [one.token.id for one in sorted(issued, key=lambda one: -one.token.place)]


async def test_a_page_is_full_even_when_much_of_it_was_not_swept_yet(world: World) -> None:
    lapsed = [await world.issue(str(number), tenant="shop") for number in range(50)]
    for one in lapsed:
        await world.expire_now(one)
    alive = [await world.issue(str(number), tenant="shop") for number in range(3)]

    page = await world.lists.page(Filter(tenant="shop", states=("active",)), limit=2, cursor=None, descending=False)

    expected = sorted(one.token.place for one in alive)[:2]
    assert [token.place for token in page.items] == expected
    assert page.next is not None


async def test_a_list_without_its_records_ends(world: World) -> None:
    """An evicting store may have lost a record that its lists still name."""
    world.backend.checked = False
    issued = [await world.issue("ann", tenant="shop") for _ in range(5)]
    for one in issued[:4]:
        await world.redis.delete(f"{keys.tag(keys.partition(one.token.id))}t:{keys.short(one.token.id)}")

    page = await world.lists.page(Filter(tenant="shop"), limit=2, cursor=None, descending=False)

    assert [token.id for token in page.items] == [issued[4].token.id]
    assert page.next is None


async def test_a_tenant_has_as_many_types_as_a_page_can_merge(backend: Backend) -> None:
    """What a page costs grows with types and states, so these are bounded; the tokens are not."""
    async with World(backend, partitions=1) as world:
        for number in range(64):
            await world.issue("ann", tenant="shop", type=f"type-{number}")

        with pytest.raises(BadInput, match="type"):
            await world.issue("ann", tenant="shop", type="one-too-many")

        revoked = await world.tokens.revoke((await world.issue("ann", tenant="shop", type="type-1")).text)
        assert revoked.state == "revoked"
        assert (await world.issue("ann", tenant="bank", type="another")).token.state == "active"
        page = await world.lists.page(Filter(tenant="shop"), limit=100, cursor=None, descending=False)
        assert len(page.items) == 65


@pytest.mark.parametrize(("owners", "calls"), [(3_000, 1), (1, 2)])
@pytest.mark.parametrize("backend", backends.REAL[:1], indirect=True)
async def test_a_page_reads_little_more_than_it_shows(
    world: World, monkeypatch: pytest.MonkeyPatch, owners: int, calls: int
) -> None:
    """Only of a partition that has much more of it than the others, the whole page is asked for."""
    issued = await asyncio.gather(*[world.issue(f"owner {n % owners}", tenant="shop") for n in range(3_000)])
    newest = sorted((one.token for one in issued), key=lambda token: token.place, reverse=True)[:100]
    read: list[int] = []
    run_each = world.link.run_each

    async def counted(verb: str, each: Any) -> list[Any]:
        answers = await run_each(verb, each)
        read.append(sum(len(rows) // 2 for rows in answers))
        return answers

    monkeypatch.setattr(world.link, "run_each", counted)
    page = await world.lists.page(Filter(tenant="shop"), limit=100, cursor=None, descending=True)

    assert [token.id for token in page.items] == [token.id for token in newest]
    assert len(read) == calls
    assert 100 <= sum(read) <= 400


async def test_what_ends_while_a_page_is_read_hides_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page then reaches further, past the rows that were read of the others."""
    owners = {world.store.partition("shop", f"owner {number}"): f"owner {number}" for number in range(99)}
    *early, late = list(owners.values())[:5]
    for owner in early:
        await asyncio.gather(*[world.issue(owner, tenant="shop") for _ in range(20)])
    behind = [await world.issue(late, tenant="shop") for _ in range(50)]
    run_each, calls = world.link.run_each, itertools.count()

    async def ending(verb: str, each: Any) -> list[Any]:
        answers = await run_each(verb, each)
        for owner in early if verb == "page" and next(calls) == 0 else ():
            await world.store.revoke_owner("shop", owner, None, "owner", [], 100, dry=False)
        return answers

    async def nothing() -> None:
        return

    monkeypatch.setattr(world.link, "run_each", ending)
    seen = await walk(world, Filter(tenant="shop", states=("active",)), 40, False, nothing)

    assert [token.id for token in seen] == [one.token.id for one in behind]
