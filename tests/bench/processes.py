"""Two processes on one port against one, in turns."""

import os

from tests.bench import calls
from tests.bench.measure import Contender, Ratio, Sample, ratio, turn
from tests.bench.servers import Store, service

WARM_S = 0.5  # not counted
CORES = 6  # two for the processes, two for the store and the generator, and a little air


def two_to_one(store: Store, rounds: int, seconds: float) -> Ratio:
    """Of the rates of `use`.  Each is started for its turn, so that no other sweeps beside it."""
    with service(store) as one:
        requests = calls.posts("/v1/tokens/use", calls.caller(one.port), calls.sessions(one.port, 2_000))
    samples: dict[int, list[Sample]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, taken in samples.items():
            with service(store, workers=workers) as server:
                contender = Contender("use", server, requests)
                turn(contender, store, WARM_S)
                taken.append(turn(contender, store, seconds))
    return ratio(samples[2], samples[1])


def enough_cores() -> bool:
    """Whether the ratio tells of the service, and not of a machine on which everything waits for everything."""
    return (os.cpu_count() or 1) >= CORES
