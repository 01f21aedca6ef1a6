"""The load generator: a process of its own that keeps a fixed number of requests in flight.

Knows no aiohttp.  Requests are whole byte strings made beforehand; of an answer only the status
and the length are read.  So it costs far less than any server it asks, and every server the same.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import cast

import msgspec
import uvloop

LANES = 64  # connections, each with one request in flight
PATIENCE = 60.0  # seconds past its time after which a run is given up
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"ength: "  # of Content-Length, in either case: no other header ends so


class Plan(msgspec.Struct):
    """What to send: round and round for `seconds`, or each one `once`, and then what came back is kept."""

    port: int
    requests: list[bytes]
    seconds: float = 2.0
    lanes: int = LANES
    status: int = 200
    once: bool = False
    moments: bool = False  # keep when each answer came


class Outcome(msgspec.Struct):
    """What came back.  `wrong` counts answers by other statuses (0: the connection was lost)."""

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    busy: float  # share of one core that the generator itself took
    wrong: dict[int, int]
    heads: list[bytes] = []
    bodies: list[bytes] = []
    began_ms: float = 0.0  # by the clock, when the first was sent
    moments: list[tuple[float, float]] = []  # when each answer came, ms since then, and how long it took, ms

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


class Run:
    """What the lanes of one run share."""

    def __init__(self, plan: Plan) -> None:
        self.once = plan.once
        self.requests = iter(plan.requests) if plan.once else itertools.cycle(plan.requests)
        self.granted = b"HTTP/1.1 %d" % plan.status
        self.until = float("inf")
        self.latencies = array("d")  # seconds
        self.ends = array("d")  # when each answer came, by the same clock
        self.wrong: Counter[int] = Counter()
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []


class Lane(asyncio.Protocol):
    """One keep-alive connection with one request in flight; `done` once it has nothing more to send."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.sent_at = 0.0
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.is_set():
            self.run.wrong[0] += 1
            self.done.set()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        request = next(self.run.requests, None) if self.sent_at < self.run.until else None
        if request is None:
            self.done.set()
        else:
            self.write(request)

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        head = data.find(_HEAD_END)
        if head < 0 or len(data) < head + 4 + _length(data, head):
            self.buffer = data
            return
        self.buffer = b""
        self._take(data, head)
        self.send()

    def _take(self, data: bytes, head: int) -> None:
        now = time.perf_counter()
        self.run.latencies.append(now - self.sent_at)
        self.run.ends.append(now)
        if not data.startswith(self.run.granted):
            self.run.wrong[int(data[9:12])] += 1
        elif self.run.once:
            self.run.heads.append(data[:head])
            self.run.bodies.append(data[head + 4 :])


def _length(data: bytes, head: int) -> int:
    at = data.find(_LENGTH, 0, head)
    return int(data[at + len(_LENGTH) : data.find(b"\r\n", at)]) if at >= 0 else 0


async def drive(plan: Plan) -> Outcome:
    """Open every lane first, then start the clock."""
    run, loop = Run(plan), asyncio.get_running_loop()
    lanes = [(await loop.create_connection(lambda: Lane(run), "127.0.0.1", plan.port))[1] for _ in range(plan.lanes)]
    started, spent = time.perf_counter(), time.process_time()
    run.until = float("inf") if plan.once else started + plan.seconds
    for lane in lanes:
        lane.send()
    ending = [asyncio.ensure_future(lane.done.wait()) for lane in lanes]
    _, stuck = await asyncio.wait(ending, timeout=plan.seconds + PATIENCE)
    if stuck:
        sys.exit(f"bench: {len(stuck)} connections wait after {len(run.latencies)} answers of port {plan.port}")
    outcome = _outcome(run, time.perf_counter() - started, time.process_time() - spent)
    for lane in lanes:
        lane.transport.close()
    await asyncio.sleep(0)  # they are told
    if plan.moments:
        outcome.began_ms = (time.time() - time.perf_counter() + started) * 1000
        outcome.moments = [
            ((end - started) * 1000, took * 1000) for end, took in zip(run.ends, run.latencies, strict=True)
        ]
    return outcome


def _outcome(run: Run, seconds: float, spent: float) -> Outcome:
    p50, p99 = (quantile(run.latencies, share) * 1000 for share in (0.5, 0.99))
    return Outcome(len(run.latencies), seconds, p50, p99, spent / seconds, run.wrong, run.heads, run.bodies)


def quantile(values: Iterable[float], share: float) -> float:
    """0 when there are none."""
    ranked = sorted(values) or [0.0]
    return ranked[int(share * len(ranked))]


def attempt(plan: Plan) -> Outcome:
    """Run the plan in a process of its own; whoever reads the outcome judges its `wrong`."""
    command = [sys.executable, "-m", "tests.bench.load"]
    done = subprocess.run(command, input=msgspec.msgpack.encode(plan), stdout=subprocess.PIPE, check=True)
    return msgspec.msgpack.decode(done.stdout, type=Outcome)


def send(plan: Plan) -> Outcome:
    """Raises SystemExit when a single answer had another status than the plan's."""
    return _granted(plan, attempt(plan))


def send_from_here(plan: Plan) -> Outcome:
    """The same without a process to start: where little is asked at a time, and only what others spend is looked at."""
    return _granted(plan, uvloop.run(drive(plan)))


def _granted(plan: Plan, outcome: Outcome) -> Outcome:
    if outcome.wrong:
        raise SystemExit(f"bench: wanted {plan.status} of port {plan.port}, got (status: count) {outcome.wrong}")
    return outcome


if __name__ == "__main__":
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    # With PYTHONUNBUFFERED sys.stdout.buffer is not buffered, and may write the half of it and say so.
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.msgpack.encode(uvloop.run(drive(asked))))
