"""What may be changed of a token that lives."""

import pytest
from msgspec import Raw

from service.core.errors import BadInput, Conflict, Forbidden, Revoked
from service.core.token import Change, etag
from tests.world import World


@pytest.fixture
async def issuer(world: World) -> str:
    return await world.caller("tokens:issue")


async def test_words_life_and_scopes_can_be_changed(world: World, issuer: str) -> None:
    issued = await world.issue(life_ms=60_000, description="old")

    changed = await world.tokens.amend(
        issued.token.id,
        Change(description="new", metadata=Raw(b'{"a":1}'), life_ms=120_000, scopes=("read",)),
        issuer,
    )

    assert (changed.description, bytes(changed.metadata), changed.scopes) == ("new", b'{"a":1}', ("read",))
    assert changed.life_ms == 120_000
    assert (await world.tokens.use(issued.text, scopes=("read",))).remaining_ms == 120_000


async def test_what_is_not_named_stays(world: World, issuer: str) -> None:
    issued = await world.issue(description="old", scopes=("read",), metadata=Raw(b'{"a":1}'), recoverable=True)

    changed = await world.tokens.amend(issued.token.id, Change(description=None), issuer)

    assert changed.description is None
    assert (changed.scopes, bytes(changed.metadata), changed.sealed) == (("read",), b'{"a":1}', issued.token.sealed)


async def test_a_longer_life_begins_with_the_next_renewal_a_shorter_one_now(world: World, issuer: str) -> None:
    issued = await world.issue(life_ms=60_000)

    longer = await world.tokens.amend(issued.token.id, Change(life_ms=120_000), issuer)
    shorter = await world.tokens.amend(issued.token.id, Change(life_ms=5_000), issuer)

    assert longer.deadline_at_ms == issued.token.deadline_at_ms
    assert shorter.remaining_ms == 5_000


async def test_a_token_that_lived_for_ever_gets_an_end(world: World, issuer: str) -> None:
    issued = await world.issue(life_ms=None)

    changed = await world.tokens.amend(issued.token.id, Change(life_ms=5_000), issuer)

    assert changed.remaining_ms == 5_000
    await world.expire_now(issued)
    assert (await world.sweep()).marked == 1


async def test_an_etag_holds_until_something_changes_and_a_use_is_no_change(world: World, issuer: str) -> None:
    issued = await world.issue(description="old")
    seen = etag(issued.token)
    await world.tokens.use(issued.text)

    await world.tokens.amend(issued.token.id, Change(description="new"), issuer, if_match=[seen])

    with pytest.raises(Conflict) as refused:
        await world.tokens.amend(issued.token.id, Change(description="newer"), issuer, if_match=[seen])
    assert refused.value.code == "changed"
    assert (await world.tokens.peek(issued.text)).description == "new"


async def test_a_final_token_is_not_changed(world: World, issuer: str) -> None:
    issued = await world.issue(description="old")
    await world.tokens.revoke(issued.text)

    with pytest.raises(Revoked):
        await world.tokens.amend(issued.token.id, Change(description="new"), issuer)


async def test_a_change_is_held_to_the_same_rules_as_a_new_token(world: World, issuer: str) -> None:
    issued = await world.issue()
    wrong = [Change(life_ms=0), Change(scopes=("a b",)), Change(description="\n"), Change(metadata=Raw(b"1" * 4097))]

    for change in wrong:
        with pytest.raises(BadInput):
            await world.tokens.amend(issued.token.id, change, issuer)


async def test_nobody_gives_a_caller_more_than_it_has_itself(world: World, issuer: str) -> None:
    other = world.texts.open(await world.caller("tokens:issue"))

    with pytest.raises(Forbidden) as refused:
        await world.tokens.amend(other, Change(scopes=("tokens:issue", "admin")), issuer)

    assert refused.value.evidence["needed"] == "admin"
