"""`make bench`: start what is needed, measure in interleaved rounds, print one table.

A missed goal is printed, not failed; an answer that was not granted ends the run.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.bench import calls, memory, table
from tests.bench.load import LANES
from tests.bench.measure import Contender, alone, rounds
from tests.bench.servers import Rivals, Store, service
from tests.servers import Service, binaries

LIVE = 10_000  # tokens that the requests choose from
QUIET = 1_000  # uses one after the other


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--tokens", type=int, default=50_000, help="issued to weigh one")
    last = Path(__file__).parent / "last.json"
    parser.add_argument("--json", type=Path, nargs="?", const=last, help="write all that was measured (%(const)s)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.5 s: to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds, asked.tokens = 2, 0.5, 5_000
    return asked


def contenders(store: Store, ours: Service, theirs: Rivals) -> Iterator[Contender]:
    caller, tokens = calls.caller(ours.port), calls.sessions(ours.port, LIVE)
    batches, gateway = calls.batches(caller, tokens), calls.gateway_uses(tokens)
    calls.check_batch(ours.port, batches[0])
    yield Contender("bare GET", theirs, [calls.request("GET", "/bare")])
    yield Contender("bare POST", theirs, calls.posts("/bare", caller, tokens))
    yield Contender("naive", theirs, calls.posts("/naive", caller, store.hold(LIVE, len(tokens[0]))))
    yield Contender("use", ours, calls.posts("/v1/tokens/use", caller, tokens))
    yield Contender("peek", ours, calls.posts("/v1/tokens/peek", caller, tokens))
    yield Contender(f"batch of {calls.BATCH}", ours, batches)
    if calls.granted(ours.port, gateway[0]):
        yield Contender("gateway use", ours, gateway)


def measured(asked: argparse.Namespace) -> table.Report:
    machine = table.machine()
    installed = list(reversed(binaries().values()))  # what is on PATH comes first
    with Store(installed[0]) as store, service(store) as ours, Rivals(store) as theirs:
        lined_up = {contender.name: contender for contender in contenders(store, ours, theirs)}
        samples = rounds(list(lined_up.values()), store, asked.rounds, asked.seconds)
        quiet, store_name = alone(lined_up["use"], store, QUIET), store.name
    return table.Report(
        machine=machine,
        store=store_name,
        lanes=LANES,
        seconds=asked.seconds,
        bare=table.faster(samples, "bare GET", "bare POST"),
        rounds=samples,
        alone=quiet,
        memory=[memory.measure(binary, asked.tokens) for binary in installed],
    )


def main() -> None:
    asked = arguments()
    report = measured(asked)
    print(table.text(report))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
