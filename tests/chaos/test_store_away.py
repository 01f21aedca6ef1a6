"""The store is away: at the start, for a while under load, and for good when it was the embedded one."""

import asyncio
import time
from collections.abc import Iterator
from statistics import median

import pytest

from tests.api.calls import ADMIN, KEYS, Answer, Caller, calling
from tests.chaos.family import embedded, kill
from tests.servers import Server, Service, wait_until

pytestmark = pytest.mark.chaos

TIMEOUT_MS = 1_000  # of a service that is told nothing else


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_service_whose_store_is_away_at_the_start_says_so_and_comes_up(workers: int) -> None:
    store = Server()
    service = Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, workers=workers)
    try:
        service.launch()
        await wait_until(lambda: asyncio.to_thread(lambda: service.status("/livez") == 200), timeout_s=20)
        async with calling(service.url) as admin:
            ready = await admin.get("/readyz")
            verbs = [await admin.get("/v1/self"), await admin.post("/v1/tokens", {"owner": "ann"})]
            said = service.said()

            store.start()
            # Asked on the connection that is then used: of two workers the other may be ready half a second before.
            await wait_until(lambda: _is_ready(admin))
            token = await admin.issue()
            used = await admin.use(token["token"])
    finally:
        service.close()
        store.close()

    assert (ready.status, ready.json) == (503, {"ready": False, "started": False, "draining": False, "store": False})
    assert [(answer.status, answer.code) for answer in verbs] == [(503, "unavailable")] * 2
    assert "waiting for the store" in said
    assert "serves on" not in said
    assert used.status == 200


async def _is_ready(caller: Caller) -> bool:
    return (await caller.get("/readyz")).status == 200


async def test_a_service_that_waits_for_its_store_can_be_stopped() -> None:
    service = Service(redis_url="unix:///nowhere", signing_keys=KEYS, admin_token=ADMIN, drain_ms=60_000)
    try:
        service.launch()
        await wait_until(lambda: "waiting for the store" in service.said(), timeout_s=20)
        code, said = await asyncio.to_thread(service.stop), service.said()
    finally:
        service.close()

    assert code == 0  # and at once: nobody was sent here, so there is nothing to drain
    assert "serves on" not in said


async def test_a_frozen_store_is_a_503_in_time_under_load_and_then_it_goes_on(store: Server) -> None:
    """Half of the answers must keep the time, and half as long again is not too late: test and service share the
    machine.  What a caller may notice, tests/races/test_traffic.py measures without that."""
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as service:
        async with calling(service.url) as admin:
            token = await admin.issue(life_ms=600_000)
            load = Load(admin, token["token"])
            users = [asyncio.ensure_future(load.user()) for _ in range(20)]
            await wait_until(lambda: load.count(200) > 200)

            store.pause()
            await wait_until(lambda: load.count(503) >= 60, timeout_s=20)
            ready = await asyncio.to_thread(service.status, "/readyz")
            live = await asyncio.to_thread(service.status, "/livez")
            store.resume()
            resumed, before = time.monotonic(), load.count(200)
            await wait_until(lambda: load.count(200) > before + 200)
            back_s = time.monotonic() - resumed
            load.ended = True
            await asyncio.gather(*users)
            kept = await admin.look(token["id"])

    refused = [took for answer, took in load.answers if answer.status == 503]
    assert {answer.status for answer, _ in load.answers} == {200, 503}
    assert median(refused) <= 1.5 * TIMEOUT_MS / 1000
    assert (ready, live) == (200, 200)  # a store that is lost takes no service from the balancer, unless so set
    assert back_s < 5
    assert kept["state"] == "active"


async def test_probes_do_not_wait_for_a_frozen_store(store: Server) -> None:
    """The look gives up after 2 s; the requests here wait for 20."""
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, store_timeout_ms=20_000) as service:
        store.pause()
        ready = await asyncio.to_thread(service.status, "/readyz")
        store.resume()

    assert ready == 200


async def test_an_embedded_store_that_is_killed_is_started_again_with_all_that_it_had() -> None:
    with Service(admin_token=ADMIN) as service:
        async with calling(service.url) as admin:
            token = await admin.issue(life_ms=600_000)
            first = embedded(service)

            kill(first)
            await wait_until(lambda: _works(admin), timeout_s=20)
            used = await admin.use(token["token"])
            second = embedded(service)
            code, said = await asyncio.to_thread(service.stop), service.said()

    assert used.status == 200
    assert first != second
    assert "the embedded store died" in said
    assert code == 0


async def test_an_embedded_store_that_cannot_start_again_ends_the_service_with_a_sentence() -> None:
    with Service(admin_token=ADMIN) as service:
        data = service.data_dir
        for file in (*data.glob("appendonlydir/*.manifest"), *data.glob("appendonly.aof")):  # before Redis 7 it is one
            file.write_text("nonsense\n")

        kill(embedded(service))
        await wait_until(lambda: not service.running, timeout_s=20)
        code, said = service.exit_code(), service.said()

    assert code == 1
    assert "did not start" in said


class Load:
    """Users who do nothing but use a token."""

    def __init__(self, caller: Caller, text: str) -> None:
        self.caller, self.text = caller, text
        self.answers: list[tuple[Answer, float]] = []
        self.ended = False

    async def user(self) -> None:
        while not self.ended:
            started = time.monotonic()
            answer = await self.caller.use(self.text)
            self.answers.append((answer, time.monotonic() - started))

    def count(self, status: int) -> int:
        return sum(answer.status == status for answer, _ in self.answers)


async def _works(caller: Caller) -> bool:
    return (await caller.get("/v1/self")).status == 200
