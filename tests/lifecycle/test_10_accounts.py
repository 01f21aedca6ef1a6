"""Accounts: for the published APIs that log in with a name and a password."""

import time

import pytest

from service.core.accounts import Accounts
from service.core.errors import BadInput
from tests.world import World

RIGHT, WRONG = "correct horse battery", "correct horse batterY"


async def test_only_the_right_password_of_the_right_account_opens(world: World) -> None:
    await world.accounts.put("shop", "ann", RIGHT)

    assert await world.accounts.verify("shop", "ann", RIGHT)
    assert not await world.accounts.verify("shop", "ann", WRONG)
    assert not await world.accounts.verify("shop", "bob", RIGHT)
    assert not await world.accounts.verify("bank", "ann", RIGHT)


async def test_a_new_password_replaces_the_old_one(world: World) -> None:
    await world.accounts.put("shop", "ann", RIGHT)

    await world.accounts.put("shop", "ann", WRONG)

    assert await world.accounts.verify("shop", "ann", WRONG)
    assert not await world.accounts.verify("shop", "ann", RIGHT)


async def test_a_deleted_account_opens_no_more(world: World) -> None:
    await world.accounts.put("shop", "ann", RIGHT)

    assert await world.accounts.delete("shop", "ann")
    assert not await world.accounts.delete("shop", "ann")
    assert not await world.accounts.verify("shop", "ann", RIGHT)


async def test_what_is_kept_is_an_argon2id_hash(world: World) -> None:
    await world.accounts.put("shop", "ann", RIGHT)

    kept = await world.shelf.get_account("shop", "ann")

    assert kept is not None
    assert kept.startswith("$argon2id$")
    assert RIGHT not in str(world.dump())


@pytest.mark.parametrize("backend", ["fakeredis"], indirect=True)
async def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(world: World) -> None:
    accounts = Accounts(world.shelf)
    await accounts.put("shop", "ann", RIGHT)
    await accounts.verify("shop", "nobody", WRONG)  # makes the hash that unknown names are checked against

    async def cost(name: str) -> float:
        started = time.process_time()
        assert not await accounts.verify("shop", name, WRONG)
        return time.process_time() - started

    known, unknown = await cost("ann"), await cost("nobody")

    assert known > 0.01
    assert unknown > known / 2


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "short"), ("ann", "x" * 257), ("", RIGHT), ("a\nb", RIGHT), ("x" * 257, RIGHT)]
)
async def test_names_and_passwords_have_bounds(world: World, name: str, password: str) -> None:
    with pytest.raises(BadInput):
        await world.accounts.put("shop", name, password)


async def test_a_name_may_be_of_any_language(world: World) -> None:
    await world.accounts.put("shop", "Zoë {07}:*", RIGHT)

    assert await world.accounts.verify("shop", "Zoë {07}:*", RIGHT)
    assert not await world.accounts.verify("shop", "Zoë {07}:?", RIGHT)
