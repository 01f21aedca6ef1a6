"""Whoever reads the store, its backups or its traffic is not thereby the holder of a token."""

import asyncio
from typing import Any

import pytest
from redis import Redis

from service.core.store import Filter
from service.core.token import Change, Draft
from tests import backends
from tests.world import World

PASSWORD, KEY = "correct horse battery", "the header of an idempotent request"


async def live(world: World) -> list[str]:
    """Lets tokens live through all that can happen to them.  Gives what nobody but their holders may know."""
    caller = await world.caller("tokens:issue", "tokens:use", "tokens:read", "tokens:revoke")
    one, kept = await world.issue("ann", recoverable=True), await world.issue("bob", uses=1)
    repeated = await world.replays.issue("x", KEY, b"body", Draft(owner="eve", life_ms=60_000))
    await world.tokens.use(one.text, by=caller)
    await world.tokens.amend(one.token.id, Change(description="new"), caller)
    rotated = await world.tokens.rotate(one.text, by=caller)
    await world.tokens.rotate(one.text, by=caller)
    await world.tokens.many("use", [kept.text, one.text, rotated.text], caller)
    await world.lists.page(Filter(tenant="default"), limit=10, cursor=None, descending=False)
    await world.tokens.revoke(repeated.text, by=caller)
    await world.accounts.put("shop", "ann", PASSWORD)
    await world.accounts.verify("shop", "ann", PASSWORD)
    texts = [caller, one.text, kept.text, repeated.text, rotated.text]
    # Dressing, body and signature: the body alone is the secret.
    return [PASSWORD, KEY, world.admin, *[text[-72:-44] for text in texts], *[text[-43:] for text in texts]]


async def test_the_store_keeps_no_text_password_or_key(world: World) -> None:
    secrets = await live(world)

    kept = str(world.dump())

    assert "ann" in kept
    assert [secret for secret in secrets if secret in kept] == []


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_neither_does_it_ever_see_one(world: World) -> None:
    """MONITOR shows every command with its arguments."""
    await world.tokens.peek((await world.issue()).text)  # connects

    with world.backend.plain() as store:
        listening = asyncio.Event()
        watching = asyncio.create_task(asyncio.to_thread(overhear, store, listening, asyncio.get_running_loop()))
        await listening.wait()
        secrets = await live(world)
        await world.redis.echo("it is over")
        heard = await watching

    assert len(heard) > 20
    assert "ann" in str(heard)
    assert [secret for secret in secrets if secret in str(heard)] == []


def overhear(store: "Redis", listening: asyncio.Event, loop: asyncio.AbstractEventLoop) -> list[str]:
    heard: list[str] = []
    plain: Any = store
    with plain.monitor() as monitor:
        loop.call_soon_threadsafe(listening.set)
        for said in monitor.listen():
            heard.append(said["command"])
            if "it is over" in heard[-1]:
                return heard
    return heard
