"""Very many tokens that end at the same moment: how long one instance marks them, and what `use` feels of it."""

import time

import msgspec

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.load import Outcome, Plan, quantile, send
from tests.bench.scale import asked
from tests.bench.servers import Store, service

TRIAL = 2_000  # tokens issued to see how long the others will take
BEFORE_S, AFTER_S = 4.0, 8.0  # of load before the moment, and after it; marking takes about half of that
CHOICE = 2_000  # tokens that the load chooses from
DAY_MS = 86_400_000
RAMP_MS = 500.0  # at the beginning of the load, and around the marking, which count for nothing


class Burst(msgspec.Struct):
    live: int
    due: int
    lanes: int  # uses in flight
    marked_s: float  # from their moment until the last was marked, by the store's clock
    lag_p99_ms: float
    calm: float  # uses a second before and after: of either alone the machine may have changed its speed since
    kept: float  # share of them while tokens were being marked
    p99_calm_ms: float
    p99_ms: float  # while they were


def measure(store: Store, live: int, due: int, lanes: int) -> Burst:
    with service(store) as server:
        uses = calls.posts("/v1/tokens/use", calls.caller(server.port), calls.sessions(server.port, CHOICE))
        moment = _moment(store, due)
        bulk.issue(store, [Draft(owner=f"burst-{n}", life_ms=DAY_MS, ceiling_ms=moment) for n in range(due)])
        place, expired = asked.now_place(server), asked.expired(server)
        outcome = _load_around(Plan(server.port, uses, BEFORE_S + AFTER_S, lanes, moments=True), moment)
        asked.wait_for_expired(server, expired + due)
        told = list(asked.expiries(server, place))
    lags = [float(one["lag_ms"]) for one in told]
    if len(lags) != due:
        raise SystemExit(f"bench: {len(lags):,} events of {due:,} tokens")
    return _judged(live, due, lanes, moment, lags, outcome)


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


def _judged(live: int, due: int, lanes: int, moment: int, lags: list[float], outcome: Outcome) -> Burst:
    end, at = outcome.seconds * 1000, moment - outcome.began_ms
    until = min(at + max(lags), end)
    calm = _Stretch().take(outcome, RAMP_MS, at - RAMP_MS).take(outcome, until + RAMP_MS, end)
    meanwhile = _Stretch().take(outcome, at, until)
    return Burst(
        live=live,
        due=due,
        lanes=lanes,
        marked_s=max(lags) / 1000,
        lag_p99_ms=quantile(lags, 0.99),
        calm=calm.rate,
        kept=meanwhile.rate / calm.rate,
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
