"""The time that a pod is given to end is reckoned from the settings; here a service is held to that reckoning."""

import asyncio
import time

import aiohttp

from service.settings import Settings
from tests.deploy.test_manifests import needed_s
from tests.deploy.worked import ADMIN, KEYS
from tests.servers import Server, Service, free_port, wait_until

GIVEN = Settings(ops_port=free_port(), drain_ms=700, grace_ms=500)
BEARER = {"Authorization": f"Bearer {ADMIN}"}


async def test_a_service_ends_in_the_time_that_it_is_given_and_serves_until_then(store: Server) -> None:
    """With one client on a stream without end, and one whose body never comes."""
    with Service(
        redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, ops_port=GIVEN.ops_port,
        drain_ms=GIVEN.drain_ms, grace_ms=GIVEN.grace_ms,
    ) as service:  # fmt: skip
        async with aiohttp.ClientSession(service.url, headers=BEARER) as http:
            await http.get("/v1/events", headers={"Accept": "text/event-stream"})
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(f"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n".encode())
            writer.write(b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
            await writer.drain()

            told = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(service.stop))
            await wait_until(lambda: service.status("/readyz") == 503)
            async with http.post("/v1/tokens", json={"owner": "ann"}) as answer:
                served = answer.status
            code = await ending
            took_s = time.monotonic() - told

            assert served == 201
            assert code == 0
            assert GIVEN.drain_ms / 1000 <= took_s < needed_s(GIVEN)
            writer.close()
            await reader.read()
