"""What each verb costs with a thousand tokens in the store and with a million, each number in a store of its own.

Judged by the processor time of the store, and told in commands too: wall time says more about the machine.  What a turn
issues it ends, and then it is purged: so each store has as many as it should, and while a guest is there 100 more.
"""

from collections.abc import Mapping
from contextlib import ExitStack

import uvloop

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.scale import asked
from tests.bench.scale.asked import Round
from tests.bench.scale.turns import TICK_MS, Asks, Costs, Side, Taken, middles, turn
from tests.bench.servers import ADMIN, Store, service

TURNS = 40  # of each size with each verb
KNOWN = 1_000  # tokens that are used: the first of those that are there
USES, PAGES, COUNTS = 100, 4, 10  # in a turn
PAGE = 100  # tokens on one
GUEST = 100  # tokens of an owner who comes and goes in a turn
WEEK_MS = 604_800_000


def known(store: Store) -> list[str]:
    return bulk.issue_known(store, [Draft(owner=f"known-{n}", life_ms=WEEK_MS) for n in range(KNOWN)])


def fill(store: Store, held: int, wanted: int) -> None:
    bulk.issue(store, (Draft(owner=f"filler-{n}", life_ms=WEEK_MS) for n in range(held, wanted)))


def measure(stores: Mapping[int, Store], texts: Mapping[int, list[str]]) -> dict[int, Costs]:
    """Of stores that hold so many tokens each, some of them known."""
    taken: Taken = {verb: [] for verb in VERBS}
    with ExitStack() as stack:
        sides = [
            Side(size, store, stack.enter_context(service(store, tick_ms=TICK_MS)), texts[size])
            for size, store in stores.items()
        ]
        for number in range(TURNS):
            for verb, asks in VERBS.items():
                taken[verb].append(turn(number, asks, sides))
            for store in stores.values():
                uvloop.run(bulk.tokens_of(store, retention_ms=1).sweep())
    return middles(taken, list(stores))


def use(side: Side, number: int) -> Round:
    texts = [side.texts[n % len(side.texts)] for n in range(number * USES, (number + 1) * USES)]
    return Round(calls.posts("/v1/tokens/use", ADMIN, texts), USES)


def _page(_side: Side, _number: int) -> Round:
    """Each of 16 partitions is asked for as many as a page takes; of a thousand tokens it has 62 to give."""
    return Round([asked.get("/v1/tokens", limit=PAGE)] * PAGES, PAGES)


def _count(_side: Side, _number: int) -> Round:
    return Round([asked.get("/v1/tokens/count")] * COUNTS, COUNTS)


def _issue(_side: Side, number: int) -> Round:
    return Round([asked.new(_guest(number), WEEK_MS)] * GUEST, GUEST, 201)


def _revoke_all(_side: Side, number: int) -> Round:
    return Round([asked.revoke_owner(_guest(number))], GUEST)


def _guest(number: int) -> str:
    return f"guest-{number}"


VERBS: dict[str, Asks[Side]] = {
    "use": use, f"page of {PAGE}": _page, "count": _count, "issue": _issue,
    f"revoke-all of {GUEST}, a token": _revoke_all,
}  # fmt: skip
