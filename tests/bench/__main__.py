"""`make bench`: requests per second beside others, in interleaved rounds.  `make bench-scale`: what many tokens cost.

Either starts what it needs, prints Markdown, and keeps all that it measured beside this file: `last.json` with
`last.svg`, and `scale.json`; `capacity` writes deploy/CAPACITY.md from them.  A missed goal is printed, not failed;
an answer that was not granted ends the run.  `python -m tests.bench memory --store PATH ...` prints what a token weighs
in servers of your own, and keeps nothing.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import msgspec

from tests.bench import capacity, contenders, memory, plot, processes, report, table
from tests.bench.bulk import say
from tests.bench.load import LANES
from tests.bench.measure import alone, rounds
from tests.bench.report import Report
from tests.bench.scale import run as scale_run
from tests.bench.scale import table as scale_table
from tests.bench.servers import Store
from tests.servers import binaries

HERE = Path(__file__).parent
QUIET = 1_000  # uses one after the other


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["speed", "scale", "memory", "capacity"], default="speed")
    parser.add_argument("--into", type=Path, default=HERE, help="the folder of what is kept (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="small sizes and short rounds: to see that it runs")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--rounds", type=int, default=24)
    speed.add_argument("--seconds", type=float, default=0.5, help="of one turn; where others share the machine, many"
                       " short turns compare better than a few long ones")  # fmt: skip
    speed.add_argument("--store", nargs="+", default=list(reversed(binaries().values())), metavar="PATH",
                       help="the servers to weigh in; the first is the one to be fast (what is on PATH)")  # fmt: skip
    speed.add_argument("--tokens", type=int, default=50_000, help="issued to weigh one")
    many = parser.add_argument_group("scale")
    many.add_argument("--live", type=int, default=1_000_000, help="tokens in the end, a power of ten")
    many.add_argument("--due", type=int, default=100_000, help="tokens that end at the same moment")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds, asked.tokens = 3, 0.3, 5_000
        asked.live, asked.due = 10_000, 5_000
    return asked


def measured(installed: list[str], count: int, seconds: float, tokens: int) -> Report:
    machine = report.machine()
    with Store(installed[0]) as store, ExitStack() as stack:
        lined_up = [*contenders.ours(store, stack), *contenders.theirs(store, stack)]
        say(f"{count} rounds of {len(lined_up)} contenders")
        samples = rounds(lined_up, store, count, seconds)
        [use] = [contender for contender in lined_up if contender.name == contenders.USE]
        quiet, store_name = alone(use, store, QUIET), store.name
    say("two processes and one")
    with Store(installed[0]) as store:
        two = processes.two_to_one(store, count // 3, 3 * seconds)
    bare = report.faster(samples, contenders.BARE)
    found = Report(
        machine=machine,
        rivals=report.rivals(),
        store=store_name,
        lanes=LANES,
        seconds=seconds,
        bare=bare,
        rounds=samples,
        ratios=report.ratios_of(samples, bare),
        alone=quiet,
        two_to_one=two,
        cores_for_two=processes.enough_cores(),
        memory=[memory.measure(binary, tokens) for binary in installed],
    )
    found.goals = report.goals(found)
    return found


def speed(asked: argparse.Namespace) -> None:
    found = measured(asked.store, asked.rounds, asked.seconds, asked.tokens)
    (asked.into / "last.json").write_bytes(_kept(found))
    (asked.into / "last.svg").write_text(plot.svg(found))
    print(table.text(found))


def _kept(found: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def main() -> None:
    asked = arguments()
    if asked.what == "speed":
        speed(asked)
    elif asked.what == "memory":
        print("\n".join(table.aligned(table.weighed([memory.measure(binary, asked.tokens) for binary in asked.store]))))
    elif asked.what == "capacity":
        capacity.write(asked.into)
    else:
        found = scale_run.measured(asked.live, asked.due, quick=asked.quick)
        (asked.into / "scale.json").write_bytes(_kept(found))
        print(scale_table.text(found))


if __name__ == "__main__":
    main()
