"""Very many tokens that end at the same moment: how long one instance marks them, and what `use` feels of it."""

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import uvloop
from msgspec.structs import replace

from service.core.token import Draft
from service.store import keys
from tests.bench import bulk, calls
from tests.bench.load import Outcome, Plan, quantile, send
from tests.bench.measure import apart
from tests.bench.scale import asked
from tests.bench.servers import Store, service

TRIAL = 2_000  # tokens issued to see how long the others will take
BEFORE_S, AFTER_S = 4.0, 28.0  # of load before the moment, and after it; marking and relisting take two thirds of that
ROUNDS = 3
CHOICE = 2_000  # tokens that the load chooses from
DAY_MS = 86_400_000
RAMP_MS = 500.0  # at the beginning of the load, and around the marking, which count for nothing


class Burst(msgspec.Struct):
    live: int
    due: int
    lanes: int  # uses in flight
    marked_s: float  # from their moment until the last was marked, by the store's clock
    relisted_s: float  # until the last stood in the lists of its state
    lag_p99_ms: float
    calm: float  # uses a second before all that and after: of either alone the machine may have changed its speed since
    kept: float  # share of them while tokens were being marked
    kept_relisting: float  # and while they were relisted
    p99_calm_ms: float
    p99_ms: float  # while they were
    rounds: list[float] = []  # what was kept in each


def measure(store: Store, live: int, due: int, lanes: int, rounds: int = ROUNDS) -> Burst:
    """What was kept, and the calm beside it, are of the middle one of the rounds; all else is of the worst."""
    found = sorted((_once(store, live, due, lanes) for _ in range(rounds)), key=lambda one: one.kept)
    worst = {
        name: max(getattr(one, name) for one in found) for name in ("marked_s", "relisted_s", "lag_p99_ms", "p99_ms")
    }
    return replace(found[rounds // 2], **worst, rounds=[one.kept for one in found])


def _once(store: Store, live: int, due: int, lanes: int) -> Burst:
    _purge(store)
    with service(store) as server:
        uses = calls.posts("/v1/tokens/use", calls.caller(server.port), calls.sessions(server.port, CHOICE))
        moment = _moment(store, due)
        bulk.issue(store, [Draft(owner=f"burst-{n}", life_ms=DAY_MS, ceiling_ms=moment) for n in range(due)])
        place, expired = asked.now_place(server), asked.expired(server)
        with ThreadPoolExecutor(1) as beside:
            relisted = beside.submit(_relisted_s, store, moment)
            with apart(store):
                outcome = _load_around(Plan(server.port, uses, BEFORE_S + AFTER_S, lanes, moments=True), moment)
        asked.wait_for_expired(server, expired + due)
        told = list(asked.expiries(server, place))
    lags = [float(one["lag_ms"]) for one in told]
    if len(lags) != due:
        raise SystemExit(f"bench: {len(lags):,} events of {due:,} tokens")
    return _judged(live, lanes, moment, lags, relisted.result(), outcome)


def _purge(store: Store) -> None:
    """What ended before this is no part of what is live."""
    uvloop.run(bulk.tokens_of(store, retention_ms=1).sweep())


def _moment(store: Store, due: int) -> int:
    """When they are to end: once all are issued and the load has run for a while."""
    began = time.monotonic()
    bulk.issue(store, [Draft(owner=f"trial-{n}", life_ms=DAY_MS) for n in range(TRIAL)])
    issuing_s = (time.monotonic() - began) / TRIAL * due
    return int((time.time() + issuing_s * 2 + BEFORE_S + 2.0) * 1000)


def _load_around(plan: Plan, moment: int) -> Outcome:
    late = time.time() - (moment / 1000 - BEFORE_S)
    if late > BEFORE_S / 2:
        raise SystemExit(f"bench: {late:.1f} s too late: issuing took longer than it looked; run it again")
    time.sleep(max(0.0, -late))
    return send(plan)


def _relisted_s(store: Store, moment: int) -> float:
    """How long after the moment nothing was due any more and all stood in the lists of their states."""
    time.sleep(max(0.0, moment / 1000 - time.time()))
    while time.time() < moment / 1000 + AFTER_S - 2.0:
        pipeline = store.client.pipeline(transaction=False)
        for partition in range(bulk.PARTITIONS):
            pipeline.zcount(keys.due(partition), "-inf", moment)
            pipeline.exists(keys.relist(partition))
        if not any(pipeline.execute()):
            return time.time() - moment / 1000
        time.sleep(0.05)
    raise SystemExit(f"bench: {AFTER_S - 2.0:g} s after their moment not all are in the lists of their states")


def _judged(live: int, lanes: int, moment: int, lags: list[float], relisted_s: float, outcome: Outcome) -> Burst:
    end, at = outcome.seconds * 1000, moment - outcome.began_ms
    until = min(at + max(lags), end)
    moved = at + relisted_s * 1000
    calm = _Stretch().take(outcome, RAMP_MS, at - RAMP_MS).take(outcome, moved + RAMP_MS, end)
    meanwhile = _Stretch().take(outcome, at, until)
    return Burst(
        live=live,
        due=len(lags),
        lanes=lanes,
        marked_s=max(lags) / 1000,
        relisted_s=relisted_s,
        lag_p99_ms=quantile(lags, 0.99),
        calm=calm.rate,
        kept=meanwhile.rate / calm.rate,
        kept_relisting=_Stretch().take(outcome, until, moved).rate / calm.rate,
        p99_calm_ms=quantile(calm.latencies, 0.99),
        p99_ms=quantile(meanwhile.latencies, 0.99),
    )


class _Stretch:
    """Of the load; one that lasted no longer than until `since` adds nothing."""

    def __init__(self) -> None:
        self.ms = 0.0
        self.latencies: list[float] = []  # ms

    def take(self, outcome: Outcome, since: float, until: float) -> "_Stretch":
        self.ms += max(0.0, until - since)
        self.latencies += [took for end, took in outcome.moments if since <= end < until]
        return self

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.ms * 1000
