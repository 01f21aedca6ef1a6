"""Page 1 of a long list, a page in its midst and its last one cost the store the same."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from service.core.token import Draft
from tests.facades.conftest import Beside, Here, Running, running
from tests.world import World

SHORT, LONG = 40, 2_000
SIZE = 10
AT_ONCE = 100


@pytest.fixture(scope="module")
def quiet() -> Iterator[Running]:
    """A service that sweeps every ten seconds only, so that what the store counts are the calls of the test."""
    with running(tick_ms=10_000) as both:
        yield both


@pytest.fixture
async def world(quiet: Running) -> AsyncIterator[World]:
    async with World(Beside(quiet.store), store_timeout_ms=10_000) as made:
        yield made


@pytest.fixture
def here(quiet: Running, session: aiohttp.ClientSession) -> Here:
    return Here(quiet, session)


async def fill(world: World, draft: Draft, number: int) -> None:
    for _ in range(0, number, AT_ONCE):
        await asyncio.gather(*[world.tokens.issue(draft) for _ in range(min(AT_ONCE, number))])


async def cost(here: Here, method: str, path: str, **headers: str) -> int:
    """Commands that the store ran for a call; the least of three, since the service has work of its own at times."""
    found = []
    for _ in range(3):
        before = commands(here)
        reply = await here.ask(method, path, **headers)
        found.append(commands(here) - before)
        assert reply.status == 200, reply.body
    return min(found)


def commands(here: Here) -> int:
    return sum(int(each["calls"]) for each in here.redis.info("commandstats").values())


async def test_a_page_of_taler_costs_the_same_wherever_it_lies(here: Here, world: World) -> None:
    def draft(owner: str) -> Draft:
        return Draft(owner=owner, type="taler", scopes=("readonly",))

    async def ids(owner: str, login: dict[str, str], limit: int) -> list[int]:
        reply = await here.ask("GET", f"/accounts/{owner}/tokens?limit={limit}", **login)
        return [token["token_id"] for token in reply.json()["tokens"]]

    costs = {}
    for owner, number in (("short", SHORT), ("long", LONG)):
        await fill(world, draft(owner), number)
        login = {"Authorization": "Bearer " + (await here.issue(owner, scopes=["readwrite"], life_ms=None))["token"]}
        middle = (await ids(owner, login, min(number // 2, 1000)))[-1]
        places = [f"limit={SIZE}", f"limit=-{SIZE}", f"limit={SIZE}&offset={middle}", f"limit=-{SIZE}&offset={middle}"]
        costs[owner] = [await cost(here, "GET", f"/accounts/{owner}/tokens?{each}", **login) for each in places]

    # At its ends the short list has fewer than what is looked up together.
    assert set(costs["long"]) == {max(costs["long"])}
    assert max(costs["short"]) == max(costs["long"])


async def test_a_page_of_taler_has_1024_entries_at_most(here: Here, world: World) -> None:
    await fill(world, Draft(owner="many tokens", type="taler"), 1_100)
    login = {"Authorization": "Bearer " + (await here.issue("many tokens", scopes=["readwrite"]))["token"]}

    for limit in (1_024, 1_025, -(2**63)):
        reply = await here.ask("GET", f"/accounts/many%20tokens/tokens?limit={limit}", **login)

        assert len(reply.json()["tokens"]) == 1_024


async def test_deleting_one_of_many_costs_the_same(here: Here, world: World) -> None:
    spent = []
    for owner, number in (("few", 3), ("many", LONG)):
        await fill(world, Draft(owner=owner, type="taler"), number)
        login = {"Authorization": "Bearer " + (await here.issue(owner, scopes=["readwrite"], life_ms=None))["token"]}
        found = (await here.ask("GET", f"/accounts/{owner}/tokens?limit=1000", **login)).json()["tokens"]
        before = commands(here)
        reply = await here.ask("DELETE", f"/accounts/{owner}/tokens/{found[len(found) // 2]['token_id']}", **login)
        spent.append(commands(here) - before)
        assert reply.status == 204

    assert abs(spent[0] - spent[1]) <= 4  # what the service does by itself


@pytest.mark.parametrize("account", ["", "&account_id=acc"])
async def test_a_page_of_wepay_costs_the_same_wherever_it_lies(here: Here, world: World, account: str) -> None:
    costs = {}
    for app, number in ((f"short{len(account)}", 4 * SHORT), (f"long{len(account)}", LONG)):
        owners = ["acc"] if account else [f"acc{number}" for number in range(50)]
        for _ in range(number // len(owners)):  # they take turns, as people do
            drafts = [Draft(tenant=app, owner=owner, type="mobile_session") for owner in owners]
            await asyncio.gather(*[world.tokens.issue(draft) for draft in drafts])
        token = (await here.caller(app, "tokens:read"))["token"]
        login = {"App_Id": app, "App_Token": token, "Api_Version": "3.0", "Content_Type": "application/json"}
        costs[app] = await walk(here, f"/session_tokens?page_size={SIZE}{account}", login, number // SIZE // 2)

    short, long = costs.values()
    assert long[0] == long[1] == long[2]
    assert (long[0], long[1]) == (short[0], short[1])


async def walk(here: Here, first: str, login: dict[str, str], deep: int) -> tuple[int, int, int]:
    """What the first page costs, one of the midst, and the same when one comes back to it."""
    page = (await here.ask("GET", first, **login)).json()
    for _ in range(deep):
        path = page["next"]
        page = (await here.ask("GET", path, **login)).json()
    back = (await here.ask("GET", page["next"], **login)).json()["previous"]
    return (
        await cost(here, "GET", first, **login),
        await cost(here, "GET", path, **login),
        await cost(here, "GET", back, **login),
    )
