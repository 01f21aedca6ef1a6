"""What a store holds in the end, as lines of a history."""

import time
from collections.abc import Iterator
from typing import Any

import redis

from service.core.text import dashed
from tests import leaks
from tests.chaos.history import Disorder, History, Kept, Told

SOON_MS = 60_000  # lives are either short, and over long before, or ten minutes long
SWEPT_S = 20.0  # until all that is due soon has been looked at
STAFF = "service"  # callers' own tokens are not part of it


def read(store: "redis.Redis", history: History) -> None:
    scan = leaks.Scan(store)
    own = {place: row for place, row in scan.records.items() if row.type != STAFF}
    for place, row in own.items():
        history.add(
            Kept(
                id=dashed(place[8:]), state=row.state, owner=row.owner, deadline_ms=row.deadline, uses=row.uses,
                ended_by=row.ended_by, end_ms=scan.ends.get(place),
            )
        )  # fmt: skip
    history.add(*_events(scan))
    try:
        leaks.check(store)
    except AssertionError as error:
        history.add(*[Disorder(text=line) for line in str(error).splitlines()[1:]])


def _events(scan: leaks.Scan) -> Iterator[Told]:
    for name in scan.names:
        if scan.kind(name) == "ev":
            for position, event in scan.store.xrange(name):
                at_ms, kind = int(position.partition(b"-")[0]), event.pop(b"kind").decode()
                for rest, record in event.items():
                    if leaks.row(record).type != STAFF:
                        yield Told(id=dashed(name[4:6] + rest.decode()), kind=kind, at_ms=at_ms)


def settle(store: "redis.Redis") -> None:
    """Waits until nothing is due soon.  Raises: AssertionError."""
    deadline = time.monotonic() + SWEPT_S
    while due := _due(store):
        assert time.monotonic() < deadline, f"{due} tokens are due, and nobody looks at them"
        time.sleep(0.05)


def _due(store: "redis.Redis") -> int:
    plain: Any = store
    seconds, micros = plain.time()
    names = list(plain.scan_iter(match="tl:{*}:due", count=1000))
    return sum(plain.zcount(name, "-inf", seconds * 1000 + micros // 1000 + SOON_MS) for name in names)
