"""What was measured, as Markdown that also reads well in a terminal and can be pasted into the README."""

from collections.abc import Iterable

from tests.bench.calls import BATCH as IN_A_BATCH
from tests.bench.contenders import BATCH, NAIVE, USE
from tests.bench.measure import middle
from tests.bench.memory import Memory
from tests.bench.report import Report, tokens_a_second
from tests.bench.rivals.rival import KINDS

RIVALS = {kind.name for kind in KINDS}
_HEAD = ["", "requests/s", "x bare", "x naive", "p50 ms", "p99 ms", "p99 x bare", "server us", "store us", "commands"]
_AGAINST = ["requests/s x bare", "requests/s x naive"]
_BEFORE, _AFTER = [("p50_ms", 1), ("p99_ms", 1)], [("server_us", 0), ("store_us", 1), ("commands", 3)]


def text(report: Report) -> str:
    ranked = sorted(report.rounds, key=lambda name: -middle(report.rounds[name], "rate"))
    rows = [_HEAD, *(_row(report, name) for name in ranked if name != BATCH)]
    parts = [[_preface(report)], aligned(rows), _notes(report), aligned(weighed(report.memory))]
    return "\n\n".join("\n".join(lines) for lines in [*parts, [str(goal) for goal in report.goals]])


def _preface(report: Report) -> str:
    turns = len(report.rounds[report.bare])
    rivals = ", ".join(f"{name} {version}" for name, version in report.rivals.items()) or "none is installed"
    return (
        f"{report.machine}; store: {report.store}, nothing written to disk.\n"
        f"Rivals: {rivals}.\n"
        f"{report.lanes} requests in flight, 10,000 tokens or sessions; each server one process;\n"
        "the load generator and the store leave the first core to whichever is asked;\n"
        f"medians of {turns} interleaved rounds of {report.seconds:g} s.\n"
        "x: ratio of requests/s, median (least..greatest) of the rounds; us: processor time a request;\n"
        "commands: sent to the store a request, with the service's own sweeping;\n"
        "unseen: each request has an id of its own, so that none is known by its bytes."
    )


def _row(report: Report, name: str) -> list[str]:
    samples, against = report.rounds[name], report.ratios[name]
    before, after = ([f"{middle(samples, field):.{digits}f}" for field, digits in part] for part in (_BEFORE, _AFTER))
    rates = [str(against[what]) for what in _AGAINST]
    if name in RIVALS:
        after[-1] = ""  # they send others than those that are counted
    return [name, f"{middle(samples, 'rate'):,.0f}", *rates, *before, f"{against['p99 x bare'].mid:.2f}", *after]


def aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return ["| " + " | ".join(_cells(row, widths)) + " |" for row in [rows[0], rule, *rows[1:]]]


def _cells(row: list[str], widths: list[int]) -> Iterable[str]:
    rest = zip(row[1:], widths[1:], strict=True)
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in rest)]


def weighed(measured: list[Memory]) -> list[list[str]]:
    """A row for each kind of thing, a column for each store."""
    of_which = [f"- {part}" for part in measured[0].parts]
    names = ["a live token, every index", *of_which, "one without metadata, every index", "the record of an ended one"]
    names += measured[0].rivals
    columns = [[one.live, *one.parts.values(), one.bare, one.retained, *one.rivals.values()] for one in measured]
    head = ["bytes in the store", *(f"{one.store}, {one.allocator}" for one in measured)]
    return [head, *([name, *(f"{value:,.0f}" for value in row)] for name, *row in zip(names, *columns, strict=True))]


def _notes(report: Report) -> list[str]:
    busy = max(sample.generator for samples in report.rounds.values() for sample in samples)
    quiet = report.alone
    spent = {name: middle(samples, "server_us") for name, samples in report.rounds.items()}
    cost = [spent[USE] / spent[base] for base in (report.bare, NAIVE)]
    batch = sum(middle(report.rounds[BATCH], field) for field in ("server_us", "store_us")) / IN_A_BATCH
    rates = [sample.rate * IN_A_BATCH for sample in report.rounds[BATCH]]
    spread = f"{min(rates):,.0f}..{max(rates):,.0f}"
    against = report.ratios[BATCH]["requests/s x bare"].mid * IN_A_BATCH  # the machine's speed is not in it
    cores = "" if report.cores_for_two else f", on {report.machine.cores} cores shared with the store and the generator"
    return [
        (
            f"- batches of {IN_A_BATCH:,} use {tokens_a_second(report):,.0f} tokens/s ({spread}), "
            f"{against:.1f} for each request of bare, at {batch:.1f} us of processor time"
        ),
        f"- two processes on one port: {report.two_to_one} x one{cores}",
        f"- processor time of a use: {cost[0]:.2f} x bare, {cost[1]:.2f} x naive; other load sways it less than rates",
        f"- one use at a time: p50 {quiet.p50_ms:.2f} ms, p99 {quiet.p99_ms:.2f} ms",
        f"- bare is {report.bare}, the faster; the load generator took at most {busy:.0%} of a core",
        *(
            f"- event streams on {one.store}: {one.stream_bytes / 1e6:.1f} MB after {one.tokens:,} tokens, "
            "trimmed, not in the bytes a token"
            for one in report.memory
        ),
    ]
