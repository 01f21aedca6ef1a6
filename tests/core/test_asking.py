"""What a request asks is made ready once, and put again as long as the keys stay."""

import asyncio

import pytest

from service.core.errors import Malformed
from service.core.store import Asking
from service.core.token import Token
from tests.world import World

NEW = "the-new-signing-key-of-the-tests"


async def test_what_was_made_ready_is_asked_anew_each_time(world: World) -> None:
    asking = world.tokens.asking("use", (await world.issue()).text)

    first, second = [await put(world, asking) for _ in range(2)]

    assert isinstance(first, Token)
    assert isinstance(second, Token)
    assert (first.uses, second.uses) == (1, 2)


async def test_what_was_made_ready_under_other_keys_is_asked_no_more(world: World) -> None:
    asking = world.tokens.asking("use", (await world.issue()).text)

    world.tokens.texts.rekey([NEW])

    with pytest.raises(Malformed):
        await put(world, asking)


async def put(world: World, asking: Asking) -> object:
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    world.tokens.present_soon(asking, told.set_result)
    return await told
