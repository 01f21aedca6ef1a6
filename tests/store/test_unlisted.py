"""What has ended and still stands among the active ones: to everybody it is what it is."""

import pytest

from service.core.errors import Expired
from service.core.store import Filter
from service.core.token import Issued
from tests import backends
from tests.store.bursts import ACTIVE, EXPIRED, SHOP, ids, in_order, issued_in, paged, stories, unlisted
from tests.world import World


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("owner", [None, "ann"])
async def test_a_page_shows_those_that_are_not_relisted_as_what_they_are(
    world: World, owner: str | None, descending: bool
) -> None:
    """There are more of them than a page looks at together."""
    first = await issued_in(world, 2)
    over = await unlisted(world, 40)
    last = await issued_in(world, 2)
    active, everything = ids(*first, *last), ids(*first, *over, *last)

    async def found(*states: str) -> list[str]:
        ids_ = await paged(world, Filter(tenant="shop", owner=owner, states=states), descending=descending)
        return ids_[::-1] if descending else ids_

    before = [await found(), await found("active"), await found("expired"), await found("active", "expired")]
    states = await world.states(*first, *over, *last)
    await world.store.sweep(1)
    after = [await found(), await found("active"), await found("expired"), await found("active", "expired")]

    assert before == [everything, active, [], everything]
    assert states == ["active"] * 2 + ["expired"] * 40 + ["active"] * 2
    assert after == [everything, active, ids(*over), everything]


@pytest.mark.parametrize("owner", [None, "ann"])
async def test_cursors_lead_through_a_list_of_which_parts_are_relisted_meanwhile(
    world: World, owner: str | None
) -> None:
    """Each token once, whichever of two lists it is in."""
    over = await unlisted(world, 7)
    alive = await issued_in(world, 2)
    which = Filter(tenant="shop", owner=owner)

    found, cursor = list[str](), None
    for _ in range(9):
        page = await world.lists.page(which, limit=2, cursor=cursor, descending=False)
        found, cursor = found + [token.id for token in page.items], page.next
        await world.store.sweep(1)
        if cursor is None:
            break

    assert found == ids(*over, *alive)


async def test_a_tenant_whose_tokens_have_all_ended_still_has_lists(world: World) -> None:
    """Its count of active ones is 0; and one that is issued and revoked meanwhile brings it back to 0."""
    over = await unlisted(world, 3)

    alone = await paged(world, SHOP)
    [revoked] = await issued_in(world, 1)
    await world.tokens.revoke(revoked.text)

    assert alone == ids(*over)
    assert await world.lists.count(SHOP) == {("session", "expired"): 3, ("session", "revoked"): 1}
    assert await paged(world, SHOP) == ids(*over, revoked)
    in_order(world)
    await world.store.sweep(1)
    assert await paged(world, SHOP) == ids(*over, revoked)
    assert await paged(world, ACTIVE) == []


async def test_revoking_an_owner_ends_exactly_the_active_ones_among_them(world: World) -> None:
    """More that are not relisted than a call looks at, on all sides of them."""
    over, alive = list[Issued](), list[Issued]()
    for _ in range(3):
        over += await unlisted(world, 5)
        alive += await issued_in(world, 1)
    spared = alive.pop()

    answers = [(0, True)]
    while answers[-1][1] and len(answers) < 20:
        answers.append(await world.store.revoke_owner("shop", "ann", None, "owner", [spared.token.id], 2, dry=False))

    assert answers[-1][1] is False
    assert sum(revoked for revoked, _ in answers) == 2
    assert await world.states(*over, *alive, spared) == ["expired"] * 15 + ["revoked"] * 2 + ["active"]
    assert await stories(world, *over, *alive) == [["issued", "expired"]] * 15 + [["issued", "revoked"]] * 2
    assert await paged(world, EXPIRED) == ids(*over)
    in_order(world)


@pytest.mark.parametrize("limit", [2, 9])
async def test_a_dry_run_among_them_changes_nothing(world: World, limit: int) -> None:
    await unlisted(world, 3)
    await issued_in(world, 2)
    before = world.dump()

    answer = await world.store.revoke_owner("shop", "ann", None, "owner", [], limit, dry=True)

    assert world.dump() == before
    assert answer == ((0, True) if limit == 2 else (2, False))


@pytest.mark.parametrize("verb", ["use", "peek", "renew", "rotate"])
async def test_one_that_is_not_relisted_is_refused_as_any_that_expired(world: World, verb: str) -> None:
    [one] = await unlisted(world, 1)
    before = world.dump()

    with pytest.raises(Expired) as refused:
        await getattr(world.tokens, verb)(one.text)

    assert refused.value.evidence["expired_at_ms"]
    assert world.dump() == before


async def test_to_revoke_one_that_is_not_relisted_answers_that_it_expired(world: World) -> None:
    [one] = await unlisted(world, 1)
    caller = await world.caller("tokens:revoke", "tokens:read", tenant="shop")

    by_text = await world.tokens.revoke(one.text)
    by_id = await world.tokens.revoke_by_id(one.token.id, caller)
    seen = await world.tokens.look(one.token.id, caller)
    await world.sweep()

    assert by_text == by_id == seen
    assert (seen.state, seen.ended_by) == ("expired", "life")
    assert await stories(world, one) == [["issued", "expired"]]


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
@pytest.mark.parametrize(("owner", "calls"), [("ann", 40), (None, 180)], ids=["owner", "tenant"])
async def test_a_page_of_active_ones_passes_over_thousands_in_few_calls(
    world: World, owner: str | None, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round looks at twice as many as the one before: eight of them, each with a call to each partition."""
    rows, looked_at = world.store._rows, list[int]()

    async def noted(which: Filter, after: int, before: int, limit: int, **way: bool) -> list[tuple[int, str]]:
        looked_at.append(limit)
        return await rows(which, after, before, limit, **way)

    monkeypatch.setattr(world.store, "_rows", noted)
    for _ in range(3):
        await unlisted(world, 1_000)
    alive = await issued_in(world, 3)
    which = Filter(tenant="shop", owner=owner, states=("active",))
    before = world.commands()["evalsha"]

    page = await world.lists.page(which, limit=9, cursor=None, descending=False)

    assert [token.id for token in page.items] == ids(*alive)
    assert world.commands()["evalsha"] - before <= calls
    assert max(looked_at) == 1_000
