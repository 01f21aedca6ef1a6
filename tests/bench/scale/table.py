"""What many tokens cost, as Markdown."""

from collections.abc import Mapping

from tests.bench.scale.burst import Burst
from tests.bench.scale.lag import Lag
from tests.bench.scale.run import Scale, worst
from tests.bench.scale.turns import Costs
from tests.bench.table import aligned


def text(found: Scale) -> str:
    parts = [
        [
            f"{found.machine}; store: {found.store}, nothing written to disk; one service process;",
            "in a burst the load generator and the store leave the first core to it.",
        ],
        aligned([_BURST, *map(_burst, found.bursts)]),
        aligned([_LAG, *map(_lag, found.lags)]),
        ["Processor time of the store (us) and commands that it ran, by tokens in the store, medians of all turns:"],
        aligned(_costs(found.levels)),
        ["The same, by tokens of one owner:"],
        aligned(_costs(found.owners)),
        _notes(found),
        [str(goal) for goal in found.goals],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


_BURST = ["due at one moment", "live beside", "in flight", "marked, s", "relisted, s", "use/s calm", "kept, marking",
          "relisting", "p99 ms calm", "p99 ms, marking"]  # fmt: skip
_LAG = ["expiries a second", "live beside", "for s", "lag p50, ms", "p99", "most"]


def _burst(one: Burst) -> list[str]:
    kept = [f"{one.kept:.0%} ({min(one.rounds):.0%}..{max(one.rounds):.0%})", f"{one.kept_relisting:.0%}"]
    took = [f"{one.marked_s:.2f}", f"{one.relisted_s:.1f}"]
    latencies = [f"{one.p99_calm_ms:.1f}", f"{one.p99_ms:.1f}"]
    return [f"{one.due:,}", f"{one.live:,}", f"{one.lanes}", *took, f"{one.calm:,.0f}", *kept, *latencies]


def _lag(one: Lag) -> list[str]:
    lags = [f"{ms:.0f}" for ms in (one.p50_ms, one.p99_ms, one.most_ms)]
    return [f"{one.a_second:,}", f"{one.live:,}", f"{one.seconds:g}", *lags]


def _costs(by_size: Mapping[int, Costs]) -> list[list[str]]:
    rows = [["", *(f"{size:,}" for size in by_size), "dearest / first, us", "commands"]]
    for verb, ratios in worst(by_size).items():
        cells = [_cell(costs, verb) for costs in by_size.values()]
        rows.append([verb, *cells, *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def _cell(costs: Costs, verb: str) -> str:
    return f"{costs[verb].store_us:,.1f} ({costs[verb].commands:,.1f})" if verb in costs else ""


def _notes(found: Scale) -> list[str]:
    starts = ", ".join(f"{seconds:.2f} s with {live:,}" for live, seconds in found.starts.items())
    idle = found.idle
    resting = f"{idle.service:.1%} of a core, and {idle.store:.1%} of one for the store"
    issued = f"{found.issued_a_second:,.0f} tokens for a second of the store's processor time"
    swept = f"{found.sweeping.rescored:.0f} us still alive, {found.sweeping.marked:.0f} at its end"
    return [
        f"- a due token costs the store {swept}, and {found.sweeping.purged:.0f} when it is forgotten",
        f"- start to ready, tokens in the store: {starts}",
        f"- idle with {found.live:,} live, over {idle.seconds:g} s: {resting}",
        f"- the scripts issue {issued}; {found.bytes_a_token:,.0f} bytes a token",
    ]
