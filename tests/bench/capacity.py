"""From what one process and one store did on this machine to what many of them would: `deploy/CAPACITY.md`.

`python -m tests.bench capacity` works the figures of `last.json` and `scale.json` into it, between two marks.
"""

import math
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from tests.bench.contenders import GATEWAY, USE
from tests.bench.measure import middle
from tests.bench.report import Report
from tests.bench.scale.run import Scale
from tests.bench.table import aligned
from tests.servers import ROOT

PAGE = ROOT / "deploy" / "CAPACITY.md"
BEGIN, END = "<!-- what follows is written by `python -m tests.bench capacity` -->", "<!-- up to here -->"
SIZES = (10**6, 10**7, 10**8, 10**9)

# What is assumed; the page says so too.
LIFE_S = 1_800  # full life of a token
USED_EVERY_S = 300  # each live token, on average
ENDED_A_DAY = 1.0  # of the live ones, and as many issued: their records stay for a retention of a day
DATA_BYTES = 32e9  # a node's tokens; as much again is left to forks, replicas' buffers and growth
BUSY = 0.6  # of the one core that runs a node's commands
DAY_S = 86_400
T = TypeVar("T")


class Costs(NamedTuple):
    """Measured on one machine: bytes, and processor time of the store in seconds, for one of each."""

    live: float
    retained: float
    use: float
    issue: float
    rescore: float
    mark: float
    purge: float
    uses_a_process: float  # a second, as requests to the gateway endpoint

    @classmethod
    def measured(cls, speed: Report, scale: Scale) -> "Costs":
        memory, sweeping = speed.memory[0], scale.sweeping
        return cls(
            live=memory.live,
            retained=memory.retained,
            use=middle(speed.rounds[USE], "store_us") / 1e6,
            issue=1 / scale.issued_a_second,
            rescore=sweeping.rescored / 1e6,
            mark=sweeping.marked / 1e6,
            purge=sweeping.purged / 1e6,
            uses_a_process=middle(speed.rounds[GATEWAY], "rate"),
        )


class Need(NamedTuple):
    """Of so many live tokens."""

    tokens: int
    memory: float  # bytes, of live tokens and of retained records
    uses: float  # a second
    using: float  # cores of stores, all of them together
    turning: float  # the same for issuing, marking as ended and purging
    rescoring: float  # the same for looking at what was due and has been used since

    @classmethod
    def of(cls, tokens: int, costs: Costs) -> "Need":
        ended = tokens * ENDED_A_DAY / DAY_S
        uses = tokens / USED_EVERY_S
        return cls(
            tokens=tokens,
            memory=tokens * (costs.live + ENDED_A_DAY * costs.retained),
            uses=uses,
            using=uses * costs.use,
            turning=ended * (costs.issue + costs.mark + costs.purge),
            rescoring=tokens / LIFE_S * costs.rescore,
        )

    @property
    def nodes(self) -> tuple[int, int]:
        """Masters, each with a replica beside it: what the memory asks for, and what the work does."""
        cores = self.using + self.turning + self.rescoring
        return math.ceil(self.memory / DATA_BYTES), math.ceil(cores / BUSY)


def text(speed: Report, scale: Scale) -> str:
    costs = Costs.measured(speed, scale)
    dates = f"{speed.machine.date} and {scale.machine.date}"
    loads = f"{speed.machine.load:.1f} and {scale.machine.load:.1f}"
    where = f"Measured {dates} on {speed.machine.cores} cores, {speed.store}; load of others at the start {loads}:"
    measured = aligned([["", "measured"], *([what, value] for what, value in _measured(speed, scale, costs).items())])
    needed = aligned([_HEAD, *(_row(Need.of(size, costs), costs) for size in SIZES)])
    parts = [[where], measured, ["So this many live tokens need:"], needed]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _measured(speed: Report, scale: Scale, costs: Costs) -> dict[str, str]:
    found = {f"bytes a live token, every index ({one.store})": f"{one.live:,.0f}" for one in speed.memory} | {
        f"bytes the record of an ended one ({one.store})": f"{one.retained:,.0f}" for one in speed.memory
    }
    return found | {
        "gateway uses a second, one process": f"{costs.uses_a_process:,.0f}",
        "store, us of its core: a use, 64 in flight / alone": (
            f"{costs.use * 1e6:.0f} / {scale.levels[max(scale.levels)]['use'].store_us:.0f}"
        ),
        "uses a second that one store's core has room for": f"{BUSY / costs.use:,.0f}",
        "store, us: issue / mark expired / purge": " / ".join(
            f"{one * 1e6:.0f}" for one in (costs.issue, costs.mark, costs.purge)
        ),
        "store, us: a due token that was used since": f"{costs.rescore * 1e6:.0f}",
        f"idle, {scale.live:,} live: cores of service and store": f"{scale.idle.service:.3f} + {scale.idle.store:.3f}",
    }


_HEAD = ["live tokens", "memory", "uses/s", "cores: use", "cores: issue, mark, purge", "cores: due, but used since",
         "nodes: memory", "nodes: work", "service processes"]  # fmt: skip


def _row(need: Need, costs: Costs) -> list[str]:
    processes = math.ceil(need.uses / costs.uses_a_process / BUSY)
    cores = [f"{one:.2f}" for one in (need.using, need.turning, need.rescoring)]
    counts = [f"{count:,}" for count in (*need.nodes, processes)]
    return [f"{need.tokens:,}", f"{need.memory / 1e9:,.0f} GB", f"{need.uses:,.0f}", *cores, *counts]


def write(folder: Path) -> None:
    """Raises SystemExit when one of the two was not measured yet."""
    speed, scale = _kept(folder / "last.json", Report), _kept(folder / "scale.json", Scale)
    found, page = text(speed, scale), PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{rest.partition(END)[2]}")
    print(found)


def _kept(file: Path, kind: type[T]) -> T:
    if not file.exists():
        raise SystemExit(f"bench: there is no {file.name} yet; see `make bench` and `make bench-scale`")
    return msgspec.json.decode(file.read_bytes(), type=kind)
