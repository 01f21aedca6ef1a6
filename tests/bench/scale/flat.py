"""What each verb costs while the store fills up: with a thousand tokens and with a million.

Judged by the processor time of the store, and told in commands too: wall time says more about the machine.
"""

from collections.abc import Callable

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.scale import asked
from tests.bench.scale.asked import Cost
from tests.bench.servers import ADMIN, Store, service
from tests.servers import Service

TIMES = 3  # each is measured; the least counts, since what else runs only ever adds
TICK_MS = 10_000  # the sweep rests, so that it is not in the figures
USES, ISSUED, PAGES, COUNTS = 1_000, 500, 50, 200
PAGE = 100  # tokens on one
OWNERS, EACH = 10, 100  # whose tokens are revoked, and how many each has
WEEK_MS = 604_800_000

Costs = dict[str, Cost]  # by verb


def fill(store: Store, held: int, wanted: int) -> None:
    bulk.issue(store, (Draft(owner=f"filler-{n}", life_ms=WEEK_MS) for n in range(held, wanted)))


def measure(store: Store) -> Costs:
    with service(store, tick_ms=TICK_MS) as server:
        uses = _uses(store)
        least: Costs = {}
        for _ in range(TIMES):
            for verb, measured in _verbs(store, server, uses).items():
                cost = measured()
                least[verb] = min(cost, least.get(verb, cost))
    return least


def _uses(store: Store) -> list[bytes]:
    tokens = bulk.issue_known(store, [Draft(owner=f"known-{n}", life_ms=WEEK_MS) for n in range(USES)])
    return calls.posts("/v1/tokens/use", ADMIN, tokens)


def _verbs(store: Store, server: Service, uses: list[bytes]) -> dict[str, Callable[[], Cost]]:
    def cost(requests: list[bytes], things: int, status: int = 200) -> Cost:
        return asked.cost(store, server, requests, things, status)

    def revoke_all() -> Cost:
        owners = [f"leaving-{n}" for n in range(OWNERS)]
        bulk.issue(store, [Draft(owner=owner, life_ms=WEEK_MS) for owner in owners for _ in range(EACH)])
        return cost([asked.revoke_owner(owner) for owner in owners], OWNERS * EACH)

    return {
        "use": lambda: cost(uses, USES),
        "issue": lambda: cost([_new(f"new-{n}") for n in range(ISSUED)], ISSUED, 201),
        f"page of {PAGE}": lambda: cost([asked.get("/v1/tokens", limit=PAGE)] * PAGES, PAGES),
        "count": lambda: cost([asked.get("/v1/tokens/count")] * COUNTS, COUNTS),
        f"revoke-all of {EACH}, a token": revoke_all,
    }


def _new(owner: str) -> bytes:
    return calls.request("POST", "/v1/tokens", ADMIN, {"owner": owner, "tenant": "default", "life_ms": WEEK_MS})
