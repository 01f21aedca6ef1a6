"""Several workers on one port: one that dies is replaced, and what they say of themselves is the sum of all."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.api.calls import ADMIN, KEYS, Answer, calling
from tests.chaos.family import kill, workers
from tests.servers import Server, Service, wait_until

pytestmark = pytest.mark.chaos

USED = 'tokenlife_verdicts_total{outcome="ok",verb="peek"}'
BEARER = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def service() -> Iterator[Service]:
    with (
        Server() as store,
        Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, workers=2) as running,
    ):
        yield running


async def once(service: Service, path: str) -> Answer:
    """On a connection of its own, so that the kernel chooses the worker anew."""
    async with aiohttp.ClientSession(headers=BEARER) as http, http.get(service.url + path) as got:
        return Answer(got.status, got.headers, await got.read())


async def served(service: Service, times: int) -> set[str]:
    """Which workers answered: the first part of a request id is the worker's own."""
    answers = [await once(service, "/v1/self") for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return {answer.headers["X-Request-Id"].partition("-")[0] for answer in answers}


async def metric(service: Service, name: str) -> float:
    lines = (await once(service, "/metrics")).body.decode().splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(f"{name} "))


async def test_both_workers_serve_and_one_that_is_killed_is_replaced(service: Service) -> None:
    before = workers(service)
    who = await served(service, 40)

    kill(before[0])
    await wait_until(lambda: len(set(workers(service)) - set(before)) == 1)
    survivor = await _served_anyhow(service)
    await wait_until(lambda: _two_serve(service))

    assert len(before) == 2
    assert len(who) == 2
    assert survivor
    assert len(workers(service)) == 2
    assert '"exit_code":-9' in service.said()
    assert await asyncio.to_thread(service.stop) == 0


async def test_the_metrics_are_those_of_all_workers_whichever_answers(service: Service) -> None:
    await served(service, 50)

    scrapes = {await metric(service, USED) for _ in range(12)}
    kill(workers(service)[0])
    await wait_until(lambda: _two_serve(service))
    after = [await metric(service, USED) for _ in range(12)]

    assert scrapes == {50.0}
    assert min(after) >= 50 + 20  # and no fewer for the death of a worker
    assert len(set(after)) == 1
    assert await metric(service, 'tokenlife_tokens{state="active"}') == 1  # what all share is not added up


async def test_a_stop_is_heard_while_a_worker_is_being_replaced(service: Service) -> None:
    """A young worker that died is replaced after a pause; a stop in that pause once left a worker that nobody told."""
    for pid in workers(service):
        kill(pid)
    await wait_until(lambda: service.said().count("is replaced") == 2)

    started = time.monotonic()
    code = await asyncio.to_thread(service.stop)

    assert code == 0
    assert time.monotonic() - started < 5


async def test_many_stops_at_once_are_one_stop(service: Service) -> None:
    async with calling(service.url) as admin:
        polling = asyncio.ensure_future(admin.get("/v1/events", after="now", wait_ms=20_000))
        await wait_until(lambda: _used(service))
        for pid in [service.pid, *workers(service), service.pid]:
            os.kill(pid, signal.SIGTERM)
        code = await asyncio.to_thread(service.stop)
        page = await polling

    assert code == 0
    assert page.status == 200


async def test_workers_do_not_outlive_the_one_that_minds_them(service: Service) -> None:
    pids = workers(service)

    service.kill()

    await wait_until(lambda: not any(_lives(pid) for pid in pids))


async def _served_anyhow(service: Service) -> bool:
    """The connections of the one that was killed are gone; the next one is served."""
    for _ in range(10):
        try:
            return (await once(service, "/v1/self")).status == 200
        except aiohttp.ClientError:
            continue
    return False


async def _two_serve(service: Service) -> bool:
    return len(workers(service)) == 2 and len(await served(service, 20)) == 2


async def _used(service: Service) -> bool:
    return bool((await once(service, "/v1/self")).json["uses"] >= 1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
