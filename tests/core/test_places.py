"""Lists over many partitions: the order is total, and a page is full wherever there is more."""

from service.core.lists import ENDLESS, Page
from service.core.store import Filter
from service.core.token import ACTIVE, EXPIRED, REVOKED, TICKS, Token
from service.store import keys
from tests.world import World

ALL = Filter(tenant="default", type="session")


async def draw_level(world: World) -> None:
    """Lets every partition give the same sequence number next, as happens within a millisecond."""
    ahead = (await world.now() + 3_600_000) * TICKS
    for number in range(world.settings.partitions):
        await world.redis.hset(keys.counts(number), "sequence", str(ahead))


async def walk(world: World, which: Filter, *, limit: int, descending: bool) -> list[Page]:
    pages = [await world.lists.page(which, limit=limit, cursor=None, descending=descending)]
    while pages[-1].next:
        pages.append(await world.lists.page(which, limit=limit, cursor=pages[-1].next, descending=descending))
    return pages


def ids(pages: list[Page]) -> list[str]:
    return [token.id for page in pages for token in page.items]


async def test_tokens_of_one_sequence_number_are_listed_once_each_whatever_the_page(world: World) -> None:
    await draw_level(world)
    issued = {(await world.issue(f"owner {number}")).token.id for number in range(24)}

    down = await walk(world, ALL, limit=1, descending=True)
    up = await walk(world, ALL, limit=5, descending=False)

    sequences = [token.sequence for page in down for token in page.items]
    assert len(set(sequences)) < len(sequences)
    assert len(ids(down)) == 24
    assert set(ids(down)) == issued
    assert ids(up) == ids(down)[::-1]


async def test_the_way_back_gives_the_same_pages(world: World) -> None:
    await draw_level(world)
    for number in range(10):
        await world.issue(f"owner {number}")
    pages = await walk(world, ALL, limit=3, descending=True)

    back = await world.lists.page(ALL, limit=3, cursor=pages[2].previous, descending=True)
    first = await world.lists.page(ALL, limit=3, cursor=back.previous, descending=True)

    assert ids([back]) == ids([pages[1]])
    assert ids([first]) == ids([pages[0]])
    assert first.previous is None


async def test_what_no_sweep_has_marked_yet_takes_nobodys_place_in_a_page(world: World) -> None:
    live: list[Token] = []
    for number in range(80):
        one = await world.issue()
        if number % 8:
            await world.expire_now(one)
        else:
            live.append(one.token)

    page = await world.lists.between(
        Filter(tenant="default", owner="ann", states=(ACTIVE,)), -1, ENDLESS, 10, descending=False
    )

    assert [token.id for token in page] == [token.id for token in live]


async def test_several_states_are_one_list(world: World) -> None:
    one, two, three = [(await world.issue()).token for _ in range(3)]
    await world.tokens.revoke_by_id(two.id, await world.caller("tokens:revoke"))
    await world.expire_now(three)
    await world.sweep()

    def which(*states: str) -> Filter:
        return Filter(tenant="default", type="session", states=states)

    ended = await world.lists.between(which(EXPIRED, REVOKED), -1, ENDLESS, 10, descending=True)
    others = await world.lists.between(which(ACTIVE, EXPIRED), -1, ENDLESS, 10, descending=True)

    assert [token.id for token in ended] == [three.id, two.id]
    assert [token.id for token in others] == [three.id, one.id]
    assert await world.lists.count(which(ACTIVE, EXPIRED)) == {("session", ACTIVE): 1, ("session", EXPIRED): 1}


async def test_between_two_places_lies_exactly_what_stands_there(world: World) -> None:
    await draw_level(world)
    tokens = [(await world.issue(f"owner {number}")).token for number in range(12)]
    tokens.sort(key=lambda token: token.place)

    found = [await world.lists.between(ALL, token.place - 1, token.place + 1, 5, descending=False) for token in tokens]
    inner = await world.lists.between(ALL, tokens[2].place, tokens[9].place, 50, descending=True)

    assert [[token.id for token in one] for one in found] == [[token.id] for token in tokens]
    assert [token.id for token in inner] == [token.id for token in tokens[8:2:-1]]


async def test_tokens_of_many_owners_are_listed_in_the_order_in_which_they_were_issued(world: World) -> None:
    """Several are issued in a millisecond, each in another partition."""
    issued = [(await world.issue(f"owner {number}")).token.id for number in range(40)]

    pages = await walk(world, ALL, limit=7, descending=False)

    assert ids(pages) == issued
