"""The scenarios one after the other, and what they make of the goals."""

from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from tests.bench.bulk import say
from tests.bench.goals import Goal, at_least, at_most
from tests.bench.load import LANES
from tests.bench.report import Machine, machine
from tests.bench.scale import burst, flat, idle, lag, owners, start, sweeping
from tests.bench.scale.burst import Burst
from tests.bench.scale.idle import Idle
from tests.bench.scale.lag import Lag
from tests.bench.scale.sweeping import Sweeping
from tests.bench.scale.turns import Costs
from tests.bench.servers import Store, cpu_seconds
from tests.servers import binaries

FEW = 1_000  # tokens that everything is compared with
A_SECOND, LAG_S = 1_000, 10.0  # expiries
IDLE_S = 20.0
SWEPT = 10_000  # to see what a sweep costs for each
STARTS = 5
MANY = 256  # uses in flight, beside LANES: how much of what these lose is that all of them wait for one pass
FLAT = 1.3  # times what it costs with few


class Scale(msgspec.Struct):
    machine: Machine
    store: str
    live: int
    issued_a_second: float  # by the scripts alone, in pipelines: what one store can take
    bytes_a_token: float  # of those between a tenth of `live` and all of it: short owners, no metadata
    starts: dict[int, float]  # seconds to ready, by how many tokens were there
    bursts: list[Burst]
    lags: list[Lag]
    levels: dict[int, Costs]  # by how many tokens were there
    owners: dict[int, Costs]  # by how many tokens the owner had
    idle: Idle
    sweeping: Sweeping
    goals: list[Goal] = []


def measured(live: int, due: int, *, quick: bool) -> Scale:
    here = machine()
    binary = list(binaries().values())[-1]  # what is on PATH comes first
    seconds, rounds = (2.0, 1) if quick else (LAG_S, burst.ROUNDS)
    with Store(binary) as store:
        say("few tokens: start, burst, lag")
        starts = {0: start.seconds(store, STARTS)}
        bursts = [burst.measure(store, FEW, due, lanes, rounds) for lanes in (LANES, MANY)]
        lags = [lag.measure(store, FEW, A_SECOND, seconds)]
    with Store(binary) as store:
        levels, issued, weight = _levels(store, binary, live)
        sizes = (1, 100, 10_000, 100_000)[: 3 if quick else 4]
        say(f"owners of 1 to {sizes[-1]:,}")
        by_owner = owners.measure(store, sizes)
        say(f"{live:,} tokens: start, idle, burst, lag")
        starts[live] = start.seconds(store, STARTS)
        resting = idle.measure(store, 5.0 if quick else IDLE_S)
        swept = sweeping.measure(store, SWEPT)
        bursts += [burst.measure(store, live, due, lanes, rounds) for lanes in (LANES, MANY)]
        lags.append(lag.measure(store, live, A_SECOND, seconds))
        name = store.name
    found = Scale(here, name, live, issued, weight, starts, bursts, lags, levels, by_owner, resting, swept)
    found.goals = _goals(found)
    return found


def _levels(store: Store, binary: str, live: int) -> tuple[dict[int, Costs], float, float]:
    """What each verb costs at each power of ten, the last in this store; tokens issued a second, and bytes a token,
    on the last stretch of it."""
    with ExitStack() as stack:
        smaller = {FEW * 10**n: stack.enter_context(Store(binary)) for n in range(_tens(live))}
        stores = smaller | {live: store}
        texts = {size: flat.known(one) for size, one in stores.items()}
        for size, one in smaller.items():
            flat.fill(one, flat.KNOWN, size)
        issued, weight = _filled(store, live)
        say(f"{', '.join(f'{size:,}' for size in stores)} tokens: what each verb costs")
        return flat.measure(stores, texts), issued, weight


def _tens(live: int) -> int:
    """By how many powers of ten it is more than few."""
    return len(str(live // FEW)) - 1


def _filled(store: Store, live: int) -> tuple[float, float]:
    flat.fill(store, flat.KNOWN, live // 10)
    before, spent = store.used_bytes() - store.stream_bytes(), cpu_seconds(store)
    flat.fill(store, live // 10, live)
    count = live - live // 10
    issued = count / (cpu_seconds(store) - spent)
    return issued, (store.used_bytes() - store.stream_bytes() - before) / count


def worst(by_size: Mapping[int, Costs]) -> dict[str, tuple[float, float]]:
    """Of each verb the dearest size against the least size that it was measured at: in processor time, in commands."""
    found: dict[str, tuple[float, float]] = {}
    for verb in dict.fromkeys(verb for costs in by_size.values() for verb in costs):
        _, *rest = [costs[verb] for costs in by_size.values() if verb in costs]
        found[verb] = max(cost.times for cost in rest), max(cost.times_commands for cost in rest)
    return found


def _goals(found: Scale) -> list[Goal]:
    goals = []
    for one in found.bursts:
        with_live = f"{one.due:,} due at once, {one.live:,} live, {one.lanes} uses in flight"
        goals += [
            at_most(f"{with_live}: all marked within s", one.marked_s, 3.0),
            at_least(f"{with_live}: share of uses kept", one.kept, 0.7),
            at_most(f"{with_live}: p99 of use, ms", one.p99_ms, 50.0, ".1f"),
        ]
    for lag_ in found.lags:
        goals.append(at_most(f"{lag_.a_second:,} expiries/s, {lag_.live:,} live: p99 lag, ms", lag_.p99_ms, 100, ".0f"))
    for sizes, by_size in (("tokens", found.levels), ("tokens an owner", found.owners)):
        reach = f"from {min(by_size):,} to {max(by_size):,} {sizes}"
        goals += [at_most(f"{verb}, {reach}: times the cost", time, FLAT) for verb, (time, _) in worst(by_size).items()]
    for live, seconds in found.starts.items():
        goals.append(at_most(f"start to ready, {live:,} live: s", seconds, 1.0))
    goals.append(at_most(f"idle with {found.live:,} live: share of a core", found.idle.service, 0.01, ".3f"))
    return goals
