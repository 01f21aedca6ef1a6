"""What the service says of itself to Prometheus.  Labels are words of a closed set: never a handle, never a text."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from service.core.store import SWEPT, Pass
from service.core.watch import Watch

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000)


class Metrics(Watch):
    """Implements the watch of every room.

    folder: where each of several workers keeps its numbers, so that each can tell those of all.  A worker that takes
    the place of another counts on where that one died, so no sum ever falls.
    """

    def __init__(self, folder: str = "", place: int = 0) -> None:
        if folder:
            values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
        self._folder = folder
        self.registry = registry = CollectorRegistry()
        self.requests = Histogram(
            "tokenlife_request_seconds", "Time to answer, by route template and status.",
            ["method", "route", "status"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.verdicts = Counter(
            "tokenlife_verdicts", "Tokens asked about, by verb and outcome: ok, or the word that refused it.",
            ["verb", "outcome"], registry=registry,
        )  # fmt: skip
        self.calls = Histogram(
            "tokenlife_store_call_seconds", "Time of a script call, by verb.", ["verb"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.errors = Counter("tokenlife_store_errors", "Calls the store did not answer, by kind.", ["kind"],
                              registry=registry)  # fmt: skip
        self.sizes = Histogram("tokenlife_batch_size", "Presentations that shared a call.", buckets=SIZES,
                               registry=registry)  # fmt: skip
        self.lag = Histogram("tokenlife_sweep_lag_seconds", "From a deadline to its event.", buckets=LAGS,
                             registry=registry)  # fmt: skip
        self.passes = Counter("tokenlife_sweep_tokens", "Tokens a sweep looked at, by what became of them.",
                              ["what"], registry=registry)  # fmt: skip
        for what in SWEPT:
            self.passes.labels(what)  # from zero on, for a rate does not see a counter that begins above it
        # What all workers share is told by the one who asked last.
        self.live = Gauge("tokenlife_tokens", "Tokens kept, by state.", ["state"], registry=registry,
                          multiprocess_mode="mostrecent")  # fmt: skip
        self.backlog = Gauge("tokenlife_due_backlog", "Tokens that are due and not yet swept.", registry=registry,
                             multiprocess_mode="mostrecent")  # fmt: skip
        self.events = Gauge("tokenlife_events_kept", "Entries of events that can still be read.", registry=registry,
                            multiprocess_mode="mostrecent")  # fmt: skip
        self._inc: dict[tuple[str, str], Callable[[float], None]] = {}
        self._of_call: dict[str, Callable[..., None]] = {}
        self._observe: dict[tuple[str, str, int], Callable[..., None]] = {}
        self._lag = _observer(self.lag, LAGS)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        key = method, route, status
        observe = self._observe.get(key)
        if observe is None:
            observe = self._observe[key] = _observer(self.requests.labels(method, route, str(status)), SECONDS)
        observe(seconds)

    def batch(self, size: int) -> None:
        self.sizes.observe(size)

    def call(self, verb: str, seconds: float) -> None:
        observe = self._of_call.get(verb)
        if observe is None:
            observe = self._of_call[verb] = _observer(self.calls.labels(verb), SECONDS)
        observe(seconds)

    def store_error(self, kind: str) -> None:
        self.errors.labels(kind).inc()

    def verdict(self, verb: str, outcome: str, times: int = 1) -> None:
        # Looking up a child by its labels costs four times what counting does.
        inc = self._inc.get((verb, outcome))
        if inc is None:
            inc = self._inc[verb, outcome] = self.verdicts.labels(verb, outcome)._value.inc  # noqa: SLF001
        inc(times)

    def swept(self, done: Pass) -> None:
        for what in SWEPT:
            if number := getattr(done, what):
                self.passes.labels(what).inc(number)
        for lag, number in done.lags_ms.items():
            self._lag(lag / 1000, number)

    def holds(self, tokens: dict[str, int], backlog: int, events: int) -> None:
        """What the store holds, asked when somebody scrapes."""
        for state, number in tokens.items():
            self.live.labels(state).set(number)
        self.backlog.set(backlog)
        self.events.set(events)

    def exposition(self) -> tuple[bytes, str]:
        registry = self.registry
        if self._folder:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _observer(times: Histogram, bounds: Sequence[float]) -> Callable[..., None]:
    """`observe`, as often as it says, without its checks and its walk through the buckets: half of its 1.1 us."""
    total, buckets = times._sum.inc, [bucket.inc for bucket in times._buckets]  # noqa: SLF001

    def observe(seconds: float, number: int = 1) -> None:
        total(seconds * number)
        buckets[bisect_left(bounds, seconds)](number)

    return observe
