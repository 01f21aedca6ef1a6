"""A token lives as long as the body that needs it, and the body learns of its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from service.client import Client, KeepAlive, Unavailable
from service.core.errors import Expired, Refusal, Revoked, Unknown
from tests.cli.line import Line
from tests.cli.test_sdk_outage import paused, within
from tests.cli.test_sdk_verbs import text_of
from tests.servers import Server, Service, wait_until

FOREVER_S = 30.0  # a body that ends only because it is told to


@pytest.fixture
async def holder(line: Line) -> AsyncIterator[Client]:
    """Presents nothing of its own: the token that is kept alive is all that it needs."""
    async with Client(line.url, timeout_s=2.0) as it:
        yield it


async def test_a_life_of_one_second_lasts_for_five(client: Client, holder: Client, line: Line) -> None:
    text = text_of(await client.issue("ann", life_ms=1_000))

    async with holder.keep_alive(text) as kept:
        await asyncio.sleep(5.0)
        seen = await client.peek(text)

    assert seen.active
    assert kept.remaining_s is not None
    assert 0 < kept.remaining_s <= 1.0
    assert 6 <= len(line.paths) <= 10  # every 0.6 to 0.73 s, and once at the start


async def test_after_the_body_it_is_renewed_no_more(client: Client, holder: Client) -> None:
    text = text_of(await client.issue("ann", life_ms=200))

    async with holder.keep_alive(text):
        pass

    await wait_until(lambda: refused(client, text, Expired))


async def refused(client: Client, text: str, kind: type[Refusal]) -> bool:
    with suppress(kind):
        await client.peek(text)
        return False
    return True


async def test_the_body_is_told_of_a_revocation(client: Client, holder: Client) -> None:
    text = text_of(await client.issue("ann", life_ms=600))

    async def body() -> None:
        async with holder.keep_alive(text):
            await client.revoke(text)
            await asyncio.sleep(FOREVER_S)

    with within(0.0, 0.6), pytest.raises(Revoked):
        await body()

    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0  # else the next timeout in this task would take it for its own


async def test_a_token_that_is_no_good_never_enters_the_body(holder: Client) -> None:
    with pytest.raises(Unknown):
        async with holder.keep_alive("tl_nobody's"):
            raise AssertionError


async def test_it_gets_over_an_outage_that_is_shorter_than_what_remains(
    client: Client, hasty: Service, store: Server
) -> None:
    text = text_of(await client.issue("ann", life_ms=6_000))

    async with Line(hasty.port) as line, Client(line.url, timeout_s=2.0) as holder, holder.keep_alive(text):
        with paused(store):
            await wait_until(lambda: 503 in line.statuses, 20.0)
        failed = len(line.statuses)
        await wait_until(lambda: 200 in line.statuses[failed:])

        assert (await client.peek(text)).active


async def test_an_outage_that_outlasts_the_life_is_told_as_such(client: Client, holder: Client, store: Server) -> None:
    text = text_of(await client.issue("ann", life_ms=700))

    async def body() -> None:
        async with holder.keep_alive(text):
            with paused(store):
                await asyncio.sleep(FOREVER_S)

    with within(0.6, 0.9), pytest.raises(Unavailable):
        await body()


async def test_up_to_a_ceiling_it_renews_and_then_waits_for_the_end(client: Client, holder: Client, line: Line) -> None:
    text = text_of(await client.issue("ann", life_ms=400, ceiling_ms=900))

    with pytest.raises(Expired):
        async with holder.keep_alive(text):
            await asyncio.sleep(FOREVER_S)

    assert len(line.paths) <= 5


async def test_a_token_without_an_end_is_only_looked_at_now_and_then(
    client: Client, holder: Client, line: Line
) -> None:
    text = text_of(await client.issue("ann", life_ms=None))

    async with holder.keep_alive(text) as kept:
        await asyncio.sleep(0.3)

    assert kept.remaining_s is None
    assert len(line.paths) == 1


async def test_what_the_body_raises_comes_out(client: Client, holder: Client) -> None:
    text = text_of(await client.issue("ann"))

    with pytest.raises(LookupError):
        async with holder.keep_alive(text):
            raise LookupError


async def test_a_cancellation_from_outside_stays_one(client: Client, holder: Client) -> None:
    text = text_of(await client.issue("ann"))
    entered = asyncio.Event()

    async def hold() -> None:
        async with holder.keep_alive(text):
            entered.set()
            await asyncio.sleep(FOREVER_S)

    holding = asyncio.create_task(hold())
    await entered.wait()
    holding.cancel()

    with pytest.raises(asyncio.CancelledError):
        await holding


async def test_a_cancellation_from_outside_wins_over_a_refusal(client: Client, holder: Client) -> None:
    text = text_of(await client.issue("ann", life_ms=300))

    async def hold() -> None:
        async with holder.keep_alive(text):
            await client.revoke(text)
            try:
                await asyncio.sleep(FOREVER_S)
            except asyncio.CancelledError:
                holding.cancel()
                raise

    holding = asyncio.create_task(hold())

    with pytest.raises(asyncio.CancelledError):
        await holding


async def test_a_client_keeps_its_own_token_alive(client: Client, line: Line) -> None:
    text = text_of(await client.issue("ann", life_ms=300))

    async with Client(line.url, text) as holder, holder.keep_alive() as kept:
        await wait_until(lambda: len(line.paths) >= 3)

    assert isinstance(kept, KeepAlive)
    assert kept.view.owner == "ann"
