"""What a sweep costs the store for each token that it meets: still alive, at its end, or to be forgotten.

The service's own sweep is called here, pass after pass, so that nothing else is in the figures.
"""

import time

import msgspec
import uvloop

from service.core.token import Draft
from tests.bench import bulk
from tests.bench.servers import Store, cpu_seconds

LIFE_S = 9.0
RENEWED_S = 4.0  # after the issue: so long after the first deadlines, nothing is really over
RETENTION_MS = 8_000  # longer than marking takes, so that nothing is purged meanwhile


class Sweeping(msgspec.Struct):
    """Processor time of the store, us a token."""

    rescored: float
    marked: float
    purged: float


def measure(store: Store, count: int) -> Sweeping:
    _sweep(store)  # what others let end long ago is forgotten first: its cost is no part of this
    began = time.monotonic()
    handles = bulk.issue(store, (Draft(owner=f"swept-{n}", life_ms=int(LIFE_S * 1000)) for n in range(count)))
    issued = time.monotonic()
    _sleep_until(began + RENEWED_S)
    bulk.renew(store, handles)
    renewed = time.monotonic()
    _sleep_until(issued + LIFE_S)
    rescored = _swept(store, "rescored", count)
    _sleep_until(renewed + LIFE_S)
    marked = _swept(store, "marked", count)
    time.sleep(RETENTION_MS / 1000)
    return Sweeping(rescored, marked, _swept(store, "purged", count))


def _sweep(store: Store) -> dict[str, int]:
    return uvloop.run(bulk.tokens_of(store, retention_ms=RETENTION_MS).sweep())


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _swept(store: Store, what: str, count: int) -> float:
    """Until nothing is due.  Raises SystemExit when fewer were met, as on a machine that is too slow."""
    before = cpu_seconds(store)
    met = _sweep(store)[what]
    if met < count:
        raise SystemExit(f"bench: a sweep {what} {met:,} of {count:,} tokens")
    return (cpu_seconds(store) - before) / met * 1e6
