"""Who takes part in the rounds, each with requests of its own, and with tokens or sessions to choose from."""

from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench import bulk, calls
from tests.bench.measure import Contender
from tests.bench.rivals.rival import Rival, installed
from tests.bench.servers import Plain, Store, service
from tests.servers import Service

LIVE = 10_000  # tokens, or sessions, that the requests choose from
BATCH_LANES = 8  # with 64 a batch of 1,000 would wait for 63 others, longer than a store may take to answer
BATCH, USE, GATEWAY = "batch", "use", "gateway use"
UNSEEN = "gateway use, unseen"  # of bytes that the service has not seen before
BARE, NAIVE = ("bare GET", "bare POST"), "naive"


def ours(store: Store, stack: ExitStack) -> Iterator[Contender]:
    """The service, and what it is held against that needs no installing; they end with the stack."""

    def own() -> Service:
        """A process for each, as each rival has: one knows the bytes of so many requests, and those of four contenders,
        one of which sends none twice, are more."""
        return stack.enter_context(service(store))

    plain, first = stack.enter_context(Plain(store)), own()
    caller, tokens = calls.caller(first.port), calls.sessions(first.port, LIVE)
    batches = calls.batches(caller, tokens)
    calls.check_batch(first.port, batches[0])
    get, post = BARE
    # The machine's speed changes within seconds: who is held against whom stands beside him.
    yield Contender(GATEWAY, own(), calls.gateway_uses(tokens))
    yield Contender(get, plain, [calls.request("GET", "/bare")])
    yield Contender(USE, own(), calls.posts("/v1/tokens/use", caller, tokens))
    yield Contender(NAIVE, plain, calls.posts("/naive", caller, store.hold(LIVE, len(tokens[0]))))
    yield Contender(post, plain, calls.posts("/bare", caller, tokens))
    yield Contender("peek", own(), calls.posts("/v1/tokens/peek", caller, tokens))
    yield Contender(UNSEEN, own(), calls.unseen(calls.gateway_uses(tokens)))
    yield Contender(BATCH, first, batches, BATCH_LANES)


def theirs(store: Store, stack: ExitStack) -> Iterator[Contender]:
    """The rivals that are installed, started and looked at; they end with the stack."""
    for kind in installed():
        bulk.say(f"{kind.name}: {LIVE:,} sessions")
        rival = stack.enter_context(Rival(kind, store))
        rival.check()
        yield Contender(kind.name, rival, rival.sessions(LIVE))
