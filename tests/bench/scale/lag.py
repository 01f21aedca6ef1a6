"""Tokens that end one after the other, so many a second: how late each is found."""

import time

import msgspec

from service.core.token import Draft
from tests.bench import bulk
from tests.bench.load import quantile
from tests.bench.scale import asked
from tests.bench.servers import Store, service

DAY_MS = 86_400_000
ISSUING_MS = 0.2  # a token, with much to spare
AHEAD_MS = 2_000


class Lag(msgspec.Struct):
    live: int
    a_second: int
    seconds: float
    p50_ms: float
    p99_ms: float
    most_ms: float


def measure(store: Store, live: int, a_second: int, seconds: float) -> Lag:
    count = int(a_second * seconds)
    with service(store) as server:
        first = time.time() * 1000 + count * ISSUING_MS + AHEAD_MS
        ends = [int(first + n * 1000 / a_second) for n in range(count)]
        expired = asked.expired(server)
        place = asked.now_place(server)
        bulk.issue(store, [Draft(owner=f"lag-{end}", life_ms=DAY_MS, ceiling_ms=end) for end in ends])
        if time.time() * 1000 > first:
            raise SystemExit("bench: the first ended before the last was issued; run it again")
        asked.wait_for_expired(server, expired + count)
        lags = [float(one["lag_ms"]) for one in asked.expiries(server, place)]
    p50, p99 = (quantile(lags, share) for share in (0.5, 0.99))
    return Lag(live, a_second, seconds, p50, p99, max(lags))
