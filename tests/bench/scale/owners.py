"""What each verb costs for owners of one token and for one of very many.

All of them are in the store before anything is measured, and their sizes take turns: else whichever comes last would
bear what the store and the machine do by then, tables that grow and what else runs, which is more than the difference.
"""

from collections.abc import Callable, Sequence

import msgspec

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.scale import asked
from tests.bench.scale.asked import Cost
from tests.bench.scale.flat import PAGE, TICK_MS, WEEK_MS, Costs
from tests.bench.servers import ADMIN, Store, service
from tests.servers import Service

TURNS = 5  # of each the least counts, since what else runs only ever adds
ABOUT = 1_000  # owners, or tokens of theirs that are used; with fewer tokens each, there are more owners
COUNTS, PAGES = 200, 20  # in a turn
ISSUED = ABOUT // TURNS
CALLED = 20  # calls that revoke for one owner, 500 tokens each: enough to tell
IN_A_CALL = 500


class Group(msgspec.Struct, frozen=True):
    """Owners of so many tokens each."""

    size: int
    owners: list[str]
    texts: list[str]


class Round(msgspec.Struct, frozen=True):
    """What is asked in one turn."""

    requests: list[bytes]
    things: int
    status: int = 200


def measure(store: Store, sizes: Sequence[int]) -> dict[int, Costs]:
    """On a store that may hold others."""
    groups = [_group(store, size) for size in sizes]
    with service(store, tick_ms=TICK_MS) as server:
        costs: dict[int, Costs] = {size: {} for size in sizes}
        for verb, asked_in in VERBS.items():
            for turn in range(TURNS):
                for group in groups:
                    _measured(store, server, verb, asked_in(group, turn), costs[group.size])
    return costs


def _group(store: Store, size: int) -> Group:
    owners = [f"owner-of-{size}-{n}" for n in range(max(1, ABOUT // size))]
    drafts = [Draft(owner=owner, life_ms=WEEK_MS) for owner in owners for _ in range(size)]
    texts = bulk.issue_known(store, drafts[:ABOUT])
    bulk.issue(store, drafts[ABOUT:])
    return Group(size, owners, texts)


def _measured(store: Store, server: Service, verb: str, round_: Round, costs: Costs) -> None:
    if round_.requests:
        cost: Cost = asked.cost(store, server, round_.requests, round_.things, round_.status)
        costs[verb] = min(cost, costs.get(verb, cost))


def _use(group: Group, _turn: int) -> Round:
    return Round(calls.posts("/v1/tokens/use", ADMIN, group.texts), len(group.texts))


def _count(group: Group, _turn: int) -> Round:
    return Round([asked.get("/v1/tokens/count", owner=one) for one in _some(group, 0, COUNTS)], COUNTS)


def _page(group: Group, _turn: int) -> Round:
    """Of fewer a page is not full, and costs less."""
    owners = _some(group, 0, PAGES) if group.size >= PAGE else []
    return Round([asked.get("/v1/tokens", owner=one, limit=PAGE) for one in owners], PAGES)


def _issue(group: Group, turn: int) -> Round:
    """Of an owner of one token each gets only one more."""
    body = {"tenant": "default", "life_ms": WEEK_MS}
    owners = _some(group, turn * ISSUED, ISSUED)
    return Round([calls.request("POST", "/v1/tokens", ADMIN, {"owner": one, **body}) for one in owners], ISSUED, 201)


def _revoke_all(group: Group, turn: int) -> Round:
    held = group.size + ABOUT // len(group.owners)
    calls_each = min(CALLED, -(-held // IN_A_CALL))
    ended = min(held, calls_each * IN_A_CALL) * len(group.owners)
    called = group.owners * calls_each
    part = len(called) // TURNS
    return Round([asked.revoke_owner(one) for one in called[turn * part : (turn + 1) * part]], ended // TURNS)


def _some(group: Group, first: int, count: int) -> list[str]:
    return [group.owners[n % len(group.owners)] for n in range(first, first + count)]


VERBS: dict[str, Callable[[Group, int], Round]] = {
    "use": _use, "count": _count, f"page of {PAGE}": _page, "issue": _issue, "revoke-all, a token": _revoke_all,
}  # fmt: skip
