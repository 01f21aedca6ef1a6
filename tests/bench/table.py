"""What was measured, as Markdown that also reads well in a terminal."""

import os
import platform
from typing import Any

import aiohttp
import msgspec

from tests.bench.calls import BATCH
from tests.bench.measure import Alone, Rounds, middle, ratios
from tests.bench.memory import Memory

USE_TO_BARE = 0.70
USE_TO_NAIVE = 2.2
BYTES = 1150

_HEAD = ["", "requests/s", "x bare", "x naive", "p50 ms", "p99 ms", "server us", "store us", "commands"]


class Report(msgspec.Struct):
    """Everything that is printed, and what `--json` writes."""

    machine: str
    store: str
    lanes: int
    seconds: float
    bare: str  # the contender that stands for "bare": the faster of the two
    rounds: Rounds
    alone: Alone
    memory: list[Memory]


def machine() -> str:
    versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
    load = f"load {os.getloadavg()[0]:.1f} at the start"  # of others: much of it and the rates mean little
    return f"{os.cpu_count()} cores ({load}), {platform.system()} {platform.machine()}, {versions}"


def faster(samples: Rounds, *names: str) -> str:
    return max(names, key=lambda name: middle(samples[name], "rate"))


def text(report: Report) -> str:
    rows = [_HEAD, *(_row(report, name) for name in report.rounds)]
    return "\n".join([_preface(report), "", *_aligned(rows), "", *_notes(report), "", *_goals(report)])


def _preface(report: Report) -> str:
    turns = len(report.rounds[report.bare])
    return (
        f"{report.machine}; store: {report.store}, nothing written to disk.\n"
        f"{report.lanes} requests in flight; each server one process, on uvloop; "
        f"medians of {turns} interleaved rounds of {report.seconds:g} s.\n"
        "x: ratio of requests/s, median (least..greatest) of the rounds; us: processor time a request;\n"
        "commands: sent to the store a request, with the service's own sweeping."
    )


def _row(report: Report, name: str) -> list[str]:
    samples, rounds = report.rounds[name], report.rounds
    numbers = [f"{middle(samples, field):.{digits}f}" for field, digits in _COLUMNS]
    against = [_ratio(*ratios(samples, rounds[base])) if base != name else "1" for base in (report.bare, "naive")]
    return [name, f"{middle(samples, 'rate'):,.0f}", *against, *numbers]


_COLUMNS = [("p50_ms", 1), ("p99_ms", 1), ("server_us", 0), ("store_us", 1), ("commands", 3)]


def _ratio(mid: float, least: float, greatest: float) -> str:
    return f"{mid:.2f} ({least:.2f}..{greatest:.2f})"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return ["| " + " | ".join(_cells(row, widths)) + " |" for row in [rows[0], rule, *rows[1:]]]


def _cells(row: list[str], widths: list[int]) -> list[str]:
    return [
        row[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
    ]


def _notes(report: Report) -> list[str]:
    pace = middle(report.rounds[f"batch of {BATCH}"], "rate") * BATCH
    busy = max(sample.generator for samples in report.rounds.values() for sample in samples)
    quiet = report.alone
    spent = {name: middle(samples, "server_us") for name, samples in report.rounds.items()}
    cost = [spent["use"] / spent[base] for base in (report.bare, "naive")]
    return [
        f"- a batch of {BATCH} uses {pace:,.0f} tokens/s",
        f"- processor time of a use: {cost[0]:.2f} x bare, {cost[1]:.2f} x naive; other load sways it less than rates",
        f"- one use at a time: p50 {quiet.p50_ms:.2f} ms, p99 {quiet.p99_ms:.2f} ms",
        f"- bare is {report.bare}, the faster; the load generator took at most {busy:.0%} of a core",
        *(
            f"- event streams on {one.store}: {one.stream_bytes / 1e6:.1f} MB after {one.tokens:,} tokens, "
            "trimmed, not in the bytes a token"
            for one in report.memory
        ),
    ]


def _goals(report: Report) -> list[str]:
    rounds = report.rounds
    bare, naive = (ratios(rounds["use"], rounds[base])[0] for base in (report.bare, "naive"))
    commands = middle(rounds["use"], "commands")
    goals: list[tuple[str, Any, bool]] = [
        (f"use / bare >= {USE_TO_BARE:.2f}", f"{bare:.2f}", bare >= USE_TO_BARE),
        (f"use / naive >= {USE_TO_NAIVE:.2f}", f"{naive:.2f}", naive >= USE_TO_NAIVE),
        ("store commands per use under load < 1", f"{commands:.3f}", commands < 1),
        ("store commands per use alone = 1", f"{report.alone.commands:.2f}", report.alone.commands == 1),
    ]
    goals += [
        (
            f"bytes a token on {one.store} <= {BYTES:,}",
            f"{one.bytes_per_token:,.0f}",
            one.bytes_per_token <= BYTES,
        )
        for one in report.memory
    ]
    return [f"- {goal}: {value}, {'met' if met else 'MISSED'}" for goal, value, met in goals]
