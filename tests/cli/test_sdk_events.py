"""Events come once each and in order, over breaks of the line too."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from service.client import BadInput, CallerRefused, Client, Event, Gone, Unavailable
from tests.cli.conftest import ADMIN
from tests.cli.line import Line
from tests.cli.test_sdk_verbs import text_of
from tests.servers import Server, Service, free_port, wait_until


async def next_of(events: AsyncGenerator[Event, None]) -> Event:
    async with asyncio.timeout(10.0):
        return await anext(events)


async def test_what_happens_to_a_token_comes_as_events(client: Client) -> None:
    before = (await client.events_page("now")).next
    token = await client.issue("eva", life_ms=200)

    async with aclosing(client.events(before, owner="eva")) as events:
        issued, expired = await next_of(events), await next_of(events)

    assert (issued.kind, issued.subject, issued.data.owner) == ("issued", token.id, "eva")
    assert (expired.kind, expired.data.state) == ("expired", "expired")
    assert expired.data.deadline_at_ms == token.expires_at_ms
    assert expired.data.lag_ms is not None
    assert expired.cursor != issued.cursor


async def test_a_cursor_goes_on_right_behind_its_event(client: Client) -> None:
    made = [await client.issue("cora") for _ in range(3)]
    async with aclosing(client.events("start", owner="cora")) as events:
        first = await next_of(events)

    async with aclosing(client.events(first.cursor, owner="cora")) as events:
        rest = [await next_of(events), await next_of(events)]

    assert [event.subject for event in (first, *rest)] == [token.id for token in made]


async def test_kept_events_come_by_the_page(client: Client) -> None:
    before = (await client.events_page("now")).next
    made = [await client.issue("paula") for _ in range(3)]

    first = await client.events_page(before, limit=2, owner="paula")
    rest = await client.events_page(first.next, owner="paula", type="issued")
    none = await client.events_page(rest.next)

    assert [event.subject for event in first.events] == [token.id for token in made[:2]]
    assert [event.subject for event in rest.events] == [made[2].id]
    assert (none.events, none.next) == ((), rest.next)


async def test_a_page_waits_for_a_first_event_longer_than_other_calls_may_take(service: Service) -> None:
    async with Client(service.url, ADMIN, timeout_s=0.5) as client:
        now = (await client.events_page("now")).next
        waiting = asyncio.create_task(client.events_page(now, owner="wanda", wait_ms=10_000))
        await asyncio.sleep(0.6)
        token = await client.issue("wanda")

        page = await waiting

    assert [event.subject for event in page.events] == [token.id]


async def test_after_a_break_it_goes_on_behind_the_last_event(client: Client, line: Line) -> None:
    breaks: list[Unavailable] = []
    async with (
        Client(line.url, ADMIN, timeout_s=10.0) as reader,
        aclosing(reader.events(owner="brenda", on_break=breaks.append)) as events,
    ):
        reading = asyncio.create_task(next_of(events))
        await wait_until(lambda: len(line.statuses) == 2)
        tokens = [await client.issue("brenda")]
        seen = [await reading]

        line.cut()
        tokens += [await client.issue("brenda") for _ in range(2)]
        seen += [await next_of(events), await next_of(events)]

    assert [event.subject for event in seen] == [token.id for token in tokens]
    assert len(breaks) == 1


async def test_what_happens_in_a_break_before_the_first_event_is_not_lost(client: Client, line: Line) -> None:
    async with Client(line.url, ADMIN, timeout_s=10.0) as reader, aclosing(reader.events(owner="frida")) as events:
        reading = asyncio.create_task(next_of(events))
        await wait_until(lambda: len(line.statuses) == 2)

        line.cut()
        token = await client.issue("frida")

        assert (await reading).subject == token.id


async def test_a_first_connection_that_fails_is_told() -> None:
    async with Client(f"http://127.0.0.1:{free_port()}", ADMIN, timeout_s=0.3) as client:
        with pytest.raises(Unavailable):
            await next_of(client.events())
        with pytest.raises(Unavailable):
            await next_of(client.events("start"))


async def test_a_reader_that_may_not_read_is_refused(client: Client, service: Service) -> None:
    weak = text_of(await client.issue("app", type="service", scopes=["tokens:use"]))

    async with Client(service.url, weak) as reader:
        with pytest.raises(CallerRefused):
            await next_of(reader.events("start"))


async def test_a_reader_is_refused_when_its_token_ends_while_it_reads(client: Client, line: Line) -> None:
    own = await client.issue("app", type="service", scopes=["events:read"])

    async with Client(line.url, text_of(own)) as reader:
        reading = asyncio.create_task(next_of(reader.events(owner="nobody")))  # else of its own revocation
        await wait_until(lambda: len(line.statuses) == 2)
        await client.revoke_by_id(own.id)
        line.cut()

        with pytest.raises(CallerRefused):
            await reading


async def test_a_cursor_of_nobody_is_refused(client: Client) -> None:
    with pytest.raises(BadInput) as refused:
        await next_of(client.events("nonsense"))

    assert refused.value.field == "after"


async def test_events_that_were_trimmed_away_are_not_passed_over_in_silence() -> None:
    with (
        Server() as store,
        Service(redis_url=store.url, signing_keys="a signing key of the tests", admin_token=ADMIN, partitions=1,
                events_kept=1) as service,
    ):  # fmt: skip
        async with Client(service.url, ADMIN, timeout_s=10.0) as client:
            before = (await client.events_page("start", limit=1)).next
            await asyncio.gather(*[client.issue("ann") for _ in range(300)])

            with pytest.raises(Gone) as gone:
                await next_of(client.events(before))

            assert await next_of(client.events(gone.value.oldest))
