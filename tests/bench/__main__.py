"""`make bench`: start what is needed, measure in interleaved rounds, print one table.

A missed goal is printed, not failed; an answer that was not granted ends the run.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.bench import calls, memory, rivals, servers, stores, table
from tests.bench.load import LANES
from tests.bench.measure import Contender, alone, rounds

LIVE = 10_000  # tokens that the requests choose from
QUIET = 1_000  # uses one after the other


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--tokens", type=int, default=50_000, help="issued to weigh one")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 0.5 s and 5,000 tokens: to see that it runs"
    )
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds, asked.tokens = 2, 0.5, 5_000
    return asked


def contenders(store: stores.Store, ours: servers.Server, theirs: servers.Server) -> Iterator[Contender]:
    caller, tokens = calls.caller(ours.port), calls.sessions(ours.port, LIVE)
    store.hold(tokens, db=rivals.DB)
    use, batch, gateway = (
        calls.uses(caller, tokens),
        calls.batches(caller, tokens),
        calls.gateway_uses(tokens),
    )
    yield Contender("bare GET", theirs, [calls.request("GET", "/bare")])
    yield Contender("bare POST", theirs, calls.uses(caller, tokens, "/bare"))
    yield Contender("naive", theirs, calls.uses(caller, tokens, "/naive"))
    yield Contender("use", ours, use)
    yield Contender("peek", ours, calls.uses(caller, tokens, "/v1/tokens/peek"))
    if calls.all_active(ours.port, batch[0]):
        yield Contender(f"batch of {calls.BATCH}", ours, batch)
    if calls.granted(ours.port, gateway[0]):
        yield Contender("gateway use", ours, gateway)


def measured(asked: argparse.Namespace) -> table.Report:
    first, *_ = binaries = stores.binaries()
    with stores.store(first) as store, servers.service(store) as ours, servers.rivals(store) as theirs:
        lined_up = list(contenders(store, ours, theirs))
        samples = rounds(lined_up, store, asked.rounds, asked.seconds)
        use = next(contender for contender in lined_up if contender.name == "use")
        quiet, store_name = alone(use, store, QUIET), store.name
    return table.Report(
        machine=table.machine(),
        store=store_name,
        lanes=LANES,
        seconds=asked.seconds,
        bare=table.faster(samples, "bare GET", "bare POST"),
        rounds=samples,
        alone=quiet,
        memory=[memory.measure(binary, asked.tokens) for binary in binaries],
    )


def main() -> None:
    asked = arguments()
    report = measured(asked)
    print(table.text(report))
    if asked.json:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()
