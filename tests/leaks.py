"""What must hold in a store at any moment; looked at after each test, by a reader of its own.

No key of a token is left without a TTL or a place in `due` or `gone` (but a life of null), a life ends when its record
says, the lists hold what the records say, and the kept counts are what a full scan counts.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import redis

CHUNK = 500  # keys a round trip
MOMENT, ID = 13, 32  # digits
NEVER, GONE = -1, -2  # what PTTL says
# When a key ends (ms).  PEXPIRETIME is not there before Redis 7.  Before 7.2 the clock goes on in a script.
END = """
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local now, left
repeat now, left = clock(), redis.call('PTTL', KEYS[1]) until clock() == now
return left < 0 and left or now + left
"""
KINDS = {"l", "t", "due", "gone", "relist", "i", "o", "ev", "n", "a", "k", "p"}
STATES = {"a": "active", "e": "expired", "r": "revoked", "c": "consumed"}


class Row(NamedTuple):
    """A record, read without the code under test."""

    state: str
    deadline: int
    uses: int
    sequence: int
    eternal: bool
    ended_by: str
    tenant: str
    type: str
    owner: str


def row(record: bytes) -> Row:
    head, owner, sequence, *_, last = record.decode().split("\n")
    word = head.split(" ")
    deadline, uses = int(word[1]), int(word[3])
    state = STATES.get(word[0], word[0])
    ended_by = last.split(" ")[2] if last.startswith("= ") else "life" if state == "expired" else "-"
    return Row(state, deadline, uses, int(sequence), deadline == 0, ended_by, word[8], word[9], owner)


class Scan:
    """All that is in a store."""

    def __init__(self, store: "redis.Redis") -> None:
        self.store: Any = store
        self.names = sorted(name.decode() for name in self.store.scan_iter(count=1000))
        # A token by its partition's tag and its id, so that a key in the wrong slot is a stranger.
        self.records = {self.place(name): row(value) for name, value in self._ask("t", "GET") if value}
        self.ends = {self.place(name): end for name, end in self._ends() if end != GONE}
        self.due = {name[:8] + id_: score for name in self._of("due") for id_, score in self.scores(name)}
        self.gone = Counter(name[:8] + id_ for name in self._of("gone") for id_ in self._ended(name, MOMENT))
        self.late = {name[:8] + id_ for name in self._of("relist") for id_ in self._ended(name, 0)}
        for place in self.late & self.records.keys():  # that it expired is written down when it is relisted
            if self.records[place].state == "active":
                self.records[place] = self.records[place]._replace(state="expired", ended_by="life")

    @staticmethod
    def place(name: str) -> str:
        """tl:{07}:t:<id> -> tl:{07}:<id>"""
        return name[:8] + name[10:]

    @staticmethod
    def kind(name: str) -> str:
        return name[8:].partition(":")[0] if name.startswith("tl:{") else name

    def _of(self, kind: str) -> list[str]:
        return [name for name in self.names if self.kind(name) == kind]

    def _ends(self) -> list[tuple[str, int]]:
        try:
            return self._ask("l", "PEXPIRETIME")
        except redis.RedisError:  # a client of a cluster does not even ask
            return self._ask("l", "EVAL", END, 1)

    def _ask(self, kind: str, *words: str | int) -> list[tuple[str, Any]]:
        names = self._of(kind)
        found: list[Any] = []
        for start in range(0, len(names), CHUNK):
            pipeline = self.store.pipeline(transaction=False)
            for name in names[start : start + CHUNK]:
                pipeline.execute_command(*words, name)
            found += pipeline.execute()
        return list(zip(names, found, strict=True))

    def scores(self, name: str) -> list[tuple[str, int]]:
        near = "" if self.kind(name) == "o" else name[4:6]  # what the ids of a partition have in common
        return [(near + rest.decode(), int(score)) for rest, score in self.store.zrange(name, 0, -1, withscores=True)]

    def _ended(self, name: str, first: int) -> list[str]:
        """The ids of entries in which they stand from there on."""
        ends = [end.decode() for end in self.store.lrange(name, 0, -1)]
        return [end[at : at + ID] for end in ends for at in range(first, len(end), ID)]

    def lists(self) -> dict[str, list[tuple[str, int]]]:
        return {name: self.scores(name) for name in (*self._of("i"), *self._of("o"))}

    def counts(self) -> dict[str, dict[str, int]]:
        """The kept counts of each partition and of each of its tenants, without zeros."""
        return {name: self._count(name) for name in self._of("n")}

    def fields(self) -> dict[str, int]:
        """What the counts of tenants say of lists, zeros included."""
        of = {name: self.store.hgetall(name) for name in self._of("n") if name[9:]}
        return {f"{name[:8]}i{name[9:]}:{field.decode()}": int(n) for name in of for field, n in of[name].items()}

    def _count(self, name: str) -> dict[str, int]:
        found = {field.decode(): int(value) for field, value in self.store.hgetall(name).items()}
        return {field: number for field, number in found.items() if number and field != "sequence"}


def dump(store: "redis.Redis") -> dict[str, tuple[object, int]]:
    """Every key with its content and the moment at which it expires."""
    readers: dict[bytes, Any] = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"zset": lambda name: store.zrange(name, 0, -1, withscores=True),
        b"list": lambda name: store.lrange(name, 0, -1),
        b"stream": store.xrange,
    }
    plain: Any = store
    return {name.decode(): (readers[plain.type(name)](name), _end(plain, name)) for name in plain.scan_iter(count=1000)}


def _end(store: Any, name: bytes) -> int:
    try:
        end: int = store.execute_command("PEXPIRETIME", name)
    except redis.RedisError:  # a client of a cluster does not even ask
        end = store.eval(END, 1, name)
    return end


def check(store: "redis.Redis") -> None:
    """Raises: AssertionError with all that is wrong."""
    scan = Scan(store)
    wrong = [*_strangers(scan), *_lives(scan), *_lists(scan), *_counts(scan)]
    assert not wrong, "the store is not in order:\n" + "\n".join(wrong)


def _strangers(scan: Scan) -> Iterator[str]:
    for name in scan.names:
        if name not in {"tl:partitions", "tl:leases"} and scan.kind(name) not in KINDS:
            yield f"a key that the glossary does not know: {name}"
        if scan.kind(name) in {"k", "p"} and scan.store.pttl(name) == NEVER:
            yield f"without a TTL: {name}"
    for place in (scan.ends.keys() | scan.due.keys() | scan.gone.keys() | scan.late) - scan.records.keys():
        yield f"a life or a place in due, gone or relist without a record: {place}"


def _lives(scan: Scan) -> Iterator[str]:
    for place, token in scan.records.items():
        end, due, gone = scan.ends.get(place), scan.due.get(place), scan.gone[place]
        if token.state not in STATES.values():
            yield f"{place}: no such state: {token}"
        elif token.state != "active":
            if (end, due, gone) != (None, None, 1):
                yield f"{place}: final, but a life to {end}, due at {due}, to be forgotten {gone} times: {token}"
        elif gone:
            yield f"{place}: to be forgotten, and active: {token}"
        elif token.eternal:
            if end not in (NEVER, None):
                yield f"{place}: for ever, and has a TTL: {token}"
        elif due is None or due > token.deadline:
            yield f"{place}: due at {due}, later than its deadline: {token}"
        elif end not in (token.deadline, None):
            yield f"{place}: its life ends at {end}, not when its record says: {token}"


def _lists(scan: Scan) -> Iterator[str]:
    expected: dict[str, list[tuple[str, int]]] = {}
    found = scan.lists()
    for place, token in scan.records.items():
        kind = f"{token.tenant}:{token.type}"
        # One that is to be relisted still stands there, unless somebody has relisted it before its turn.
        still = place in scan.late and (place[8:], token.sequence) in found.get(f"{place[:8]}i:{kind}:active", [])
        rest = f"{kind}:{'active' if still else token.state}"
        expected.setdefault(f"{place[:8]}i:{rest}", []).append((place[8:], token.sequence))
        expected.setdefault(f"{place[:8]}o:{rest}", []).append((f"{token.owner}\n{token.sequence:016}", 0))
    for name in expected.keys() | found.keys():
        want, have = sorted(expected.get(name, [])), sorted(found.get(name, []))
        if want != have:
            yield f"the list {name} holds {have}, the records say {want}"
    yield from _owned(scan, found)


def _owned(scan: Scan, lists: dict[str, list[tuple[str, int]]]) -> Iterator[str]:
    """A place in a list by owner leads to one token, and it is this owner's."""
    tokens: dict[tuple[str, int], list[str | None]] = {}  # a tenant's list and a sequence number -> owners
    for name in filter(lambda name: scan.kind(name) == "i", lists):
        for id_, sequence in lists[name]:
            token = scan.records.get(name[:8] + id_)
            tokens.setdefault((name, sequence), []).append(token and token.owner)
    for name in filter(lambda name: scan.kind(name) == "o", lists):
        for place, _ in lists[name]:
            owner, _, number = place.partition("\n")
            if (found := tokens.get((f"{name[:8]}i{name[9:]}", int(number)))) != [owner]:
                yield f"the place {place!r} in {name} leads to tokens of {found}"


def _counts(scan: Scan) -> Iterator[str]:
    expected: dict[str, Counter[str]] = {}
    for place, token in scan.records.items():
        expected.setdefault(f"{place[:8]}n", Counter())[token.state] += 1
        expected.setdefault(f"{place[:8]}n:{token.tenant}", Counter())[f"{token.type}:{token.state}"] += 1
    found = scan.counts()
    for name in expected.keys() | found.keys():
        want, have = dict(expected.get(name, {})), found.get(name, {})
        if want != have:
            yield f"the counts {name} say {have}, a scan {want}"
    lists, fields = {name for name in scan.lists() if scan.kind(name) == "i"}, scan.fields()
    # A page finds a tenant's lists by the fields of its counts, which bounds how many there may be.
    if (unknown := lists - fields.keys()) or (empty := {name for name in fields.keys() - lists if not fields[name]}):
        yield f"these lists have no count, or these counts of 0 no list: {unknown or empty}"
