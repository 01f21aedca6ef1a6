"""What each verb costs for owners of one token and for one of very many, all of them in one store."""

from collections.abc import Sequence

from service.core.token import Draft
from tests.bench import bulk
from tests.bench.scale import asked
from tests.bench.scale.asked import Round
from tests.bench.scale.flat import PAGE, USES, WEEK_MS, use
from tests.bench.scale.turns import TICK_MS, Asks, Costs, Side, Taken, middles, turn
from tests.bench.servers import Store, service
from tests.servers import Service

TURNS = 20  # of each size with each verb
ABOUT = USES * TURNS  # owners, or tokens of theirs that are used; with fewer tokens each, there are more owners
COUNTS, PAGES = 50, 10  # in a turn
ISSUED = ABOUT // TURNS  # the same: an owner of one token gets one more
IN_A_CALL = 500  # tokens that one call revokes at most


class Group(Side, frozen=True):
    """Owners of so many tokens each."""

    owners: list[str]


def measure(store: Store, sizes: Sequence[int]) -> dict[int, Costs]:
    """On a store that may hold others."""
    taken: Taken = {verb: [] for verb in VERBS}
    with service(store, tick_ms=TICK_MS) as server:
        groups = [_group(store, server, size) for size in sizes]
        for verb, asks in VERBS.items():
            for number in range(TURNS):
                taken[verb].append(turn(number, asks, groups))
    return middles(taken, sizes)


def _group(store: Store, server: Service, size: int) -> Group:
    owners = [f"owner-of-{size}-{n}" for n in range(max(1, ABOUT // size))]
    drafts = [Draft(owner=owner, life_ms=WEEK_MS) for owner in owners for _ in range(size)]
    texts = bulk.issue_known(store, drafts[:ABOUT])
    bulk.issue(store, drafts[ABOUT:])
    return Group(size, store, server, texts, owners)


def _count(group: Group, _number: int) -> Round:
    return Round([asked.get("/v1/tokens/count", owner=one) for one in _some(group, 0, COUNTS)], COUNTS)


def _page(group: Group, _number: int) -> Round:
    """Of fewer a page is not full, and costs less."""
    owners = _some(group, 0, PAGES) if group.size >= PAGE else []
    return Round([asked.get("/v1/tokens", owner=one, limit=PAGE) for one in owners], PAGES)


def _issue(group: Group, number: int) -> Round:
    """Of an owner of one token each gets only one more."""
    owners = _some(group, number * ISSUED, ISSUED)
    return Round([asked.new(owner, WEEK_MS) for owner in owners], ISSUED, 201)


def _revoke_all(group: Group, number: int) -> Round:
    """A call a turn of those who hold many: enough to tell."""
    held = group.size + ABOUT // len(group.owners)
    called = group.owners * min(TURNS, -(-held // IN_A_CALL))
    part = len(called) // TURNS
    requests = [asked.revoke_owner(one) for one in called[number * part : (number + 1) * part]]
    return Round(requests, len(requests) * min(held, IN_A_CALL))


def _some(group: Group, first: int, count: int) -> list[str]:
    return [group.owners[n % len(group.owners)] for n in range(first, first + count)]


VERBS: dict[str, Asks[Group]] = {
    "use": use, "count": _count, f"page of {PAGE}": _page, "issue": _issue, "revoke-all, a token": _revoke_all,
}  # fmt: skip
