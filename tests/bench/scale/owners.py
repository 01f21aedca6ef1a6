"""What each verb costs for an owner of one token and for one of very many."""

from service.core.token import Draft
from tests.bench import bulk, calls
from tests.bench.scale import asked
from tests.bench.scale.asked import Cost
from tests.bench.scale.flat import PAGE, TICK_MS, TIMES, WEEK_MS, Costs
from tests.bench.servers import ADMIN, Store, service
from tests.servers import Service

ABOUT = 1_000  # requests of a kind; with fewer tokens each, there are more owners
PAGES = 50
CALLED = 20  # calls that revoke for one owner, 500 tokens each: enough to tell
IN_A_CALL = 500


def measure(store: Store, size: int) -> Costs:
    """Owners of `size` tokens each, on a store that may hold others."""
    owners = [f"owner-of-{size}-{n}" for n in range(max(1, ABOUT // size))]
    drafts = [Draft(owner=owner, life_ms=WEEK_MS) for owner in owners for _ in range(size)]
    with service(store, tick_ms=TICK_MS) as server:
        tokens = bulk.issue_known(store, drafts[:ABOUT])
        bulk.issue(store, drafts[ABOUT:])
        return _measured(store, server, owners, tokens, size)


def _measured(store: Store, server: Service, owners: list[str], tokens: list[str], size: int) -> Costs:
    def cost(requests: list[bytes], things: int, status: int = 200) -> Cost:
        return asked.cost(store, server, requests, things, status)

    def rotating(count: int, query: dict[str, int], path: str) -> list[bytes]:
        return [asked.get(path, owner=owners[n % len(owners)], **query) for n in range(count)]

    uses = calls.posts("/v1/tokens/use", ADMIN, tokens)
    costs = {
        "use": min(cost(uses, len(tokens)) for _ in range(TIMES)),
        "count": min(cost(rotating(ABOUT // 2, {}, "/v1/tokens/count"), ABOUT // 2) for _ in range(TIMES)),
    }
    if size >= PAGE:  # of fewer a page is not full, and costs less
        page = rotating(PAGES, {"limit": PAGE}, "/v1/tokens")
        costs[f"page of {PAGE}"] = min(cost(page, PAGES) for _ in range(TIMES))
    costs["issue"] = cost([_new(owners[n % len(owners)]) for n in range(ABOUT)], ABOUT, 201)
    calls_each = min(CALLED, -(-size // IN_A_CALL))
    revoked = min(size + ABOUT // len(owners), calls_each * IN_A_CALL) * len(owners)
    costs["revoke-all, a token"] = cost([asked.revoke_owner(one) for one in owners * calls_each], revoked)
    return costs


def _new(owner: str) -> bytes:
    return calls.request("POST", "/v1/tokens", ADMIN, {"owner": owner, "tenant": "default", "life_ms": WEEK_MS})
