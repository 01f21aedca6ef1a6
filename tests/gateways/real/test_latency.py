"""What the question costs: 1,000 requests through each gateway, with and without it."""

import asyncio
import http.client
import statistics
import time
from contextlib import closing

from tests.gateways.real.programs import Gateway
from tests.world import World

FOUND: list[str] = []  # shown at the end of the run
REQUESTS = 1_000
MOST_MS = 50.0  # a machine under load is slow; this only finds what waits for a timeout


def times_ms(port: int, path: str, token: str) -> list[float]:
    """One client, one connection, one request after the other.  Each must pass."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        for _ in range(REQUESTS):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            found.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200
    return found


async def test_a_thousand_requests_pass_and_the_question_costs_little(world: World, gateway: Gateway) -> None:
    token = await world.issue()

    bare = await asyncio.to_thread(times_ms, gateway.port, "/open/x", token.text)
    asked = await asyncio.to_thread(times_ms, gateway.port, "/x", token.text)

    uses = (await world.tokens.peek(token.text)).uses
    p50, p99 = (statistics.quantiles(asked, n=100)[n] - statistics.quantiles(bare, n=100)[n] for n in (49, 98))
    FOUND.append(f"{gateway.name:<12}{p50:8.2f} ms (p50){p99:8.2f} ms (p99)")
    assert uses == REQUESTS
    assert p50 < MOST_MS
