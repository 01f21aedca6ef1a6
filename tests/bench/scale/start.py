"""From the spawn of `python -m service serve` to the first 200 of /readyz, the store being there."""

import time
from statistics import median

from tests.bench.servers import Store, service

LOOK_S = 0.005  # between two looks
PATIENCE_S = 30.0


def seconds(store: Store, times: int) -> float:
    return median(_once(store) for _ in range(times))


def _once(store: Store) -> float:
    with service(store) as first:
        first.stop()  # what is left to do at a first start of all, and the compiling of Python, is not counted
        began = time.perf_counter()
        first.launch()
        while not first.ready():
            if time.perf_counter() - began > PATIENCE_S:
                raise SystemExit(f"bench: not ready after {PATIENCE_S:g} s:\n{first.said()}")
            time.sleep(LOOK_S)
        return time.perf_counter() - began
