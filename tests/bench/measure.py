"""Interleaved rounds: in each every contender has its turn, in rotated order, so drift hits all alike."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from tests.bench.load import LANES, Plan, send
from tests.bench.servers import Listener, Store, cpu_seconds
from tests.servers import Service


class Contender(NamedTuple):
    name: str
    server: Service | Listener
    requests: list[bytes]
    lanes: int = LANES

    def went_on(self, sent: int) -> None:
        """The next turn begins where this one ended: what none has seen is not sent again."""
        at = sent % len(self.requests)
        self.requests[:] = self.requests[at:] + self.requests[:at]


class Sample(msgspec.Struct):
    """One turn of one contender."""

    rate: float  # requests per second
    p50_ms: float
    p99_ms: float
    server_us: float  # processor time of the server's process per request
    store_us: float  # and of the store's
    commands: float  # sent to the store per request
    generator: float  # share of a core that the load generator took


Rounds = dict[str, list[Sample]]


def turn(contender: Contender, store: Store, seconds: float) -> Sample:
    before = _meters(contender, store)
    outcome = send(Plan(contender.server.port, contender.requests, seconds, contender.lanes))
    after = _meters(contender, store)
    contender.went_on(outcome.answered)
    server, beside, commands = ((now - was) / outcome.answered for now, was in zip(after, before, strict=True))
    return Sample(
        rate=outcome.rate,
        p50_ms=outcome.p50_ms,
        p99_ms=outcome.p99_ms,
        server_us=server * 1e6,
        store_us=beside * 1e6,
        commands=commands,
        generator=outcome.busy,
    )


def _meters(contender: Contender, store: Store) -> tuple[float, float, int]:
    return cpu_seconds(contender.server), cpu_seconds(store), store.commands()


@contextmanager
def apart(store: Store) -> Iterator[None]:
    """Meanwhile the store and the generators leave the first core to the server that is asked, which may run on any.

    On two cores the kernel else stops a server for those that it works with, 10 to 85 times in 1,000 requests for the
    store and the generator, 0.4 times for the generator alone: the bare handler would be measured on a core of its own,
    and no other.  So it is 0.3 to 2.6 times.  Where the system cannot, nothing is changed.
    """
    if not hasattr(os, "sched_setaffinity") or len(all_cores := os.sched_getaffinity(0)) == 1:
        yield
        return
    try:
        _keep_to(store, all_cores - {min(all_cores)})
        yield
    finally:
        _keep_to(store, all_cores)


def _keep_to(store: Store, cores: set[int]) -> None:
    """All threads of the store, and this process, which its generators have it from."""
    for thread in [0, *(int(entry.name) for entry in Path(f"/proc/{store.pid}/task").iterdir())]:
        os.sched_setaffinity(thread, cores)


def rounds(contenders: list[Contender], store: Store, count: int, seconds: float) -> Rounds:
    with apart(store):
        for contender in contenders:  # caches and connections, not counted
            turn(contender, store, min(seconds, 1.0))
        samples: Rounds = {contender.name: [] for contender in contenders}
        for number in range(count):
            first = number % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                samples[contender.name].append(turn(contender, store, seconds))
    return samples


def middle(samples: list[Sample], field: str) -> float:
    return float(median(getattr(sample, field) for sample in samples))


class Ratio(msgspec.Struct, frozen=True):
    """Of one figure of two contenders, round by round."""

    mid: float  # the median of the rounds
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.mid:.2f} ({self.least:.2f}..{self.greatest:.2f})"


def ratio(samples: list[Sample], base: list[Sample], field: str = "rate") -> Ratio:
    each = [getattr(ours, field) / getattr(theirs, field) for ours, theirs in zip(samples, base, strict=True)]
    return Ratio(median(each), min(each), max(each))


class Alone(msgspec.Struct):
    """Requests one after the other, none waiting."""

    commands: float  # that the service sent to the store, per request
    p50_ms: float
    p99_ms: float


def alone(contender: Contender, store: Store, count: int) -> Alone:
    """Time `count` requests one at a time, then listen to the store while they go by again.

    What the service sends when nobody asks, as the sweep, is told apart by command and script.
    """
    plan = Plan(contender.server.port, contender.requests[:count], lanes=1, once=True)
    outcome = send(plan)
    with store.overheard() as idle:
        time.sleep(1.0)
    with store.overheard() as busy:
        send(plan)
    sent = sum(times for command, times in busy.items() if command not in idle)
    return Alone(sent / outcome.answered, outcome.p50_ms, outcome.p99_ms)
