"""All that one run measured, as it is kept beside the printed table, and what it makes of the goals."""

import json
import os
import platform
import re
import subprocess
import time

import aiohttp
import msgspec

from tests.bench.calls import BATCH as IN_A_BATCH
from tests.bench.contenders import BATCH, GATEWAY, NAIVE, USE
from tests.bench.goals import Goal, at_least, at_most
from tests.bench.measure import Alone, Ratio, Rounds, middle, ratio
from tests.bench.memory import Memory
from tests.bench.rivals.rival import HERE, HOME, KINDS
from tests.servers import ROOT

LOCK = ROOT / "deploy" / "requirements" / "bench.txt"
RATIO_FIELDS = {"requests/s x bare": "rate", "p99 x bare": "p99_ms"}


class Machine(msgspec.Struct):
    date: str
    cores: int
    load: float  # of others, at the start: with much of it the rates mean little
    system: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.date}, {self.cores} cores (load {self.load:.1f} at the start), {self.system}; {versions}"


class Report(msgspec.Struct):
    machine: Machine
    rivals: dict[str, str]  # versions
    store: str
    lanes: int
    seconds: float
    bare: str  # the contender that stands for "bare": the faster of the two
    rounds: Rounds
    ratios: dict[str, dict[str, Ratio]]  # against whom, of what; see `ratios_of`
    alone: Alone
    two_to_one: Ratio  # processes on one port
    cores_for_two: bool  # whether the machine had enough of them for that
    memory: list[Memory]
    goals: list[Goal] = []


def machine() -> Machine:
    versions = {"Python": platform.python_version(), "aiohttp": aiohttp.__version__}
    return Machine(
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        cores=os.cpu_count() or 1,
        load=os.getloadavg()[0],
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
    )


def rivals() -> dict[str, str]:
    """The versions of what is installed, as they are pinned."""
    found = dict(re.findall(r"^(starsessions)==(\S+)", LOCK.read_text(), re.MULTILINE)) if HOME.exists() else {}
    if (HOME / "node_modules").exists():
        node = subprocess.run(["node", "--version"], capture_output=True, check=True, text=True).stdout.strip("v\n")
        found |= {"Node": node, **json.loads((HERE / "package.json").read_text())["dependencies"]}
    return found


def faster(samples: Rounds, names: tuple[str, ...]) -> str:
    return max(names, key=lambda name: middle(samples[name], "rate"))


def ratios_of(samples: Rounds, bare: str) -> dict[str, dict[str, Ratio]]:
    """Of each contender: requests/s and p99 against the bare handler's, requests/s against the naive one's."""
    return {
        name: {what: ratio(taken, samples[bare], field) for what, field in RATIO_FIELDS.items()}
        | {"requests/s x naive": ratio(taken, samples[NAIVE])}
        for name, taken in samples.items()
    }


def tokens_a_second(report: Report) -> float:
    return middle(report.rounds[BATCH], "rate") * IN_A_BATCH


def best_rival(report: Report) -> str | None:
    there = [kind.name for kind in KINDS if kind.name in report.rounds]
    return max(there, key=lambda name: middle(report.rounds[name], "rate"), default=None)


def goals(report: Report) -> list[Goal]:
    against, rounds = report.ratios, report.rounds
    found = [
        at_least("gateway use / bare", against[GATEWAY]["requests/s x bare"].mid, 1.0),
        at_least("use / bare", against[USE]["requests/s x bare"].mid, 0.8),
        at_most("p99 of gateway use / bare's, at saturation", against[GATEWAY]["p99 x bare"].mid, 1.5),
        at_most("p99 of use / bare's, at saturation", against[USE]["p99 x bare"].mid, 1.5),
        at_least(f"tokens/s in batches of {IN_A_BATCH:,}", tokens_a_second(report), 100_000, ",.0f"),
        at_least("use / naive", against[USE]["requests/s x naive"].mid, 2.8),
    ]
    if best := best_rival(report):
        found.append(at_least(f"use / the best rival ({best})", ratio(rounds[USE], rounds[best]).mid, 1.25))
    two = at_least("two processes on one port / one", report.two_to_one.mid, 1.7)
    found += [two if report.cores_for_two else Goal(two.claim, two.value, None)]
    found.append(at_most("store commands per use alone", report.alone.commands, 1))
    for one in report.memory:
        found.append(at_most(f"bytes a live token on {one.store}", one.live, 800, ",.0f"))
        found.append(at_most(f"bytes a live token without metadata on {one.store}", one.bare, 800, ",.0f"))
    return found
