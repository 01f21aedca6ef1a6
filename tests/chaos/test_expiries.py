"""Expiries and their events, while what makes them is killed."""

import asyncio
import contextlib
from statistics import median
from typing import Any

import aiohttp
import msgspec
import pytest

from service.store import keys
from tests.api.calls import Caller, calling
from tests.backends import Real
from tests.servers import Server, Service, wait_until
from tests.world import ADMIN, SIGNING_KEYS, World

pytestmark = pytest.mark.chaos

MANY = 10_000
LIFE_MS = 500


class Reader:
    """Follows the stream of events, and comes back with the last id whenever it breaks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.last = ""
        self.events: list[Any] = []
        self.breaks = 0

    async def follow(self) -> None:
        headers = {"Authorization": f"Bearer {ADMIN}", "Accept": "text/event-stream"}
        async with aiohttp.ClientSession(headers=headers, read_bufsize=2**20) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    await self._read(http)
                self.breaks += 1
                await asyncio.sleep(0.05)

    async def _read(self, http: aiohttp.ClientSession) -> None:
        query = {"type": "expired"} | ({} if self.last else {"after": "start"})
        async with http.get(f"{self.url}/v1/events", params=query, headers={"Last-Event-ID": self.last}) as answer:
            id_ = ""
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    id_ = value
                elif name == "data":
                    # The cursor is kept together with what it stands behind, as a consumer must do it.
                    self.last, event = id_, msgspec.json.decode(value)
                    self.events.append(event)


async def test_ten_thousand_expiries_are_each_told_once_though_the_service_is_killed_twice() -> None:
    with Server() as store, contextlib.ExitStack() as stack:
        async with World(Real("valkey", store)) as world:
            service = stack.enter_context(
                Service(
                    redis_url=store.url, signing_keys=",".join(SIGNING_KEYS), admin_token=ADMIN, log_level="WARNING"
                )
            )
            reader = Reader(service.url)
            reading, issuing = asyncio.ensure_future(reader.follow()), asyncio.ensure_future(issue_all(world))

            for share in (0.25, 0.6):
                await wait_until(lambda share=share: len(reader.events) > MANY * share, timeout_s=60)  # type: ignore[misc]
                await asyncio.to_thread(service.kill)
                await asyncio.to_thread(service.start)
            due = await issuing
            await wait_until(lambda: len(reader.events) >= MANY, timeout_s=30)
            stats = await world.store.stats()
            entries = [entry for name in map(keys.events, range(16)) for _, entry in await world.redis.xrange(name)]
        reading.cancel()

    assert reader.breaks >= 2
    assert {event["subject"]: event["data"]["deadline_at_ms"] for event in reader.events} == due
    assert len({event["id"] for event in reader.events}) == len(reader.events) == MANY
    assert stats.tokens["expired"] == MANY
    assert stats.backlog == 0
    assert sum(len(entry) - 1 for entry in entries) == 2 * MANY + 1  # and one for the admin token
    assert {event["data"]["ended_by"] for event in reader.events} == {"life"}


async def issue_all(world: World) -> dict[str, int | None]:
    """Tokens that soon end, while others are still issued: the deadline of each by its handle."""
    due: dict[str, int | None] = {}
    for number in range(0, MANY, 250):
        owners = [f"owner-{number % 1_000 + one}" for one in range(250)]
        made = await asyncio.gather(*[world.issue(owner, life_ms=LIFE_MS) for owner in owners])
        due |= {one.token.id: one.token.deadline_at_ms for one in made}
    return due


async def test_the_event_of_a_lone_expiry_comes_within_100_ms() -> None:
    """By the store's clock, as the event itself says.  Of seven the median, for one may meet a busy machine."""
    with (
        Server() as store,
        Service(redis_url=store.url, signing_keys=",".join(SIGNING_KEYS), admin_token=ADMIN) as service,
    ):
        async with calling(service.url, ADMIN) as admin:
            for life_ms in (150, 170, 190, 210, 230, 250, 270):
                token = await admin.issue(life_ms=life_ms)
                await wait_until(lambda id_=token["id"]: _told(admin, id_))  # type: ignore[misc]
            events = await admin.events(type="expired")

    assert len(events) == 7
    assert median(event["data"]["lag_ms"] for event in events) <= 100


async def _told(caller: Caller, id_: str) -> bool:
    return any(event["subject"] == id_ for event in await caller.events(type="expired"))
