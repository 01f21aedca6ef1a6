"""What a service costs that nobody asks anything: its sweeping, and what the store does for it."""

import time

import msgspec

from tests.bench.servers import Store, cpu_seconds, service

SETTLE_S = 2.0  # the start is not counted


class Idle(msgspec.Struct):
    seconds: float
    service: float  # share of a core
    store: float  # the same of the store, with its own housekeeping


def measure(store: Store, seconds: float) -> Idle:
    with service(store) as server:
        time.sleep(SETTLE_S)
        before = cpu_seconds(server), cpu_seconds(store)
        time.sleep(seconds)
        after = cpu_seconds(server), cpu_seconds(store)
    mine, beside = ((now - was) / seconds for now, was in zip(after, before, strict=True))
    return Idle(seconds, mine, beside)
